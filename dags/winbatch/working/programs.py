"""Programs that items run, each with all that it starts: none of them outlives its item, or the worker."""

import contextlib
import contextvars
import errno
import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from winbatch import filenames
from winbatch.working import finding
from winbatch.working.limits import Watch, Watcher
from winbatch.working.lines import Lines
from winbatch.working.trees import GRACE, STOP_GRACE, Tree, ending

WINE = "WINBATCH_WINE"
"""The variable by which a local image names the Wine of this machine, for programs of Windows."""

_CHUNK = 1 << 16


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
        self._running: set[Tree] = set()
        self._stopped = False

    def run(
        self,
        words: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        watcher: Watcher,
        watched: Path,
        say: Callable[[str], None],
    ) -> None:
        """Run a program to its end.

        Args:
            words: the program, by its path or as PATH finds it, and its arguments.
            folder: where it runs.
            environment: all of it.
            watcher: ends it when it goes over a limit.
            watched: the folder that holds all that it may write to.
            say: called with each line that it writes to standard output or error, in a thread of its own.

        Raises:
            ProgramError: it failed.
            Stopped: `stop` was called before or meanwhile.
        """
        # The word as it is, for a placeholder may have made it one.
        if filenames.is_batch(words[0]):
            raise ProgramError(None, words[0], f"is not started: {filenames.BATCH}")
        with self._lock:
            if self._stopped:
                raise Stopped
            try:
                tree = _start(words, folder, environment)
            except OSError as error:
                raise ProgramError(None, words[0], f"cannot be started: {error}") from error
            self._running.add(tree)
        with watcher.watch(tree, watched) as watch:
            # With a copy of the context, so that the lines are the item's.
            reading = functools.partial(contextvars.copy_context().run, _read, tree.output, watch, say)
            reader = threading.Thread(target=reading, daemon=True)
            reader.start()
            try:
                tree.process.wait()
            finally:
                tree.kill()  # what it has left behind, too: that may hold the pipe open
                reader.join(GRACE)
        if not reader.is_alive():  # else something got away from the tree, and holds the pipe until the worker ends
            tree.close()
        with self._lock:
            self._running.discard(tree)
        if self._stopped:
            raise Stopped
        if watch.problem:
            raise ProgramError(None, words[0], watch.problem)
        if code := tree.process.returncode:
            raise ProgramError(code, words[0], ending(code))

    def stop(self) -> None:
        """Start nothing any more, and end what runs: at first by asking, after some seconds by force."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for tree in running:
            tree.ask()
        deadline = time.monotonic() + STOP_GRACE
        for tree in running:
            _end(tree, max(0.0, deadline - time.monotonic()))


def _start(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Tree:
    """Start a program; one of Windows on another system by Wine, unless the system itself knows how to run it.

    Raises:
        OSError: it cannot be started.
    """
    program = finding.find(words[0], folder, environment)
    try:
        return Tree(words, folder, environment, program=program)
    except OSError as error:
        if sys.platform == "win32" or error.errno != errno.ENOEXEC:
            raise
        with open(program, "rb") as file:  # noqa: PTH123 - the path as it was started
            if file.read(2) != b"MZ":
                raise
        if WINE not in environment:
            raise OSError(
                "it is a program of Windows, and there is no Wine here: apt-get install wine64, then invoke up"
            ) from error
        return Tree([environment[WINE], program, *words[1:]], folder, environment)


def _end(tree: Tree, grace: float) -> None:
    """Force a program that was asked to end to do so after `grace` seconds."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        tree.process.wait(grace)
    tree.kill()
    tree.process.wait()


def _read(output: IO[bytes], watch: Watch, say: Callable[[str], None]) -> None:
    """Hand a program's output over line by line."""
    lines = Lines()
    while chunk := os.read(output.fileno(), _CHUNK):
        for line in lines.feed(chunk):
            if watch.heard(line):
                say(line)
    for line in lines.end():
        if watch.heard(line):
            say(line)
