"""A folder as a layer of a Windows image.

The layout is that of Windows' own backups, as containerd's and BuildKit's importers read it: files below `Files/`, an
empty `Hives/` (no registry keys), and in PAX headers each entry's attributes, creation time and security descriptor.
"""

import base64
import gzip
import hashlib
import io
import re
import struct
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.core.errors import ImageError
from scripts.windows.staging import EPOCH

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"

_DIRECTORY, _ARCHIVE = 16, 32  # FILE_ATTRIBUTE_…
_FULL, _READ = 0x1F01FF, 0x1200A9  # FILE_ALL_ACCESS; read and execute
_INHERITED = 0x3  # OBJECT_INHERIT_ACE, CONTAINER_INHERIT_ACE
_ADMINISTRATORS, _SYSTEM, _USERS = (32, 544), (18,), (32, 545)  # S-1-5-…
# What Windows does not take for a name, whatever the extension.
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')


@dataclass(frozen=True)
class Layer:
    """A layer's file and what a manifest says of it.

    Attributes:
        digest: of the file, compressed.
        diff_id: of the tar in it.
        size: of the file, bytes.
        files: how many files it holds.
        unpacked: their bytes.
    """

    digest: str
    diff_id: str
    size: int
    files: int
    unpacked: int


def write(source: Path, name: str, blobs: Path, *, quick: bool = False) -> Layer:
    """Write folder `source` as the layer with folder `name` of drive C.

    Args:
        source: the folder.
        name: the folder that it becomes.
        blobs: where the layer's file goes, named by its digest.
        quick: whether it is compressed quickly rather than well, as what does not leave this machine is.

    Raises:
        ImageError: Windows could not hold a name in it.
    """
    blobs.mkdir(parents=True, exist_ok=True)
    partial = blobs / f"{name}.partial"
    files = unpacked = 0
    with partial.open("wb") as file:
        compressed = _Hashing(file)
        with gzip.GzipFile("", "wb", compresslevel=1 if quick else 6, fileobj=compressed, mtime=0) as zipped:
            plain = _Hashing(zipped)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for special in ("Hives", "Files"):
                    tar.addfile(_entry(special, None, descriptor=""))
                for path in _sorted_below(source):
                    inside = "/".join(("Files", name, *path.relative_to(source).parts))
                    if path.is_dir():
                        tar.addfile(_entry(inside, None, descriptor=_FOLDER))
                        continue
                    size = path.stat().st_size
                    files, unpacked = files + 1, unpacked + size
                    with path.open("rb") as content:
                        tar.addfile(_entry(inside, size, descriptor=_FILE), content)
        size = file.tell()
    partial.replace(blobs / compressed.digest.removeprefix("sha256:"))
    return Layer(compressed.digest, plain.digest, size, files, unpacked)


def _sorted_below(source: Path) -> Iterator[Path]:
    """The folder and everything in it, folders before what they hold, in one order everywhere."""
    yield source
    seen: dict[str, Path] = {}
    for path in sorted(source.rglob("*"), key=lambda path: path.relative_to(source).parts):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise ImageError(f"{path}: only plain files and folders go into a Windows image")
        if _FORBIDDEN.search(path.name) or _RESERVED.fullmatch(path.name):
            raise ImageError(f"{path}: Windows has no such names; leave it out of the image")
        other = seen.setdefault(str(path).lower(), path)
        if other != path:
            raise ImageError(f"{path} and {other.name} are one name on Windows")
        yield path


def _entry(name: str, size: int | None, *, descriptor: str) -> tarfile.TarInfo:
    """A tar entry; a folder has no size."""
    entry = tarfile.TarInfo(name)
    entry.mtime = EPOCH
    entry.type = tarfile.DIRTYPE if size is None else tarfile.REGTYPE
    entry.mode = 0o755 if size is None else 0o644
    entry.size = size or 0
    entry.pax_headers = {
        "LIBARCHIVE.creationtime": f"{EPOCH}.0",
        "MSWINDOWS.fileattr": str(_DIRECTORY if size is None else _ARCHIVE),
        **({"MSWINDOWS.rawsd": descriptor} if descriptor else {}),
    }
    return entry


def security_descriptor(entries: Sequence[tuple[int, int, tuple[int, ...]]]) -> str:
    """A security descriptor in base64: owned by Administrators, group SYSTEM, and a discretionary list.

    Args:
        entries: of the list: ACE flags, access mask, and who is allowed, as what follows S-1-5.
    """
    owner, group = _sid(_ADMINISTRATORS), _sid(_SYSTEM)
    allowed = b"".join(
        struct.pack("<BBHI", 0, flags, 8 + len(_sid(who)), mask) + _sid(who) for flags, mask, who in entries
    )
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(allowed), len(entries), 0) + allowed
    # SE_SELF_RELATIVE and SE_DACL_PRESENT; then where each part begins, behind the 20 bytes of this.
    head = struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 20 + len(owner), 0, 20 + len(owner) + len(group))
    return base64.b64encode(head + owner + group + acl).decode()


def _sid(parts: tuple[int, ...]) -> bytes:
    return struct.pack("<BB", 1, len(parts)) + (5).to_bytes(6, "big") + struct.pack(f"<{len(parts)}I", *parts)


# A workload's user may read and run what the image holds, and change none of it.
_FILE = security_descriptor([(0, _FULL, _ADMINISTRATORS), (0, _FULL, _SYSTEM), (0, _READ, _USERS)])
_FOLDER = security_descriptor(
    [(_INHERITED, _FULL, _ADMINISTRATORS), (_INHERITED, _FULL, _SYSTEM), (_INHERITED, _READ, _USERS)]
)


class _Hashing(io.RawIOBase):
    """A file to write to that knows the digest of what went through."""

    def __init__(self, target: io.BufferedIOBase | gzip.GzipFile | io.BufferedWriter) -> None:
        self._target = target
        self._sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # whatever has bytes, in typeshed
        self._sha256.update(data)
        return self._target.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"
