"""`invoke workloads.new`: a folder of images/ with what a workload needs, a job, tests, and the places that name it."""

import importlib.util
import keyword
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from scripts.core.errors import SettingsError, ToolError
from scripts.core.settings import Settings
from scripts.tools import debian
from winbatch import filenames
from winbatch.suggesting import hint

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")
_SIZE = "{ cpu = 4096, memory = 6144 }"
_TEMPLATES = Path(__file__).parent / "workload_files"
# The workload whose place in pyproject.toml every new one gets.
_MODEL = "tools"
# What is written of each workload: template to path.
_COMMON = {
    "README.md": "images/@NAME@/README.md",
    "__init__.py": "images/@NAME@/@PACKAGE@/__init__.py",
    "work.py": "images/@NAME@/@PACKAGE@/work.py",
    "job.yaml": "dags/jobs/@NAME@.yaml",
}
_TEST = "tests/unit/@NAME@/test_@PACKAGE@.py"


@dataclass(frozen=True)
class _Kind:
    """What an item runs.

    Attributes:
        files: what is written beside the common: template in the kind's folder to path.
        model: the workload whose Dockerfile and description this one begins with.
        still: what is left to do until a job runs, unless `program` is there.
        program: what the job starts, of the image's files, and no template is.
    """

    files: Mapping[str, str]
    model: str = _MODEL
    still: str = ""
    program: str = ""


_SOURCE, _FILES = "images/@NAME@/source", "images/@NAME@/files"
_KINDS = {
    "python": _Kind({}),
    "exe": _Kind(
        {"power.c": f"{_SOURCE}/power.c"},
        still=f"x86_64-w64-mingw32-gcc -O2 -s -municode -o {_FILES}/power.exe {_SOURCE}/power.c"
        f" (apt-get install {debian.MINGW.package})",
        program=f"{_FILES}/power.exe",
    ),
    "powershell": _Kind({"power.ps1": f"{_FILES}/power.ps1"}),
    "dotnet": _Kind(
        {
            "power.csproj": f"{_SOURCE}/power.csproj",
            "Program.cs": f"{_SOURCE}/Program.cs",
            "gitignore": f"{_SOURCE}/.gitignore",
        },
        still=f"dotnet publish {_SOURCE} -o {_FILES}",
        program=f"{_FILES}/power.exe",
    ),
    "octave": _Kind({"power.m": f"{_FILES}/power.m"}, model="ber-octave"),
}
KINDS = tuple(_KINDS)
# Of import-linter's contracts.
_LISTS = ("source_modules", "forbidden_modules")


def make(settings: Settings, name: str, kind: str = "python") -> Sequence[Path]:
    """Make a workload; nothing is changed when it cannot be made.

    Args:
        settings: of any environment; all of them get the workload.
        name: 2 to 32 lower-case letters, digits and inner dashes.
        kind: what an item runs, one of `KINDS`.

    Returns:
        The files that were made or changed.

    Raises:
        SettingsError: the name cannot be one, or is taken; there is no such kind.
        ToolError: the compiler that is there cannot make the program.
    """
    root = settings.root
    package = name.replace("-", "_")
    if kind not in _KINDS:
        raise SettingsError(f"kind is {kind!r}{hint(kind, KINDS)}; there are {', '.join(KINDS)}")
    _check(root, name, package)
    chosen = _KINDS[kind]
    templates = _COMMON | {f"{kind}/{template}": path for template, path in chosen.files.items()}
    templates |= {f"{kind}/test.py": _TEST}
    parts = {
        "# @RUN@\n": _part(kind, "run.py"),
        "@STAGE@": _part(kind, "stage.yaml"),
        "@PROGRAM@": _part(kind, "program.md"),
    }
    parts |= {"@NAME@": name, "@PACKAGE@": package}
    model = root / "images" / chosen.model
    texts = {
        **{_filled(path, parts): _filled(_template(template), parts) for template, path in templates.items()},
        f"images/{name}/workload.toml": (model / "workload.toml").read_text(encoding="utf-8"),
        f"images/{name}/Dockerfile": _dockerfile(model, name),
        "pyproject.toml": in_project((root / "pyproject.toml").read_text(encoding="utf-8"), name, package),
    }
    for file in sorted((root / "terraform" / "environments").glob("[!.]*.tfvars")):
        texts[file.relative_to(root).as_posix()] = in_values(file.read_text(encoding="utf-8"), name, file.name)
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8", newline="\n")
    made = [root / path for path in texts]
    if kind == "exe" and (compiler := debian.MINGW.find()):
        made.append(
            _compile(compiler, root / _filled(f"{_SOURCE}/power.c", parts), root / _filled(chosen.program, parts))
        )
    return made


