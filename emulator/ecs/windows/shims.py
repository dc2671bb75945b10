"""Windows libraries that Wine lacks, or has in part, compiled from the C sources beside this."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from emulator.ecs.windows import wine

SOURCES = Path(__file__).parent
_COMPILE = (wine.COMPILER, "-O2", "-s", "-static-libgcc", "-Wl,--kill-at")
# What Wine's loader knows its own libraries by; a copy without it is a library like any other.
_BUILTIN = b"Wine builtin DLL"


class CompileError(Exception):
    """Something cannot be compiled; the text has the compiler's last lines."""


def make_init(target: Path) -> None:
    """Compile the first program of a container.

    Raises:
        CompileError: it cannot be compiled
    """
    _run([wine.COMPILER, "-O2", "-s", "-municode", "-o", str(target), str(SOURCES / "init.c")])


def make_libraries(libraries: Path, target: Path, scratch: Path) -> None:
    """Make the libraries that this Wine needs beside its own.

    Args:
        libraries: Wine's own Windows libraries.
        target: the folder that becomes part of System32.
        scratch: a folder for files on the way.

    Raises:
        CompileError: one cannot be compiled
    """
    own = libraries / "ucrtbase.dll"
    copy = own.read_bytes()
    (target / "ucrtwine.dll").write_bytes(copy.replace(_BUILTIN, bytes(len(_BUILTIN)), 1))
    ours = exports_of_source((SOURCES / "complex.c").read_text(encoding="utf-8"))
    lines = [
        f'"{name}"=shim_{name}' if name in ours else f'"{name}"=ucrtwine."{name}"' for name in exports_of_library(own)
    ]
    _library("complex.c", target / "ucrtbase.dll", lines, scratch)
    if not (libraries / "bcryptprimitives.dll").exists():
        _library("random.c", target / "bcryptprimitives.dll", ["ProcessPrng"], scratch)


def exports_of_source(text: str) -> frozenset[str]:
    """The names that complex.c defines, without their prefix."""
    names = {name + suffix for name in re.findall(r"\b(?:NUMBER|ONE|TWO)\((c\w+)\)", text) for suffix in ("", "f", "l")}
    return frozenset(names | set(re.findall(r"^\w+ shim_(_\w+)\(", text, re.MULTILINE)))


def exports_of_library(library: Path) -> list[str]:
    """The names that a Windows library exports.

    Raises:
        CompileError: it cannot be read
    """
    table = _run([wine.OBJDUMP, "-p", str(library)]).partition("[Ordinal/Name Pointer] Table")[2]
    return re.findall(r"^\s+\[ *\d+\](?: \+base\[ *\d+\])?(?:\s+[0-9a-f]+)? (\S+)$", table, re.MULTILINE)


def _library(source: str, target: Path, exports: list[str], scratch: Path) -> None:
    definition = scratch / f"{target.stem}.def"
    definition.write_text("\n".join([f"LIBRARY {target.name}", "EXPORTS", *exports, ""]), encoding="ascii")
    _run([*_COMPILE, "-shared", "-o", str(target), str(SOURCES / source), str(definition)])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise CompileError(f"{Path(command[0]).name}: {done.stderr.strip()[-500:]}")
    return done.stdout
