"""Processes that are forks of one that has imported what they need (`emulator.mwaa.template`)."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread

from emulator.processes import Child, Supervisor


class Template:
    """A program that forks as it is told, and takes its forks with it when it dies.

    Attributes:
        child: its process
        ready: it has imported what forks are to share, and runs
    """

    def __init__(
        self, processes: Supervisor, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path
    ) -> None:
        self.ready = False
        self._processes = processes
        read, write = os.pipe()
        with open(read, "rb") as orders, log.open("ab") as errors:  # noqa: PTH123 - a descriptor
            self._orders = open(write, "wb", buffering=0)  # noqa: PTH123, SIM115 - a descriptor
            self.child = processes.start(argv, env=env, cwd=cwd, log=None, stdin=orders, stderr=errors)
        self._forks: dict[int, _Fork] = {}
        self._begun: queue.SimpleQueue[_Fork | None] = queue.SimpleQueue()
        Thread(target=self._listen, daemon=True).start()

    def fork(self, name: str, words: Sequence[str], log: Path) -> Child | None:
        """Begin a component; None where the template is not ready, or ends before it can."""
        if not self.ready:
            return None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._orders.write(json.dumps({"name": name, "words": words, "log": str(log)}).encode() + b"\n")
        fork = self._begun.get()
        return None if fork is None else self._processes.take(fork)

    def _listen(self) -> None:
        with self.child.stdout as answers, self._orders:
            for line in answers:
                if line == b"ready\n":
                    self.ready = True
                    continue
                pid, *code = map(int, line.split())
                if pid not in self._forks:
                    self._forks[pid] = _Fork(pid)
                    self._begun.put(self._forks[pid])
                if code:
                    self._forks.pop(pid).end(code[0])
        self.ready = False
        for fork in self._forks.values():
            # How these end nobody is told any more.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(fork.pid, signal.SIGKILL)
            fork.end(-signal.SIGKILL)
        self._begun.put(None)


class _Fork:
    """What `Child` uses of a `subprocess.Popen`."""

    stdout = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None
        self._ended = Event()

    def end(self, code: int) -> None:
        self._code = code
        self._ended.set()

    def poll(self) -> int | None:
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self._code is not None
        return self._code

    def terminate(self) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
