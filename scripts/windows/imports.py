"""Finds what the programs of a Windows image import and nobody has: Windows would tell only when they start.

Each PE file's tables are read (imports, delayed imports, exports that another DLL has), and each DLL is looked for
where Windows' loader would, as far as that shows without running anything:

- API sets (`api-ms-win-…`, `ext-ms-…`) are the loader's own;
- the file's own folder;
- for what Python loads: the folder of python.exe and the `*.libs` folders that packages like numpy name to
  `os.add_dll_directory`, and not PATH, which Python leaves out since 3.8;
- for other programs: folders of the same archive that have an .exe in them, and the image's PATH;
- System32 of the base image, by a list (`system_dlls.toml`).

A DLL that is loaded by name while a program runs is in no table, and one that is loaded already by another way is
found by Windows and not here.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import pefile

_SYSTEM = Path(__file__).with_name("system_dlls.toml")
_API_SETS = ("api-ms-win-", "ext-ms-")
_DIRECTORIES = pefile.DIRECTORY_ENTRY
_TABLES = [
    _DIRECTORIES["IMAGE_DIRECTORY_ENTRY_IMPORT"],
    _DIRECTORIES["IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT"],
    _DIRECTORIES["IMAGE_DIRECTORY_ENTRY_EXPORT"],
]
_MANAGED = _DIRECTORIES["IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR"]
# Machines whose programs run on Windows for amd64.
_MACHINES = {pefile.MACHINE_TYPE["IMAGE_FILE_MACHINE_AMD64"], pefile.MACHINE_TYPE["IMAGE_FILE_MACHINE_I386"]}
# Folders whose files Python loads.
_PYTHONS = {"python", "packages", "app"}


@dataclass(frozen=True)
class Program:
    """A PE file.

    Attributes:
        path: in the image, such as `packages/numba/_dispatcher.cp312-win_amd64.pyd`.
        machine: the processor that it is for, a number of the PE format.
        imports: the DLLs that it needs, lower case.
    """

    path: PurePosixPath
    machine: int
    imports: Sequence[str]

    @property
    def folder(self) -> str:
        """The folder it lies in, lower case."""
        return str(self.path.parent).lower()


@dataclass(frozen=True)
class Missing:
    """A DLL that a program needs and Windows would not find.

    Attributes:
        dll: its name, lower case.
        needed_by: the program that imports it, and how many others do.
        others: how many other programs import it, too.
        elsewhere: where in the image it lies, out of the loader's sight; empty: nowhere.
    """

    dll: str
    needed_by: str
    others: int
    elsewhere: str

    @property
    def words(self) -> str:
        """What is missing and to whom, for an error's line."""
        more = f" (and {self.others} more)" if self.others else ""
        where = f"; it is at {self.elsewhere}, where Windows does not look" if self.elsewhere else ""
        return f"{self.needed_by}{more} imports {self.dll}{where}"


def find_missing(folder: Path, search_path: str, base: str, allowed: Mapping[str, str]) -> Sequence[Missing]:
    """Find the DLLs that an image's programs import and neither the image nor its base has.

    Args:
        folder: of the image's files: `python`, `packages`, `app` and others below it.
        search_path: the image's PATH, in Windows' form.
        base: name of the base image's repository, such as `mcr.microsoft.com/windows/servercore`.
        allowed: DLLs that may be missing, and why.

    Returns:
        The missing DLLs, by name.
    """
    programs = list(read(folder))
    places = _Places(programs, search_path)
    there = system_dlls(base) | {name.lower() for name in allowed}
    needed: dict[str, list[Program]] = {}
    for program in programs:
        for dll in program.imports:
            if not dll.startswith(_API_SETS) and dll not in there and not places.has(program, dll):
                needed.setdefault(dll, []).append(program)
    return [
        Missing(dll, str(users[0].path), len(users) - 1, places.elsewhere(dll)) for dll, users in sorted(needed.items())
    ]


