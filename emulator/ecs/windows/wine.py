"""The Wine of this machine, and the compiler for programs of Windows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OLDEST = 8
COMPILER = "x86_64-w64-mingw32-gcc"
OBJDUMP = "x86_64-w64-mingw32-objdump"
HOW_TO_GET = "apt-get install --no-install-recommends wine64 gcc-mingw-w64-x86-64-win32"

# Debian keeps the programs of both word sizes apart and puts neither of them on the path.
_PLACES = ("/usr/lib/wine", "/opt/wine-stable/bin", "/opt/wine-devel/bin", "/opt/wine-staging/bin")
_LOADERS = ("wine64", "wine")
_SERVERS = ("wineserver64", "wineserver")
_LIBRARIES = ("x86_64-linux-gnu/wine", "lib64/wine", "lib/wine", "lib/x86_64-linux-gnu/wine")


class WineMissingError(Exception):
    """Windows programs cannot be run here; the text says what is missing and how to get it."""


@dataclass(frozen=True)
class Wine:
    """An installed Wine.

    Attributes:
        loader: the program that runs a Windows program.
        server: the program that serves the processes of one prefix.
        libraries: the folder of its Windows libraries, 64 bits.
        version: such as `8.0 (Debian 8.0~repack-4)`.
    """

    loader: Path
    server: Path
    libraries: Path
    version: str

    @property
    def major(self) -> int:
        """Give the first number of its version."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def environment(self, prefix: Path, temporary: Path) -> dict[str, str]:
        """The whole process environment of a Windows program.

        Args:
            prefix: the folder of its registry and drives.
            temporary: where Debian's Wine keeps its server's socket.
        """
        return {
            "PATH": os.defpath,
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "LANG": "C.UTF-8",
            "USER": "ContainerUser",
            "WINEPREFIX": str(prefix),
            "WINEDEBUG": "-all",
            # Neither .NET nor a browser is fetched or asked for, and no menus are made on the desktop.
            "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
        }


@cache
def find() -> Wine:
    """Find Wine.

    Raises:
        WineMissingError: there is none, or it is too old, or the compiler is missing
    """
    loader, server = _program(_LOADERS), _program(_SERVERS)
    if loader is None or server is None:
        raise WineMissingError(f"there is no Wine of 64 bits on this machine: {HOW_TO_GET}")
    for program in (COMPILER, OBJDUMP):
        if shutil.which(program) is None:
            raise WineMissingError(f"{program}, which makes the first program of a container, is missing: {HOW_TO_GET}")
    said = subprocess.run([str(loader), "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.fullmatch(r"wine-((\d+)\..*)", said)
    if found is None or int(found[2]) < OLDEST:
        raise WineMissingError(f"{loader} is {said or 'silent about its version'}: Wine {OLDEST} or newer is needed")
    return Wine(loader, server, _libraries(loader), found[1])


def _program(names: tuple[str, ...]) -> Path | None:
    for name in names:
        for folder in _PLACES:
            if os.access(path := Path(folder, name), os.X_OK):
                return path
        if found := shutil.which(name):
            return Path(found)
    return None


def _libraries(loader: Path) -> Path:
    home = loader.resolve().parent
    for above in (home, *home.parents):
        for place in _LIBRARIES:
            if (folder := above / place / "x86_64-windows").is_dir():
                return folder
    raise WineMissingError(f"the Windows libraries of {loader} are not found beside it: {HOW_TO_GET}")


def is_missing() -> str:
    """Say why Windows programs cannot be run here; an empty string where they can."""
    try:
        find()
    except WineMissingError as error:
        return str(error)
    return ""
