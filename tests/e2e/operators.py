"""Somebody at the command line, with an environment of their own."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
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

    def call(self, *arguments: str, timeout: float = 300, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [INVOKE, *arguments],
            cwd=self.root,
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


def copy_checkout(target: Path) -> None:
    """Somebody else's copy of the checkout, with nothing that was made in it."""
    made = (
        ".git",
        ".venv",
        ".cache",
        ".state",
        ".terraform",
        ".*_cache",
        "__pycache__",
        "build",
        "node_modules",
        "*.tfstate",
    )
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*made), symlinks=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_operator(state: Path, root: Path = ROOT) -> Operator:
    """An operator whose state folder and port are their own; the cache is the checkout's."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_", "WINBATCH_"))}
    environ |= {
        "WINBATCH_CACHE": os.environ.get("WINBATCH_CACHE", str(ROOT / ".cache")),
        "WINBATCH_PORT": str(free_port()),
        "WINBATCH_STATE": str(state),
    }
    return Operator(state, environ, root)
