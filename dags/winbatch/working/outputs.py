"""The files that an item leaves: found and checked."""

import functools
import os
import stat
import unicodedata
from pathlib import Path
from typing import NamedTuple

from winbatch import filenames
from winbatch.errors import JobError
from winbatch.working import files
from winbatch.working.store import Store

LONGEST_KEY = 1024
"""Bytes that S3 allows a key (Amazon S3 User Guide, "Naming Amazon S3 objects")."""

_SHOWN = 200


class Output(NamedTuple):
    """A file in an item's outputs folder.

    Attributes:
        name: its path in the folder, with slashes.
        path: where it lies.
        size: in bytes.
    """

    name: str
    path: Path
    size: int


def find(folder: Path) -> list[Output]:
    """The files in an outputs folder, by name; a link to a file is one.

    Raises:
        JobError: something in it cannot be kept; the line names it.
    """
    found: list[Output] = []
    folders = [""] if os.path.lexists(folder) else []
    while folders:
        at = folders.pop()
        try:
            with files.patiently(functools.partial(os.scandir, folder / at)) as entries:
                listed = list(entries)
        except OSError as error:
            raise _refused(at or ".", f"cannot be listed ({_why(error)})") from error
        for entry in listed:
            name = _checked(f"{at}/{entry.name}" if at else entry.name)
            try:
                status = files.patiently(functools.partial(os.stat, entry.path))
            except OSError as error:
                what = "is a link that leads nowhere" if entry.is_symlink() else "cannot be read"
                raise _refused(name, f"{what} ({_why(error)})") from error
            if stat.S_ISREG(status.st_mode):
                found.append(Output(name, Path(entry.path), status.st_size))
            elif stat.S_ISDIR(status.st_mode) and not (entry.is_symlink() or entry.is_junction()):
                folders.append(name)
            else:
                raise _refused(name, "is no file: a device, a pipe, a socket or a link to a folder")
    for name, said in filenames.problems(output.name for output in found).items():
        raise JobError(f"output {_shown(name)} cannot be kept: {said}; have the item call it otherwise")
    return sorted(found, key=lambda output: output.path)


def upload(store: Store, output: Output, key: str, content_type: str) -> None:
    """Store a file.

    Raises:
        JobError: it cannot be read, or its name makes no key.
        StorageError: S3 refuses.
    """
    if (size := len(key.encode())) > LONGEST_KEY:
        raise JobError(
            f"output {_shown(output.name)}: its key in S3 would have {size:,} bytes, {LONGEST_KEY:,} are the most;"
            " have the item give it a shorter name"
        )
    try:
        files.patiently(lambda: store.upload(output.path, key, content_type=content_type))
    except PermissionError as error:
        why = f"cannot be read ({_why(error)}): have the item leave it readable and close it"
        raise JobError(f"output {_shown(output.name)} {why}") from error
    except OSError as error:
        why = f"cannot be read ({_why(error)}): something that the item has left running removed or changed it"
        raise JobError(f"output {_shown(output.name)} {why}") from error


def _checked(name: str) -> str:
    """A file's path in the outputs folder, if it can be the end of a key."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise _refused(name, "has a name that is no UTF-8") from error
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise _refused(name, "has a control character in its name")
    if size > LONGEST_KEY:
        raise _refused(name, f"has a path of more than {LONGEST_KEY:,} bytes, which no key in S3 can have")
    return name


def _refused(name: str, why: str) -> JobError:
    return JobError(f"output {_shown(name)} {why}; have the item leave plain files with plain names")


def _shown(name: str) -> str:
    """By `repr`, which shows what a terminal would not."""
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
