"""Somebody at the command line, with an environment of their own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from emulator.mwaa.database import free_port
from scripts.chaos.faults import choose_airflow
from scripts.checks import lanes, provider
from scripts.core import checkout
from scripts.terraform.workspace import terraform_environ
from tests.waiting import PATIENCE

# AWS's times of a host, a hundredth of them: six minutes from its launch to ECS, two from its end to its being gone.
HOSTS = {"EMULATOR_INSTANCE_SECONDS": "3.6", "EMULATOR_TERMINATE_SECONDS": "1.2"}
# Of a failed test: so many logs, and so many lines of each.
LOGS, LINES = 6, 25
ROOT = Path(__file__).parents[2]
JOBS = Path(__file__).parent / "jobs"
INVOKE = str(Path(sys.executable).parent / "invoke")


@dataclass(frozen=True)
class Operator:
    """Somebody who calls invoke, with an environment of their own.

    Attributes:
        state: the state folder.
        environ: the process environment of every call.
        root: the checkout that the commands are called in.
    """

    state: Path
    environ: dict[str, str]
    root: Path = ROOT

    def call(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [INVOKE, *arguments],
            cwd=self.root,
            env=self.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Standard output of a call that must succeed: one JSON document and nothing else."""
        done = self.call(*arguments, "--json")
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
        return lanes.left(self.state)

    def evidence(self) -> str:
        """What is there when a test has failed: jobs as the command line shows them, the ends of the newest logs."""
        status = self.call("status")
        logs = sorted(self.state.rglob("*.log"), key=lambda file: file.stat().st_mtime)[-LOGS:]
        ends = [f"--- {file}\n" + "\n".join(file.read_text(errors="replace").splitlines()[-LINES:]) for file in logs]
        return "\n".join([status.stdout, status.stderr, *ends])


def make_operator(state: Path, root: Path = ROOT) -> Operator:
    """An operator whose state folder and port are their own; the cache is the checkout's. Hosts take their time."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_", "WINBATCH_"))}
    environ |= HOSTS | {
        "WINBATCH_CACHE": os.environ.get("WINBATCH_CACHE", str(ROOT / ".cache")),
        "WINBATCH_PORT": str(free_port()),
        "WINBATCH_STATE": str(state),
        # All of our code is the checkout's, that of the packages which are installed from ours included.
        "PYTHONPATH": os.pathsep.join(map(str, (root, root / "dags"))),
    }
    return Operator(state, environ, root)


@contextmanager
def keeping_provider(operator: Operator) -> Iterator[Operator]:
    """The same operator, whose Terraform commands share one process of the provider."""
    environ = terraform_environ(
        operator.environ,
        config=Path(os.devnull),
        data=operator.state,
        region="eu-central-1",
        endpoint_url=f"http://127.0.0.1:{operator.environ['WINBATCH_PORT']}",
    )
    with provider.kept(provider.for_tests(), environ, operator.state.parent) as variables:
        yield replace(operator, environ=operator.environ | variables)


@contextmanager
def environment(folder: Path, version: str = "", **variables: str) -> Iterator[Operator]:
    """An environment that is up, of a checkout with the tests' own jobs; nothing of it is left afterwards.

    Args:
        folder: for checkout and state.
        version: of Airflow; empty: the checkout's.
        variables: of the process environment of every call.
    """
    root = folder / "checkout"
    checkout.copy(ROOT, root)
    shutil.copytree(JOBS, root / "dags" / "jobs", dirs_exist_ok=True)
    if version:
        choose_airflow(root, version)
    made = make_operator(folder / "state", root)
    with keeping_provider(replace(made, environ=made.environ | variables)) as operator:
        try:
            done = operator.call("up", "--no-smoke")
            assert done.returncode == 0, done.stderr
            yield operator
        finally:
            down = operator.call("down")
    assert down.returncode == 0, down.stderr
    assert operator.processes() == []
    assert list(operator.state.rglob("*")) == []
