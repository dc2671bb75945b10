"""A workload's Windows image: built as an OCI layout without a container engine or Windows, and pushed to a registry.

The Dockerfile says what it is; `docker buildx build` makes the same of it. The layers of the base stay where they are
until the push, which copies them from registry to registry, once.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from scripts.core.console import Step, Steps
from scripts.core.errors import ImageError
from scripts.core.settings import Settings
from scripts.tools import uv
from scripts.windows import attestations, base, dockerfile, imports, layers, sources, staging, stand_in
from scripts.windows.base import Base
from scripts.windows.registry import MANIFESTS, Document, Repository, digest_of
from scripts.windows.staging import Archive

CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_STAMP = "winbatch.json"
# A push of an image that was built or found so long ago is over.
_IN_USE_SECONDS = 3600.0


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
        stand_ins: what of it stands in for the real thing (`scripts.windows.stand_in`), with commas; empty: nothing.
    """

    folder: Path
    digest: str
    attestations: str
    base: str
    size: int
    base_size: int
    stand_ins: str = ""

    def blob(self, digest: str) -> Path:
        """Give the file of a blob in the layout, by its digest."""
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    @property
    def tag(self) -> str:
        """A tag made of the digest, so that tags are never moved."""
        return f"windows-{self.digest.removeprefix('sha256:')[:12]}"

    @property
    def words(self) -> str:
        """How large it is, and where it lies."""
        below = f"a stand-in for {self.base}" if self.stand_ins else f"{_mib(self.base_size)} of Windows"
        return f"{_mib(self.size)} over {below}, {self.folder}"


@dataclass(frozen=True)
class _Recipe:
    """What an image is made of.

    Attributes:
        workload: its name.
        stage: what its Dockerfile says.
        base: what it rests on.
        python: the archive of its interpreter.
        stand_ins: which of these two are, with commas.
        found: where its own files are from.
    """

    workload: str
    stage: dockerfile.WindowsStage
    base: Base
    python: Archive
    stand_ins: str
    found: sources.Sources

    @property
    def key(self) -> str:
        """Changes when the image would."""
        return hashlib.sha256(f"{self.found.key} {self.base.digest} {self.python.sha256}".encode()).hexdigest()[:16]

    @property
    def labels(self) -> Mapping[str, str]:
        """The image's own labels."""
        return {
            **self.found.labels,
            **({stand_in.LABEL: self.stand_ins} if self.stand_ins else {}),
            "org.opencontainers.image.created": attestations.when(self.found.time),
        }


def build(settings: Settings, workload: str, steps: Steps) -> Built:
    """Build a workload's image, unless it is there and nothing of it has changed.

    For the emulator, which brings Windows' own files, it rests on a stand-in for its base, and where Python for Windows
    cannot be fetched, on one for that.

    Raises:
        ImageError: something cannot be had, or the Dockerfile asks for what cannot be done without Windows.
    """
    recipe = _recipe(settings, workload, steps)
    # Checkouts that share a cache build side by side.
    folder = settings.cache / "images" / settings.environment / workload / recipe.key
    if not (folder / _STAMP).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{recipe.key}.", dir=folder.parent) as name:
            made = Path(name) / "image"
            _build(settings, recipe, made, steps)
            # Somebody else may have been faster, with the same outcome.
            with contextlib.suppress(OSError):
                made.rename(folder)
    (folder / _STAMP).touch()
    _forget(folder)
    return Built(folder, **json.loads((folder / _STAMP).read_text(encoding="utf-8")))


def _recipe(settings: Settings, workload: str, steps: Steps) -> _Recipe:
    stage = dockerfile.read(settings.root / "images" / workload / "Dockerfile")
    found = sources.look(settings.root, workload, versioned=not settings.emulated)
    with steps.step(f"Base of {workload}") as step:
        step.update(stage.base)
        if not settings.emulated:
            below = base.find(stage, settings.cache, settings.windows_version)
            step.detail = f"Windows {below.os_version}, {_mib(below.size)}"
            return _Recipe(workload, stage, below, staging.python_archive(settings.root), "", found)
        below, python = stand_in.base(stage, settings.windows_version), stand_in.python(settings, step.update)
        stand_ins = f"{stand_in.BASE}, {stand_in.PYTHON}" if stand_in.is_python(python) else stand_in.BASE
        step.detail = f"Windows {below.os_version}; stand-ins: {stand_ins}"
        return _Recipe(workload, stage, below, python, stand_ins, found)


def _forget(folder: Path) -> None:
    """Remove a workload's other images, unless somebody may be pushing them."""
    for stamp in folder.parent.glob(f"*/{_STAMP}"):
        if stamp.parent != folder and time.time() - stamp.stat().st_mtime > _IN_USE_SECONDS:
            shutil.rmtree(stamp.parent)


