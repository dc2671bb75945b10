"""Copies the DAG prefix of the bucket into the local DAG folder, deletions too."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from emulator.mwaa.bucket import Bucket

log = logging.getLogger(__name__)

_PARTIAL = ".partial"


@dataclass(frozen=True)
class Plan:
    """What to do so that the folder holds what the prefix holds.

    Attributes:
        remove: paths to delete, before anything is fetched
        fetch: paths to write, with what will then be remembered of each
        refused: keys that cannot be files of the folder
    """

    remove: tuple[str, ...]
    fetch: tuple[tuple[str, str], ...]
    refused: tuple[str, ...]


def prefix_of(dag_s3_path: str) -> str:
    """The prefix that DagS3Path means: `dags`, `/dags` and `dags/` are the same, and empty is the whole bucket."""
    path = dag_s3_path.strip("/")
    return f"{path}/" if path else ""


def is_file(path: str) -> bool:
    """Whether a key below the prefix names a file inside the folder."""
    parts = path.split("/")
    return "\0" not in path and "\\" not in path and not any(part in {"", ".", ".."} for part in parts)


def plan(listing: Mapping[str, str], present: Mapping[str, str]) -> Plan:
    """Compare the bucket with the folder.

    Args:
        listing: path below the prefix → what identifies its content
        present: the same of what was fetched before
    """
    # `folder/` is how consoles mark an empty folder, and no file.
    keys = {path for path in listing if path and not path.endswith("/")}
    files = {path for path in keys if is_file(path)}
    # S3 can hold `a` and `a/b`; a file system cannot, and the deeper one is the more useful.
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    files -= folders
    return Plan(
        remove=tuple(sorted(path for path in present if path not in files)),
        fetch=tuple((path, listing[path]) for path in sorted(files) if present.get(path) != listing[path]),
        refused=tuple(sorted(keys - files)),
    )


class DagFolder:
    """The DAG folder of one environment. It starts empty: nothing but the bucket says what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._present: dict[str, str] = {}
        self._refused: tuple[str, ...] = ()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def sync(self, bucket: Bucket, dag_s3_path: str) -> Plan:
        """Bring the folder up to date; each file changes at once, as a whole.

        Raises:
            OSError: a file cannot be written
        """
        prefix = prefix_of(dag_s3_path)
        todo = plan(bucket.listing(prefix), self._present)
        for path in todo.remove:
            self._remove(path)
        for path, identity in todo.fetch:
            try:
                content = bucket.read(prefix + path)
            except LookupError:
                continue  # deleted since it was listed; the next listing knows
            self._write(path, content)
            self._present[path] = identity
        if todo.refused != self._refused:
            self._refused = todo.refused
            for path in todo.refused:
                log.warning("s3://%s/%s%s cannot be a file of the DAG folder", bucket.name, prefix, path)
        return todo

    def _write(self, path: str, content: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # A name that no DAG processor takes for a DAG.
        partial = target.with_name(f".{target.name}{_PARTIAL}")
        partial.write_bytes(content)
        partial.replace(target)

    def _remove(self, path: str) -> None:
        target = self.folder / path
        target.unlink(missing_ok=True)
        del self._present[path]
        for folder in target.parents:
            if folder == self.folder or any(entry.name != "__pycache__" for entry in folder.iterdir()):
                break
            # Only bytecode of what is gone is left.
            shutil.rmtree(folder)
