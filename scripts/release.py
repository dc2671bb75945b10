"""Releasing DAGs: the folder `dags/` to the DAG bucket.

What to upload and what to delete is decided from lists, by content. New files go up before old ones go, libraries
before the DAG files that import them, so that a folder seen half-synced still imports. `deployment.json` is
Terraform's.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

# Of what lies below the prefix, this is not ours.
FOREIGN = frozenset({"deployment.json"})
# What was released last: path to content hash and S3's ETag. It lies beside the prefix, so that Airflow never syncs it.
RECORD = "releases/current.json"


@dataclass(frozen=True)
class ReleasePlan:
    """What a release does: paths below the prefix, in order."""

    upload: Sequence[str]
    delete: Sequence[str]
    unchanged: int

    @property
    def changes(self) -> int:
        return len(self.upload) + len(self.delete)

    @property
    def sentence(self) -> str:
        if not self.changes:
            return f"no changes, {self.unchanged} files"
        return f"{len(self.upload)} uploaded, {len(self.delete)} deleted, {self.unchanged} unchanged"


@dataclass(frozen=True)
class Released:
    """A file as it was released: SHA-256 of its content, and the ETag that S3 gave it."""

    sha256: str
    etag: str


def plan(local: Mapping[str, str], remote: Mapping[str, str], record: Mapping[str, Released]) -> ReleasePlan:
    """Decide what to do.

    Args:
        local: path to the content's SHA-256.
        remote: path to ETag, as the bucket lists them.
        record: what was released last.
    """

    def same(path: str) -> bool:
        released = record.get(path)
        return released is not None and released.sha256 == local[path] and released.etag == remote.get(path)

    upload = sorted((path for path in local if not same(path)), key=_order)
    delete = sorted((path for path in remote if path not in local and path not in FOREIGN), key=_order, reverse=True)
    return ReleasePlan(upload, delete, len(local) - len(upload))


def _order(path: str) -> tuple[int, str]:
    """Packages first, then data, then the files at the top, which Airflow parses."""
    if "/" not in path:
        return (2, path)
    return (0 if path.endswith(".py") else 1, path)


def collect(dags: Path) -> dict[str, Path]:
    """The files of a release: all but caches, tests, Terraform's, and hidden files other than Airflow's ignore list."""
    found = {}
    for path in sorted(dags.rglob("*")):
        parts = path.relative_to(dags).parts
        hidden = any(part.startswith(".") and part != ".airflowignore" for part in parts)
        if path.is_file() and not hidden and not {"__pycache__", "tests"} & set(parts) and path.suffix != ".pyc":
            found["/".join(parts)] = path
    return {path: file for path, file in found.items() if path not in FOREIGN}


def release(
    s3: Any, bucket: str, prefix: str, dags: Path, progress: Callable[[str], None] | None = None
) -> ReleasePlan:
    """Bring the bucket's DAG prefix to what the folder holds.

    Args:
        s3: boto3's client.
        bucket: the DAG bucket.
        prefix: without slash at its end.
        dags: the folder.
        progress: told what is done.

    Returns:
        What was done.
    """
    files = collect(dags)
    local = {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in files.items()}
    remote = _listed(s3, bucket, f"{prefix}/")
    record = _record(s3, bucket)
    todo = plan(local, remote, record)
    released = {path: entry for path, entry in record.items() if path in local}
    for number, path in enumerate(todo.upload):
        if progress is not None:
            progress(f"{number + 1} of {len(todo.upload)}: {path}")
        body = files[path].read_bytes()
        answer = s3.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=body)
        released[path] = Released(hashlib.sha256(body).hexdigest(), answer["ETag"])
    for path in todo.delete:
        s3.delete_object(Bucket=bucket, Key=f"{prefix}/{path}")
    if todo.changes or released.keys() != record.keys():
        text = json.dumps({path: vars(entry) for path, entry in sorted(released.items())}, indent=1)
        s3.put_object(Bucket=bucket, Key=RECORD, Body=text.encode(), ContentType="application/json")
    return todo


def _listed(s3: Any, bucket: str, prefix: str) -> dict[str, str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        entry["Key"].removeprefix(prefix): entry["ETag"]
        for page in pages
        for entry in page.get("Contents", [])
        if not entry["Key"].endswith("/")
    }


def _record(s3: Any, bucket: str) -> dict[str, Released]:
    try:
        body = s3.get_object(Bucket=bucket, Key=RECORD)["Body"].read()
        return {path: Released(**entry) for path, entry in json.loads(body).items()}
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return {}
        raise
    except (ValueError, TypeError, AttributeError):
        # Another release's record: everything is uploaded once more, which does no harm.
        return {}
