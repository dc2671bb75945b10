"""`simulation`: what simulated worlds cost, on new seeds each time, and whether they find faults that are planted."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from scripts.bench.figures import Figure
from scripts.checks import simulations
from scripts.core.errors import BenchError
from simulation.mutating import Hunted
from simulation.running import Tally

MINUTES = 5.0
JOB_HOURS, SEEDS, MUTANT_SECONDS = 500.0, 60.0, 120.0


def measure(progress: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
    """Measure.

    Raises:
        BenchError: a world did not hold; it is kept, with its story shown.
    """
    progress(f"{MINUTES:g} minutes of processor time")
    tally = simulations.some(first=simulations.fresh(), seeds=None, minutes=MINUTES)
    for lived in tally.failed:
        simulations.told(lived)
    if tally.failed:
        raise BenchError(f"{len(tally.failed)} of {tally.worlds} simulated worlds failed; their stories are above")
    found = simulations.hunts(progress=progress)
    details = {"worlds": tally.worlds, "jobs": tally.jobs, "mutants": [dataclasses.asdict(each) for each in found]}
    return figures(tally, found), details


def figures(tally: Tally, found: Sequence[Hunted]) -> list[Figure]:
    """Make figures of what was run and found."""
    return [
        Figure(
            name="simulation.job_hours_per_minute",
            values=[tally.job_hours_per_minute],
            unit="h",
            bound=JOB_HOURS,
            sense="at least",
            compared_with=f"simulated, by a minute of processor time; {tally.jobs} jobs in {tally.worlds} worlds",
        ),
        Figure(name="simulation.seeds_per_minute", values=[tally.seeds_per_minute], bound=SEEDS, sense="at least"),
        Figure(
            name="simulation.mutants_found",
            values=[sum(each.found for each in found)],
            bound=len(found),
            sense="at least",
            compared_with=", ".join(each.name for each in found if not each.found),
        ),
        Figure(
            name="simulation.mutant_seconds_max",
            values=[max(each.seconds for each in found)],
            unit="s",
            bound=MUTANT_SECONDS,
            compared_with=f"of processor time; {max(found, key=lambda each: each.seconds).name}",
        ),
    ]