def still_to_do(settings: Settings, name: str, kind: str) -> str:
    """Say what makes the program that the workload's job starts; empty: it is there."""
    chosen = _KINDS[kind]
    there = not chosen.program or (settings.root / chosen.program.replace("@NAME@", name)).is_file()
    return "" if there else chosen.still.replace("@NAME@", name)


def _compile(compiler: str, source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without the time, so that the same source makes the same bytes.
    command = [compiler, "-O2", "-s", "-municode", "-Wl,--no-insert-timestamp", "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise ToolError(f"{source} cannot be compiled: {' '.join(done.stderr.split())[-300:]}")
    return target


def _check(root: Path, name: str, package: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be a workload's name: 2 to 32 lower-case letters, digits and inner dashes, a letter first"
        )
    if said := filenames.problem(name):
        raise SettingsError(f"{said}: a workload's folder could not be checked out there; choose another name")
    if (root / "images" / name).exists() or (root / "dags" / "jobs" / f"{name}.yaml").exists():
        raise SettingsError(f"there is a workload or a job {name} already; choose another name")
    if keyword.iskeyword(package) or importlib.util.find_spec(package) is not None:
        raise SettingsError(f"{package} is a word or a module of Python; choose another name")


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")


def _part(kind: str, name: str) -> str:
    """Text of a kind for a common template; empty where it has none."""
    return _template(f"{kind}/{name}") if (_TEMPLATES / kind / f"{name}.txt").is_file() else ""


def _filled(text: str, parts: Mapping[str, str]) -> str:
    """A text with its parts, of which the earlier may hold the later."""
    for place, part in parts.items():
        text = text.replace(place, part)
    return text


def _dockerfile(model: Path, name: str) -> str:
    text = (model / "Dockerfile").read_text(encoding="utf-8")
    return text.replace(f"images/{model.name}", f"images/{name}").replace(f'"{model.name}"', f'"{name}"')


def in_project(text: str, name: str, package: str) -> str:
    """pyproject.toml with the workload's package where ours are named."""
    document: Any = tomlkit.parse(text)  # its containers are typed for nothing in particular
    tool = document["tool"]
    wheel = tool["hatch"]["build"]["targets"]["wheel"]
    contracts = tool["importlinter"]["contracts"]
    additions: Mapping[str, Sequence[Any]] = {
        f"images/{name}/{package}": [wheel["packages"]],
        f"images/{name}": [
            wheel["dev-mode-dirs"],
            tool["mypy"]["mypy_path"],
            tool["ruff"]["src"],
        ],
        package: [
            tool["mypy"]["packages"],
            tool["importlinter"]["root_packages"],
            *(contract[key] for contract in contracts for key in _LISTS if _MODEL in contract.get(key, ())),
        ],
    }
    for value, lists in additions.items():
        for listed in lists:
            listed.append(value)
    for contract in contracts:
        for number, layer in enumerate(contract.get("layers", ())):
            # Layers within a container are folders of one package: its room `tools` is another one.
            if "containers" not in contract and _MODEL in layer.split(" | "):
                contract["layers"][number] = f"{layer} | {package}"
    return tomlkit.dumps(document)


def in_values(text: str, name: str, file: str) -> str:
    """An environment's values with the workload in them, as `terraform fmt` writes it.

    Raises:
        SettingsError: the file has no block of workloads.
    """
    block = re.search(r"^workloads = \{\n(?P<lines>.*?)^\}$", text, re.MULTILINE | re.DOTALL)
    if block is None:
        raise SettingsError(f"{file} has no workloads = {{ … }}; add {name} = {_SIZE} to it by hand")
    lines = [*block["lines"].splitlines(), f"  {name} = {_SIZE}"]
    entries = [re.fullmatch(r"  ([a-z][a-z0-9-]*) += (\{.*\})", line) for line in lines]
    # Only a plain table is written anew: what a person has laid out otherwise stays as it is.
    if all(entries):
        width = max(len(entry[1]) for entry in entries if entry)
        lines = [f"  {entry[1]:<{width}} = {entry[2]}" for entry in entries if entry]
    return text[: block.start("lines")] + "\n".join(lines) + "\n" + text[block.end("lines") :]
