"""Folders in which programs have worked, and those that are made once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
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
def making(folder: Path, check: Callable[[], None] = lambda: None) -> Iterator[Path | None]:
    """Give a new folder that becomes `folder` at the end; None when that is there already.

    One process at a time makes it.

    Args:
        folder: what is to be there, whole.
        check: called while another process makes it; may raise.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{folder.name}.lock"), check):
        if folder.exists():
            yield None
            return
        made = folder.with_name(f"{folder.name}.making")
        remove(made)
        made.mkdir()
        try:
            yield made
            if made.exists():
                made.rename(folder)
        finally:
            remove(made)


@contextlib.contextmanager
def _locked(path: Path, check: Callable[[], None]) -> Iterator[None]:
    """Hold a lock that only one process has; it ends with the process."""
    with path.open("w", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                check()
                time.sleep(0.2)
            else:
                break
        yield


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
