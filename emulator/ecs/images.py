"""From an image reference to a folder: what pulling is on a real host.

An image is pulled from the emulator's ECR and unpacked once by digest. Each container works in a copy of its own, as an
image is never changed by what runs in it. Of an image for Windows the folder is its drive C.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from backports import zstd
from moto.core.exceptions import ServiceException
from moto.ecr.models import ecr_backends

from emulator import folders, locks
from emulator.ecr import EcrBackend
from emulator.ecs.windows import layers

_REFERENCE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/"
    r"(?P<repository>[a-z0-9._/-]+?)(?:@(?P<digest>sha256:[a-f0-9]{64})|:(?P<tag>[\w.-]{1,128}))?"
)
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_FOREIGN = frozenset(
    {
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    }
)


class PullError(Exception):
    """The image cannot be had; the text is what ECS says about it."""


@dataclass(frozen=True)
class Image:
    """An unpacked image, or a container's copy of one."""

    digest: str
    root: Path
    entrypoint: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    working_path: str
    windows: bool = False
    user: str = ""
    escaped: bool = False

    @property
    def working_folder(self) -> Path:
        """Give the folder on the host in which its program starts."""
        return inside(self.root, self.working_path)

    def copied(self, folder: Path) -> Image:
        """Make a container's copy in a folder that is not there yet.

        Times are kept, so that compiled Python code stays valid, and links stay links.

        Raises:
            OSError: it cannot be copied
        """
        # By a program: had this process the copy open for writing, another container's start could inherit that for a
        # moment, and Linux starts no program that somebody may write to.
        command = ["cp", "-a", str(self.root), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            raise OSError(f"the image cannot be copied: {done.stderr.strip()[-200:]}")
        return replace(self, root=folder)


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
        document = json.loads(backend.blobs.path(manifest["config"]["digest"]).read_bytes())
        with lock:
            root = self.folder / digest.removeprefix("sha256:")
            if not root.exists():
                try:
                    unpack(manifest, document, backend.blobs.path, root)
                except (OSError, tarfile.TarError) as error:
                    raise PullError(
                        f"CannotPullContainerError: failed to register layer of {reference}: {error}"
                    ) from error
        return described(digest, root, document)


def unpack(manifest: Mapping[str, Any], document: Mapping[str, Any], blob: Callable[[str], Path], root: Path) -> None:
    """Unpack an image.

    Args:
        manifest: its manifest.
        document: its configuration.
        blob: tells a layer's file by its digest.
        root: the folder that it becomes; not there yet.

    Raises:
        OSError, tarfile.TarError: a layer cannot be read or unpacked
    """
    windows = document.get("os") == "windows"
    # Under another name until it is whole: a half-unpacked image must never be taken for one.
    partial = root.with_suffix(".partial")
    folders.remove(partial)
    partial.mkdir(parents=True)
    for layer in manifest["layers"]:
        path = blob(layer["digest"])
        # A base's layers stay with who made it, where its licence says so: no registry has them.
        if windows and not path.exists() and layer["mediaType"] in _FOREIGN:
            continue
        with _opened(path) as archive:
            _apply(archive, layers.members(archive, partial) if windows else archive, partial)
        if windows:
            layers.leave_system_out(partial)
    if windows:
        layers.protect(partial)
    partial.rename(root)


@contextlib.contextmanager
def _opened(layer: Path) -> Iterator[tarfile.TarFile]:
    """A layer's tar, whatever compressed it.

    Raises:
        OSError, tarfile.TarError: it cannot be read
    """
    with layer.open("rb") as file:
        zstandard = file.read(len(_ZSTANDARD)) == _ZSTANDARD
    try:
        with contextlib.ExitStack() as stack:
            plain = stack.enter_context(zstd.open(layer)) if zstandard else None
            yield stack.enter_context(tarfile.open(layer, fileobj=plain))
    except (EOFError, zlib.error, zstd.ZstdError) as error:
        raise tarfile.ReadError(f"what it is compressed with is broken: {error}") from error


def _apply(archive: tarfile.TarFile, members: Iterable[tarfile.TarInfo], root: Path) -> None:
    """Lay one layer over those below it, with its deletions."""
    # The filter keeps everything inside the folder; links in an image may point anywhere, as they may in a container.
    archive.extractall(root, list(_uncovered(members, root)), filter="tar")


def _uncovered(members: Iterable[tarfile.TarInfo], root: Path) -> Iterator[tarfile.TarInfo]:
    """What a layer brings, once what it takes away or replaces is gone.

    A file that is replaced goes first: writing over it would also change what is linked to it.

    Raises:
        tarfile.ExtractError: a name leads out of the image
    """
    for member in members:
        path = root / member.name.lstrip("/")
        within = path == root or path.parent.resolve().is_relative_to(root)
        if ".." in path.parts or not within:
            raise tarfile.ExtractError(f"{member.name!r} leads out of the image")
        if path.name == _OPAQUE:
            _remove(path.parent)
        elif path.name.startswith(_WHITEOUT):
            _remove(path.with_name(path.name.removeprefix(_WHITEOUT)))
        elif not member.isdev():  # a container's devices are its engine's affair
            if path.is_symlink() or not (member.isdir() and path.is_dir()):
                _remove(path)
            # Whoever runs the emulator may do here what a container's root user may.
            member.mode |= 0o700 if member.isdir() else 0o600
            yield member


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        folders.remove(path)
    else:
        path.unlink(missing_ok=True)


def described(digest: str, root: Path, document: Mapping[str, Any]) -> Image:
    """An unpacked image as its configuration describes it."""
    config = document.get("config") or {}
    return Image(
        digest=digest,
        root=root,
        entrypoint=config.get("Entrypoint") or (),
        command=config.get("Cmd") or (),
        environment=dict(variable.split("=", 1) for variable in config.get("Env") or ()),
        working_path=config.get("WorkingDir") or "/",
        windows=document.get("os") == "windows",
        user=config.get("User") or "",
        escaped=bool(config.get("ArgsEscaped")),
    )


def inside(root: Path, path: str) -> Path:
    """An image's path on the host; a Windows image's drive letter counts for nothing."""
    return root / re.sub(r"^/?[A-Za-z]:", "", path).replace("\\", "/").lstrip("/")
