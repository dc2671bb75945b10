"""What an item may use: time, lines in the log, disk. One that uses more is ended, and its failure says so."""

import contextlib
import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

from winbatch.stage import DAY, Stage
from winbatch.working import files
from winbatch.working.trees import GRACE

MIB = 1 << 20

_INTERVAL = 1.0

# To look through a folder of very many files may take seconds: it takes no more than this part of the time.
_LOOKING = 0.1

# When a disk has less left than this, whoever has filled it is ended, before the items beside it fail with it.
_RESERVE = 64 * MIB


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of a stage's items.

    Attributes:
        seconds: that it may take.
        log_lines: that it may log, print or write to its standard output and error.
        log_mib: size of these lines, in MiB.
        disk_mib: what it may write to its folders, in MiB.
    """

    seconds: float = DAY
    log_lines: float = 1_000_000
    log_mib: float = 100
    disk_mib: float = 10_240

    @classmethod
    def of(cls, stage: Stage) -> Self:
        """A stage's. One that an earlier release planned says none."""
        return cls(seconds=stage.timeout or DAY, **stage.limits)


class Victim(Protocol):
    """What runs an item and can be ended."""

    def ask(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it by force."""


class Watch:
    """One item at work.

    Attributes:
        problem: the limit that it went over, in words that go on from what it is; empty while there is none.
        used: bytes that it was last seen to have written to its folders.
    """

    def __init__(self, limits: Limits, victim: Victim, folder: Path) -> None:
        self._limits = limits
        self._victim = victim
        self._folder = files.long(folder)
        self._deadline = time.monotonic() + limits.seconds
        self._fetched = folder_size(self._folder)
        self._lines = self._characters = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.used = 0
        self.problem = ""

    def heard(self, line: str) -> bool:
        """Count a line of its log. Returns whether it is to be written."""
        self._lines += 1
        self._characters += len(line) + 1
        if self._lines > self._limits.log_lines:
            self.end(_over(f"logged more than {self._limits.log_lines:,.0f} lines", "limits: {log_lines: …}"))
        elif self._characters > self._limits.log_mib * MIB:
            self.end(_over(f"logged more than {self._limits.log_mib:g} MiB", "limits: {log_mib: …}"))
        return not self.problem

    def look(self) -> None:
        """End it if it takes too long or has written too much."""
        if time.monotonic() >= self._deadline:
            self.end(_over(f"did not end within {self._limits.seconds:g} s", "timeout"))
            return
        self.used = folder_size(self._folder) - self._fetched
        if self.used > self._limits.disk_mib * MIB:
            self.end(_over(f"wrote more than {self._limits.disk_mib:g} MiB to its folders", "limits: {disk_mib: …}"))

    def make_room(self) -> None:
        """End it if it has filled its disk."""
        with contextlib.suppress(OSError):  # it may have no folder
            left = shutil.disk_usage(self._folder).free
            if left < _RESERVE and left < self.used:
                self.end(f"wrote {self.used // MIB} MiB, which filled the disk of its instance, and was ended")

    def end(self, problem: str) -> None:
        """End what runs it, unless it has ended: at first by asking, after some seconds by force."""
        with self._lock:
            if self.problem or self._ended.is_set():
                return
            self.problem = problem
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        self._victim.ask()
        if not self._ended.wait(GRACE):
            self._victim.kill()

    def close(self) -> None:
        """It has ended."""
        with self._lock:
            self._ended.set()


class Watcher:
    """Watches a worker's items, in a thread of its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._open: set[Watch] = set()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watch(self, victim: Victim, folder: Path) -> Iterator[Watch]:
        """Watch an item for as long as this lasts.

        Args:
            victim: what runs it.
            folder: that holds its folders; what lies there already does not count.
        """
        watch = Watch(self._limits, victim, folder)
        with self._lock:
            self._open.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="watcher", daemon=True)
                self._thread.start()
        try:
            yield watch
        finally:
            watch.close()
            with self._lock:
                self._open.discard(watch)

    def _look(self) -> None:
        pause = interval = min(_INTERVAL, self._limits.seconds / 4)
        while True:
            time.sleep(pause)
            began = time.monotonic()
            with self._lock:
                watches = list(self._open)
            for watch in watches:
                watch.look()
            if watches:
                max(watches, key=lambda watch: watch.used).make_room()
            pause = max(interval, (time.monotonic() - began) / _LOOKING)


def folder_size(folder: Path) -> int:
    """Bytes of the files in a folder, as far as it can be read; 0 when there is none."""
    size = 0
    folders = [os.fspath(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        # Not what the folder says of it: on Windows that is brought up to date when a file is closed.
                        size += os.stat(entry.path, follow_symlinks=False).st_size  # noqa: PTH116 - as scandir
    return size


def _over(what: str, key: str) -> str:
    return f"{what} and was ended; if it needs more, raise `{key}` of its stage"
