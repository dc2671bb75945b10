"""The same environment once more, for jobs in which things die; test_interrupts' is the newest Airflow."""

from collections.abc import Iterator

import pytest

from emulator.mwaa import versions
from tests.e2e.operators import Operator, environment

VERSION = versions.DEFAULT


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with environment(tmp_path_factory.mktemp("faults"), VERSION) as made:
        yield made
