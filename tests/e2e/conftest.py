"""One local environment a test process for all its end-to-end tests, made and taken down by the real commands.

Its checkout, state and port are its own; the cache folder is our checkout's, so that nothing is fetched twice.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from .operators import Operator, environment
from .world import World, clients


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An environment that is up, with the tests' own jobs; nothing of it is left afterwards."""
    with environment(tmp_path_factory.mktemp("e2e")) as made:
        yield made


@pytest.fixture(scope="session")
def status(operator: Operator) -> Any:
    return operator.json("status")


@pytest.fixture(scope="session")
def client(status: Any) -> Any:
    """boto3 clients for the environment, by service."""
    return clients(status)


@pytest.fixture(scope="session")
def world(operator: Operator, status: Any, client: Any) -> World:
    """The same environment, seen from outside."""
    return World(operator, status, client)
