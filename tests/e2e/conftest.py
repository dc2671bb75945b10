"""One local environment a test process for all its end-to-end tests, made and taken down by the real commands.

Its checkout, state and port are its own; the cache folder is our checkout's, so that nothing is fetched twice.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .operators import Operator, copy_checkout, make_operator
from .world import World, clients

JOBS = Path(__file__).parent / "jobs"


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An environment that is up, with the tests' own jobs; nothing of it is left afterwards."""
    folder = tmp_path_factory.mktemp("e2e")
    copy_checkout(folder / "checkout")
    shutil.copytree(JOBS, folder / "checkout" / "dags" / "jobs", dirs_exist_ok=True)
    operator = make_operator(folder / "state", folder / "checkout")
    try:
        done = operator.call("up", "--no-smoke")
        assert done.returncode == 0, done.stderr
        yield operator
    finally:
        down = operator.call("down")
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
