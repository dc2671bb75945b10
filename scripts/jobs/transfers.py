"""Files of a person and objects of the data bucket: what differs is sent or fetched, many at once.

Two are the same when their sizes and CRC-32 are: an object that was sent from here carries it as metadata. Of any other
object the time must be the file's, which a fetched file gets. What was cut off goes on when called again, since a file
or an object is there as a whole or not at all (s3transfer fetches beside the file, and S3 shows an upload at its end).
"""

import functools
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3transfer.futures import TransferFuture
from s3transfer.manager import TransferConfig, TransferManager
from s3transfer.subscribers import BaseSubscriber

from scripts.core.errors import SettingsError
from winbatch import filenames

_AT_ONCE = 10
_CHUNK = 1 << 20
# x-amz-meta-crc32: eight hexadecimal digits.
_CRC = "crc32"
# Below it the platform keeps its records: whoever writes there changes jobs.
_RECORDS = "jobs"
_SHOWN = 3

type Progress = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """What came of it.

    Attributes:
        moved: files that were sent or fetched.
        same: files that were there already.
        size: of those that were moved, bytes.
    """

    moved: int
    same: int
    size: int


@dataclass(frozen=True)
class _Object:
    key: str
    size: int
    time: float  # of its last change, s since 1970


def upload(s3: Any, bucket: str, folder: Path, prefix: str, progress: Progress) -> Done:
    """Send the files below a folder that are not in the bucket as they are here; nothing is deleted there.

    Args:
        s3: a client of S3.
        bucket: the data bucket.
        folder: of the files.
        prefix: a file's key is this, a slash, and its path in the folder.
        progress: told how far it is.

    Raises:
        SettingsError: there is no file, one that leads out of the folder, or one that no item on Windows could get;
            nothing was sent then.
    """
    prefix = _own(prefix)
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    if not files:
        raise SettingsError(f"{folder} holds no file: name the folder of the files")
    _refuse(filenames.problems(files), f"nothing was sent: of {folder}")
    there = {item.key.removeprefix(prefix): item for item in _objects(s3, bucket, prefix)}

    # Once for each file: it may be large.
    crc = functools.cache(lambda name: _crc(files[name]))

    def differs(name: str) -> bool:
        item = there.get(name)
        if item is None or item.size != files[name].stat().st_size:
            return True
        return _told(s3, bucket, item.key) != crc(name)

    todo = _chosen(files, differs, progress)
    moving = _Moving({name: files[name].stat().st_size for name in todo}, progress)
    with _manager(s3) as manager:
        begun = [
            manager.upload(str(files[name]), bucket, prefix + name, {"Metadata": {_CRC: crc(name)}}, [moving])
            for name in todo
        ]
        for future in begun:
            future.result()
    return Done(len(todo), len(files) - len(todo), moving.size)


def download(s3: Any, bucket: str, prefix: str, folder: Path, progress: Progress) -> Done:
    """Fetch the objects below a prefix that are not in a folder as they are in the bucket; nothing is deleted here.

    Args:
        s3: a client of S3.
        bucket: the data bucket.
        prefix: of their keys; behind it and a slash stands a file's path in the folder.
        folder: which is made where there is none.
        progress: told how far it is.

    Raises:
        SettingsError: there is no object, or one that can be no file in that folder; nothing was fetched then.
    """
    prefix = prefix.strip("/") + "/"
    found = {item.key.removeprefix(prefix): item for item in _objects(s3, bucket, prefix)}
    if not found:
        raise SettingsError(f"no object lies below s3://{bucket}/{prefix}")
    _refuse(_outside(found), f"nothing was fetched: of s3://{bucket}/{prefix}")

    def differs(name: str) -> bool:
        item, path = found[name], folder / name
        if not path.is_file() or path.stat().st_size != item.size:
            return True
        told = _told(s3, bucket, item.key)
        return told != _crc(path) if told else path.stat().st_mtime != item.time

    todo = _chosen(found, differs, progress)
    for name in todo:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    moving = _Moving({name: found[name].size for name in todo}, progress)
    with _manager(s3) as manager:
        begun = {name: manager.download(bucket, prefix + name, str(folder / name), None, [moving]) for name in todo}
        for name, future in begun.items():
            future.result()
            os.utime(folder / name, (found[name].time, found[name].time))
    return Done(len(todo), len(found) - len(todo), moving.size)


