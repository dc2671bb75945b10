"""Folders in which programs have worked."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any


def remove(folder: Path) -> None:
    """Remove a folder and all that is in it, also what a program left read-only; it may not be there at all.

    Raises:
        OSError: something of it is somebody else's, or still in use.
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
    _allow(folder)
    # From the top down, so that a folder is open before it is listed.
    for parent, names, files in folder.walk():
        # Links are among the files, a Windows junction is not: neither is followed.
        names[:] = [name for name in names if not (parent / name).is_junction()]
        # On Windows a file that is read-only cannot be removed, whatever its folder allows.
        for name in [*names, *(files if os.name == "nt" else ())]:
            if not (parent / name).is_symlink():
                _allow(parent / name)


def _allow(path: Path) -> None:
    # What cannot be changed is somebody else's, and shows when it is removed.
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IRWXU)
