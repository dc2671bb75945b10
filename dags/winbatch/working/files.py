"""Items' files as the worker itself reads, writes and removes them, where Windows has rules of its own."""

import ntpath
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# Programs for Windows share what they have open with nobody unless they say so, and what a job object has ended, or a
# virus scanner has begun to read, is let go of a moment later: 1.1 s in all. Elsewhere nothing is locked.
PAUSES = (0.1, 0.3, 0.7) if sys.platform == "win32" else ()


def patiently[T](act: Callable[[], T], pauses: Sequence[float] | None = None) -> T:
    """Do something with a file that somebody else may hold for a moment, and do it again after each of the pauses.

    Args:
        act: what to do; a sharing or lock violation is a PermissionError (winerror 32 and 33 are EACCES in CPython).
        pauses: in seconds; by default Windows', and none elsewhere.

    Raises:
        PermissionError: it is still held.
    """
    for pause in PAUSES if pauses is None else pauses:
        try:
            return act()
        except PermissionError:
            time.sleep(pause)
    return act()


def long(path: Path, *, windows: bool = sys.platform == "win32") -> Path:
    r"""Return the path in a form that may have any length, for the worker's own use.

    Windows takes 260 characters of a path, unless it begins with `\\?\` (Microsoft's "Maximum Path Length Limitation"),
    and then takes it literally. Programs get the plain form, which more of them understand.
    """
    return Path(long_name(os.fspath(path))) if windows else path


def long_name(path: str) -> str:
    r"""Return an absolute path of Windows with `\\?\` before it."""
    path = ntpath.normpath(path)
    if path.startswith("\\\\?\\"):
        return path
    return "\\\\?\\UNC\\" + path[2:] if path.startswith("\\\\") else "\\\\?\\" + path
