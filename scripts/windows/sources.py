"""Where an image's own files come from: the revision, and a key that changes when the image would."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.core.checkout import git
from scripts.core.errors import ImageError

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


def look(root: Path, workload: str, *, versioned: bool = True) -> Sources:
    """Find the sources of a workload's image. Without git, there is no revision.

    Args:
        root: the checkout.
        workload: whose.
        versioned: whether the image says of which revision it is. One that does not is the same in every checkout of
            these sources, whatever its history.

    Raises:
        ImageError: the checkout has only a part of its history, so that each commit would be the last one that changed
            them; or SOURCE_DATE_EPOCH is no number.
    """
    paths = [f"images/{workload}", *_SHARED]
    url, revision, time = _revision(root, paths) if versioned else ("", "", "")
    digest = hashlib.sha256(json.dumps([workload, url, revision]).encode())
    for path in paths:
        for file in _files(root / path):
            digest.update(f"\0{file.relative_to(root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    moment = os.environ.get("SOURCE_DATE_EPOCH") or time or "0"
    if not re.fullmatch("[0-9]{1,12}", moment):
        raise ImageError(f"SOURCE_DATE_EPOCH={moment}: whole seconds since 1970 are expected; unset or mend it")
    return Sources(url if "://" in url or "@" in url else "", revision, int(moment), digest.hexdigest())


def _revision(root: Path, paths: Sequence[str]) -> tuple[str, str, str]:
    """The repository's URL, the last commit that changed some paths, and its time; what git does not know is empty."""
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise ImageError(
            f"{root} is a shallow clone, which does not say since which commit an image is what it is: fetch all of its"
            " history: git fetch --unshallow"
        )
    commit, _, time = (git(root, "log", "-1", "--format=%H %ct", "--", *paths) or "").partition(" ")
    dirty = "-dirty" if commit and git(root, "status", "--porcelain", "--", *paths) else ""
    # The user's own configuration may have one too, which is none of the checkout's.
    url = re.sub(r"//[^/@]*@", "//", git(root, "config", "--local", "--get", "remote.origin.url") or "")
    return url, commit + dirty, time


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