class _Moving(BaseSubscriber):
    """Counts bytes that go over the line, and files that have ended.

    Args:
        sizes: of the files to move, bytes.
        progress: told how far it is.
    """

    def __init__(self, sizes: Mapping[str, int], progress: Progress) -> None:
        self.size = sum(sizes.values())
        self._files = len(sizes)
        self._progress = progress
        self._lock = threading.Lock()
        self._bytes = self._ended = 0

    def on_progress(self, future: TransferFuture, bytes_transferred: int, **_: Any) -> None:  # noqa: ARG002
        """Be told of some bytes; of fewer than none when a part is sent again."""
        with self._lock:
            self._bytes += bytes_transferred

    def on_done(self, future: TransferFuture, **_: Any) -> None:  # noqa: ARG002
        """Be told that a file is there, or failed."""
        with self._lock:
            self._ended += 1
            self._progress(
                f"{self._ended:,} of {self._files:,} files, {self._bytes / 1e6:,.1f} of {self.size / 1e6:,.1f} MB"
            )


def _manager(s3: Any) -> TransferManager:
    return TransferManager(s3, TransferConfig(max_request_concurrency=_AT_ONCE))


def _chosen(names: Iterable[str], differs: Callable[[str], bool], progress: Progress) -> Sequence[str]:
    """The names that differ, in their order."""
    names = sorted(names)
    progress(f"comparing {len(names):,} files")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [name for name, chosen in zip(names, pool.map(differs, names), strict=True) if chosen]


def _own(prefix: str) -> str:
    """A person's prefix, with a slash at its end.

    Raises:
        SettingsError: it cannot be one.
    """
    parts = prefix.strip("/").split("/")
    if said := next(filter(None, map(filenames.problem, parts)), None):
        raise SettingsError(f"{prefix!r} is no prefix for files: {said}")
    if parts[0] == _RECORDS:
        raise SettingsError(f"below {_RECORDS}/ are the platform's own records: choose another prefix")
    return "/".join(parts) + "/"


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder.

    Raises:
        SettingsError: it is none, or a link leads out of it.
        OSError: one cannot be read.
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder} is no folder: name the folder of the files")
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise SettingsError(f"{path} leads out of {folder}: put the file there itself")
        if path.is_file():
            yield path


def _objects(s3: Any, bucket: str, prefix: str) -> Iterator[_Object]:
    """The objects below a prefix, without what the S3 page makes for folders."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/"):
                yield _Object(entry["Key"], entry["Size"], entry["LastModified"].timestamp())


def _outside(names: Iterable[str]) -> dict[str, str]:
    """The names that can be no file in a folder, and why."""
    names = set(names)
    found = {}
    for name in names:
        parts = name.split("/")
        if {"", ".", ".."} & set(parts) or "\\" in name or "\0" in name:
            found[name] = f"{name!r} leads out of the folder"
        elif any("/".join(parts[:depth]) in names for depth in range(1, len(parts))):
            found[name] = f"{name!r} lies below what is an object itself"
    return found | (filenames.problems(names) if os.name == "nt" else {})


def _refuse(problems: Mapping[str, str], what: str) -> None:
    if problems:
        first = "; ".join(list(problems.values())[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise SettingsError(f"{what}, {first}{more}")


def _told(s3: Any, bucket: str, key: str) -> str:
    """The CRC-32 that an object carries; empty: it was not sent from here."""
    found: str = s3.head_object(Bucket=bucket, Key=key)["Metadata"].get(_CRC, "")
    return found


def _crc(path: Path) -> str:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return f"{crc:08x}"
