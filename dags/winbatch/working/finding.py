"""Finds programs: in the same places on both systems, which by themselves look in different ones.

CreateProcess looks into the folders of the worker's interpreter and of the worker first, execvp into neither. Here a
program's name is looked for on the PATH alone (and then in Windows' own folders, as CreateProcess does), and a path
begins, if it is not absolute, in the item's folder, where the program runs.
"""

import ntpath
import os
import posixpath
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_SUFFIXES = (".exe", ".com")


def find(
    word: str,
    folder: Path,
    environment: Mapping[str, str],
    *,
    windows: bool = sys.platform == "win32",
    runs: Callable[[str], bool] | None = None,
) -> str:
    """Say which file a command's first word names.

    Args:
        word: a program's name, or a path to it; on Windows with or without its `.exe`.
        folder: where it will run, an absolute path.
        environment: that it will have, with its PATH.
        windows: the system whose rules count.
        runs: says of a path whether a program is there; of this machine's files by default.

    Raises:
        FileNotFoundError: there is none; its text says where one was looked for.
    """
    looked = runs or _runs
    for path in _candidates(word, os.fspath(folder), environment, windows):
        if looked(path):
            return path
    place = "" if _is_path(word, windows) else " on the PATH"
    raise FileNotFoundError(f"there is no such program{place}; one of the image's own files is named by {{app}}/…")


def _candidates(word: str, folder: str, environment: Mapping[str, str], windows: bool) -> Iterator[str]:
    if not windows:
        if _is_path(word, windows):
            yield posixpath.join(folder, word)
            return
        for entry in environment.get("PATH", os.defpath).split(":"):
            if posixpath.isabs(entry):
                yield posixpath.join(entry, word)
        return
    # As CreateProcess: no other extension is put behind a name, whatever PATHEXT says.
    names = [word] if word.lower().endswith(_SUFFIXES) else [word + ".exe", word]
    known = {name.upper(): value for name, value in environment.items()}
    root = known.get("SYSTEMROOT", r"C:\Windows")
    entries = [entry.strip('"') for entry in known.get("PATH", "").split(";")]
    folders = [folder] if _is_path(word, windows) else [*entries, ntpath.join(root, "System32"), root]
    for at in folders:
        if ntpath.isabs(at) and ntpath.splitdrive(at)[0]:
            yield from (ntpath.normpath(ntpath.join(at, name)) for name in names)


def _is_path(word: str, windows: bool) -> bool:
    return "/" in word or (windows and ("\\" in word or ":" in word))


def _runs(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113 - the path as it will be started
