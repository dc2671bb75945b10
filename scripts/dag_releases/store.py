"""Releases of the DAGs in the DAG bucket: made, served, listed, served again.

A release is the folder `dags/` with the deployment.json that it was checked with, and its id is made of their content.
Its files go up as `<prefix>/releases/<id>/…`, where nothing ever changes. Then one object, `<prefix>/winbatch_dags.py`,
is replaced, and only if it still is what it was when the release began: it says which release Airflow serves. Releases
that nobody needs any more leave the prefix last. Beside the prefix each stays as `releases/<id>.zip`, for a rollback.

`releases/<id>.json` lists a release's files, before the first of them goes up, with the ETags that S3 gave them, so
that what somebody else changed is mended. What no such list names is a stranger: other people's DAGs, in the main. It
is never removed nor written over.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.errors import ReleaseError
from scripts.dag_releases import dag_ids
from winbatch import job_file
from winbatch.errors import SpecError
from winbatch.parsing import MALFORMED
from winbatch.release import MANIFEST
from winbatch.suggesting import hint
from winbatch.times import format_time, parse_time

# Terraform's, beside the releases; each release has a copy of its own.
DEPLOYMENT = "deployment.json"
# What Airflow parses, and the line that keeps it from parsing the releases.
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
# A release that was never served is being uploaded by somebody, or was given up when it is as old as this.
UPLOAD_SECONDS = 86400.0
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
        """Give twelve hexadecimal digits that say what is in its files; the same files have the same."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(f"{path} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:12]

    @property
    def dags(self) -> set[str]:
        """The ids of its DAGs: each job specification has the name of its DAG."""
        parts = [path.split("/") for path in self.files]
        return {
            name[-1].removesuffix(".yaml") for name in parts if name[:-1] == ["jobs"] and name[-1].endswith(".yaml")
        }

    @property
    def runs(self) -> dict[str, set[str]]:
        """The workloads that each of its DAGs runs stages of."""
        return {dag: workloads_of(self.files[f"jobs/{dag}.yaml"]) for dag in self.dags}

    @property
    def workloads(self) -> dict[str, dict[str, str]]:
        """What it is pinned to: the task definition revision and image of each workload."""
        workloads = json.loads(self.files[DEPLOYMENT])["workloads"]
        return {name: {key: entry[key] for key in ("task_definition", "image")} for name, entry in workloads.items()}

    @property
    def manifest(self) -> dict[str, Any]:
        """Give what `release.json` says of it."""
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
        dags: the ids of its DAGs.
        uploaded: files that went up.
        removed: releases that left the prefix.
    """

    release: str
    previous: str
    dags: AbstractSet[str]
    uploaded: int = 0
    removed: Sequence[str] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """0 when the release was served already, as it is."""
        return self.uploaded + len(self.removed) + (self.release != self.previous)

    @property
    def sentence(self) -> str:
        """Say in one line what was changed."""
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


def workloads_of(job: bytes) -> set[str]:
    """Say which workloads a job file runs stages of; none where it is of a form that is not read any more."""
    try:
        data: Any = job_file.read(job, where="").typed({})
        return {stage.get("workload", data["workload"]) for stage in data["stages"]}
    except (SpecError, *MALFORMED):
        return set()


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


@dataclass(frozen=True)
class _Object:
    """What S3 lists of an object."""

    tag: str
    modified: datetime


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

    def runs(self) -> list[tuple[str, set[str]]]:
        """List the DAGs of all releases in the prefix, with the workloads that each runs stages of."""
        paths = [(path, _split(path)[1]) for path in self._listed(f"{self._prefix}/")]
        found = [(path, re.fullmatch(r"jobs/([^/]+)\.yaml", file)) for path, file in paths if file != path]
        return [(job[1], workloads_of(self._get(f"{self._prefix}/{path}") or b"")) for path, job in found if job]

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
            meant = hint(release, (entry.release for entry in self.history()))
            raise ReleaseError(f"unknown release {release!r}{meant}; there are {known} (invoke dags.list)")
        with zipfile.ZipFile(io.BytesIO(body)) as file:
            manifest = json.loads(file.read(MANIFEST))
            files = {name: file.read(name) for name in file.namelist() if name != MANIFEST}
        return Release(
            files, manifest["created_at"], manifest["commit"], manifest["changed_files"], manifest["parse_ms"]
        )

    def strangers(self) -> list[str]:
        """The keys below the prefix that neither a release nor Terraform has made."""
        listings: dict[str, Mapping[str, str]] = {}
        found = []
        for path in self._listed(f"{self._prefix}/"):
            release, file = _split(path)
            if release and release not in listings:
                listings[release] = self._listing(release)
            if not (self._is_ours(path) or (release and file in listings[release])):
                found.append(f"{self._prefix}/{path}")
        return found

    def serve(self, release: Release, oldest_run: datetime | None, progress: Progress | None = None) -> Done:
        """Upload what is missing of a release, switch to it, remove what nobody needs.

        Args:
            release: which.
            oldest_run: when the oldest job was queued that has not ended; its release stays.
            progress: told what is done.

        Raises:
            ReleaseError: it would write over what is not ours, and nothing has changed; or somebody else has switched
                meanwhile.
        """
        name = release.id
        self._refuse_clashes(release)
        now = self.served()
        if self._get(f"{self._prefix}/{IGNORE}") is None:
            self._put(f"{self._prefix}/{IGNORE}", IGNORED.encode())
        uploaded = self._upload(release, progress)
        previous = now.release if now.release != name else now.previous
        text = serving(name, previous)
        if text != now.text:
            self._switch(text, now)
            # Whoever released before may have removed files of it that it did not take for needed.
            uploaded += self._upload(release, progress)
        moment = datetime.now(UTC)
        history = self._history(now.release)
        if not history or history[-1].release != name:
            history.append(Entry(name, format_time(moment), release.commit))
            self._put(HISTORY, _json([vars(entry) for entry in history]))
        since = min(oldest_run or moment, moment - timedelta(seconds=SYNC_SECONDS))
        removed = self._prune(kept(history, since) | {name, previous}, {entry.release for entry in history})
        return Done(name, now.release, release.dags, uploaded, removed)

    def _upload(self, release: Release, progress: Progress | None) -> int:
        """Upload what is not there, or was changed there; how many files."""
        folder = f"{self._prefix}/{ARCHIVE}/{release.id}/"
        files = {**release.files, MANIFEST: _json(release.manifest)}
        there = self._listed(folder)
        tags = self._listing(release.id)
        missing = [path for path in files if path not in there or there[path].tag != tags.get(path)]
        if missing:
            tags = {path: tags.get(path, "") for path in files}
            self._put(f"{ARCHIVE}/{release.id}.json", _json(tags))
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
                f"somebody else has released meanwhile ({self.served().release} is served now): see invoke dags.list,"
                " and call again if this release is to win"
            ) from error

    def _refuse_clashes(self, release: Release) -> None:
        """Look whether a release would write over what is not ours, or has a DAG that somebody else has, too.

        Raises:
            ReleaseError: it would.
        """
        where = f"{self._bucket}/{self._prefix}/"
        if self._get(f"{self._prefix}/{SERVING}") is not None and not self._is_ours(SERVING):
            raise ReleaseError(f"{where}{SERVING} is not of a release, which would write over it: give it another name")
        ignored = self._get(f"{self._prefix}/{IGNORE}")
        lines = [IGNORED] if ignored is None else ignored.decode(errors="replace").splitlines()
        if IGNORED.strip() not in {line.strip() for line in lines}:
            raise ReleaseError(
                f"{where}{IGNORE} is not of a release: add the line {IGNORED.strip()} to it, without which Airflow"
                " would parse every release there is"
            )
        folder = f"{self._prefix}/{ARCHIVE}/{release.id}/"
        there = self._listed(folder).keys() & release.files.keys() - self._listing(release.id).keys()
        # An upload that was cut off before releases were listed has left the same content.
        clashes = sorted(path for path in there if self._get(folder + path) != release.files[path])
        if clashes:
            raise ReleaseError(
                f"{', '.join(self._bucket + '/' + folder + path for path in clashes)}: not of a release, which would"
                " write over it: remove it"
            )
        for key in self.strangers():
            if key.endswith(".py") and not key.startswith(f"{self._prefix}/{ARCHIVE}/"):
                both = dag_ids.of(self._get(key) or b"") & release.dags
                if both:
                    raise ReleaseError(
                        f"{self._bucket}/{key} is not of a release, and defines {', '.join(sorted(both))}, too: give"
                        " that DAG another id, since Airflow would serve the one and the other by turns"
                    )

    def _is_ours(self, path: str) -> bool:
        """Whether a file that is below the prefix but in no release is Terraform's or the releases'."""
        if path == SERVING:
            return bool(self.served().release) or self._get(HISTORY) is not None
        return path == DEPLOYMENT or (path == IGNORE and self._get(f"{self._prefix}/{IGNORE}") == IGNORED.encode())

    def _prune(self, stays: set[str], served: set[str]) -> list[str]:
        """Remove from the prefix the files of the releases that do not stay, their manifests first; which those were.

        Args:
            stays: releases.
            served: those that are or were served at some time.
        """
        young = datetime.now(UTC) - timedelta(seconds=UPLOAD_SECONDS)
        found: dict[str, dict[str, _Object]] = {}
        for path, entry in self._listed(f"{self._prefix}/").items():
            release, file = _split(path)
            if release and release not in stays:
                found.setdefault(release, {})[file] = entry
        removed = []
        for release, there in sorted(found.items()):
            if release not in served and max(entry.modified for entry in there.values()) > young:
                continue
            gone = there.keys() & self._listing(release).keys()
            for file in sorted(gone, key=lambda file: (file != MANIFEST, file)):
                self._s3.delete_object(Bucket=self._bucket, Key=f"{self._prefix}/{ARCHIVE}/{release}/{file}")
            if gone:
                removed.append(release)
        return removed

    def _listing(self, release: str) -> dict[str, str]:
        """The files that a release has made, each with its ETag; empty for one that is being uploaded."""
        body = self._get(f"{ARCHIVE}/{release}.json")
        return dict(json.loads(body)) if body else {}

    def _listed(self, prefix: str) -> dict[str, _Object]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return {
            entry["Key"].removeprefix(prefix): _Object(entry["ETag"], entry["LastModified"])
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


def _split(path: str) -> tuple[str, str]:
    """The release that a path below the prefix belongs to, empty for none, and the path below the release."""
    folder, _, rest = path.partition("/")
    release, _, file = rest.partition("/")
    return (release, file) if folder == ARCHIVE and file else ("", path)


def _packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(files):
            file.writestr(path, files[path])
    return buffer.getvalue()


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()
