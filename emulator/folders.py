"""Folders in which programs have worked."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove a folder and all that is in it, whatever its modes and however deep; it may not be there at all.

    Raises:
        OSError: the first thing that cannot be removed, being somebody else's or still written to; all the rest is gone
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
                    if not path.is_dir() or path.is_symlink():
                        path.unlink()
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


@contextlib.contextmanager
def _noting(errors: list[OSError]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        pass  # gone already
    except OSError as error:
        errors.append(error)


def _allow(path: Path) -> None:
    # What cannot be changed is somebody else's, and shows when it is removed.
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IRWXU)
