"""The same environment on another Airflow: the one between the local environment's and the newest, test_interrupts'."""

from collections.abc import Iterator

import pytest

from emulator.mwaa import versions
from tests.e2e.operators import Operator, environment

(VERSION,) = [version for version in versions.SUPPORTED[:-1] if version != versions.DEFAULT]


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with environment(tmp_path_factory.mktemp("faults"), VERSION) as made:
        yield made
