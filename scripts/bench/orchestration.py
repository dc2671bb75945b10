"""What orchestration costs: the real engine, DAG and Airflow on the local environment, with shards that sleep.

Beside it the same work by a mapped `EcsRunTaskOperator`, an ECS task a shard, in the same Airflow. The mapped operators
find their instances warm and registered; ours begins at none, asks for them, and scales in within its time.
"""

import contextlib
import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from scripts.bench import runs
from scripts.bench.environment import DAG, MAPPED, Comparison, Environment
from scripts.bench.figures import Figure
from scripts.bench.runs import Run
from scripts.core.console import Steps
from scripts.core.errors import BenchError

SHARDS, SECONDS, SLOTS = 200, 6.0, 24
IDEAL = SHARDS * SECONDS / SLOTS
# Six c5.xlarge with four slots each; of an ECS task a shard three fit, one a network interface.
INSTANCES, MAPPED_INSTANCES = 6, 8
# ECS answers 20 Describe calls a second: with 24 ECS tasks in flight that each operator looks at, this is the shortest.
POLL_SECONDS = 2
MANY, MANY_SECONDS = 1000, 0.5
LONG, LONG_SECONDS = 24, 120.0

MAX_WALL_OVER_IDEAL = 1.5
MIN_EXCESS_VS_MAPPED = 3.0
MAX_RUN_CALLS = 1.01
MAX_DESCRIBE_CALLS = 0.03
MAX_SLOT_SHARE = 0.2

# What is left of a run in Airflow and ECS ends within this, s.
QUIET_SECONDS = 2.0
# A run takes no longer than this, over the one before.
SPREAD = 1.15

COMPARISON = Comparison(shards=SHARDS, seconds=SECONDS, slots=SLOTS, poll_seconds=POLL_SECONDS)


@dataclasses.dataclass(frozen=True)
class Measured:
    """All runs.

    Attributes:
        ours: of 200 shards.
        mapped: of the same by each mapped operator; a run that failed is not among them.
        many: of 1,000 shards.
    """

    ours: Sequence[Run]
    mapped: Mapping[str, Sequence[Run]]
    many: Sequence[Run]


def measure(
    made: Environment, repeat: int, left: Callable[[], float], *, warm: bool
) -> tuple[list[Figure], dict[str, Any]]:
    """Run shards that sleep.

    Args:
        made: where.
        repeat: runs of ours; of the faster mapped operator as many, as long as there is time. The slower one is run
            once: nothing is made of it but that it is the slower one.
        left: seconds that there are for more runs.
        warm: jobs have run there before.

    Returns:
        The figures, and what they were made of.

    Raises:
        BenchError: a run of ours fails.
    """
    if not warm:
        with Steps().step("A first run, which is not counted") as step:
            runs.run(made, DAG, _job(SLOTS, 1.0), step.update)
    measured = _measure(made, Steps(), repeat, left)
    return figures(measured), _details(measured)


def slots(made: Environment, jobs: int) -> list[Figure]:
    """Run jobs of long shards side by side: how much of its time such a job holds a slot of an Airflow worker.

    Raises:
        BenchError: one fails.
    """
    with Steps().step(f"{jobs} jobs of {LONG} shards of {LONG_SECONDS:.0f} s at once") as step, _quiet(made, 0):
        shares = runs.slot_shares(made, DAG, _job(LONG, LONG_SECONDS), jobs, step.update)
        step.detail = ", ".join(f"{share:.3f}" for share in shares)
    return [
        Figure(
            name="orchestration.worker_slot_share",
            values=shares,
            bound=MAX_SLOT_SHARE,
            compared_with=f"mapped synchronous: {LONG} slots all the time",
        )
    ]


def figures(measured: Measured) -> list[Figure]:
    """What the runs come to."""
    ours = [run.wall for run in measured.ours]
    walls = {name: [run.wall for run in found] for name, found in measured.mapped.items() if found}
    if not walls:
        raise BenchError("neither mapped operator came to an end: there is nothing to compare with")
    fastest = min(walls, key=lambda name: statistics.median(walls[name]))
    best = statistics.median(walls[fastest])
    found = [
        Figure(
            name="orchestration.wall_over_ideal_200",
            values=[wall / IDEAL for wall in ours],
            bound=MAX_WALL_OVER_IDEAL,
            compared_with=f"{IDEAL:.0f} s: work over slots; scale-out from zero and scale-in included",
        ),
        Figure(
            name="orchestration.excess_vs_mapped_200",
            values=[(best - IDEAL) / (wall - IDEAL) for wall in ours],
            bound=MIN_EXCESS_VS_MAPPED,
            sense="at least",
            compared_with=f"time over the ideal of mapped {fastest}, the faster one, over ours",
        ),
        Figure(name="orchestration.wall_200", values=ours, unit="s"),
    ]
    found += [
        Figure(
            name=f"orchestration.mapped_{name}_wall_200",
            values=values,
            unit="s",
            compared_with=f"{MAPPED_INSTANCES} warm instances, {SLOTS} Airflow slots, a look each {POLL_SECONDS} s"
            + ("" if all(run.whole for run in measured.mapped[name]) else "; stopped then, as the slower one"),
        )
        for name, values in walls.items()
    ]
    found += [
        Figure(
            name="orchestration.run_calls_per_shard_1000",
            values=[run.calls.get("ecs.RunTask", 0) / MANY for run in measured.many],
            bound=MAX_RUN_CALLS,
            compared_with="1 of a mapped operator",
        ),
        Figure(
            name="orchestration.describe_calls_per_shard_1000",
            values=[run.calls.get("ecs.DescribeTasks", 0) / MANY for run in measured.many],
            bound=MAX_DESCRIBE_CALLS,
            compared_with=_describes(measured.mapped),
        ),
        Figure(
            name="orchestration.wall_1000",
            values=[run.wall for run in measured.many],
            unit="s",
            compared_with=f"{MANY * MANY_SECONDS / SLOTS:.0f} s: {MANY} shards of {MANY_SECONDS:g} s over slots",
        ),
    ]
    return found