def system_dlls(base: str) -> frozenset[str]:
    """List the DLLs that a base image has in System32; of a base that is not known, Server Core's."""
    groups = tomllib.loads(_SYSTEM.read_text(encoding="utf-8"))["group"]
    known = {name for group in groups for name in group["bases"]}
    name = base.rpartition("/")[2]
    name = name if name in known else "servercore"
    return frozenset(dll for group in groups if name in group["bases"] for dll in group["dlls"])


def read(folder: Path) -> Iterator[Program]:
    """Read the PE files below a folder, whatever their names end with; by path."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            if file.read(2) != b"MZ":
                continue
        data = path.read_bytes()
        if not _is_pe(data):
            continue  # a program for DOS: pefile finds that out, too, and collects garbage for a tenth of a second
        try:
            # From its bytes: it would map a file, and collect garbage to let go of it.
            pe = pefile.PE(data=data, fast_load=True)
            pe.parse_data_directories(_TABLES)
            name = PurePosixPath(path.relative_to(folder).as_posix())
            found = Program(name, pe.FILE_HEADER.Machine, sorted(_imports(pe)))
        except pefile.PEFormatError:
            continue  # no program at all
        if found.machine in _MACHINES:
            yield found


def _is_pe(data: bytes) -> bool:
    """Whether a file that begins as a program for DOS says that it is one for Windows as well."""
    begin = int.from_bytes(data[0x3C:0x40], "little")
    return data[begin : begin + 4] == b"PE\0\0"


def _imports(pe: pefile.PE) -> set[str]:
    tables = (*getattr(pe, "DIRECTORY_ENTRY_IMPORT", ()), *getattr(pe, "DIRECTORY_ENTRY_DELAY_IMPORT", ()))
    names = {_dll(entry.dll.decode("latin-1")) for entry in tables}
    exports = getattr(pe, "DIRECTORY_ENTRY_EXPORT", None)
    for symbol in exports.symbols if exports else ():
        if symbol.forwarder:  # "python312.PyList_New": the module, and what it is called there
            names.add(_dll(symbol.forwarder.decode("latin-1").rpartition(".")[0]))
    # Managed code names .NET Framework's loader for Windows before XP; nothing calls it there today.
    if pe.OPTIONAL_HEADER.DATA_DIRECTORY[_MANAGED].VirtualAddress:
        names.discard("mscoree.dll")
    return names


def _dll(name: str) -> str:
    """A DLL's name as the loader understands it: without an extension, it is .dll."""
    return name.lower() if "." in name else f"{name.lower()}.dll"


class _Places:
    """Where the files of an image lie, and where Windows would look for a DLL."""

    def __init__(self, programs: Sequence[Program], search_path: str) -> None:
        self._found = {(program.folder, program.path.name.lower(), program.machine) for program in programs}
        self._by_name: dict[str, str] = {}
        for program in programs:
            self._by_name.setdefault(program.path.name.lower(), str(program.path))
        folders = {program.folder for program in programs}
        self._libs = [folder for folder in folders if folder.startswith("packages/") and folder.endswith(".libs")]
        self._beside: dict[str, set[str]] = {}
        for program in programs:
            if program.path.suffix.lower() == ".exe":
                self._beside.setdefault(program.path.parts[0].lower(), set()).add(program.folder)
        self._path = [folder for word in search_path.split(";") if (folder := _on_drive_c(word))]

    def has(self, program: Program, dll: str) -> bool:
        """Whether the image has a DLL where a program's would be looked for."""
        return any((folder, dll, program.machine) in self._found for folder in self._looked_in(program))

    def elsewhere(self, dll: str) -> str:
        """Where the image has a DLL at all; empty: nowhere."""
        return self._by_name.get(dll, "")

    def _looked_in(self, program: Program) -> Iterator[str]:
        yield program.folder
        top = program.path.parts[0].lower()
        if top in _PYTHONS:
            yield "python"
            yield from self._libs
        if top not in _PYTHONS or program.path.suffix.lower() == ".exe":
            yield from self._beside.get(top, ())
            yield from self._path


def _on_drive_c(word: str) -> str:
    r"""A folder of PATH below the image's drive: `octave/bin` of `C:\Octave\bin`; empty for another drive's."""
    path = PureWindowsPath(word.strip())
    return "/".join(path.parts[1:]).lower() if path.drive.lower() == "c:" else ""
