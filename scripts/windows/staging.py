"""The files of a workload's Windows image, as folders of drive C: what the Linux stage of its Dockerfile makes.

`python` is CPython's embeddable distribution, `packages` the wheels for Windows that uv.lock pins, `app` the worker and
the workload's own files; archives that the workload names come beside them. Everything that is fetched has a checksum.
The same inputs give the same bytes. It runs by itself, on nothing but the standard library and uv.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

# Of all files: the oldest time that a zip archive knows, 1980-01-01.
EPOCH = 315532800
PLATFORM = "x86_64-pc-windows-msvc"
PYTHON = (3, 12)
# What the embeddable distribution's ._pth file says: where it looks for modules, relative to itself (it reads no
# PYTHONPATH), and that it starts as others do, with `exit` and `quit` and the module below.
SEARCH_PATH = ("python312.zip", ".", r"..\packages", r"..\app", "import site")
# Where there is a ._pth file, or PYTHONSAFEPATH, Python leaves a script's own folder out of its search path, with the
# modules that lie there. The current folder stays out: it is the item's.
SITECUSTOMIZE = '''"""Makes a script's neighbours importable: python {app}/sub/main.py."""

import os
import sys

if sys.argv and sys.argv[0] not in {"", "-", "-c", "-m"}:
    sys.path.insert(0, os.path.dirname(os.path.realpath(sys.argv[0])))
