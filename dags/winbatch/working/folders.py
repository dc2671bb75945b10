"""Folders in which programs have worked."""

import contextlib
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from winbatch.working import files

_log = logging.getLogger(__name__)


def remove(folder: Path) -> None:
    """Remove a folder and all that is in it, whatever its modes and however deep; it may not be there at all.

    Raises:
        OSError: the first thing that cannot be removed, being somebody else's or still in use; all the rest is gone.
    """
    if not os.path.lexists(folder):
        return
    errors: list[OSError] = []
    _allow(folder)
    todo = [folder]
    while todo:
        inner = todo.pop()
        with _noting(errors):
            for path in list(inner.iterdir()):
                with _noting(errors):
                    if not path.is_dir() or path.is_symlink() or path.is_junction():
                        _unlink(path)
                        continue
                    _allow(path)
                    # Up to the top, so that no depth is too deep, neither for paths nor for this.
                    todo.append(path if inner == folder else path.rename(folder / secrets.token_hex(16)))
            if inner != folder:
                inner.rmdir()
    with _noting(errors):
        folder.rmdir()
    if errors:
        raise errors[0]


def discard(folder: Path) -> None:
    """Remove a folder; what cannot be removed stays, with a line in the log."""
    try:
        files.patiently(lambda: remove(folder))
    except OSError as error:
        _log.warning("a folder stays, and takes room on the disk: %s", error)


@contextlib.contextmanager
def _noting(errors: list[OSError]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        pass  # gone already
    except OSError as error:
        errors.append(error)


def _unlink(path: Path) -> None:
    # On Windows a file that is read-only cannot be removed, whatever its folder allows.
    if os.name == "nt" and not path.is_symlink():
        _allow(path)
    path.unlink()


def _allow(path: Path) -> None:
    # What cannot be changed is somebody else's, and shows when it is removed.
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IRWXU)
