"""`load`: 100,000 items through the local environment, `invoke status` of a job of a million, a simulated day."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from scripts.bench import runs
from scripts.bench.environment import DAG, Environment
from scripts.bench.figures import Figure
from scripts.core.errors import BenchError
from simulation import day, running
from simulation.day import Hour
from winbatch import keys, results
from winbatch.errors import JobError
from winbatch.job import Job
from winbatch.ledger import Ledger
from winbatch.stage import Stage
from winbatch.working.store import Store

ITEMS, MANY = 100_000, 1_000_000
# Instances of each job: of four slots.
INSTANCES = 6
# A million items are packed so small that their stage has a hundred thousand shards. So many of them are done before
# the job is cancelled: then nothing works beside the command that is measured.
SHARD_ITEMS = 10
DONE = 2_000
STATUS_SECONDS = 2.0
LOOKS = 5
PATIENCE = 300.0
# A simulated day's end over its beginning.
DAY_GROWTH = 1.3
_FULL = 6
# An instance of the local environment comes within seconds.
_LOOK = 1.0
_ENDED = frozenset({"success", "failed"})


@dataclasses.dataclass(frozen=True)
class Large:
    """A job of a million items, cancelled after some of them.

    Attributes:
        run_id: the DAG run's.
        begun: from the call that triggers it to its first done item, s.
        items_done: when it had ended.
        objects: what it holds in S3.
        ledger: its size there, in bytes.
        status: what `invoke status` of it takes, s.
    """

    run_id: str
    begun: float
    items_done: int
    objects: int
    ledger: int
    status: list[float]


def measure(made: Environment, progress: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
    """Run both jobs, and the day.

    Args:
        made: where.
        progress: told how far it is.

    Raises:
        BenchError: a job does not do what it should, an item is not in exactly one result, or something does not hold
            in the simulated day.
    """
    progress(f"{ITEMS:,} items")
    run = runs.run(made, DAG, _params(ITEMS, 0), lambda told: progress(f"{ITEMS:,} items: {told}"))
    _each_once(made, run.run_id)
    large = _large(made, lambda told: progress(f"{MANY:,} items: {told}"))
    progress(f"a simulated day of {day.HOURS} hours")
    with running.unlogged():
        hours, problems = day.live()
    if problems:
        raise BenchError(f"the simulated day: {'; '.join(problems)}")
    details = {
        "100k": {"wall": run.wall, "phases": run.phases, "calls": run.calls},
        "1m": dataclasses.asdict(large),
        "day": [dataclasses.asdict(hour) for hour in hours],
    }
    return figures(run.wall, large, hours), details


def figures(wall: float, large: Large, hours: Sequence[Hour]) -> list[Figure]:
    """Make figures of all three."""
    # In the morning what is kept for some hours fills.
    early, late = Hour.most(hours[_FULL : 2 * _FULL]), Hour.most(hours[day.HOURS - _FULL : day.HOURS])
    return [
        Figure(
            name="load.items_100k_seconds",
            values=[wall],
            unit="s",
            compared_with=f"{4 * INSTANCES} slots on this machine's cores, packed as the plan does",
        ),
        Figure(
            name="load.status_seconds_1m",
            values=large.status,
            unit="s",
            bound=STATUS_SECONDS,
            compared_with=f"invoke status, a process; {large.items_done:,} items done, {large.objects:,} objects",
        ),
        Figure(
            name="load.day_ledger_growth",
            values=[late.ledger / early.ledger],
            bound=DAY_GROWTH,
            compared_with=f"the last {_FULL} hours' largest, {late.ledger:,} B, over {early.ledger:,} B of the second",
        ),
        Figure(
            name="load.day_calls_growth",
            values=[late.calls_a_tick / early.calls_a_tick],
            bound=DAY_GROWTH,
            compared_with=f"S3 calls of all processes by ticks, {late.calls_a_tick:.1f} over {early.calls_a_tick:.1f}",
        ),
    ]


def _params(items: int, shard_items: int) -> dict[str, Any]:
    return {"num_items": items, "shard_items": shard_items, "seconds": 0, "max_instances": INSTANCES}


def _each_once(made: Environment, run_id: str) -> None:
    """Read all results: each item is in exactly one of them.

    Raises:
        BenchError: one is not.
    """
    store = _store(made)
    stage = _stage(store, run_id)
    assert stage is not None, "it has run"
    items: list[int] = []
    for shard in range(stage.shards):
        try:
            items += [item.item for item in results.decode(store.find(stage.result_key(shard)) or b"", stage, shard)]
        except JobError as error:
            raise BenchError(f"shard {shard} of {run_id}: {error}") from error
    if sorted(items) != list(range(stage.items)):
        raise BenchError(f"{run_id}: {len(items):,} items are in its results, of {stage.items:,}")


def _large(made: Environment, progress: Callable[[str], None]) -> Large:
    """Begin a job of a million items, let some of them be done, cancel it, and ask how it is."""
    run_id, store = f"m-{int(time.time())}", _store(made)

    def done(least: int) -> Callable[[], bool]:
        return lambda: (ledger := _ledger(store, run_id)) is not None and ledger.items_done >= least

    began = time.monotonic()
    made.airflow.trigger(DAG, run_id, _params(MANY, SHARD_ITEMS), "make bench")
    _until(done(1), f"no item of {run_id} is done")
    begun = time.monotonic() - began
    progress(f"the first were done after {begun:.0f} s")
    _until(done(DONE), f"{DONE:,} items of {run_id} are not done")
    made.airflow.mark_failed(DAG, run_id, "make bench has seen enough of it")
    _until(lambda: (made.airflow.run(DAG, run_id) or {}).get("state") in _ENDED, f"{run_id} does not end")
    progress("invoke status")
    took = [_status(made, run_id) for _ in range(LOOKS)]
    stage, ledger = _stage(store, run_id), _ledger(store, run_id)
    assert stage is not None
    assert ledger is not None
    prefixes = keys.job_prefix(DAG, keys.job_id(run_id)), stage.results
    objects = sum(1 for prefix in prefixes for _ in store.keys(prefix))
    return Large(run_id, begun, ledger.items_done, objects, len(ledger.to_json()), took)


def _status(made: Environment, run_id: str) -> float:
    """Seconds that `invoke status` of a job takes, from the start of its process to its end.

    Raises:
        BenchError: it does not say what it should.
    """
    environ = {**os.environ, "WINBATCH_STATE": str(made.workspace.settings.state_root)}
    command = [sys.executable, "-m", "invoke", "status", "--run-id", run_id, "--dag", DAG, "--json"]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=made.workspace.settings.root, env=environ, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode:
        raise BenchError(f"invoke status: {(done.stderr.splitlines() or ['no output'])[-1]}")
    told = json.loads(done.stdout)
    if (told["items"], told["state"]) != (MANY, "cancelled"):
        raise BenchError(f"invoke status: {run_id} is {told['state']} and has {told['items']:,} items")
    return took


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise BenchError(f"{otherwise} after {PATIENCE:.0f} s")
        time.sleep(_LOOK)


def _store(made: Environment) -> Store:
    return Store(made.client("s3"), made.outputs.data_bucket)


def _stage(store: Store, run_id: str) -> Stage | None:
    key = keys.job_key(DAG, keys.job_id(run_id))
    body = store.find(key)
    return Job.from_json(body, where=key).stages[0] if body else None


def _ledger(store: Store, run_id: str) -> Ledger | None:
    stage = _stage(store, run_id)
    body = store.find(keys.ledger_key(stage)) if stage else None
    return Ledger.from_json(body, where=run_id) if body else None
