"""A world that failed is made smaller while it fails in the same way: fewer jobs, items, faults, people, hours."""

import dataclasses
import re
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from simulation import running
from simulation.faults import Faults
from simulation.scenario import JobPlan, Scenario
from simulation.sizes import Sizes

SECONDS = 120.0
"""Of processor time that making one smaller may take."""

# Where less is drawn, chance falls otherwise: each smaller scenario has so many tries to fail.
SEEDS = 4


def kinds(problems: Sequence[str]) -> set[str]:
    """Say in which ways a world failed: the problems without their numbers."""
    return {re.sub(r"[\d.]+|\[.*\]", "#", problem) for problem in problems}


def shrink(scenario: Scenario, problems: Sequence[str], *, seconds: float = SECONDS) -> Scenario:
    """Make a scenario smaller, as long as one of its problems stays.

    Args:
        scenario: fails.
        problems: of its world.
        seconds: of processor time.

    Returns:
        One that fails; the same where none smaller does.
    """
    wanted = kinds(problems)
    until = time.process_time() + seconds
    smaller = True
    while smaller:
        smaller = False
        for candidate in chain.from_iterable(map(_reseeded, _smaller(scenario))):
            if time.process_time() > until:
                return scenario
            if wanted & kinds(running.live("", candidate).problems):
                scenario, smaller = candidate, True
                break
    return scenario


def _reseeded(scenario: Scenario) -> Iterator[Scenario]:
    for number in range(SEEDS):
        yield dataclasses.replace(scenario, seed=scenario.seed + number)


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios that are a step smaller, the largest steps first."""
    jobs = scenario.jobs
    for number in range(len(jobs) if len(jobs) > 1 else 0):
        yield dataclasses.replace(scenario, jobs=(*jobs[:number], *jobs[number + 1 :]))
    for kind, value in dataclasses.asdict(scenario.faults).items():
        if value != _DEFAULTS[kind]:
            yield _with(scenario, faults=dataclasses.replace(scenario.faults, **{kind: _DEFAULTS[kind]}))
    for number, job in enumerate(jobs):
        for less in _smaller_job(job):
            yield dataclasses.replace(scenario, jobs=(*jobs[:number], less, *jobs[number + 1 :]))
    if scenario.sizes != Sizes():
        yield dataclasses.replace(scenario, sizes=Sizes())
    if scenario.instances > 1:
        half = scenario.instances // 2
        fitting = tuple(dataclasses.replace(job, max_instances=min(half, job.max_instances)) for job in jobs)
        yield _with(scenario, instances=half, jobs=fitting)
    if scenario.fault_seconds > 60:  # noqa: PLR2004 - a minute is short enough
        yield _with(scenario, fault_seconds=scenario.fault_seconds // 2)


_DEFAULTS = dataclasses.asdict(Faults())


def _smaller_job(job: JobPlan) -> Iterator[JobPlan]:
    for number in range(len(job.acts)):
        yield dataclasses.replace(job, acts=(*job.acts[:number], *job.acts[number + 1 :]))
    if job.dag == "two":
        yield dataclasses.replace(job, dag="one")
    for name, least in (("number", 1), ("points", 1), ("max_instances", 1)):
        value = getattr(job, name)
        if value > least:
            less: dict[str, Any] = {name: max(least, value // 2)}
            yield dataclasses.replace(job, **less)


def _with(scenario: Scenario, **changes: Any) -> Scenario:
    return dataclasses.replace(scenario, **changes)
