"""From an image reference to a folder: what pulling is on a real host.

An image is pulled from the emulator's ECR, unpacked once by digest, and shared by all ECS tasks, which do not write to
it.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ecr.models import ecr_backends

from emulator import locks
from emulator.ecr import EcrBackend

_REFERENCE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/"
    r"(?P<repository>[a-z0-9._/-]+?)(?:@(?P<digest>sha256:[a-f0-9]{64})|:(?P<tag>[\w.-]{1,128}))?"
)
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class PullError(Exception):
    """The image cannot be had; the text is what ECS says about it."""


@dataclass(frozen=True)
class Image:
    """An unpacked image."""

    digest: str
    root: Path
    entrypoint: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    working_folder: Path


@dataclass
class Images:
    """The images of one host folder, which all instances share: they are on one machine."""

    folder: Path
    _locks: defaultdict[str, Lock] = field(default_factory=lambda: defaultdict(Lock))

    def pull(self, reference: str) -> Image:
        """Resolve a reference and unpack its image where that was not done yet.

        Raises:
            PullError: no such image, or it cannot be unpacked
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise PullError(
                f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
                f"{reference}: no route to its registry; only images of this account's ECR are reachable"
            )
        backend: EcrBackend = ecr_backends[match["account"]][match["region"]]  # type: ignore[assignment]
        wanted = match["digest"] or match["tag"] or "latest"
        with locks.CONTROL:
            try:
                image = backend.resolve(match["repository"], wanted)
            except ServiceException as error:
                raise PullError(
                    f"CannotPullContainerError: Error response from daemon: manifest for {reference} not found: "
                    f"manifest unknown: {error.message}"
                ) from error
            digest, manifest = image.get_image_digest(), json.loads(image.image_manifest)
        with locks.CONTROL:
            lock = self._locks[digest]
        with lock:
            root = self.folder / digest.removeprefix("sha256:")
            if not root.exists():
                try:
                    self._unpack(backend, manifest, root)
                except (OSError, tarfile.TarError) as error:
                    raise PullError(
                        f"CannotPullContainerError: failed to register layer of {reference}: {error}"
                    ) from error
        return _image(digest, root, json.loads(backend.blobs.path(manifest["config"]["digest"]).read_bytes()))

    def _unpack(self, backend: EcrBackend, manifest: dict[str, Any], root: Path) -> None:
        # Under another name until it is whole: a half-unpacked image must never be taken for one.
        partial = root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for layer in manifest["layers"]:
            with tarfile.open(backend.blobs.path(layer["digest"])) as archive:
                _apply(archive, partial)
        partial.rename(root)


def _apply(archive: tarfile.TarFile, root: Path) -> None:
    """Lay one layer over those below it, with its deletions."""
    members = []
    for member in archive:
        path = Path(member.name)
        if path.name == _OPAQUE:
            shutil.rmtree(root / path.parent, ignore_errors=True)
        elif path.name.startswith(_WHITEOUT):
            _remove(root / path.parent / path.name.removeprefix(_WHITEOUT))
        else:
            members.append(member)
    # The filter keeps everything inside the folder; links in an image may point anywhere, as they may in a container.
    archive.extractall(root, members, filter="tar")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _image(digest: str, root: Path, document: Mapping[str, Any]) -> Image:
    config = document.get("config") or {}
    return Image(
        digest=digest,
        root=root,
        entrypoint=config.get("Entrypoint") or (),
        command=config.get("Cmd") or (),
        environment=dict(variable.split("=", 1) for variable in config.get("Env") or ()),
        working_folder=inside(root, config.get("WorkingDir") or "/"),
    )


def inside(root: Path, path: str) -> Path:
    """An image's path on the host; a Windows image's drive letter counts for nothing."""
    return root / re.sub(r"^/?[A-Za-z]:", "", path).replace("\\", "/").lstrip("/")
