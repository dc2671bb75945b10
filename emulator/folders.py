"""Folders in which programs have worked."""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any


def remove(folder: Path) -> None:
    """Remove a folder and all that is in it, also what a program left read-only; it may not be there at all.

    Raises:
        OSError: something of it is somebody else's, or still written to
    """
    try:
        shutil.rmtree(folder, onexc=_pass_over_gone)
    except PermissionError:
        _open_up(folder)
        shutil.rmtree(folder, onexc=_pass_over_gone)


def _pass_over_gone(_function: Callable[..., Any], _path: str, error: BaseException) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _open_up(folder: Path) -> None:
    """Let the owner into each folder: who may write to a folder may remove what is in it."""
    # What cannot be changed is somebody else's, and shows when it is removed.
    with contextlib.suppress(OSError):
        folder.chmod(stat.S_IRWXU)
    # From the top down, so that a folder is open before it is listed. Links are no folders here.
    for parent, names, _ in folder.walk():
        for name in names:
            with contextlib.suppress(OSError):
                (parent / name).chmod(stat.S_IRWXU)
