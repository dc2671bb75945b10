"""Runs programs that end by themselves (uv, initdb, a migration) as children that can be cancelled."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import TimeoutExpired
from threading import Event

from emulator.mwaa.errors import CancelledError, LaunchError
from emulator.processes import Supervisor

_LINES = 15


class Runner:
    """Starts programs one after another until it is cancelled."""

    def __init__(self, processes: Supervisor, cancelled: Event) -> None:
        self.processes = processes
        self.cancelled = cancelled

    def check(self) -> None:
        """See that there is a reason to go on.

        Raises:
            CancelledError: it was told to stop
        """
        if self.cancelled.is_set():
            raise CancelledError

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, what: str, timeout: float = 900) -> str:
        """Run a program to its end and give its output, standard error included.

        Args:
            argv: the program and its arguments
            env: its whole environment
            cwd: its working folder
            what: what it does, for the error's text
            timeout: seconds that it may take

        Raises:
            CancelledError: it was told to stop
            LaunchError: it failed; the text holds its last lines
        """
        log = cwd / f".{secrets.token_hex(8)}.log"
        try:
            child = self.processes.start(argv, env=env, cwd=cwd, log=log)
            code: int | None = None
            waited = 0.0
            while code is None and waited < timeout and not self.cancelled.is_set():
                try:
                    code = child.wait(0.1)
                except TimeoutExpired:
                    waited += 0.1
            if code is None:
                child.stop(grace=2)
            else:
                child.reap()
            output = log.read_text(errors="replace").strip()
        finally:
            log.unlink(missing_ok=True)
        self.check()
        if code == 0:
            return output
        reason = f"did not end within {timeout:.0f} s" if code is None else f"ended with exit code {code}"
        last = "\n".join(output.splitlines()[-_LINES:])
        raise LaunchError(f"{what}: {Path(argv[0]).name} {reason}: {last}")
