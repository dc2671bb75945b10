"""Layers of images for Windows, whose tars have what is on drive C below `Files/`.

Source: the importers of containerd and Docker (microsoft/hcsshim, pkg/ociwclayer/import.go). What lies beside that
folder is no file of a container: `Hives/`, changes of the registry, which Wine cannot read, and `UtilityVM/`.
"""

from __future__ import annotations

import contextlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from emulator import folders
from emulator.ecs.windows.spelling import Spelling

_FILES = "Files"
_WHITEOUT = ".wh."
# For everyone to read and for nobody of its owner's to write: with a right to write for any class, Wine does not show
# it as read-only, an attribute that copies would inherit and by which they could not be removed.
_PROTECTED = 0o464
_NOBODY = 65534


def members(archive: tarfile.TarFile, root: Path) -> Iterator[tarfile.TarInfo]:
    """What a layer brings to drive C, and what it takes away, by the names that are there already, whatever their case.

    Args:
        archive: the layer.
        root: where the layers below it are.

    Raises:
        tarfile.ExtractError: a name leads out of the image
    """
    names = Spelling(root)
    for member in archive:
        inside = _inside(member.name)
        if not inside:
            continue
        above, _, name = inside.rpartition("/")
        if name.startswith(_WHITEOUT):
            gone = PurePosixPath(names.name(f"{above}/{name.removeprefix(_WHITEOUT)}"))
            member.name = str(gone.with_name(_WHITEOUT + gone.name))
        else:
            member.name = names.name(inside)
        if member.islnk():
            target = _inside(member.linkname)
            if not target:
                raise tarfile.ExtractError(f"{member.linkname!r} is not on drive C")
            member.linkname = names.name(target)
        elif member.issym():
            member.linkname = _relative(member.linkname, member.name)
        yield member


def leave_system_out(root: Path) -> None:
    """Take Windows itself away, which a base image brings: a container's system is Wine."""
    windows = Spelling(root).path("Windows")
    if Spelling(root).path("Windows/System32/ntdll.dll").exists():
        folders.remove(windows)


def protect(root: Path) -> None:
    """Let nobody change an unpacked image's files, to which containers' are linked.

    Whoever owns a file may change its mode, as Wine does for a program that changes attributes. So they are somebody
    else's, if the emulator is root and can give them away.
    """
    for above, _, files in os.walk(root):
        for name in files:
            path = Path(above, name)
            if not path.is_symlink():
                path.chmod(_PROTECTED)
                with contextlib.suppress(OSError):
                    os.chown(path, _NOBODY, _NOBODY)


def _inside(name: str) -> str:
    """A name below the drive; an empty one for what is not on it.

    Raises:
        tarfile.ExtractError: it leads out of the image
    """
    parts = PurePosixPath(name).parts
    if ".." in parts:
        raise tarfile.ExtractError(f"{name!r} leads out of the image")
    return "/".join(parts[1:]) if parts and parts[0] == _FILES else ""


def _relative(target: str, link: str) -> str:
    """A symbolic link's target as one of this machine: a drive letter stands for the image's own folder."""
    target = target.replace("\\", "/")
    absolute = re.sub(r"^(/\?\?/)?/?[A-Za-z]:", "", target)
    if absolute == target and not target.startswith("/"):
        return target
    return os.path.relpath(absolute.lstrip("/"), PurePosixPath(link).parent)
