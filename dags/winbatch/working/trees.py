"""Processes with all that they start: none of them outlives the worker, however it ends.

On Windows such a tree is a job object that ends it when its last handle is closed, so also when the worker is killed.
Elsewhere it is a process group, and a small process (`winbatch.working.guard`) ends those groups when the worker goes
away without having done so.
"""

import atexit
import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE = 3.0
"""How long a process may take to end once it is told to, in seconds."""

STOP_GRACE = 1.5
"""The same when the worker itself is told to stop: a part of the five seconds that a Windows container is left."""


def ending(code: int) -> str:
    """In words, how a process with this exit code has ended."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    # Windows' own codes are known by their hexadecimal form.
    return f"ended with exit code {code}" + (f" (0x{code:08X})" if code > 0xFFFF else "")  # noqa: PLR2004


if sys.platform == "win32":
    from winbatch.working.windows import Tree as Tree  # noqa: PLC0414 - for others to import
else:
    import os

    class Group:
        """A process group; the guard knows it until it is closed."""

        def __init__(self, pid: int) -> None:
            self.pid = pid
            _guard.tell(f"+{pid}")

        def ask(self) -> None:
            """Ask it to end."""
            self._signal(signal.SIGTERM)

        def kill(self) -> None:
            """End all that is left of it."""
            self._signal(signal.SIGKILL)

        def close(self) -> None:
            """Forget it; nothing of it is left."""
            _guard.tell(f"-{self.pid}")

        def _signal(self, number: int) -> None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # macOS answers PermissionError for a group of which only a zombie is left.
                os.killpg(self.pid, number)

    class Tree(Group):
        """A program and what it starts, in a process group of its own."""

        def __init__(
            self,
            words: Sequence[str],
            folder: Path | None = None,
            environment: Mapping[str, str] | None = None,
            *,
            stdin: int = subprocess.DEVNULL,
            stderr: int | None = subprocess.STDOUT,
            program: str | None = None,
        ) -> None:
            """As subprocess has it; `stdin` and `stderr` are what `Popen` takes, standard output is a pipe.

            `program` is the file that is run where the first word does not name it.
            """
            self.process = subprocess.Popen(
                words,
                executable=program,
                cwd=folder,
                env=environment,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
            assert self.process.stdout is not None
            self.output = self.process.stdout
            super().__init__(self.process.pid)

        def close(self) -> None:
            """Forget it; nothing of it is left."""
            self.output.close()
            super().close()

    class _Guard:
        """The process that ends groups which the worker left behind; started with the first of them."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self._process: subprocess.Popen[bytes] | None = None

        def tell(self, line: str) -> None:
            with self._lock:
                if self._process is None:
                    self._process = subprocess.Popen(
                        [sys.executable, "-S", "-E", Path(__file__).with_name("guard.py")],
                        stdin=subprocess.PIPE,
                        start_new_session=True,
                    )
                    atexit.register(self._end, self._process)
                assert self._process.stdin is not None
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()

        @staticmethod
        def _end(process: subprocess.Popen[bytes]) -> None:
            process.communicate()

    _guard = _Guard()
