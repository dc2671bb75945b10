"""One local environment for all end-to-end tests, made and taken down by the real commands.

Its state and port are its own; the cache folder is the checkout's, so that nothing is fetched twice. The tests of one
module share it, so they need one worker: `make test` runs them without xdist.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

ROOT = Path(__file__).parents[2]
INVOKE = str(Path(sys.executable).parent / "invoke")


@dataclass(frozen=True)
class Operator:
    """Somebody who calls invoke, with an environment of their own.

    Attributes:
        state: the state folder.
        environ: the process environment of every call.
    """

    state: Path
    environ: dict[str, str]

    def call(self, *arguments: str, timeout: float = 300, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [INVOKE, *arguments],
            cwd=ROOT,
            env=self.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str, timeout: float = 300) -> Any:
        """Standard output of a call that must succeed: one JSON document and nothing else."""
        done = self.call(*arguments, "--json", timeout=timeout)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str, **variables: str) -> str:
        """The one line with which a call that must fail ends."""
        done = self.call(*arguments, **variables)
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, done.stderr
        assert done.stderr.rstrip().endswith(errors[0])
        return errors[0].removeprefix("error: ")

    def processes(self) -> list[psutil.Process]:
        """Every process that has to do with the state folder."""
        found = []
        for process in psutil.process_iter():
            try:
                traces = [*process.cmdline(), process.cwd(), *process.environ().values()]
            except psutil.Error:
                continue
            if process.pid != os.getpid() and any(str(self.state) in trace for trace in traces):
                found.append(process)
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_operator(state: Path) -> Operator:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_", "WINBATCH_"))}
    environ |= {name: os.environ[name] for name in ("WINBATCH_CACHE",) if name in os.environ}
    return Operator(state, environ | {"WINBATCH_STATE": str(state), "WINBATCH_PORT": str(free_port())})


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An environment that is up; nothing of it is left afterwards."""
    operator = make_operator(tmp_path_factory.mktemp("e2e") / "state")
    try:
        done = operator.call("up", timeout=600)
        assert done.returncode == 0, done.stderr
        yield operator
    finally:
        down = operator.call("down", timeout=200)
    assert down.returncode == 0, down.stderr
    assert operator.processes() == []
    assert list(operator.state.rglob("*")) == []


@pytest.fixture(scope="session")
def status(operator: Operator) -> Any:
    return operator.json("status")


@pytest.fixture(scope="session")
def client(status: Any) -> Any:
    """boto3 clients for the environment, by service."""

    def make(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=status["endpoint_url"],
            region_name=status["region"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(proxies={}, inject_host_prefix=False),
        )

    return make
