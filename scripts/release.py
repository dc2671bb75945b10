"""Releases of the DAGs in the DAG bucket: made, served, listed, served again.

A release is the folder `dags/` with the deployment.json that it was checked with, and its id is made of their content.
Its files go up as `<prefix>/releases/<id>/…`, where nothing ever changes. Then one object, `<prefix>/winbatch_dags.py`,
is replaced, and only if it still is what it was when the release began: it says which release Airflow serves. Releases
that nobody needs any more leave the prefix last. Beside the prefix each stays as `releases/<id>.zip`, for a rollback;
`releases/<id>.json` has the ETags that S3 gave its files, so that what somebody else changed is mended.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.errors import ReleaseError
from winbatch.release import MANIFEST
from winbatch.times import format_time, parse_time

# Terraform's, beside the releases; each release has a copy of its own.
DEPLOYMENT = "deployment.json"
# What Airflow parses, and what keeps it from parsing anything else.
SERVING = "winbatch_dags.py"
IGNORE = ".airflowignore"
IGNORED = "releases/\n"
# Beside the prefix, so that Airflow never syncs it.
ARCHIVE = "releases"
HISTORY = f"{ARCHIVE}/history.json"
# Releases in the prefix at least: the one that is served, and the one to fall back to.
KEPT = 2
# MWAA brings the prefix along about every half minute; what was served within this time stays, s.
SYNC_SECONDS = 600.0
_TEMPLATE = Path(__file__).parent / "files" / "serve.py"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Release:
    """A release.

    Attributes:
        files: path to content, deployment.json included.
        created_at: UTC.
        commit: of the checkout; empty where there is no git.
        changed: how many of the checkout's files differed from it.
        parse_ms: what Airflow needed to parse it when it was checked.
    """

    files: Mapping[str, bytes]
    created_at: str = ""
    commit: str = ""
    changed: int = 0
    parse_ms: float | None = None

    @property
    def id(self) -> str:
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(f"{path} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:12]

    @property
    def workloads(self) -> dict[str, dict[str, str]]:
        """What it is pinned to: the task definition revision and image of each workload."""
        workloads = json.loads(self.files[DEPLOYMENT])["workloads"]
        return {name: {key: entry[key] for key in ("task_definition", "image")} for name, entry in workloads.items()}

    @property
    def manifest(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "release": self.id,
            "created_at": self.created_at,
            "commit": self.commit,
            "changed_files": self.changed,
            "parse_ms": self.parse_ms,
            "workloads": self.workloads,
            "files": {
                path: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
                for path, content in sorted(self.files.items())
            },
        }


@dataclass(frozen=True)
class Served:
    """What Airflow is told to serve.

    Attributes:
        release: its id; empty for none.
        previous: what it serves while that one is not wholly there.
        etag: of the object that says so; None where there is none.
        text: of that object.
    """

    release: str = ""
    previous: str = ""
    etag: str | None = None
    text: str = ""


@dataclass(frozen=True)
class Entry:
    """One switch: from when on which release was served."""

    release: str
    at: str
    commit: str = ""


@dataclass(frozen=True)
class Done:
    """What a release or a rollback did.

    Attributes:
        release: that is served now.
        previous: that was served before; the same when nothing changed.
        uploaded: files that went up.
        removed: releases that left the prefix.
    """

    release: str
    previous: str
    uploaded: int = 0
    removed: Sequence[str] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """0 when the release was served already, as it is."""
        return self.uploaded + len(self.removed) + (self.release != self.previous)

    @property
    def sentence(self) -> str:
        if not self.changes:
            return f"{self.release} is served already"
        words = [f"{self.uploaded} files uploaded"]
        if self.release != self.previous:
            words.insert(0, f"{self.previous or 'none'} → {self.release}")
        if self.removed:
            words.append(f"{', '.join(self.removed)} removed")
        return ", ".join(words)


def collect(dags: Path) -> dict[str, bytes]:
    """The files of a release without deployment.json: all but caches, tests and hidden files."""
    found = {}
    for path in sorted(dags.rglob("*")):
        parts = path.relative_to(dags).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and not hidden and not {"__pycache__", "tests"} & set(parts) and path.suffix != ".pyc":
            found["/".join(parts)] = path
    return {path: file.read_bytes() for path, file in found.items() if path not in {DEPLOYMENT, MANIFEST}}


def kept(history: Sequence[Entry], since: datetime) -> set[str]:
    """The releases that stay in the prefix: the last ones, and each that was served at some time since then.

    Args:
        history: oldest first; the last entry is what is served.
        since: when the oldest job was queued that has not ended: it may have begun with any release from then on.
    """
    last = list(dict.fromkeys(entry.release for entry in reversed(history)))[:KEPT]
    ends = [parse_time(entry.at) for entry in history[1:]]
    late = [entry.release for entry, end in zip(history, ends, strict=False) if end >= since]
    return {*last, *late}


def before(history: Sequence[Entry]) -> str | None:
    """What was served before the current release was served for the first time; None when nothing was."""
    if not history:
        return None
    names = [entry.release for entry in history]
    first = names.index(names[-1])
    return names[first - 1] if first else None


class Releases:
    """The releases of one environment.

    Args:
        s3: boto3's client.
        bucket: the DAG bucket.
        prefix: that Airflow syncs, without a slash at its end.
    """

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def deployment(self) -> bytes:
        """Terraform's newest deployment.json.

        Raises:
            ReleaseError: Terraform has written none.
        """
        body = self._get(f"{self._prefix}/{DEPLOYMENT}")
        if body is None:
            raise ReleaseError(f"{self._prefix}/{DEPLOYMENT} is not in {self._bucket}; Terraform writes it: invoke up")
        return body

    def served(self) -> Served:
        """What Airflow is told to serve."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{SERVING}")
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return Served()
            raise
        text = answer["Body"].read().decode(errors="replace")
        release, previous = (_constant(text, name) for name in ("RELEASE", "PREVIOUS"))
        return Served(release, previous, answer["ETag"], text)

    def history(self) -> list[Entry]:
        """All switches, oldest first; the last one is what is served."""
        return self._history(self.served().release)

    def _history(self, served: str) -> list[Entry]:
        body = self._get(HISTORY)
        entries = [Entry(**entry) for entry in json.loads(body)] if body else []
        if served and (not entries or entries[-1].release != served):
            # Cut off between the switch and its note.
            entries.append(Entry(served, format_time(datetime.now(UTC))))
        return entries

    def load(self, release: str) -> Release:
        """A release from the archive.

        Raises:
            ReleaseError: it is not there.
        """
        body = self._get(f"{ARCHIVE}/{release}.zip")
        if body is None:
            known = ", ".join(dict.fromkeys(entry.release for entry in reversed(self.history()))) or "none"
            raise ReleaseError(f"unknown release {release!r}; there are {known} (invoke dags-list)")
        with zipfile.ZipFile(io.BytesIO(body)) as file:
            manifest = json.loads(file.read(MANIFEST))
            files = {name: file.read(name) for name in file.namelist() if name != MANIFEST}
        return Release(
            files, manifest["created_at"], manifest["commit"], manifest["changed_files"], manifest["parse_ms"]
        )

    def serve(self, release: Release, oldest_run: datetime | None, progress: Progress | None = None) -> Done:
        """Upload what is missing of a release, switch to it, remove what nobody needs.

        Args:
            release: which.
            oldest_run: when the oldest job was queued that has not ended; its release stays.
            progress: told what is done.

        Raises:
            ReleaseError: somebody else has switched meanwhile.
        """
        name = release.id
        now = self.served()
        if self._get(f"{self._prefix}/{IGNORE}") != IGNORED.encode():
            self._put(f"{self._prefix}/{IGNORE}", IGNORED.encode())
        uploaded = self._upload(release, progress)
        previous = now.release if now.release != name else now.previous
        text = serving(name, previous)
        if text != now.text:
            self._switch(text, now)
        moment = datetime.now(UTC)
        history = self._history(now.release)
        if not history or history[-1].release != name:
            history.append(Entry(name, format_time(moment), release.commit))
            self._put(HISTORY, _json([vars(entry) for entry in history]))
        since = min(oldest_run or moment, moment - timedelta(seconds=SYNC_SECONDS))
        removed = self._prune(kept(history, since) | {name, previous})
        return Done(name, now.release, uploaded, removed)

    def _upload(self, release: Release, progress: Progress | None) -> int:
        """Upload what is not there, or was changed there; how many files."""
        folder = f"{self._prefix}/{ARCHIVE}/{release.id}/"
        files = {**release.files, MANIFEST: _json(release.manifest)}
        there = self._listed(folder)
        body = self._get(f"{ARCHIVE}/{release.id}.json")
        tags: dict[str, str] = json.loads(body) if body else {}
        missing = [path for path in files if path not in there or there[path] != tags.get(path)]
        # The manifest last: with it the folder says that it is whole.
        for number, path in enumerate(sorted(missing, key=lambda path: (path == MANIFEST, path))):
            if progress is not None:
                progress(f"{number + 1} of {len(missing)}: {path}")
            tags[path] = self._put(folder + path, files[path])
        if missing:
            self._put(f"{ARCHIVE}/{release.id}.zip", _packed(files))
            self._put(f"{ARCHIVE}/{release.id}.json", _json(tags))
        return len(missing)

    def _switch(self, text: str, now: Served) -> None:
        condition = {"IfMatch": now.etag} if now.etag else {"IfNoneMatch": "*"}
        try:
            self._s3.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{SERVING}", Body=text.encode(), **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise
            raise ReleaseError(
                f"somebody else has released meanwhile ({self.served().release} is served now): see invoke dags-list,"
                " and call again if this release is to win"
            ) from error

    def _prune(self, stays: set[str]) -> list[str]:
        """Remove from the prefix whatever is not of a release that stays, its manifests first."""
        found = self._listed(f"{self._prefix}/")
        ours = {SERVING, IGNORE, DEPLOYMENT}
        gone = [path for path in found if path not in ours and _release_of(path) not in stays]
        for path in sorted(gone, key=lambda path: (not path.endswith(f"/{MANIFEST}"), path)):
            self._s3.delete_object(Bucket=self._bucket, Key=f"{self._prefix}/{path}")
        return sorted({_release_of(path) or path for path in gone})

    def _listed(self, prefix: str) -> dict[str, str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return {
            entry["Key"].removeprefix(prefix): entry["ETag"]
            for page in pages
            for entry in page.get("Contents", [])
            if not entry["Key"].endswith("/")
        }

    def _get(self, key: str) -> bytes | None:
        try:
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return body

    def _put(self, key: str, body: bytes) -> str:
        return str(self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)["ETag"])


def serving(release: str, previous: str) -> str:
    """The DAG file that serves a release."""
    text = _TEMPLATE.read_text(encoding="utf-8")
    return text.replace("@release@", release).replace("@previous@", previous)


def _constant(text: str, name: str) -> str:
    found = re.search(rf'^{name} = "([0-9a-f]*)"$', text, re.MULTILINE)
    return found[1] if found else ""


def _release_of(path: str) -> str | None:
    parts = path.split("/")
    return parts[1] if parts[0] == ARCHIVE and len(parts) > 2 else None  # noqa: PLR2004 - releases/<id>/<file>


def _packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(files):
            file.writestr(path, files[path])
    return buffer.getvalue()


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()
