"""Which checks a change is judged by: the rooms of the code, and the tests of each. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from scripts.checks import static, suites
from scripts.core.errors import SettingsError
from winbatch.suggesting import hint

PYTHON = ("lint", "types", "imports")


@dataclass(frozen=True, kw_only=True)
class Room:
    """Files that change together, and what judges a change of theirs within about a minute.

    Attributes:
        files: paths, or patterns in which `*` stands for folders as well.
        parts: static checks.
        fast: files and folders of fast tests.
        slow: groups of slow tests that see the same code at work, which takes longer.
    """

    files: Sequence[str]
    parts: Sequence[str] = PYTHON
    fast: Sequence[str] = ()
    slow: Sequence[str] = ()


@dataclass(frozen=True)
class Selection:
    """What is run.

    Attributes:
        parts: static checks.
        fast: files and folders of fast tests.
        slow: groups of slow tests.
        advice: groups that would tell more.
    """

    parts: Sequence[str] = ()
    fast: Sequence[str] = ()
    slow: Sequence[str] = ()
    advice: Sequence[str] = ()


EVERYTHING = Selection(
    parts=tuple(static.PARTS), fast=("tests",), slow=tuple(name for name in suites.SLOW if name not in suites.NAMED)
)


def _winbatch(names: str) -> tuple[str, ...]:
    return tuple(f"dags/winbatch/{name}.py" for name in names.split())


# The first room that has a file is the file's room.
ROOMS: dict[str, Room] = {
    "engine": Room(
        files=_winbatch(
            "account attempts aws cancelling capacity causes coding driver ecs_tasks engine keys ledger metrics"
            " orchestration results resuming shares stage storage stored ticks times"
        ),
        fast=("tests/unit/winbatch", "tests/unit/simulation", "tests/unit/scripts/bench/test_cluster.py"),
        slow=("worlds", "contract", "jobs"),
    ),
    "specification": Room(
        files=(
            *_winbatch(
                "filenames job job_fields job_file job_problems sources spec spec_values stage_spec suggesting template"
                " texts values"
            ),
            "dags/jobs/*",
        ),
        fast=("tests/unit/winbatch", "tests/unit/scripts/jobs/test_runs.py", "tests/dags"),
        slow=("jobs",),
    ),
    "worker": Room(
        files=(*_winbatch("worker workload errors trial"), "dags/winbatch/working/*"),
        fast=("tests/unit/worker", "tests/unit/tools"),
        slow=("contract", "jobs"),
    ),
    "dags": Room(
        files=("dags/*",),
        fast=("tests/dags", "tests/unit/winbatch", "tests/unit/scripts/dag_releases"),
        slow=("contract", "jobs", "pipeline"),
    ),
    "ber": Room(files=("images/ber/*",), fast=("tests/unit/ber", "tests/unit/worker/test_jobs.py"), slow=("jobs",)),
    "octave": Room(
        files=("images/ber-octave/*",), fast=("tests/unit/ber-octave", "tests/unit/worker/test_jobs.py"), slow=("jobs",)
    ),
    "tools": Room(
        files=("images/tools/*",), fast=("tests/unit/tools", "tests/unit/worker/test_jobs.py"), slow=("jobs",)
    ),
    "images": Room(
        files=("images/*", "scripts/windows/*", "scripts/images/*", ".dockerignore"),
        parts=(*PYTHON, "terraform"),
        fast=("tests/unit/scripts/windows", "tests/unit/scripts/images"),
        slow=("stage",),
    ),
    "emulator": Room(
        files=("emulator/*",),
        fast=("tests/unit/emulator", "tests/contract"),
        slow=("contract", "windows", "root", "jobs", "pipeline"),
    ),
    "simulation": Room(files=("simulation/*",), fast=("tests/unit/simulation",), slow=("worlds",)),
    "chaos": Room(files=("scripts/chaos/*",), fast=("tests/unit/scripts/chaos",), slow=("jobs",)),
    "bench": Room(files=("scripts/bench/*",), fast=("tests/unit/scripts/bench",)),
    "checks": Room(
        files=("scripts/checks/*",),
        fast=("tests/unit/scripts/checks",),
    ),
    "parity": Room(
        files=("scripts/verify/*", "scripts/checks/parity.py"),
        fast=(
            "tests/unit/scripts/verify",
            "tests/unit/scripts/checks/test_parity.py",
            "tests/unit/scripts/environments/test_teardown.py",
        ),
        slow=("verify",),
    ),
    "verbs": Room(
        files=("scripts/cli/*", "tasks.py"),
        fast=("tests/unit/scripts/cli", "tests/unit/scripts/core"),
        slow=("jobs", "pipeline"),
    ),
    "environments": Room(
        files=("scripts/environments/*",),
        fast=("tests/unit/scripts/environments", "tests/unit/scripts/verify"),
        slow=("jobs", "pipeline", "stage", "bootstrap"),
    ),
    "releases": Room(
        files=("scripts/dag_releases/*",),
        fast=("tests/unit/scripts/dag_releases", "tests/dags"),
        slow=("jobs", "pipeline"),
    ),
    "control": Room(
        files=("scripts/jobs/*",),
        fast=("tests/unit/scripts/jobs", "tests/unit/scripts/chaos"),
        slow=("jobs", "pipeline"),
    ),
    "plans": Room(
        files=("scripts/terraform/*",),
        fast=("tests/unit/scripts/terraform", "tests/unit/scripts/environments"),
        slow=("pipeline", "bootstrap", "root"),
    ),
    # What all others stand on.
    "operator": Room(
        files=("scripts/*",),
        fast=("tests/unit/scripts",),
        slow=("jobs", "pipeline", "stage", "bootstrap"),
    ),
    "modules": Room(
        files=("terraform/*",),
        parts=("lint", "terraform", "policies"),
        fast=(
            "tests/terraform",
            "tests/unit/scripts/checks/test_module_docs.py",
            "tests/unit/scripts/terraform/test_policy_findings.py",
        ),
        slow=("root", "bootstrap", "pipeline", "jobs"),
    ),
    "workflows": Room(
        files=(".github/*", "Makefile", "renovate.json", ".*.yaml", ".ci/*"),
        parts=("lint",),
        fast=("tests/unit/scripts/checks",),
    ),
    "docs": Room(files=("docs/*", "*.md", "LICENSE"), parts=("lint",), fast=("tests/unit/scripts/checks",)),
    "packages": Room(
        files=("pyproject.toml", "uv.lock", ".gitignore"),
        parts=EVERYTHING.parts,
        fast=EVERYTHING.fast,
        slow=EVERYTHING.slow,
    ),
}


def select(names: Iterable[str]) -> Selection:
    """What is run for some names.

    Args:
        names: of static checks, `fast`, `slow`, groups of slow tests, rooms, or paths of files.

    Raises:
        SettingsError: there is no such thing.
    """
    found = [_selection(name) for name in names]
    slow = _once(some.slow for some in found)
    return Selection(
        parts=_once(some.parts for some in found),
        fast=EVERYTHING.fast
        if EVERYTHING.fast in {some.fast for some in found}
        else _once(some.fast for some in found),
        slow=slow,
        advice=[name for name in _once(some.advice for some in found) if name not in slow],
    )


def room_of(path: str) -> str | None:
    """The room of a file."""
    for name, room in ROOMS.items():
        if any(fnmatchcase(path, pattern) for pattern in room.files):
            return name
    return None


def _selection(name: str) -> Selection:
    if name in static.PARTS:
        return Selection(parts=(name,))
    if name == suites.FAST:
        return Selection(fast=EVERYTHING.fast)
    if name == "slow":
        return Selection(slow=EVERYTHING.slow)
    if name in suites.SLOW:
        return Selection(slow=(name,))
    if name.startswith("tests/"):
        return _of_test(name)
    room = ROOMS.get(name) or ROOMS.get(room_of(name) or "")
    if room is None:
        parts = (*static.PARTS, suites.FAST, "slow")
        meant = hint(name, (*parts, *suites.SLOW, *ROOMS))
        raise SettingsError(
            f"--only {name}{meant}: there are {', '.join(parts)}; slow tests of"
            f" {', '.join(suites.SLOW)}; rooms {', '.join(ROOMS)}; and every file of the checkout"
        )
    return Selection(room.parts, room.fast, (), room.slow)


def _of_test(path: str) -> Selection:
    """A test's file stands for itself, any other file there for the tests of its folder."""
    place = PurePosixPath(path)
    beside = path if place.name.startswith("test_") else str(place.parent)
    groups = [
        name
        for name, paths in suites.SLOW.items()
        if any(beside.startswith(some) or some.startswith(beside) for some in paths)
    ]
    return Selection(("lint",), (beside,), (), groups)


def _once(some: Iterable[Sequence[str]]) -> Sequence[str]:
    return tuple(dict.fromkeys(name for names in some for name in names))
