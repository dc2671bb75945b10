"""`invoke workload-new`: a folder of images/ with what a workload needs, a job, tests, and the places that name it."""

import importlib.util
import keyword
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from scripts.errors import SettingsError
from scripts.settings import Settings
from winbatch import filenames

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")
_SIZE = "{ cpu = 4096, memory = 6144 }"
_TEMPLATES = Path(__file__).parent / "workload_files"
# The workload whose Dockerfile and description every new one begins with.
_MODEL = "tools"
# Of import-linter's contracts.
_LISTS = ("source_modules", "forbidden_modules")


def make(settings: Settings, name: str) -> Sequence[Path]:
    """Make a workload; nothing is changed when it cannot be made.

    Args:
        settings: of any environment; all of them get the workload.
        name: 2 to 32 lower-case letters, digits and inner dashes.

    Returns:
        The files that were made or changed.

    Raises:
        SettingsError: the name cannot be one, or is taken.
    """
    root = settings.root
    package = name.replace("-", "_")
    _check(root, name, package)
    texts = {
        f"images/{name}/README.md": _filled("README.md", name, package),
        f"images/{name}/{package}/__init__.py": _filled("__init__.py", name, package),
        f"images/{name}/{package}/work.py": _filled("work.py", name, package),
        f"dags/jobs/{name}.yaml": _filled("job.yaml", name, package),
        f"tests/unit/{name}/test_{package}.py": _filled("test.py", name, package),
        f"images/{name}/workload.toml": (root / "images" / _MODEL / "workload.toml").read_text(encoding="utf-8"),
        f"images/{name}/Dockerfile": _dockerfile(root, name),
        "pyproject.toml": in_project((root / "pyproject.toml").read_text(encoding="utf-8"), name, package),
    }
    for file in sorted((root / "terraform" / "environments").glob("[!.]*.tfvars")):
        texts[file.relative_to(root).as_posix()] = in_values(file.read_text(encoding="utf-8"), name, file.name)
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return [root / path for path in texts]


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


def _filled(template: str, name: str, package: str) -> str:
    text = (_TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    return text.replace("@NAME@", name).replace("@PACKAGE@", package)


def _dockerfile(root: Path, name: str) -> str:
    text = (root / "images" / _MODEL / "Dockerfile").read_text(encoding="utf-8")
    return text.replace(f"images/{_MODEL}", f"images/{name}").replace(f'"{_MODEL}"', f'"{name}"')


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
            if _MODEL in layer.split(" | "):
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
