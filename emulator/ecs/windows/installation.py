"""What all Windows containers of this machine share, made once: `python -m emulator install-wine --cache DIR`.

    <cache>/wine/<version>-<key>/prefix/                 a registry and a drive C with Windows' folders
    <cache>/wine/<version>-<key>/prefix/drive_c/windows/system32/cexecsvc.exe    a container's first process (init.c)

The key stands for Wine and for all files beside this one.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emulator import folders
from emulator.ecs.windows import layers, shims, wine
from emulator.ecs.windows.wine import Wine
from emulator.errors import EmulatorError

INIT = "cexecsvc.exe"
# Of Microsoft's redistributable packages (Visual C++, and DirectX of June 2010): Windows has none of these libraries
# before such a package brings them, and what a container runs must not find Wine's.
# Source: learn.microsoft.com/cpp/windows/determining-which-dlls-to-redistribute, and "DirectX Installation" there.
_REDISTRIBUTED = re.compile(
    r"(msvc[mpr]|vcruntime|vcomp|concrt|atl)(70|71|80|90|100|110|120|140)(_\w+)?\.dll"
    r"|(d3dx9|d3dx10|d3dx11|xaudio2|x3daudio1|xactengine[23]|xapofx1|xinput1)_\d+\.dll"
    r"|d3dcompiler_(3\d|4[0-6])\.dll|vulkan-1\.dll|opencl\.dll"
)


_STEP_SECONDS = 300


class InstallError(Exception):
    """Wine did not do what it was asked; the text has its last lines."""


@dataclass(frozen=True)
class Installation:
    """What containers share.

    Attributes:
        wine: the Wine that it was made by.
        prefix: the folder whose registry a container copies, and to whose files it is linked.
    """

    wine: Wine
    prefix: Path


def main(options: argparse.Namespace) -> None:
    """`install-wine`: make what Windows containers need ahead of time.

    Raises:
        EmulatorError: it cannot be made
    """
    try:
        install(options.cache.resolve(), _print)
    except (wine.WineMissingError, shims.CompileError, InstallError) as error:
        raise EmulatorError(f"Windows containers cannot be run: {error}") from error


def install(cache: Path, report: Callable[[str], None]) -> Installation:
    """Give what containers share, made first where it is not there.

    Args:
        cache: the emulator's cache folder.
        report: gets a line for each step.

    Raises:
        WineMissingError: this machine has no Wine, or too old a one
        InstallError, CompileError: a step failed
    """
    found = wine.find()
    folder = cache / "wine" / f"{found.version.split()[0]}-{_key(found)}"
    with folders.making(folder) as made:
        if made is None:
            report(f"Wine {found.version} is prepared: {folder}")
        else:
            report(f"Wine {found.version}: preparing a Windows in {folder}")
            _make(made, found)
            report(f"Wine {found.version}: done")
    return Installation(found, folder / "prefix")


def _key(found: Wine) -> str:
    digest = hashlib.sha256(f"{found.version} {found.loader} {found.libraries}".encode())
    for path in sorted(shims.SOURCES.iterdir()):
        if path.suffix in {".c", ".reg"} or path.name in {"installation.py", "layers.py", "shims.py"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _make(made: Path, found: Wine) -> None:
    prefix, scratch = made / "prefix", made / "scratch"
    scratch.mkdir()
    settings = shims.SOURCES / "server.reg"
    for what, argv in {
        "making Windows' folders and registry": [str(found.loader), "wineboot", "--init"],
        "setting the registry": [str(found.loader), "regedit", "/S", f"Z:{settings}".replace("/", "\\")],
        "waiting for Windows' services to end": [str(found.server), "--wait"],
    }.items():
        _run(argv, found.environment(prefix, scratch), scratch, what)
    drive = prefix / "drive_c"
    system = drive / "windows" / "system32"
    for path in system.iterdir():
        if _REDISTRIBUTED.fullmatch(path.name.lower()):
            path.unlink()
    for path in (drive / "windows" / "winsxs").glob("*microsoft.vc*"):
        folders.remove(path)
    # Each container makes its own user's.
    folders.remove(drive / "users")
    shims.make_init(system / INIT)
    (system / "ucrtbase.dll").unlink()
    shims.make_libraries(found.libraries, system, scratch)
    folders.remove(scratch)
    layers.protect(drive)


def _run(argv: list[str], environment: dict[str, str], scratch: Path, what: str) -> None:
    # Its output is a file's: Wine's services keep it open longer than the program that started them.
    log = scratch / "output"
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                argv,
                env=environment,
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=_STEP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InstallError(f"{what}: it did not end within {_STEP_SECONDS} s") from error
    if done.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
        raise InstallError(f"{what}: {Path(argv[0]).name} ended with exit code {done.returncode}: {last}")


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's progress
