"""Local images: a workload's files as an OCI image that runs without a container engine.

The image holds below `/app` what the workload's Windows image holds in its `app`, compiled modules too; its interpreter
is the workload's environment in the cache folder, named by PATH. The same files give the same bytes, so an image is
known by its digest. Windows images are made in `scripts.windows`.
"""

import contextlib
import hashlib
import io
import json
import os
import platform
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.errors import ImageError
from scripts.core.settings import Settings
from scripts.images.interpreters import interpreter_folder
from scripts.tools import debian
from scripts.windows import staging
from winbatch.suggesting import hint
from winbatch.working.programs import WINE

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# ECR takes parts of 5 MiB and more, but for the last.
PART = 8 << 20
# What the image of a workload starts.
WORKER = ("python", "-m", "winbatch.worker")
# What each image tells Python, here as in the Dockerfiles for Windows: text is UTF-8 wherever nobody says otherwise
# (Windows' own default is the machine's code page), and what is printed is there when a program ends in the middle.
PYTHON = {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
# Where a program is looked for behind the interpreter's folder and the user's own.
_MACHINE = ("/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True)
class Image:
    """An image as the bytes that a registry keeps."""

    manifest: bytes
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """Give the digest of its manifest, by which it is named."""
        return _digest(self.manifest)

    @property
    def tag(self) -> str:
        """A tag made of the digest, so that tags are never moved."""
        return f"local-{self.digest.removeprefix('sha256:')[:12]}"

    @property
    def words(self) -> str:
        """How large it is."""
        return f"{len(self.layer) / 1024:.0f} KiB beside its interpreter"

    @property
    def blobs(self) -> Mapping[str, bytes]:
        """Give configuration and layer by their digests."""
        return {_digest(self.config): self.config, _digest(self.layer): self.layer}


def build(settings: Settings, workload: str) -> Image:
    """Assemble a workload's image.

    Raises:
        ImageError: there is no such workload, or its interpreter has not been made.
    """
    if workload not in settings.workloads:
        meant = hint(workload, settings.workloads)
        raise ImageError(f"unknown workload {workload!r}{meant}; there are {', '.join(settings.workloads)} (images/)")
    paths = {f"app/{name}": path for name, path in staging.app_files(settings.root, workload)}
    files = {name: path.read_bytes() for name, path in paths.items()}
    programs = {name for name, path in paths.items() if path.stat().st_mode & stat.S_IXUSR}
    home = interpreter_folder(settings, workload)
    if not (home / "bin" / "python").exists():
        raise ImageError(f"there is no interpreter for workload {workload} yet: invoke setup")
    environment = {
        "PATH": os.pathsep.join([str(home / "bin"), *map(str, settings.local_path), *_MACHINE]),
        # matplotlib would keep its font list in the user's home.
        "MPLCONFIGDIR": str(home / "matplotlib"),
        # Programs of the machine read and write as Python does, and in the same time zone as on Windows in the cloud.
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        **_wine(settings),
        **PYTHON,
    }
    return assemble(files, environment, programs=programs)


def _wine(settings: Settings) -> dict[str, str]:
    """Say by which Wine the image's programs of Windows are run, if there is one; all of them share a prefix."""
    found = debian.WINE.find()
    if found is None:
        return {}
    return {
        WINE: found,
        "WINEPREFIX": str(settings.cache / "wine-programs"),
        "WINEDEBUG": "-all",
        # Neither .NET nor a browser is asked for, and no menus are made on the desktop.
        "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
    }


def assemble(
    files: Mapping[str, bytes],
    environment: Mapping[str, str],
    entrypoint: Sequence[str] = WORKER,
    *,
    programs: AbstractSet[str] = frozenset(),
) -> Image:
    """Make an image of files (path in the image to content) and an environment, the same bytes for the same input.

    Its Python modules are compiled, by the Python that runs this, on which the workloads' environments stand. What
    `programs` names may be started, and so may whatever is a program by its content.
    """
    layer = pack(_compiled(files), programs)
    config = _json(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {
                "Entrypoint": list(entrypoint),
                "Env": [f"{name}={value}" for name, value in sorted(environment.items())],
                "WorkingDir": "/app",
            },
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": _digest(layer), "size": len(layer)}],
        }
    )
    return Image(manifest, config, layer)


def pack(files: Mapping[str, bytes], programs: AbstractSet[str] = frozenset()) -> bytes:
    """Make a tar of files and the folders above them: sorted, without times, owned by root."""
    folders = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(folders | set(files)):
            entry = tarfile.TarInfo(name)
            if name in files:
                entry.mode = 0o755 if name in programs or _is_program(name, files[name]) else 0o644
                entry.size = len(files[name])
                tar.addfile(entry, io.BytesIO(files[name]))
            else:
                entry.type = tarfile.DIRTYPE
                entry.mode = 0o755
                tar.addfile(entry)
    return buffer.getvalue()


def _is_program(name: str, content: bytes) -> bool:
    """Say whether a file is a program by its content: on Windows, on shares and in archives there is no execute bit."""
    return content.startswith((b"\x7fELF", b"#!")) or (content.startswith(b"MZ") and name.lower().endswith(".exe"))


def _compiled(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files, and the compiled code of the modules among them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        staging.compile_modules(folder, "/")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def push(ecr: Any, repository: str, image: Image) -> bool:
    """Push an image by digest.

    Args:
        ecr: boto3's client.
        repository: name without registry.
        image: what to push.

    Returns:
        False when it was there.
    """
    if _is_there(ecr, repository, image.digest):
        return False
    for digest, blob in image.blobs.items():
        _push_blob(ecr, repository, digest, blob)
    # Two pushes at once: the other one was faster.
    with _ignored("ImageAlreadyExistsException"):
        ecr.put_image(
            repositoryName=repository,
            imageManifest=image.manifest.decode(),
            imageManifestMediaType=MANIFEST,
            imageTag=image.tag,
            imageDigest=image.digest,
        )
    return True


def repository_name(url: str) -> str:
    """A repository's name in its registry, from its URL."""
    return url.split("/", 1)[1]


def _is_there(ecr: Any, repository: str, digest: str) -> bool:
    answer = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    return bool(answer["images"])


def _push_blob(ecr: Any, repository: str, digest: str, blob: bytes) -> None:
    answer = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest])
    if any(layer.get("layerAvailability") == "AVAILABLE" for layer in answer["layers"]):
        return
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    for first in range(0, len(blob), PART):
        part = blob[first : first + PART]
        ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=upload,
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
    with _ignored("LayerAlreadyExistsException"):
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])


@contextlib.contextmanager
def _ignored(code: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
