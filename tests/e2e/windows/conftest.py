"""The same environment once more, whose ECS tasks run the Windows images, under Wine."""

from collections.abc import Iterator

import pytest

from scripts import wine
from scripts.errors import PreflightError
from tests.e2e.operators import Operator, environment


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    try:
        wine.require()
    except PreflightError as error:
        pytest.skip(str(error))
    with environment(tmp_path_factory.mktemp("windows"), WINBATCH_WINDOWS="wine") as made:
        yield made
