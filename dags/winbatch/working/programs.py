"""Programs that items run, each with all that it starts: none of them outlives its item, or the worker.

On Windows a program and its children are a job object that ends them when its last handle is closed, so also when the
worker is killed. Elsewhere they are a process group, and a small process (`winbatch.working.guard`) ends those groups
when the worker goes away without having done so.
"""

import atexit
import codecs
import contextlib
import contextvars
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

LINE_LENGTH = 8000
"""Longer lines are cut."""

_CHUNK = 1 << 16

# How long a program may take to end once it is told to, in seconds.
GRACE = 3.0


class ProgramError(subprocess.CalledProcessError):
    """A program failed: it ended with another exit code than 0, did not end in time, or could not be started."""

    def __init__(self, returncode: int | None, program: str, problem: str) -> None:
        super().__init__(returncode if returncode is not None else 0, program)
        self.exit_code = returncode
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.cmd} {self.problem}"


class Stopped(Exception):  # noqa: N818 - it is no error
    """The worker was told to stop, so it starts nothing any more."""


class Programs:
    """Runs programs, in any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[_Tree] = set()
        self._stopped = False

    def run(
        self,
        words: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        timeout: float | None,
        say: Callable[[str], None],
    ) -> None:
        """Run a program to its end.

        Args:
            words: the program, by its path or as PATH finds it, and its arguments.
            folder: where it runs.
            environment: all of it.
            timeout: seconds that it may take; None for any time.
            say: called with each line that it writes to standard output or error, in a thread of its own.

        Raises:
            ProgramError: it failed.
            Stopped: `stop` was called before or meanwhile.
        """
        with self._lock:
            if self._stopped:
                raise Stopped
            try:
                tree = _Tree(words, folder, environment)
            except OSError as error:
                raise ProgramError(None, words[0], f"cannot be started: {error}") from error
            self._running.add(tree)
        # With a copy of the context, so that the lines are the item's.
        reader = threading.Thread(target=contextvars.copy_context().run, args=(_read, tree.output, say), daemon=True)
        reader.start()
        late = False
        try:
            tree.process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            tree.ask()
            _end(tree, GRACE)
        finally:
            tree.kill()  # what it has left behind, too: that may hold the pipe open
            reader.join()
            tree.close()
            with self._lock:
                self._running.discard(tree)
        if self._stopped:
            raise Stopped
        if late:
            raise ProgramError(None, words[0], f"did not end within {timeout:g} s and was ended")
        if code := tree.process.returncode:
            raise ProgramError(code, words[0], _words(code))

    def stop(self) -> None:
        """Start nothing any more, and end what runs: at first by asking, after some seconds by force."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for tree in running:
            tree.ask()
        deadline = time.monotonic() + GRACE
        for tree in running:
            _end(tree, max(0.0, deadline - time.monotonic()))


def _end(tree: "_Tree", grace: float) -> None:
    """Force a program that was asked to end to do so after `grace` seconds."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        tree.process.wait(grace)
    tree.kill()
    tree.process.wait()


def _read(output: IO[bytes], say: Callable[[str], None]) -> None:
    """Hand a program's output over line by line, without holding more of a line than `LINE_LENGTH`."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while chunk := os.read(output.fileno(), _CHUNK):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            say(line.rstrip("\r")[:LINE_LENGTH])
        rest = rest[:LINE_LENGTH]
    if rest:
        say(rest)


def _words(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    # Windows' own codes are known by their hexadecimal form.
    return f"ended with exit code {code}" + (f" (0x{code:08X})" if code > 0xFFFF else "")  # noqa: PLR2004


if sys.platform == "win32":
    from winbatch.working.windows import Tree as _Tree
else:

    class _Tree:
        """A program and what it starts, in a process group of its own."""

        def __init__(self, words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
            self.process = subprocess.Popen(
                words,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            assert self.process.stdout is not None
            self.output = self.process.stdout
            _guard.tell(f"+{self.process.pid}")

        def ask(self) -> None:
            """Ask it to end."""
            self._signal(signal.SIGTERM)

        def kill(self) -> None:
            """End all that is left of it."""
            self._signal(signal.SIGKILL)

        def close(self) -> None:
            """Forget it; nothing of it is left."""
            self.output.close()
            _guard.tell(f"-{self.process.pid}")

        def _signal(self, number: int) -> None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # macOS answers PermissionError for a group of which only a zombie is left.
                os.killpg(self.process.pid, number)

    class _Guard:
        """The process that ends programs which the worker left behind; started with the first of them."""

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
