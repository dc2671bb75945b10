"""The Windows image that a workload's image rests on, found by its digest."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.core.errors import ImageError
from scripts.windows.dockerfile import WindowsStage
from scripts.windows.registry import INDEXES, Repository

# The builds of Windows Server: container and instance must have the same, since they share the kernel.
BUILDS: Mapping[str, int] = {"2019": 17763, "2022": 20348, "2025": 26100}
# Media types of the older format in today's words. Layers that were meant to stay at Microsoft's are copied as the
# others are, into the account's own registry: instances may have no way to the internet.
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{_LAYER}+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": f"{_LAYER}+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": f"{_LAYER}+gzip",
}


@dataclass(frozen=True)
class Base:
    """A base image.

    Attributes:
        name: its repository, `host/path`.
        digest: of its manifest.
        layers: descriptors, as the manifest of an image on top of it takes them.
        config: its configuration.
    """

    name: str
    digest: str
    layers: Sequence[Mapping[str, Any]]
    config: Mapping[str, Any]

    @property
    def os_version(self) -> str:
        """Windows' version, such as 10.0.20348.5499."""
        return str(self.config.get("os.version", ""))

    @property
    def size(self) -> int:
        """Bytes of its layers, compressed."""
        return sum(int(layer["size"]) for layer in self.layers)


def find(stage: WindowsStage, cache: Path, windows: str) -> Base:
    """A stage's base image; what has a digest is fetched once.

    Args:
        stage: whose.
        cache: folder of what was fetched.
        windows: the Windows Server that the environment's instances run, such as 2022.

    Raises:
        ImageError: it cannot be had, is not for Windows, or for another one.
    """
    name = re.sub(r":[^/]*$", "", stage.base)
    with Repository(name) as repository:
        digest, manifest = _manifest(repository, stage.digest, cache)
        config = json.loads(_kept(cache, manifest["config"]["digest"], repository.small))
    what = f"{name}@{digest[:19]}"
    if (config.get("os"), config.get("architecture")) != ("windows", "amd64"):
        raise ImageError(f"{what} is for {config.get('os')}/{config.get('architecture')}; windows/amd64 is expected")
    layers = [
        {**_plain(layer), "mediaType": _TYPES.get(layer["mediaType"], layer["mediaType"])}
        for layer in manifest["layers"]
    ]
    base = Base(name, digest, layers, config)
    if base.os_version.split(".")[2:3] != [str(BUILDS[windows])]:
        raise ImageError(
            f"{what} is Windows {base.os_version or 'of an unknown version'}, but the environment's instances run"
            f" Server {windows} (build {BUILDS[windows]}): choose the base for it, or another cluster.windows.version"
        )
    return base


def _manifest(repository: Repository, digest: str, cache: Path) -> tuple[str, dict[str, Any]]:
    def fetch(wanted: str) -> bytes:
        return repository.document(wanted).body

    found: dict[str, Any] = json.loads(_kept(cache, digest, fetch))
    if found.get("mediaType") in INDEXES or "manifests" in found:
        ours = [
            entry["digest"]
            for entry in found["manifests"]
            if (entry["platform"]["os"], entry["platform"]["architecture"]) == ("windows", "amd64")
        ]
        if len(ours) != 1:
            raise ImageError(
                f"{repository.name}@{digest[:19]} has {len(ours)} images for windows/amd64; name one by its digest"
            )
        return ours[0], json.loads(_kept(cache, ours[0], fetch))
    return digest, found


def _plain(layer: Mapping[str, Any]) -> dict[str, Any]:
    return {"digest": layer["digest"], "size": layer["size"]}


def _kept(cache: Path, digest: str, fetch: Any) -> bytes:
    file = cache / "bases" / digest.replace(":", "-")
    if file.is_file():
        return file.read_bytes()
    content: bytes = fetch(digest)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return content
