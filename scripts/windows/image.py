"""A workload's Windows image: built as an OCI layout without a container engine or Windows, and pushed to a registry.

The Dockerfile says what it is; `docker buildx build` makes the same of it. The layers of the base stay where they are
until the push, which copies them from registry to registry, once.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from scripts import uv
from scripts.console import Step, Steps
from scripts.errors import ImageError
from scripts.settings import Settings
from scripts.windows import attestations, base, dockerfile, layers, sources, staging
from scripts.windows.base import Base
from scripts.windows.registry import MANIFESTS, Document, Repository, digest_of

CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_STAMP = "winbatch.json"


@dataclass(frozen=True)
class Built:
    """An image on disk.

    Attributes:
        folder: its OCI layout; of the base there is no layer in it.
        digest: of its manifest, by which everything names it.
        attestations: the digest of the manifest with what is said about it.
        base: name of the base image's repository.
        size: bytes of its own layers, compressed.
        base_size: bytes of the base's.
    """

    folder: Path
    digest: str
    attestations: str
    base: str
    size: int
    base_size: int

    def blob(self, digest: str) -> Path:
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    @property
    def tag(self) -> str:
        """A tag made of the digest, so that tags are never moved."""
        return f"windows-{self.digest.removeprefix('sha256:')[:12]}"

    @property
    def words(self) -> str:
        """How large it is, and where it lies."""
        return f"{_mib(self.size)} over {_mib(self.base_size)} of Windows, {self.folder}"


def build(settings: Settings, workload: str, steps: Steps) -> Built:
    """Build a workload's image, unless it is there and nothing of it has changed.

    Raises:
        ImageError: something cannot be had, or the Dockerfile asks for what cannot be done without Windows.
    """
    where = settings.root / "images" / workload
    stage = dockerfile.read(where / "Dockerfile")
    folder = settings.cache / "images" / settings.environment / workload
    found = sources.look(settings.root, workload)
    with steps.step(f"Base of {workload}") as step:
        step.update(stage.base)
        below = base.find(stage, settings.cache, settings.windows_version)
        step.detail = f"Windows {below.os_version}, {_mib(below.size)}"
    stamp = folder / _STAMP
    if stamp.is_file():
        known = json.loads(stamp.read_text(encoding="utf-8"))
        if known.pop("key") == found.key:
            return Built(folder, **known)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        described = staging.read(settings.root, workload)
        archives = (staging.python_archive(settings.root), *described.archives)
        with steps.step(f"Files of {workload}") as step:
            staging.stage(
                settings.root,
                workload,
                folder / "stage",
                cache=settings.cache,
                uv=uv.find(settings),
                progress=step.update,
            )
        packages = attestations.python_packages(folder / "stage" / "packages")
        with steps.step(f"Layers of {workload}") as step:
            own = _layers(stage, folder, step)
            step.detail = f"{_mib(sum(layer.size for layer in own.values()))} compressed"
    except staging.StagingError as error:
        raise ImageError(str(error)) from error
    finally:
        shutil.rmtree(folder / "stage", ignore_errors=True)
    manifest = _assemble(folder, stage, below, own, found)
    parts = attestations.Parts(workload, below, archives, packages, found)
    bodies = attestations.statements(manifest.digest, parts)
    image = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.body)}
    said, blobs = attestations.artefact(image, bodies)
    for content in (manifest.body, said.body, *blobs.values()):
        _keep(folder, content)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image | {"platform": _platform(below)}]}
    (folder / "index.json").write_text(json.dumps(index, sort_keys=True), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
    facts = {
        "digest": manifest.digest,
        "attestations": said.digest,
        "base": below.name,
        "size": sum(layer.size for layer in own.values()),
        "base_size": below.size,
    }
    stamp.write_text(json.dumps(facts | {"key": found.key}), encoding="utf-8")
    return Built(folder, **facts)  # type: ignore[arg-type]  # two kinds of values


def push(built: Built, repository: Repository, step: Step) -> bool:
    """Push an image and what is said about it, skipping what is there.

    Returns:
        False when the image was there.

    Raises:
        ImageError: a registry refuses or cannot be reached; calling again continues.
    """
    there = repository.has("manifests", built.digest)
    if there and repository.has("manifests", built.attestations):
        return False
    manifest = json.loads(built.blob(built.digest).read_bytes())
    said = json.loads(built.blob(built.attestations).read_bytes())
    total = sum(layer["size"] for layer in manifest["layers"])
    progress = _Progress(step, total)
    with Repository(built.base) as below:
        for layer in (*manifest["layers"], manifest["config"], *said["layers"], said["config"]):
            digest, size = layer["digest"], layer["size"]
            if repository.has("blobs", digest):
                progress(size)
            elif built.blob(digest).is_file():
                with built.blob(digest).open("rb") as file:
                    repository.upload(digest, size, _chunks(file), progress)
            else:
                below.copy(digest, size, repository, progress)
    if not there:
        repository.put(Document(built.blob(built.digest).read_bytes(), MANIFESTS[0]), built.tag)
    repository.put(Document(built.blob(built.attestations).read_bytes(), MANIFESTS[0]))
    return True


def ecr_repository(ecr: Any, url: str) -> Repository:
    """A repository of AWS's registry, with a token of boto3's, which holds for twelve hours.

    Args:
        ecr: boto3's client.
        url: the repository's, as Terraform tells it.
    """
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return Repository(url, f"Basic {token}")


def _layers(stage: dockerfile.WindowsStage, folder: Path, step: Step) -> Mapping[str, layers.Layer]:
    """A layer for each COPY, in their order; they are there when this returns."""
    own = {}
    for source, target in stage.copies.items():
        step.update(source)
        if not (folder / "stage" / source).is_dir():
            there = ", ".join(sorted(path.name for path in (folder / "stage").iterdir()))
            raise ImageError(f"COPY of /stage/{source}/: there is no such folder; there are {there}")
        own[target] = layers.write(folder / "stage" / source, target, folder / "blobs" / "sha256")
    return own


def _assemble(
    folder: Path,
    stage: dockerfile.WindowsStage,
    below: Base,
    own: Mapping[str, layers.Layer],
    found: sources.Sources,
) -> Document:
    """The image's manifest, with its configuration on disk."""
    created = attestations.when(found.time)
    history = [
        {"created": created, "created_by": f"COPY /stage/{target}/ /{target}/", "comment": "invoke image-build"}
        for target in own
    ]
    inherited = below.config.get("config") or {}
    variables = dict(entry.split("=", 1) for entry in inherited.get("Env") or ()) | dict(stage.environment)
    config = _json(
        {
            **_platform(below),
            "created": created,
            "config": {
                **{name: value for name, value in inherited.items() if name not in {"Cmd", "Hostname", "Image"}},
                "Env": [f"{name}={value}" for name, value in variables.items()],
                "Entrypoint": list(stage.entrypoint),
                "User": stage.user,
                "WorkingDir": stage.folder,
                "Labels": {
                    **(inherited.get("Labels") or {}),
                    **found.labels,
                    "org.opencontainers.image.created": created,
                },
            },
            "rootfs": {
                "type": "layers",
                "diff_ids": [*below.config["rootfs"]["diff_ids"], *(layer.diff_id for layer in own.values())],
            },
            "history": [*(below.config.get("history") or ()), *history],
        }
    )
    _keep(folder, config)
    entries = [{"mediaType": layers.MEDIA_TYPE, "digest": layer.digest, "size": layer.size} for layer in own.values()]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [*(dict(layer) for layer in below.layers), *entries],
    }
    return Document(_json(manifest), MANIFESTS[0])


def _platform(below: Base) -> dict[str, str]:
    return {"architecture": "amd64", "os": "windows", "os.version": below.os_version}


def _keep(folder: Path, content: bytes) -> None:
    target = folder / "blobs" / "sha256" / digest_of(content).removeprefix("sha256:")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(1 << 20):
        yield chunk


class _Progress:
    """Bytes that went out, of how many."""

    def __init__(self, step: Step, total: int) -> None:
        self._step = step
        self._total = total
        self._done = 0

    def __call__(self, size: int) -> None:
        self._done += size
        self._step.update(f"{self._done >> 20} of {self._total >> 20} MiB")
