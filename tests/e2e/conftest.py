"""One local environment a test process for all its end-to-end tests, made and taken down by the real commands.

Its state and port are its own; the cache folder is the checkout's, so that nothing is fetched twice.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from .operators import Operator, make_operator
from .world import World, clients


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An environment that is up; nothing of it is left afterwards."""
    operator = make_operator(tmp_path_factory.mktemp("e2e") / "state")
    try:
        done = operator.call("up", timeout=600)
        assert done.returncode == 0, done.stderr
        yield operator
    finally:
        down = operator.call("down", timeout=400)
    assert down.returncode == 0, down.stderr
    assert operator.processes() == []
    assert list(operator.state.rglob("*")) == []


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
