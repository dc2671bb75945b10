"""Names of files that Windows can have: refused where they enter, on any system, for items run on Windows.

What is reserved stands in Microsoft's "Naming Files, Paths, and Namespaces": the devices also with an extension and
with superscript digits; and a space or full stop at the end of a name is dropped, so that it names another file.
"""

import re
from collections.abc import Iterable, Mapping

SAFE = (
    "name the program itself, or have PowerShell run a script:"
    ' [powershell.exe, -NoProfile, -NonInteractive, -ExecutionPolicy, Bypass, -File, "{app}/run.ps1", …]'
)
"""Says how to run what would be a batch file: PowerShell hands the words after `-File` over as they are."""

BATCH = f"a batch file is run by a shell, which would read parameters as commands; {SAFE}"
"""Says of a program for which `is_batch` holds what to do."""

_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_BATCH = re.compile(r"\.(bat|cmd)[\s.']*$", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:")
# A component's length in UTF-16 units on NTFS.
_LONGEST = 255


def problem(name: str) -> str | None:
    """Say why a file or folder cannot be called so on Windows; None where it can.

    Args:
        name: one component of a path.
    """
    if name in {"", ".", ".."}:
        return f"{name!r} names no file"
    if found := _FORBIDDEN.search(name):
        return f"{name!r} holds {found[0]!r}, which Windows does not take in a name"
    if name.endswith((" ", ".")):
        return f"{name!r} ends with {name[-1]!r}, which Windows drops"
    # Spaces before the extension count for nothing.
    if _DEVICE.fullmatch(name.partition(".")[0].rstrip(" ")):
        return f"{name!r} is a device of Windows"
    if len(name.encode("utf-16-le", "surrogatepass")) > 2 * _LONGEST:
        return f"{name[:20]!r}… is longer than {_LONGEST} characters"
    return None


def path_problem(path: str) -> str | None:
    """Say why a relative path, with slashes, cannot be on Windows; None where it can."""
    return next(filter(None, map(problem, path.split("/"))), None)


def problems(paths: Iterable[str]) -> dict[str, str]:
    """Name the relative paths, with slashes, that cannot lie in one folder on Windows, and why.

    Beside names that cannot be, these are files of which another differs in case only, or is a folder that they need.
    """
    found: dict[str, str] = {}
    there: dict[str, tuple[str, bool]] = {}
    for path in paths:
        parts = path.split("/")
        names = {"/".join(parts[:depth]): depth < len(parts) for depth in range(1, len(parts) + 1)}
        said = path_problem(path) or next(filter(None, (_clash(name, there, names[name]) for name in names)), None)
        if said:
            found[path] = said
        else:
            there |= {_folded(name): (name, folder) for name, folder in names.items()}
    return found


def is_batch(program: str) -> bool:
    """Say whether Windows would start a shell for a program of this name: for a batch file, however it is dressed up.

    CreateProcess does so for .bat and .cmd alone. It drops spaces and full stops at the end of a name, and takes what
    follows a colon for a stream of the file. It does not ask PATHEXT: without an extension it tries .exe and no other.
    """
    for part in program.split('"'):
        name = _DRIVE.sub("", re.split(r"[\\/]", part)[-1])
        if _BATCH.search(name) or _BATCH.search(name.partition(":")[0]):
            return True
    return False


def is_shell(program: str) -> bool:
    """Say whether a program of this name is Windows' command interpreter, which reads its words as commands."""
    name = re.split(r"[\\/]", _DRIVE.sub("", program.strip('"')))[-1]
    return name.rstrip(" .").lower().removesuffix(".exe") in {"cmd", "command.com"}


def _clash(name: str, there: Mapping[str, tuple[str, bool]], folder: bool) -> str | None:
    other, is_folder = there.get(_folded(name), (name, folder))
    if other != name:
        return f"{name!r} differs from {other!r} in case only, which is one name on Windows"
    return None if folder is is_folder else f"{name!r} is a file and a folder"


def _folded(name: str) -> str:
    """As Windows compares: letter by letter, so that ß is not ss."""
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in name)
