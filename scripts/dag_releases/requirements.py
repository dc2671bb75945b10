"""MWAA's `requirements.txt` against MWAA's own pins: a mistake there costs half an hour, and may cost the environment.

What is fixed cannot be had in another version. What is constrained conflicts in another version unless the file names
constraints of its own. What MWAA does not carry is downloaded, which needs a way to the internet.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from scripts.core.errors import PreflightError
from scripts.core.settings import Settings, assignment

# The interpreter and system that MWAA has for every Airflow version that we support.
_MARKERS = {"python_version": "3.12", "python_full_version": "3.12.11", "sys_platform": "linux"}
Pins = Mapping[str, str]


def check(settings: Settings) -> None:
    """Check the environment's requirements.

    Raises:
        PreflightError: MWAA would refuse them, with the line and what would be right.
    """
    path = settings.terraform_root / "modules" / "airflow" / "requirements.txt"
    folder = settings.root / "emulator" / "mwaa" / "locks"
    version = settings.airflow_version
    fixed, constraints = (folder / f"{name}-{version}.txt" for name in ("fixed", "constraints"))
    if not fixed.is_file():
        known = sorted(file.stem.removeprefix("fixed-") for file in folder.glob("fixed-*.txt"))
        raise PreflightError(
            f"{settings.var_file.name}: Airflow {version} is none that MWAA runs as far as is known here; there are"
            f" {', '.join(known)}"
        )
    found = problems(
        path.read_text(encoding="utf-8"), read_pins(fixed), read_pins(constraints), internet=_internet(settings)
    )
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise PreflightError(f"{path.relative_to(settings.root)}:{found[0]}{more}")


def problems(text: str, fixed: Pins, constraints: Pins, *, internet: bool) -> list[str]:
    """What MWAA would refuse: `line: what, and what would be right`, each.

    Args:
        text: of the requirements file.
        fixed: name to version, what cannot be overridden.
        constraints: the same, what holds unless the file names constraints of its own.
        internet: whether Airflow has a way to it.
    """
    lines = [(number, re.sub(r"(^|\s)#.*", "", line).strip()) for number, line in enumerate(text.splitlines(), 1)]
    own = any(re.match(r"(-c|--constraint)\b", line) for _, line in lines)
    wheels = any(line.startswith("--find-links") for _, line in lines)
    found = []
    for number, line in lines:
        if line and not line.startswith("-"):
            problem = _problem(line, fixed, {} if own else constraints, downloads=internet or wheels)
            if problem:
                found.append(f"{number}: {problem}")
    return found


def read_pins(path: Path) -> dict[str, str]:
    """The `name==version` lines of a file of MWAA's."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def _problem(line: str, fixed: Pins, constraints: Pins, *, downloads: bool) -> str | None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        return f"{line!r} is no requirement ({str(error).splitlines()[0]}); such as pandas==2.1.4"
    if requirement.marker is not None and not requirement.marker.evaluate(_MARKERS):
        return None
    name = canonicalize_name(requirement.name)
    for pins, why in ((fixed, "MWAA fixes it, and nothing overrides that"), (constraints, "MWAA's constraints say so")):
        version = pins.get(name)
        if version is not None:
            if requirement.url or not requirement.specifier.contains(version, prereleases=True):
                return f"{line} conflicts with {name}=={version} ({why}); ask for that version, or name none"
            return None
    if not downloads:
        return (
            f"{line} is not among what MWAA carries, and without a way to the internet it cannot be downloaded: bring"
            " its wheel in plugins.zip and name it with --find-links /usr/local/airflow/plugins --no-index"
        )
    if not requirement.url and not _pinned(requirement):
        return f"{line} names no exact version, so that each update may bring another; {requirement.name}==<version>"
    return None


def _pinned(requirement: Requirement) -> bool:
    kinds: Sequence[str] = [clause.operator for clause in requirement.specifier]
    return any(kind in {"==", "==="} for kind in kinds)


def _internet(settings: Settings) -> bool:
    """Whether the environment's network has a NAT gateway; the module's default is endpoints alone."""
    return assignment(settings.var_file.read_text(encoding="utf-8"), "egress") == "nat"
