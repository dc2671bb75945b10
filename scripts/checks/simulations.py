"""`invoke simulate`: whole jobs in a simulated world, seed after seed; one that fails is made small, told and kept."""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.table import Table

from scripts.core.console import Steps, console
from scripts.core.errors import SettingsError
from simulation import mutating, running, shrinking
from simulation.mutating import Hunted
from simulation.running import Lived, Tally
from simulation.scenario import Scenario
from simulation.world import Outcome, World
from winbatch.suggesting import hint

MINUTES = 1.0
MUTANT_MINUTES = 2.0
# Lines of a story that are shown; `--seed` shows all of it.
STORY = 60
# What is told of more is as much.
FAILURES = 5


@dataclasses.dataclass(frozen=True)
class Done:
    """What a call came to.

    Attributes:
        report: for a program.
        failure: what did not hold, in a line; empty: all did.
        lines: that were asked for.
    """

    report: Mapping[str, Any]
    failure: str = ""
    lines: tuple[str, ...] = ()


def fresh() -> int:
    """Choose a first seed that nobody has run yet, as far as one can tell."""
    return int(time.time()) % 10**9


def some(*, first: int, seeds: int | None, minutes: float | None) -> Tally:
    """Run those worlds that once failed, and new ones, on all cores; tell and keep what fails.

    Args:
        first: the first new seed.
        seeds: so many.
        minutes: of processor time.
    """
    tally = Tally()
    with Steps().step("Simulated worlds") as step:
        worlds = running.run(first=first, seeds=seeds, minutes=minutes, processes=os.cpu_count() or 1)
        for lived in worlds:
            tally.add(lived)
            step.update(f"{tally.worlds}, {len(tally.failed)} failed")
            if len(tally.failed) >= FAILURES:
                break
        step.detail = (
            f"{tally.worlds} from seed {first} on, {tally.jobs} jobs, {tally.job_hours:.0f} hours of jobs in"
            f" {tally.seconds / 60:.1f} minutes of processor time, {len(tally.failed)} failed"
        )
    return tally


def told(lived: Lived) -> None:
    """Make a world that failed smaller, keep it, and tell its story."""
    with Steps().step(f"Make {lived.name} smaller") as step:
        small = shrinking.shrink(lived.scenario, lived.problems)
        step.detail = f"{len(small.jobs)} jobs, faults: {small.faults.named}"
    outcome = _lived(small)
    name = lived.name.replace(" ", "-")
    file = running.keep(name, small, outcome.problems)
    console.rule(lived.name, style="red")
    if len(outcome.trace) > STORY:
        console.print(f"  … {len(outcome.trace) - STORY} lines before: invoke simulate --seed {name}", markup=False)
    for line in [*outcome.trace[-STORY:], *(f"✗ {problem}" for problem in outcome.problems)]:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"{file}: every later run begins with it; commit it with what mends it", markup=False, soft_wrap=True)


def one(name: str) -> Done:
    """Run a world again, a seed's or a kept one's.

    Raises:
        SettingsError: there is no such one.
    """
    scenario = _scenario(name)
    outcome = _lived(scenario)
    report = {
        "scenario": scenario.to_json(),
        "problems": [*outcome.problems],
        "trace": [*outcome.trace],
        "hours": outcome.hours,
    }
    failure = f"{name}: {'; '.join(outcome.problems)}" if outcome.problems else ""
    return Done(report, failure, (*outcome.trace, f"faults: {scenario.faults.named}"))


def hunts(minutes: float = MUTANT_MINUTES, progress: Callable[[str], None] = lambda _: None) -> list[Hunted]:
    """Look for each mutant, some side by side.

    Args:
        minutes: of processor time for each.
        progress: is told how far it is.
    """
    mutants, found = mutating.mutants(), []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for hunted in pool.map(lambda mutant: mutating.hunt(mutant, minutes=minutes), mutants):
            found.append(hunted)
            progress(f"{len(found)} of {len(mutants)} mutants")
    return found


def run(*, seeds: int, minutes: float, seed: str, first: int, mutants: bool) -> Done:
    """Do what the verb is asked for; 0 and an empty word stand for what is not asked for.

    Raises:
        SettingsError: what is asked for does not go together, or there is no such seed.
    """
    if seed and (seeds or minutes or mutants):
        raise SettingsError("--seed runs one world again: leave --seeds, --minutes and --mutants out")
    if seed:
        return one(seed)
    if mutants:
        return _mutants(minutes or MUTANT_MINUTES)
    tally = some(first=first or fresh(), seeds=seeds or None, minutes=minutes or (None if seeds else MINUTES))
    for lived in tally.failed:
        told(lived)
    report = {
        **{name: getattr(tally, name) for name in ("worlds", "jobs", "job_hours", "seconds")},
        "failed": {lived.name: [*lived.problems] for lived in tally.failed},
    }
    stories = f"{len(tally.failed)} of {tally.worlds} worlds failed; their stories are above"
    return Done(report, stories if tally.failed else "")


def _lived(scenario: Scenario) -> Outcome:
    with running.unlogged():
        return World(scenario).live()


def _scenario(name: str) -> Scenario:
    kept = running.kept()
    if name in kept:
        return kept[name]
    try:
        return Scenario.draw(int(name))
    except ValueError:
        raise SettingsError(
            f"--seed {name}{hint(name, kept)}: a number, or one of"
            f" {', '.join(kept) or 'simulation/seeds, which is empty'}"
        ) from None


def _mutants(minutes: float) -> Done:
    with Steps().step("Mutants") as step:
        found = hunts(minutes, step.update)
        step.detail = f"{sum(each.found for each in found)} of {len(found)} found"
    table = Table(box=None, pad_edge=False)
    for title in ("mutant", "seconds", "worlds", "found by"):
        table.add_column(title, justify="right" if title in {"seconds", "worlds"} else "left")
    for each in found:
        table.add_row(each.name, f"{each.seconds:.0f}", str(each.worlds), each.problem or "not found")
    console.print(table)
    missed = [each.name for each in found if not each.found]
    report = {"mutants": [dataclasses.asdict(each) for each in found]}
    return Done(report, f"not found within {minutes:g} minutes: {', '.join(missed)}" if missed else "")
