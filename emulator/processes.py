"""Children of the emulator, none of which outlives it.

Each child leads a session, so that stopping it stops what it started. A watchdog process (`emulator.watchdog`) knows
every child and kills them all when the emulator goes away without stopping them, SIGKILL included: it notices the end
of the pipe between them. This works alike on Linux and macOS, where a parent-death signal does not exist, and does not
depend on which thread started a child, as that signal does.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Protocol

# Marks everything that descends from an emulator, also what left its session.
MARK = "EMULATOR_FAMILY"
# A child whose session's priority could not be lowered after so many looks, a few seconds each ten, keeps it.
_NICE_TRIES = 50


class Process(Protocol):
    """What is used of a `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Give its process id."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """Give its output, where it is a pipe."""

    def poll(self) -> int | None:
        """Give its exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and give its exit code."""

    def terminate(self) -> None:
        """Send it SIGTERM."""


class Child:
    """A running child and all that it started."""

    def __init__(self, process: Process, supervisor: Supervisor) -> None:
        self._process = process
        self._supervisor = supervisor

    @property
    def pid(self) -> int:
        """The child's process id, which is its process group's too."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes]:
        """Its output, when it was started with `log=None`."""
        assert self._process.stdout is not None, "the child was started with a log file"
        return self._process.stdout

    def poll(self) -> int | None:
        """The exit code (negative: the signal), or None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and give the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds
        """
        return self._process.wait(timeout)

    def signal(self, number: int) -> None:
        """Send a signal to the child and all of its group; nothing happens when none is left."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # macOS answers PermissionError for a group of which only a zombie is left.
            os.killpg(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM to the child alone, as a container engine sends it to a container's first process."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to the child and all of its group."""
        self.signal(signal.SIGKILL)

    def stop(self, grace: float = 30) -> int:
        """SIGTERM, then SIGKILL after `grace` seconds, and give the exit code."""
        if self.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.wait(grace)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
        return self.reap()

    def reap(self) -> int:
        """Wait for the end, then kill what the child left behind in its group."""
        code = self.wait()
        self.signal(signal.SIGKILL)
        self._supervisor.forget(self)
        return code


class Supervisor:
    """Starts children and remembers them until they are reaped."""

    def __init__(self) -> None:
        self.family = secrets.token_hex(8)
        self._children: dict[int, Child] = {}
        self._lock = Lock()
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "emulator.watchdog", self.family],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).parent.parent,
        )

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path | None,
        niceness: int = 0,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.STDOUT,
    ) -> Child:
        """Start a program.

        Args:
            argv: the program, found through `env`'s PATH, and its arguments
            env: its whole environment; nothing of the emulator's is added but the mark of its family
            cwd: its working folder
            log: a file to which its output is appended; None gives it through `Child.stdout`
            niceness: added to the emulator's own
            stdin: what it reads
            stderr: where its errors go, which are in its output without this

        Raises:
            OSError: it cannot be started
        """
        with contextlib.ExitStack() as stack:
            output: int | IO[bytes] = subprocess.PIPE if log is None else stack.enter_context(log.open("ab"))
            process = subprocess.Popen(
                argv,
                env={**env, MARK: self.family},
                cwd=cwd,
                stdin=stdin,
                stdout=output,
                stderr=stderr,
                start_new_session=True,
            )
        if niceness:
            _be_nice(process.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + niceness))
        return self.take(process)

    def take(self, process: Process) -> Child:
        """Remember a process that leads a session of its own as a child."""
        child = Child(process, self)
        with self._lock:
            self._children[child.pid] = child
            self._tell(f"+{child.pid}")
        return child

    def adopt(self, pid: int) -> None:
        """Let the watchdog kill the group of a process that something else started (a database's, say)."""
        with self._lock:
            self._tell(f"+{pid}")

    def forget(self, child: Child) -> None:
        """A child that is reaped needs no watching: its process id may be another's soon."""
        with self._lock:
            if self._children.pop(child.pid, None) is not None:
                self._tell(f"-{child.pid}")

    def stop_all(self, grace: float = 10) -> None:
        """Stop all children at once, then the watchdog, which kills whatever is left of the family."""
        with self._lock:
            children = list(self._children.values())
        for child in children:
            child.signal(signal.SIGTERM)
        for child in children:
            child.stop(grace)
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        self._watchdog.wait()

    def _tell(self, line: str) -> None:
        pipe = self._watchdog.stdin
        assert pipe is not None
        if pipe.closed:
            raise RuntimeError("the emulator is stopping and starts nothing any more")
        pipe.write(line.encode() + b"\n")
        pipe.flush()


def _be_nice(pid: int, niceness: int) -> None:
    """Lower a process's priority, and that of its session.

    Where Linux schedules by session (autogroup), a session of its own has a full share of the processors, however nice
    the processes in it are to each other.
    """
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
    if not _lower_session(pid, niceness):
        Thread(target=_lower_session_later, args=(pid, niceness), daemon=True).start()


def _lower_session(pid: int, niceness: int) -> bool:
    """Lower a session's priority; False where that is to be tried again.

    A session that cannot be lowered, or is gone, is none to try again: a program matters more than its priority.
    """
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")
    except BlockingIOError:
        # Linux takes one of these writes each 0.1 s from all that are not root (`proc_sched_autogroup_set_nice`).
        return False
    except OSError:
        pass
    return True


def _lower_session_later(pid: int, niceness: int) -> None:
    for _ in range(_NICE_TRIES):
        # Children that were started together are not to ask together again.
        time.sleep(random.uniform(0.1, 0.3))  # noqa: S311 - no secret
        if _lower_session(pid, niceness):
            return