def _measure(made: Environment, steps: Steps, repeat: int, left: Callable[[], float]) -> Measured:
    # Ours and the mapped ones by turns, so that a disturbance meets both.
    ours: list[Run] = []
    compared: dict[str, list[Run]] = {name: [] for name in MAPPED}
    for number in range(max(repeat, len(MAPPED))):
        if number < repeat:
            title = f"{SHARDS} shards of {SECONDS:.0f} s, run {number + 1} of {repeat}"
            ours.append(_ours(made, steps, title, _job(SHARDS, SECONDS)))
        if number < len(MAPPED):
            # One that has taken longer than the other is the slower one, and is stopped.
            at_most = min((run.wall for found in compared.values() for run in found), default=math.inf)
            compared[MAPPED[number]] += _compare(made, steps, MAPPED[number], at_most)
    many = [
        _ours(
            made, steps, f"{MANY} shards of {MANY_SECONDS:g} s, run {number + 1} of {repeat}", _job(MANY, MANY_SECONDS)
        )
        for number in range(repeat)
    ]
    while (name := next_comparison(compared, repeat, left())) is not None:
        again = _compare(made, steps, name, math.inf)
        if not again:
            break
        compared[name] += again
    return Measured(ours, compared, many)


def next_comparison(compared: Mapping[str, Sequence[Run]], repeat: int, left: float) -> str | None:
    """Which mapped operator is run once more: the faster one, until it has its runs, or `left` seconds are too few."""
    walls = {name: statistics.median(run.wall for run in found) for name, found in compared.items() if found}
    if not walls:
        return None
    fastest = min(walls, key=lambda name: walls[name])
    return fastest if len(compared[fastest]) < repeat and walls[fastest] * SPREAD < left else None


def _ours(made: Environment, steps: Steps, title: str, params: Mapping[str, Any]) -> Run:
    with steps.step(title) as step, _quiet(made, 0):
        done = runs.run(made, DAG, params, step.update)
        step.detail = f"{done.wall:.1f} s"
        return done


def _compare(made: Environment, steps: Steps, name: str, at_most: float) -> list[Run]:
    """One run of a mapped operator; none when it failed, which says something of it and not of us."""
    with steps.step(f"The same by mapped EcsRunTaskOperator, {name}") as step, _quiet(made, MAPPED_INSTANCES):
        try:
            done = runs.run(made, name, {}, step.update, at_most=at_most)
        except BenchError as error:
            step.detail = f"no figure: {error}"
            return []
        step.detail = f"{done.wall:.1f} s{'' if done.whole else ', stopped: it is the slower one'}"
        return [done]


@contextlib.contextmanager
def _quiet(made: Environment, instances: int) -> Iterator[None]:
    """Begin with so many instances, after what came before has come to rest; leave none."""
    made.scale(instances)
    time.sleep(QUIET_SECONDS)
    yield
    made.scale(0)


def _job(shards: int, seconds: float) -> dict[str, Any]:
    return {"num_items": shards, "shard_items": 1, "seconds": seconds, "max_instances": INSTANCES}


def _describes(mapped: Mapping[str, Sequence[Run]]) -> str:
    each = [
        f"{statistics.median(run.calls.get('ecs.DescribeTasks', 0) for run in found) / SHARDS:.1f} of mapped {name}"
        for name, found in mapped.items()
        if found and all(run.whole for run in found)
    ]
    return ", ".join(each)


def _details(measured: Measured) -> dict[str, Any]:
    """Where the time of each run went, and what it asked of AWS."""

    def shown(found: Sequence[Run]) -> list[dict[str, Any]]:
        return [{"wall": round(run.wall, 2), "phases": run.phases, "calls": run.calls} for run in found]

    return {
        "200": shown(measured.ours),
        "1000": shown(measured.many),
        **{f"mapped_{name}": shown(found) for name, found in measured.mapped.items()},
    }
