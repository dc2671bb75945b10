"""A folder of this machine that stands for the data bucket while an item is tried."""

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from winbatch.errors import JobError
from winbatch.storage import Entry


class BucketFolder:
    """Objects as files: a key is a path in the folder, with slashes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def where(self, key: str) -> str:
        """Say where a key lies, for people."""
        return str(self._root / key)

    def find(self, key: str) -> bytes | None:
        """Read an object; None when there is none."""
        path = self._path(key)
        return path.read_bytes() if path is not None and path.is_file() else None

    def listing(self, prefix: str) -> Iterator[Entry]:
        """List the objects below a prefix, in the order of S3."""
        found = {path.relative_to(self._root).as_posix(): path for path in self._root.rglob("*") if path.is_file()}
        for key in sorted(found, key=str.encode):
            if key.startswith(prefix):
                status = found[key].stat()
                yield Entry(key, dt.datetime.fromtimestamp(status.st_mtime, dt.UTC), status.st_size)

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a file, and make the folders above it.

        Raises:
            JobError: there is none.
        """
        source = self._path(key)
        if source is None or not source.is_file():
            raise JobError(f"{self.where(key)} does not exist")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)

    def _path(self, key: str) -> Path | None:
        """Name the file of a key; None for a key that no file in the folder can have."""
        path = Path(os.path.normpath(self._root / key))
        return path if "\0" not in key and path.is_relative_to(self._root) else None
