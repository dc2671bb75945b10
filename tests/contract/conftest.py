"""A running emulator for the contract tests.

The tests say what AWS does. `WINBATCH_TEST_ENDPOINT` runs them against an emulator that is up already,
`WINBATCH_TEST_AWS=<region>` those that are marked `on_aws` against whatever AWS the process's credentials are for.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.emulated import Emulator, emulating

from . import world

# Instances come and go at once.
QUICK = ("--instance-seconds", "0.2", "--terminate-seconds", "0.2", "--check-answers")


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("WINBATCH_TEST_ENDPOINT")
    if world.ON_AWS:
        pytest.skip("it is about the emulator")
    if given:
        yield given
        return
    with emulating(tmp_path_factory.mktemp("emulator"), *QUICK) as emulator:
        yield emulator.endpoint
    unexpected = [line for line in emulator.log.read_text().splitlines() if "Traceback" in line or " ERROR " in line]
    assert not unexpected, emulator.log.read_text()


@pytest.fixture
def own_emulator(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Starts emulators for one test, for what would disturb others."""
    started: list[Emulator] = []

    def start(*arguments: str, folder: Path | None = None, **options: Any) -> Emulator:
        started.append(Emulator(folder or tmp_path / uuid.uuid4().hex, *QUICK, *arguments, **options))
        return started[-1]

    yield start
    for emulator in started:
        with contextlib.suppress(ProcessLookupError):
            if emulator.process.poll() is None:
                emulator.stop()


@pytest.fixture(scope="session")
def client(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A boto3 client of a service."""
    if world.ON_AWS:
        return lambda service: boto3.client(service, region_name=world.REGION)
    endpoint = request.getfixturevalue("endpoint")
    return lambda service: world.client(endpoint, service)


@pytest.fixture
def unique() -> str:
    """A name that no other test has."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def cluster(client: Callable[..., Any], unique: str) -> Iterator[world.Cluster]:
    """A cluster with one Auto Scaling group of c5.xlarge hosts, empty."""
    made = world.Cluster(client, unique)
    yield made
    made.remove()
