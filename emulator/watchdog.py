"""Kills what an emulator started once that emulator is gone: `python -m emulator.watchdog FAMILY`.

It reads `+<pid>` and `-<pid>` from standard input and acts at its end, whether the emulator closed it or died. Some
children start sessions of their own, so it also kills whatever carries the family's mark in its environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

import psutil

from emulator import marks

MARK = "EMULATOR_FAMILY"  # as in emulator.processes, which this starts too early to import

_GRACE_SECONDS = 3.0


def main(family: str) -> None:
    """Follow the emulator's list of children until it ends, then kill them."""
    # The terminal's Ctrl-C and a hang-up are for the emulator, which then closes the pipe.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            groups.add(pid)
        else:
            groups.discard(pid)
    _kill(_members(groups, family))


def _members(groups: set[int], family: str) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        # Processes end while they are looked at, and others' environments are not ours to read.
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) in groups or marks.has(process, MARK, family):
                members.append(process)
    return members


def _kill(members: list[psutil.Process]) -> None:
    for process in members:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in members:
        with contextlib.suppress(psutil.Error):
            process.wait(max(0.0, deadline - time.monotonic()))
    for process in members:
        with contextlib.suppress(psutil.Error):
            process.kill()


if __name__ == "__main__":
    main(sys.argv[1])
