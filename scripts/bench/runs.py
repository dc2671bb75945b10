"""One DAG run, started, waited for and taken apart: where its time went and what it asked of AWS."""

import dataclasses
import datetime as dt
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from scripts.bench.environment import Environment
from scripts.core.airflow import bear
from scripts.core.errors import BenchError
from winbatch import keys
from winbatch.job import Job
from winbatch.ledger import Ledger

LOOK_SECONDS = 1.0
SAMPLE_SECONDS = 0.4
TIMEOUT_SECONDS = 900.0
# Airflow tasks of a run that are asked for at once.
MOST_TASKS = 1000
ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})


@dataclasses.dataclass(frozen=True)
class Run:
    """A DAG run that succeeded, or was stopped because it took too long to be of interest.

    Attributes:
        wall: from the call that triggers it to its end as Airflow notes it, s.
        calls: to AWS meanwhile, by `<service>.<action>`.
        phases: moments of it, s from the call that triggers it.
        whole: it came to its end; else it was stopped after `wall`.
    """

    run_id: str
    wall: float
    calls: Mapping[str, int]
    phases: Mapping[str, float]
    whole: bool = True


def run(
    made: Environment,
    dag: str,
    params: Mapping[str, Any],
    progress: Callable[[str], None],
    *,
    at_most: float = math.inf,
) -> Run:
    """Run a DAG and wait for it.

    Args:
        made: where.
        dag: its id.
        params: of the run.
        progress: told how long it takes.
        at_most: seconds after which it is stopped.

    Raises:
        BenchError: it did not succeed.
    """
    run_id = f"r-{dt.datetime.now(dt.UTC):%H%M%S}"
    before = made.requests()
    began = time.time()
    made.airflow.trigger(dag, run_id, params, "make bench")
    found = _wait(made, dag, run_id, progress, at_most)
    if found is None:
        made.airflow.mark_failed(dag, run_id, "make bench has seen enough of it")
        return Run(run_id, time.time() - began, {}, {}, whole=False)
    calls = {name: count - before.get(name, 0) for name, count in made.requests().items()}
    phases = _phases(made, dag, run_id) | {"ended": _moment(found["end_date"])}
    return Run(
        run_id,
        _moment(found["end_date"]) - began,
        {name: count for name, count in sorted(calls.items()) if count},
        {name: round(at - began, 2) for name, at in sorted(phases.items(), key=lambda entry: entry[1])},
    )


def slot_shares(
    made: Environment, dag: str, params: Mapping[str, Any], jobs: int, progress: Callable[[str], None]
) -> list[float]:
    """Run jobs side by side and look at their Airflow tasks; the share of each job's time at which one was running.

    Airflow keeps no record of a sensor's single pokes, so the states are sampled: what is `running` holds a slot of a
    worker, and what waits to be looked at again does not. Two Airflow tasks at work at once count twice.

    Raises:
        BenchError: a job did not succeed.
    """
    run_ids = [f"r-{dt.datetime.now(dt.UTC):%H%M%S}-{number}" for number in range(jobs)]
    for run_id in run_ids:
        made.airflow.trigger(dag, run_id, params, "make bench")
    began = time.monotonic()
    looks = dict.fromkeys(run_ids, 0)
    working = dict.fromkeys(run_ids, 0)
    live = list(run_ids)
    while live:
        time.sleep(SAMPLE_SECONDS)
        if time.monotonic() - began > TIMEOUT_SECONDS:
            raise BenchError(f"runs {', '.join(live)} have not ended after {TIMEOUT_SECONDS:.0f} s")
        for run_id in list(live):
            found = made.airflow.call("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances")
            states = [instance.get("state") for instance in found.get("task_instances", [])]
            looks[run_id] += 1
            working[run_id] += states.count("running")
            if states and all(state in ENDED for state in states):
                live.remove(run_id)
                if set(states) != {"success"}:
                    raise BenchError(f"run {run_id} failed: {states}")
        progress(f"{time.monotonic() - began:.0f} s")
    return [working[run_id] / looks[run_id] for run_id in run_ids]


def _wait(
    made: Environment, dag: str, run_id: str, progress: Callable[[str], None], at_most: float
) -> Mapping[str, Any] | None:
    """The run when it has succeeded; None after `at_most` seconds."""
    began = time.monotonic()
    while time.monotonic() - began < TIMEOUT_SECONDS:
        if time.monotonic() - began > at_most:
            return None
        time.sleep(LOOK_SECONDS)
        # A server that is busy ends nothing: the run goes on.
        found = bear(lambda: made.airflow.run(dag, run_id)) or {}
        if found.get("state") == "success":
            return found
        if found.get("state") == "failed":
            raise BenchError(
                f"run {run_id} failed after {time.monotonic() - began:.0f} s: {_states(made, dag, run_id)}"
            )
        progress(f"{time.monotonic() - began:.0f} s")
    raise BenchError(f"run {run_id} has not ended after {TIMEOUT_SECONDS:.0f} s")


def _states(made: Environment, dag: str, run_id: str) -> str:
    """How many of a run's Airflow tasks ended how."""
    found = made.airflow.call("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances", query={"limit": MOST_TASKS})
    counts = Counter(str(instance.get("state")) for instance in found.get("task_instances", []))
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def _phases(made: Environment, dag: str, run_id: str) -> dict[str, float]:
    """Start and end of each Airflow task that is not mapped, and of the ECS tasks and results of our engine."""
    moments: dict[str, float] = {}
    instances = made.airflow.call("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances", query={"limit": MOST_TASKS})
    for instance in instances.get("task_instances", []):
        if instance.get("map_index", -1) == -1:
            for what in ("start", "end"):
                if instance.get(f"{what}_date"):
                    moments[f"{instance['task_id']} {what}"] = _moment(instance[f"{what}_date"])
    s3, ecs = made.client("s3"), made.client("ecs")
    bucket = made.outputs.data_bucket
    key = keys.job_key(dag, keys.job_id(run_id))
    if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount", 0) == 0:
        return moments
    planned = Job.from_json(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), where=key)
    for stage in planned.stages:
        written_down = s3.get_object(Bucket=bucket, Key=keys.ledger_key(stage))["Body"].read()
        # ECS lists none that have stopped by who started them.
        arns = [*Ledger.from_json(written_down, where=keys.ledger_key(stage)).known]
        tasks = ecs.describe_tasks(cluster=made.cluster["name"], tasks=arns)["tasks"] if arns else []
        for what in ("createdAt", "startedAt", "stoppedAt"):
            times = [task[what].timestamp() for task in tasks if what in task]
            if times:
                moments |= {f"first ECS task {what}": min(times), f"last ECS task {what}": max(times)}
        written = [
            entry["LastModified"].timestamp()
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=stage.results)
            for entry in page.get("Contents", ())
        ]
        if written:
            moments |= {"first result": min(written), "last result": max(written)}
    return moments


def _moment(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()