'''
# What an image's interpreter does without.
# _wmi: platform.uname() asks Windows' management service by it, in each process that makes a client of boto3 or imports
#   numba. 3.12 crashes or waits for seconds there (python/cpython issues 125315 and 112278); without it, platform asks
#   by other ways.
# vcamp140, vccorlib140: of msvc-runtime, for graphics cards and the store's applications, unknown to Server Core.
LEFT_OUT = ("_wmi.pyd", "vcamp140.dll", "vccorlib140.dll")

type Progress = Callable[[str], None]


class StagingError(Exception):
    """Something cannot be had, or is not what was pinned."""


@dataclass(frozen=True)
class Archive:
    """A zip archive to fetch.

    Attributes:
        url: where it is.
        sha256: its checksum, hexadecimal.
        folder: the folder of drive C that it becomes.
        strip: how many leading folders of its paths are left out.
    """

    url: str
    sha256: str
    folder: str
    strip: int = 0


@dataclass(frozen=True)
class Workload:
    """What `images/<name>/workload.toml` says.

    Attributes:
        name: the folder's.
        packages: the dependency group of pyproject.toml whose packages the image carries.
        archives: what else it carries.
        dlls: those that its files import and that may be missing, and why.
    """

    name: str
    packages: str
    archives: tuple[Archive, ...]
    dlls: Mapping[str, str]


def read(root: Path, name: str) -> Workload:
    """Read a workload's description.

    Raises:
        StagingError: there is none, or it cannot be understood.
    """
    file = root / "images" / name / "workload.toml"
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StagingError(f"there is no images/{name}/workload.toml: invoke workloads.new makes a workload") from error
    except ValueError as error:
        raise StagingError(f"images/{name}/workload.toml: {error}") from error
    if unknown := document.keys() - {"packages", "archives", "dlls"}:
        raise StagingError(
            f"images/{name}/workload.toml: {', '.join(sorted(unknown))}: there are packages, archives and dlls"
        )
    dlls = document.get("dlls", {})
    if not isinstance(dlls, dict) or not all(isinstance(reason, str) and reason.strip() for reason in dlls.values()):
        raise StagingError(f'images/{name}/workload.toml: dlls: "name.dll" = "why it may be missing" is expected')
    archives = tuple(_archive(file, entry) for entry in document.get("archives", []))
    return Workload(name, str(document.get("packages", "worker")), archives, dlls)


def python_archive(root: Path) -> Archive:
    """The interpreter that every image carries."""
    file = root / "images" / "python.toml"
    return _archive(file, {"folder": "python"} | tomllib.loads(file.read_text(encoding="utf-8")))


def _archive(file: Path, entry: Mapping[str, Any]) -> Archive:
    try:
        archive = Archive(**entry)
    except TypeError as error:
        raise StagingError(
            f"{file.parent.name}/{file.name}: an archive has url, sha256, folder, strip: {error}"
        ) from error
    if not archive.folder.isidentifier() or archive.folder in {"app", "packages"}:
        raise StagingError(f"{file.parent.name}/{file.name}: folder = {archive.folder!r}: one plain name, not ours")
    return archive


def app_files(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """What lies in an image's `app`, as paths below it: `winbatch`, the workload's Python packages, its `files`."""
    yield from files_below(root / "dags" / "winbatch", "winbatch/")
    source = root / "images" / name
    for folder in sorted(path for path in source.iterdir() if (path / "__init__.py").is_file()):
        yield from files_below(folder, f"{folder.name}/")
    if (source / "files").is_dir():
        yield from files_below(source / "files", "")


def files_below(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """A folder's files, named with a prefix, sorted; caches and hidden files are left out."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and "__pycache__" not in relative.parts and not path.name.startswith("."):
            yield prefix + relative.as_posix(), path


def stage(
    root: Path, name: str, target: Path, *, cache: Path, uv: str, progress: Progress, python: Archive | None = None
) -> None:
    """Lay out a workload's folders below `target`, which is made anew.

    Args:
        root: the checkout.
        name: of the workload.
        target: folder for the folders of drive C.
        cache: folder of what was fetched.
        uv: the command.
        progress: told what is being done.
        python: the interpreter; default: the one that every image carries.

    Raises:
        StagingError: something cannot be fetched, or is not what was pinned.
    """
    if sys.version_info[:2] != PYTHON:
        raise StagingError(f"compiled code is for the Python that compiles it: run this with {PYTHON[0]}.{PYTHON[1]}")
    workload = read(root, name)
    shutil.rmtree(target, ignore_errors=True)
    for archive in (python or python_archive(root), *workload.archives):
        file = fetch(archive, cache, progress)
        progress(f"unpacking {file.name}")
        unpack(file, target / archive.folder, archive.strip)
    pth = target / "python" / f"python{PYTHON[0]}{PYTHON[1]}._pth"
    if not pth.is_file():
        raise StagingError(
            f"images/python.toml: there is no {pth.name} in it; the embeddable Python for amd64 is meant"
        )
    pth.write_text("\n".join(SEARCH_PATH) + "\n", encoding="utf-8", newline="\n")
    (target / "python" / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8", newline="\n")
    progress("packages")
    install_packages(root, workload.packages, target, uv)
    for relative, path in app_files(root, name):
        (target / "app" / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / "app" / relative)
    for left_out in LEFT_OUT:
        (target / "python" / left_out).unlink(missing_ok=True)
    progress("compiling")
    for folder in ("packages", "app"):
        compile_modules(target / folder, rf"C:\{folder}")
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))


def fetch(archive: Archive, cache: Path, progress: Progress) -> Path:
    """An archive as a file, fetched unless it is in the cache.

    Raises:
        StagingError: it cannot be fetched, or has another checksum.
    """
    target = cache / "archives" / f"{archive.sha256[:16]}-{PurePosixPath(archive.url).name}"
    if target.is_file() and _sha256(target) == archive.sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        _download(archive.url, partial, progress)
        found = _sha256(partial)
        if found != archive.sha256:
            raise StagingError(
                f"{archive.url} has SHA-256 {found}, {archive.sha256} was expected: it is not the file that was pinned"
            )
        partial.replace(target)
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise StagingError(
            f"{archive.url} cannot be fetched ({error}); a copy of it may be put to {target} by hand"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _download(url: str, target: Path, progress: Progress) -> None:
    if not url.startswith(("https://", "http://")):
        raise StagingError(f"{url}: an https address is expected")
    request = urllib.request.Request(url, headers={"User-Agent": "winbatch"})  # noqa: S310 - checked above
    with urllib.request.urlopen(request, timeout=60) as answer, target.open("wb") as file:  # noqa: S310
        total = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(1 << 20):
            file.write(block)
            progress(f"{PurePosixPath(url).name}: {file.tell() >> 20} of {total >> 20} MiB")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def unpack(file: Path, target: Path, strip: int) -> None:
    """Unpack a zip archive.

    Raises:
        StagingError: it is none, is damaged, or a path of it leads elsewhere.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                parts = PurePosixPath(entry.filename).parts[strip:]
                if (
                    ".." in parts
                    or PurePosixPath(entry.filename).is_absolute()
                    or stat.S_ISLNK(entry.external_attr >> 16)
                ):
                    raise StagingError(f"{file.name}: {entry.filename} is no plain file below its folder")
                if not parts or entry.is_dir():
                    continue
                path = target.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, path.open("wb") as destination:
                    shutil.copyfileobj(source, destination, 1 << 20)
    except (zipfile.BadZipFile, EOFError) as error:
        raise StagingError(f"{file.name} cannot be unpacked: {error}") from error


def install_packages(root: Path, group: str, drive: Path, uv: str) -> None:
    """Unpack the wheels for Windows of a dependency group, as uv.lock pins them.

    Args:
        root: the checkout.
        group: the group.
        drive: folder of the folders of drive C; the wheels go into `packages`, and the DLLs that they mean for the
            interpreter's own folder into `python`.
        uv: the command.

    Raises:
        StagingError: uv fails, as for a package without a wheel for Windows.
    """
    requirements = _run(
        [uv, "export", "--frozen", "--no-emit-project", "--only-group", group, "--format", "requirements.txt"], root
    )
    target = drive / "packages"
    target.mkdir(parents=True)
    command = [uv, "pip", "install", "--quiet", "--no-config", "--target", str(target), "--python", sys.executable]
    command += ["--python-platform", PLATFORM, "--python-version", f"{PYTHON[0]}.{PYTHON[1]}", "--link-mode", "copy"]
    command += ["--only-binary", ":all:", "--no-deps", "--require-hashes", "--requirement", "-"]
    _run(command, root, requirements)
    # A wheel's data files are for sys.prefix, which is python.exe's folder and where Windows looks for the DLLs of all
    # that Python loads: Visual C++'s, which msvc-runtime brings in one version. Server Core has none.
    for pattern in ("*.dll", "Scripts/*.dll"):
        for path in target.glob(pattern):
            path.replace(drive / "python" / path.name)
    # Launchers name the interpreter of this machine, and RECORD has their hashes.
    for name in ("bin", "Scripts", ".lock"):
        path = target / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for pattern in ("RECORD", "uv_cache.json", "direct_url.json"):
        for path in target.glob(f"*.dist-info/{pattern}"):
            path.unlink()


def compile_modules(folder: Path, shown: str) -> None:
    """Compile a folder's modules, as each start of a container would else: what it writes goes with it.

    Args:
        folder: of the modules; their code is written beside them.
        shown: what it is called where they run.
    """
    # A process of its own with a fixed seed: the order of a frozen set's elements is part of the bytes.
    command = [sys.executable, "-m", "compileall", "-q", "-q", "-f", "-s", str(folder), "-p", shown]
    command += ["--invalidation-mode", "unchecked-hash", str(folder)]
    # Packages carry files for other Pythons, which do not compile and are never imported.
    with contextlib.suppress(subprocess.CalledProcessError):
        environ = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run(command, check=True, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _run(command: list[str], folder: Path, text: str | None = None) -> str:
    done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise StagingError(f"{Path(command[0]).name} {' '.join(command[1:3])}: {' '.join(lines[-3:])}")
    return done.stdout


def main() -> int:
    """The Linux stage: `staging.py WORKLOAD TARGET`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("workload")
    parser.add_argument("target", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("/var/cache/winbatch"))
    asked = parser.parse_args()
    root = Path(__file__).resolve().parents[2]
    try:
        stage(root, asked.workload, asked.target, cache=asked.cache, uv="uv", progress=lambda _: None)
    except StagingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