def _build(settings: Settings, recipe: _Recipe, folder: Path, steps: Steps) -> None:
    """Build an image in a folder that is not there yet."""
    folder.mkdir()
    name = recipe.workload
    try:
        described = staging.read(settings.root, name)
        archives = (recipe.python, *described.archives)
        with steps.step(f"Files of {name}") as step:
            staging.stage(
                settings.root,
                name,
                folder / "stage",
                cache=settings.cache,
                uv=uv.find(settings),
                progress=step.update,
                python=recipe.python,
            )
        with steps.step(f"DLLs of {name}") as step:
            _check_dlls(folder / "stage", recipe, described.dlls)
            step.detail = "each is there"
        packages = attestations.python_packages(folder / "stage" / "packages")
        with steps.step(f"Layers of {name}") as step:
            own = _layers(recipe.stage, folder, step, quick=settings.emulated)
            step.detail = f"{_mib(sum(layer.size for layer in own.values()))} compressed"
    except staging.StagingError as error:
        raise ImageError(str(error)) from error
    shutil.rmtree(folder / "stage")
    manifest = _assemble(folder, recipe, own)
    parts = attestations.Parts(name, recipe.base, archives, packages, recipe.found)
    image = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.body)}
    said, blobs = attestations.artefact(image, attestations.statements(manifest.digest, parts))
    for content in (manifest.body, said.body, *blobs.values()):
        _keep(folder, content)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image | {"platform": _platform(recipe.base)}]}
    (folder / "index.json").write_text(json.dumps(index, sort_keys=True), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
    facts = {
        "digest": manifest.digest,
        "attestations": said.digest,
        "base": recipe.base.name,
        "size": sum(layer.size for layer in own.values()),
        "base_size": recipe.base.size,
        "stand_ins": recipe.stand_ins,
    }
    (folder / _STAMP).write_text(json.dumps(facts), encoding="utf-8")


def push(built: Built, repository: Repository, step: Step) -> bool:
    """Push an image and what is said about it, skipping what is there.

    Returns:
        False when the image was there.

    Raises:
        ImageError: a registry refuses or cannot be reached; calling again continues. Or the image has a stand-in, and
            the registry is not the local emulator's.
    """
    if built.stand_ins and not repository.emulated:
        raise ImageError(
            f"an image with stand-ins ({built.stand_ins}) stays on the machine that made it, and {repository.name} is"
            " not the local emulator's registry: build the image for its environment with --env"
        )
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


def ecr_repository(ecr: Any, url: str, endpoint_url: str | None = None) -> Repository:
    """A repository of AWS's registry, or the emulator's, with a token of boto3's, which holds for twelve hours.

    Args:
        ecr: boto3's client.
        url: the repository's, as Terraform tells it.
        endpoint_url: the emulator's address; None: AWS.
    """
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    if endpoint_url is not None:
        host, name = endpoint_url.removeprefix("http://"), url.split("/", 1)[1]
        return Repository(f"{host}/{name}", f"Basic {token}", emulated=True)
    return Repository(url, f"Basic {token}")


def _check_dlls(folder: Path, recipe: _Recipe, allowed: Mapping[str, str]) -> None:
    """Check that whatever the image's programs import is there.

    Raises:
        ImageError: a DLL is missing, which Windows would tell only when a program starts.
    """
    below = recipe.base.name
    missing = imports.find_missing(folder, recipe.stage.environment.get("PATH", ""), below, allowed)
    if missing:
        raise ImageError(
            f"{'; '.join(item.words for item in missing)}: neither {below} nor the image has it where Windows looks."
            " Visual C++'s come with the dependency group worker (include-group), another one belongs beside the"
            f" program; one that nobody loads is named in images/{recipe.workload}/workload.toml, dlls (docs/images.md)"
        )


def _layers(stage: dockerfile.WindowsStage, folder: Path, step: Step, *, quick: bool) -> Mapping[str, layers.Layer]:
    """A layer for each COPY, in their order; they are there when this returns."""
    own = {}
    for source, target in stage.copies.items():
        step.update(source)
        if not (folder / "stage" / source).is_dir():
            there = ", ".join(sorted(path.name for path in (folder / "stage").iterdir()))
            raise ImageError(f"COPY of /stage/{source}/: there is no such folder; there are {there}")
        own[target] = layers.write(folder / "stage" / source, target, folder / "blobs" / "sha256", quick=quick)
    return own


def _assemble(folder: Path, recipe: _Recipe, own: Mapping[str, layers.Layer]) -> Document:
    """The image's manifest, with its configuration on disk."""
    stage, below = recipe.stage, recipe.base
    created = attestations.when(recipe.found.time)
    history = [
        {"created": created, "created_by": f"COPY /stage/{target}/ /{target}/", "comment": "invoke images.build"}
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
                "Labels": {**(inherited.get("Labels") or {}), **recipe.labels},
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
