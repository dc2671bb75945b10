"""An environment of its own for things to go wrong in: a copy of the checkout, with the tests' jobs, state and port."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.chaos import disk, faults
from scripts.chaos.place import Place
from scripts.checks import lanes
from scripts.core import checkout
from scripts.core.console import Steps
from scripts.core.errors import EmulatorError
from scripts.core.locking import only_one
from scripts.core.settings import Settings
from scripts.tools import emulator


@contextmanager
def own(settings: Settings, logs: Path, steps: Steps, airflow: str = "") -> Iterator[Place]:
    """Bring one up, and take it down whatever comes.

    Args:
        settings: of the local environment, which is neither used nor disturbed.
        logs: folder for what the commands say, emptied before.
        steps: shown.
        airflow: its version; empty: the checkout's.

    Raises:
        Busy: another call is at work.
        EmulatorError: it does not come up, or something of it is left.
    """
    folder = settings.state_root / "chaos"
    with only_one(dataclasses.replace(settings, state_root=folder), "chaos"):
        shutil.rmtree(logs, ignore_errors=True)
        yield from _live(settings, folder, logs, steps, airflow)


def _live(settings: Settings, folder: Path, logs: Path, steps: Steps, airflow: str) -> Iterator[Place]:
    root = folder / "checkout"
    environ = _environ(settings, folder / "state", root)
    place = Place(Settings.load("local", environ=environ, root=settings.root), environ, logs)
    if folder.exists():
        with steps.step("Take away what an earlier call left"):
            _down(place, folder)
    try:
        with steps.step("An environment of its own") as step:
            checkout.copy(settings.root, root)
            shutil.copytree(settings.root / "tests" / "e2e" / "jobs", root / "dags" / "jobs", dirs_exist_ok=True)
            if airflow:
                faults.choose_airflow(root, airflow)
            disk.mount(folder / "state")
            place = Place(Settings.load("local", environ=environ, root=root), environ, logs)
            _call(place, "up", "--no-smoke", progress=step.update)
            step.detail = f"{root}, port {environ['WINBATCH_PORT']}"
        yield place
    finally:
        place.end_calls()
        with steps.step("Take it down"):
            _down(place, folder)


def _environ(settings: Settings, state: Path, root: Path) -> dict[str, str]:
    """The process environment of its commands: nothing of ours, but where to find what can be made again."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_", "WINBATCH_"))}
    return kept | {
        "WINBATCH_CACHE": str(settings.cache),
        "WINBATCH_PORT": str(emulator.free_port()),
        "WINBATCH_STATE": str(state),
        "PYTHONPATH": os.pathsep.join(map(str, (root, root / "dags"))),
    }


def _call(place: Place, *words: str, progress: Callable[[str], None] = lambda _: None) -> None:
    verb = place.wait(*words, progress=progress)
    if verb.code != 0:
        raise EmulatorError(f"the environment for chaos: invoke {words[0]}: {verb.line} ({verb.err} says more)")


def _down(place: Place, folder: Path) -> None:
    """Take it down, with all that runs in its folder."""
    _call(place, "down")
    left: Mapping[int, str] = {process.pid: process.name() for process in lanes.left(folder)}
    lanes.sweep(folder)
    disk.unmount(folder / "state")
    shutil.rmtree(folder)
    if left:
        named = ", ".join(f"{pid} {name}" for pid, name in left.items())
        raise EmulatorError(f"processes outlived the environment for chaos, and are ended now: {named}")
