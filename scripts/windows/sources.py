"""Where an image's own files come from: the revision, and a key that changes when the image would."""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.errors import ImageError

# What goes into the image of any workload, beside its folder; what makes the image is part of it.
_SHARED = ("dags/winbatch", "images/python.toml", "scripts/windows", "pyproject.toml", "uv.lock")


@dataclass(frozen=True)
class Sources:
    """The sources of an image.

    Attributes:
        url: the repository's, without credentials; empty when it has none.
        revision: the last commit that changed the image's sources; `-dirty` follows when they have changed since.
        time: that commit's, seconds since 1970; SOURCE_DATE_EPOCH where it is set.
        key: of all their bytes.
    """

    url: str
    revision: str
    time: int
    key: str

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that say so."""
        labels = {"org.opencontainers.image.source": self.url, "org.opencontainers.image.revision": self.revision}
        return {name: value for name, value in labels.items() if value}


def look(root: Path, workload: str) -> Sources:
    """The sources of a workload's image. Without git, there is no revision.

    Raises:
        ImageError: the checkout has only a part of its history, so that each commit would be the last one that changed
            them.
    """
    if _git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise ImageError(
            f"{root} is a shallow clone, which does not say since which commit an image is what it is: fetch all of its"
            " history: git fetch --unshallow"
        )
    paths = [f"images/{workload}", *_SHARED]
    commit, _, time = _git(root, "log", "-1", "--format=%H %ct", "--", *paths).partition(" ")
    dirty = "-dirty" if commit and _git(root, "status", "--porcelain", "--", *paths) else ""
    url = re.sub(r"//[^/@]*@", "//", _git(root, "config", "--get", "remote.origin.url"))
    digest = hashlib.sha256(json.dumps([workload, url, commit, dirty]).encode())
    for path in paths:
        for file in _files(root / path):
            digest.update(f"\0{file.relative_to(root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    moment = int(os.environ.get("SOURCE_DATE_EPOCH") or time or 0)
    return Sources(url if "://" in url or "@" in url else "", commit + dirty, moment, digest.hexdigest())


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]


def _git(root: Path, *arguments: str) -> str:
    # A look must not write: the checkout may be read-only.
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
