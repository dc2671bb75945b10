"""Processes known by a variable that they were started with, whatever has become of their parents."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil


def has(process: psutil.Process, name: str, value: str) -> bool:
    """Say whether a process was started with a variable; the environment is Unix's, which Wine's programs keep.

    A process whose first thread has ended while others run, as Wine's services leave, is shown as a zombie without an
    environment, and holds its files all the same: its other threads have it (Linux).

    Raises:
        psutil.Error: it has ended, or is somebody else's
    """
    with contextlib.suppress(psutil.ZombieProcess):
        if found := process.environ():
            return found.get(name) == value
    wanted = f"{name}={value}".encode()
    for path in Path(f"/proc/{process.pid}/task").glob("*/environ"):
        with contextlib.suppress(OSError):
            if wanted in path.read_bytes().split(b"\0"):
                return True
    return False
