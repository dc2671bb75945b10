"""Processes that may end at any moment, also between two looks at them."""

import psutil


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
