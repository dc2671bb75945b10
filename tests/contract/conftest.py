"""A running emulator for the contract tests.

The tests say what AWS does. `WINBATCH_TEST_ENDPOINT` runs them against an emulator that is up already.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from . import world

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Emulator:
    """A child process `python -m emulator serve`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.state = folder / "state"
        self.log = folder / "emulator.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "emulator", "serve", "--port", str(self.port),
                    "--state", str(self.state), "--cache", str(folder / "cache"),
                    "--instance-seconds", "0.2", *arguments,
                ],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while not self._ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        with urlopen(f"{self.endpoint}/_emulator/health") as answer:
            assert answer.status == 200

    def _ready(self) -> bool:
        # An emulator that died may have left its own file.
        ready = self.state / "ready.json"
        return ready.exists() and json.loads(ready.read_text())["pid"] == self.process.pid

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("WINBATCH_TEST_ENDPOINT")
    if given:
        yield given
        return
    emulator = Emulator(tmp_path_factory.mktemp("emulator"))
    try:
        yield emulator.endpoint
    finally:
        assert emulator.stop() == 0
    unexpected = [line for line in emulator.log.read_text().splitlines() if "Traceback" in line or " ERROR " in line]
    assert not unexpected, emulator.log.read_text()


@pytest.fixture
def own_emulator(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Starts emulators for one test, for what would disturb others."""
    started: list[Emulator] = []

    def start(*arguments: str, folder: Path | None = None) -> Emulator:
        started.append(Emulator(folder or tmp_path / uuid.uuid4().hex, *arguments))
        return started[-1]

    yield start
    for emulator in started:
        with contextlib.suppress(ProcessLookupError):
            if emulator.process.poll() is None:
                emulator.stop()


@pytest.fixture(scope="session")
def client(endpoint: str) -> Callable[..., Any]:
    """A boto3 client of a service."""
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
