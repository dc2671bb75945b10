"""A disk of an environment's own, so that it can be full and no other program's is: where one may mount, as root may.

It lies in memory, and takes as much of that as is on it.
"""

import os
import subprocess
from pathlib import Path

from scripts.core.errors import EmulatorError

_SIZE = 8 * 2**30
# Others write while it is measured.
_TRIES = 20


def mount(folder: Path) -> bool:
    """Give a folder a disk; False where nobody may."""
    folder.mkdir(parents=True)
    return _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "winbatch-chaos", str(folder)) == ""


def unmount(folder: Path) -> None:
    """Take the disk away, with all that is on it, if there is one.

    Raises:
        EmulatorError: something works on it still.
    """
    if folder.is_mount() and (said := _run("umount", str(folder))):
        raise EmulatorError(f"the disk of {folder} stays: {said}; end what works on it, and call again")


def fill(folder: Path) -> bool:
    """Leave no room on a folder's disk; False where it has none of its own."""
    return folder.is_mount() and any(_resized(folder, _used(folder)) for _ in range(_TRIES))


def free(folder: Path) -> None:
    """Give the room back.

    Raises:
        EmulatorError: it cannot be.
    """
    if folder.is_mount() and not _resized(folder, _SIZE):
        raise EmulatorError(f"the disk of {folder} stays full; unmount it: umount {folder}")


def _used(folder: Path) -> int:
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize


def _resized(folder: Path, size: int) -> bool:
    """Whether it has this size; it cannot be smaller than what is on it."""
    return _run("mount", "-o", f"remount,size={size}", str(folder)) == ""


def _run(*words: str) -> str:
    """What hinders a command; empty: it is done."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""
