"""Processes that may end at any moment, also between two looks at them; and those that are not root's."""

import os
import shutil
import sys

import psutil
import pytest


def unprivileged() -> list[str]:
    """Words before a command by which nothing is allowed to it that modes forbid, as root is by its capabilities."""
    if sys.platform == "win32" or os.geteuid():
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root heeds no modes, and there is no setpriv (util-linux) to take that from it")
    return [setpriv, "--inh-caps=-all", "--bounding-set=-all"]


def runs(process: psutil.Process | int) -> bool:
    """Whether a process, or the one with this id, is at work; one that only waits to be reaped is not."""
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def words(process: psutil.Process) -> list[str]:
    """A process's command line; nothing once it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
