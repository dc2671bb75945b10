"""Mutants: faults of the product that the simulation must find, each a patch with a line on the fault that it is.

One is planted into a copy of the product and of the simulation, never into the checkout.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATCHES = Path(__file__).resolve().parent / "mutants"
COPIED = ("simulation", "dags/winbatch")


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        name: its file's.
        story: what it is, in a line.
        patch: the file.
    """

    name: str
    story: str
    patch: Path


@dataclasses.dataclass(frozen=True)
class Hunted:
    """What came of looking for one.

    Attributes:
        name: of the mutant.
        story: of the mutant.
        found: a world did not hold.
        seconds: of processor time until then, or in all.
        worlds: that were run.
        problem: what did not hold, and in which world; empty where nothing was found.
    """

    name: str
    story: str
    found: bool
    seconds: float
    worlds: int
    problem: str


class PatchError(Exception):
    """A mutant does not fit the code any more."""


def mutants(folder: Path = PATCHES) -> list[Mutant]:
    """Read all mutants."""
    return [
        Mutant(file.stem, file.read_text(encoding="utf-8").splitlines()[0], file)
        for file in sorted(folder.glob("*.patch"))
    ]


def plant(mutant: Mutant, folder: Path) -> None:
    """Copy what is simulated into a folder, with the mutant in it.

    Raises:
        PatchError: the patch does not apply.
    """
    for name in COPIED:
        ignore = shutil.ignore_patterns("__pycache__", "mutants")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    # A repository around the folder would have git look there for the files.
    environ = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", str(mutant.patch)],  # noqa: S607 - whichever git there is
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PatchError(f"{mutant.patch.name} does not fit the code any more: {done.stderr.strip()}; make it anew")


def hunt(mutant: Mutant, *, minutes: float, first: int = 0) -> Hunted:
    """Look for a mutant as `invoke simulate` does, kept worlds first, in a process of its own.

    Args:
        mutant: the fault.
        minutes: of processor time at most.
        first: the first seed.

    Raises:
        PatchError: the patch does not apply.
    """
    with tempfile.TemporaryDirectory(prefix="winbatch-mutant-") as made:
        folder = Path(made).resolve()
        plant(mutant, folder)
        seconds, worlds, problem = 0.0, 0, ""
        for lived in _worlds(folder, minutes, first):
            seconds += lived["seconds"]
            worlds += 1
            problem = next((f"{lived['name']}: {problem}" for problem in lived["problems"]), "")
    return Hunted(mutant.name, mutant.story, bool(problem), seconds, worlds, problem)


def _worlds(folder: Path, minutes: float, first: int) -> Iterator[dict[str, Any]]:
    paths = os.pathsep.join([str(folder), str(folder / "dags")])
    command = [
        sys.executable,
        "-m",
        "simulation",
        "--kept-first",
        "--until-one-fails",
        "--minutes",
        str(minutes),
        "--first",
        str(first),
    ]
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
