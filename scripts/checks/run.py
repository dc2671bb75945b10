"""`invoke check`: all that must hold, or what a change touches of it, in the order in which it is cheap to find out."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from scripts.checks import machine, provider, report, rooms, static, suites
from scripts.checks.context import Context, environment
from scripts.checks.lanes import Lanes, sweep
from scripts.checks.rooms import Selection
from scripts.core import checkout
from scripts.core.console import Steps, console, done
from scripts.core.errors import CheckFailed, SettingsError
from scripts.core.settings import Settings
from winbatch.working import folders

# Slow tests wait for clocks and processes for half of their time, on two cores. A group of them takes up to 3 GB.
SLOW_LANES = 4
GROUP_GIB = 3


def run(settings: Settings, only: str = "", *, changed: bool = False) -> None:
    """Run all checks, or some.

    Args:
        settings: of the local environment.
        only: parts, groups of slow tests, rooms or files, with commas.
        changed: what differs from the main branch says which.

    Raises:
        SettingsError: there is no such thing, or nothing differs.
        CheckFailed: something was found; its output says what.
    """
    names = [name for name in only.split(",") if name]
    if names and changed:
        raise SettingsError("--only and --changed both say what is checked: choose one")
    if changed:
        names = [
            name
            for name in checkout.differing(settings.root)
            # A test that was deleted is judged by nothing.
            if not name.startswith("tests/") or (settings.root / name).exists()
        ]
        if not names:
            raise SettingsError("nothing differs from the main branch: invoke check runs everything")
    chosen = rooms.select(names) if names else rooms.EVERYTHING
    began = time.monotonic()
    _run(settings, chosen)
    console.print(f"Everything holds, after {time.monotonic() - began:.0f} s.")
    if chosen.advice:
        console.print(f"What it may touch beside that takes longer: make check ONLY={','.join(chosen.advice)}")


def format_all(settings: Settings) -> None:
    """Format Python and Terraform, and write what is generated of it."""
    with Steps().step("Format"):
        static.format_all(Context(settings, environment(settings), Lanes()))


def _run(settings: Settings, chosen: Selection) -> None:
    """Run what was chosen; a whole run leaves its report, be it a failed one."""
    context = Context(settings, environment(settings), Lanes())
    context.caches.mkdir(parents=True, exist_ok=True)
    context.logs.mkdir(parents=True, exist_ok=True)
    facts = {"machine": machine.facts(settings)}
    names = [*([suites.FAST] if chosen.fast else []), *chosen.slow]
    for name in names:
        suites.record(context, name).unlink(missing_ok=True)
    seconds: dict[str, float] = {}
    try:
        with _timed(seconds, "total"), context.stack, _folder() as folder:
            _phase(context, "static", _static_jobs(context, chosen.parts), _cores(), seconds)
            tests = {suites.FAST: partial(suites.fast, context, folder, chosen.fast)} if chosen.fast else {}
            _phase(context, "fast", tests, 1, seconds)
            if chosen.slow:
                context = replace(
                    context, environ={**context.environ, provider.VARIABLE: str(static.initialise(context))}
                )
            alone = len(chosen.slow) == 1
            slow = {name: partial(_slow, context, name, folder, seconds, alone=alone) for name in chosen.slow}
            _phase(context, "slow", slow, _slow_lanes(), seconds)
    finally:
        context.lanes.end()
        phases = {name: report.read(suites.record(context, name)) for name in names}
        if figures := report.figures(entry for some in phases.values() for entry in some):
            report.write(settings.root / "build" / report.FIGURES, {**facts, "figures": figures})
        if chosen == rooms.EVERYTHING:
            report.write(settings.root / "build" / report.FILE, report.summary(phases, seconds, facts))


def _phase(
    context: Context, title: str, jobs: Mapping[str, Callable[[], None]], count: int, seconds: dict[str, float]
) -> None:
    """Run some jobs side by side, and say what all of them found.

    Raises:
        CheckFailed: one of them found something.
    """
    if not jobs:
        return
    console.rule(title)
    began = time.monotonic()

    def progress(names: Sequence[str]) -> None:
        if step is not None:
            step.update(f"{', '.join(names)} ({time.monotonic() - began:.0f} s)")

    # The fast tests are shown while they run, and have the terminal to themselves.
    with _timed(seconds, title), nullcontext() if title == suites.FAST else Steps().step(title) as step:
        failed = context.lanes.run(jobs, count, progress)
        for name, error in failed.items():
            if not isinstance(error, CheckFailed):
                raise error
            console.rule(f"{name} failed", style="red")
            console.print(str(error), markup=False, soft_wrap=True)
        if failed:
            raise CheckFailed(f"{', '.join(failed)} found something; the output above says what")


def _static_jobs(context: Context, parts: Sequence[str]) -> dict[str, Callable[[], None]]:
    def shown(check: static.Check) -> None:
        began = time.monotonic()
        found = check.run()
        done(check.title, found, time.monotonic() - began)

    return {check.title: partial(shown, check) for name in parts for check in static.PARTS[name](context)}


def _slow(context: Context, name: str, folder: Path, seconds: dict[str, float], *, alone: bool) -> None:
    with _timed(seconds, name):
        suites.slow(context, name, folder, alone=alone)
    done(name, suites.words(context, name), seconds[name])


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = time.monotonic() - began


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for what tests leave: nothing of it stays, nor anything that runs in it."""
    folder = Path(tempfile.mkdtemp(prefix="winbatch-tests-"))
    try:
        yield folder
    finally:
        sweep(folder)
        folders.discard(folder)


def _cores() -> int:
    return os.cpu_count() or 1


def _slow_lanes() -> int:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return max(1, min(SLOW_LANES, memory // GROUP_GIB))
