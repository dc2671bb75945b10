"""Does what the Airflow tasks of a job do, without Airflow: scale-out, plan, a sensor a stage, scale-in.

Decisions about a job as a whole are made here, by what lies in S3, ticks of the engine, and AWS's answers, through
ports. `winbatch.steps` runs it under Airflow, the simulation under a clock of its own. What takes time is an iterator
of pauses, in seconds: whoever runs it waits so long before it goes on, or drops it and begins anew later, which is the
same.

Every error of `winbatch` but `UnavailableError` stays however often one tries.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from winbatch import attempts, cancelling, capacity, driver, engine, job, keys, places, stored
from winbatch.deployment import Deployment
from winbatch.errors import JobError, UnavailableError, WinbatchError
from winbatch.ledger import Ledger
from winbatch.polling import ALL, FOLLOW_SECONDS
from winbatch.ports import Ports as TickPorts
from winbatch.spec import Spec
from winbatch.stage import Stage
from winbatch.starts import Start
from winbatch.storage import Entry
from winbatch.times import format_time

log = logging.getLogger(__name__)

# A sensor that follows looks so long after whoever leads, but no sooner than this.
AFTER_LEADER_SECONDS = 3.0
FOLLOW_SOONEST = 10.0
# Between two looks at ECS tasks that have been told to stop; they are told again after so long.
STOP_SECONDS = 1.0
STOP_AGAIN = dt.timedelta(seconds=30)


class Ports(TickPorts, Protocol):
    """Adds what a job needs of the world beside a tick."""

    def where(self, key: str) -> str:
        """Give an object's address, for people."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A DAG run, as its Airflow tasks see it.

    Attributes:
        dag: DAG id.
        run_id: Airflow's.
        params: its parameters, as Airflow has them.
        start: when it was made, and started.
        release: of the DAGs, whose code this is; empty in a checkout.
    """

    dag: str
    run_id: str
    params: Mapping[str, Any]
    start: Start
    release: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sensor:
    """An Airflow task that drives a stage.

    Attributes:
        stage: its name.
        index: which of the stage's groups it is for; -1 where there is one sensor for all.
        attempt: how often a person has started it: clearing it counts, Airflow's own retries do not.
    """

    stage: str
    index: int = -1
    attempt: int = 1


@dataclasses.dataclass(frozen=True)
class _Bucket:
    """The data bucket, as planning reads it."""

    ports: Ports

    def find(self, key: str) -> bytes | None:
        found = self.ports.get(key)
        return found.body if found else None

    def listing(self, prefix: str) -> Iterable[Entry]:
        return self.ports.listing(prefix)

    def where(self, key: str) -> str:
        return self.ports.where(key)


def scale_out(spec: Spec, run: Run, ports: Ports, target: Deployment) -> Iterator[float]:
    """Ask for the instances that the job needs; nobody waits for them.

    Without its setup a DAG run has no teardown. One that is cleared while it works may have ECS tasks, and a try before
    this one may have asked for instances: so what is not to go on is taken down here.

    Yields:
        Pauses of that, s.

    Raises:
        WinbatchError: the job cannot be planned, or is cancelled.
    """
    planned = _planned(spec, run, ports, target)
    try:
        _refuse_cancelled(run, ports)
        # A job that cannot be planned needs no instances.
        _taken_up(run, ports, planned)
    except UnavailableError:
        raise
    except WinbatchError:
        yield from scale_in(run, ports, target)
        raise
    # So that nobody takes its instances for nobody's before its first tick.
    places.reserve(ports, *_name(planned), _demand(planned, target))
    try:
        _ask(ports, planned, target)
    except BaseException:
        places.withdraw(ports, *_name(planned))
        raise


def plan(spec: Spec, run: Run, ports: Ports, target: Deployment) -> list[str]:
    """Write the job to S3.

    Returns:
        The names of the groups of items: what the grouped stage is mapped over.

    Raises:
        WinbatchError: the job cannot be planned, or is cancelled.
    """
    planned = _planned(spec, run, ports, target)
    _refuse_cancelled(run, ports)
    # By the place that the scale-out has taken: a process that is not killed yet takes none after the job's teardown.
    places.renew(ports, *_name(planned), _demand(planned, target))
    _write(spec, run, ports, planned)
    # Airflow maps over a whole return value only, so one stage of a job can have groups.
    return [group.name for stage in planned.stages for group in stage.groups] or [ALL]


def drive(
    sensor: Sensor, run: Run, ports: Ports, target: Deployment, show: Callable[[Ledger], None] = lambda _ledger: None
) -> Iterator[float]:
    """Tick a stage, or follow who ticks, until it or the sensor's group of it has ended.

    Args:
        sensor: who drives.
        run: the DAG run.
        ports: the world.
        target: where the job runs.
        show: takes the ledger after each tick.

    Yields:
        Pauses between two ticks, s.

    Raises:
        WinbatchError: the stage failed, or what lies in S3 does not parse.
    """
    planned = _stored(run, ports)
    stage = planned.stage(sensor.stage)
    limits = limits_of(planned, target, stage)
    leads = partial(_leads, index=sensor.index)
    while True:
        ledger, wait = driver.tick(
            ports,
            stage,
            target.workload(stage.workload),
            limits,
            who=str(sensor.index),
            attempt=sensor.attempt,
            leads=leads,
            cancel=_cancelled(run, ports),
            after=_after(planned, target, stage),
            start=run.start,
        )
        show(ledger)
        if ledger.finished or _over(ledger, sensor.index):
            break
        yield wait if leads(ledger) else _follow(ledger, wait, ports.now())
    if ledger.finished and (ledger.state != "succeeded" or stage == planned.stages[-1]):
        # Clearing *only failed* leaves the teardown out, so whoever ends a job scales in, too.
        _scale_in(ports, planned, int(run.params["idle_instances"]))
    if ledger.finished and ledger.state != "succeeded":
        raise JobError(f"{sensor.stage}: {ledger.reason}")


def scale_in(run: Run, ports: Ports, target: Deployment) -> Iterator[float]:
    """Stop what still runs of the job, and scale in: the teardown.

    Yields:
        Pauses between two looks at what has been told to stop, s.

    Raises:
        WinbatchError: what lies in S3 does not parse.
    """
    with driver.teardown(ports, run.dag, keys.job_id(run.run_id)):
        found, _ = _find(run, ports)
        planned = found if found and found.is_of(run.start.begun) else None
        if planned:
            yield from _stop(ports, planned, target, run)
        else:
            places.withdraw(ports, run.dag, keys.job_id(run.run_id))
        _scale_in(ports, planned, int(run.params["idle_instances"]))


def limits_of(planned: job.Job, target: Deployment, stage: Stage) -> engine.Limits:
    """Say what bounds a stage of a job."""
    workload = target.workload(stage.workload)
    return engine.Limits(
        slots=workload.slots,
        tasks_per_instance=capacity.tasks_per_instance(target.cluster, workload),
        max_instances=planned.params["max_instances"],
        cluster_instances=target.cluster.max_instances,
        keep_instances=planned.params["idle_instances"],
        rules=attempts.policy(planned.retry, max_attempts=planned.params["max_attempts"]),
        shard_seconds=stage.shard_seconds,
        prices=target.cluster.prices,
        max_failed_items=planned.params["max_failed_items"],
        instance_timeout=dt.timedelta(seconds=planned.params["instance_timeout"]),
        start_timeout=dt.timedelta(seconds=planned.params["start_timeout"]),
    )


def words(ledger: Ledger) -> str:
    """Say in a line how a stage is."""
    left = f", about {ledger.remaining_seconds:.0f} s left" if ledger.remaining_seconds is not None else ""
    return (
        f"{ledger.state}: {ledger.items_done} of {ledger.items} items, {ledger.items_failed} failed{left};"
        f" {ledger.tasks_running} ECS tasks running, {ledger.tasks_pending} pending;"
        f" {ledger.instances_registered} of {ledger.instances_desired} instances"
        + (f"; AWS says: {ledger.said}" if ledger.said else "")
    )


def progress(ledger: Ledger) -> dict[str, Any]:
    """Give what the Airflow page shows of a stage while it runs."""
    return {
        "state": ledger.state,
        "items": ledger.items,
        "done": ledger.items_done,
        "failed": ledger.items_failed,
        "in_flight_shards": ledger.shards_claimed,
        "items_per_second": ledger.rate,
        "remaining_seconds": ledger.remaining_seconds,
        "cost_usd": ledger.cost,
    }


def _planned(spec: Spec, run: Run, ports: Ports, target: Deployment) -> job.Job:
    """The job as its parameters say."""
    values = spec.validate(dict(run.params))
    return job.plan(spec, values, run.run_id, target, _Bucket(ports), begun=run.start.begun, release=run.release)


def _name(planned: job.Job) -> tuple[str, str]:
    """DAG and job, as its stages have them."""
    first = planned.stages[0]
    return first.dag, first.job


def _demand(planned: job.Job, target: Deployment) -> float:
    """Instances that the job could use in the stage that could use most."""
    return max(engine.demand_of(limits_of(planned, target, stage), stage.shards) for stage in planned.stages)


def _after(planned: job.Job, target: Deployment, stage: Stage) -> float:
    """Instances that the stage after this one could use; 0 after the last."""
    later = planned.stages[planned.stages.index(stage) + 1 :]
    return engine.demand_of(limits_of(planned, target, later[0]), later[0].shards) if later else 0.0


def _ask(ports: Ports, planned: job.Job, target: Deployment) -> None:
    needed = max(_instances(stage, limits_of(planned, target, stage)) for stage in planned.stages)
    desired = ports.group().desired
    log.info("the job needs %d instances; %d are desired already", needed, desired)
    if needed > desired and (said := ports.ask(needed)):
        log.warning("AWS says: %s", said)


def _instances(stage: Stage, limits: engine.Limits) -> int:
    workers = capacity.workers_needed(stage.shards, limits.slots, limits.shard_seconds)
    return capacity.instances_needed(workers, limits.tasks_per_instance, limits.max_instances)


def _write(spec: Spec, run: Run, ports: Ports, planned: job.Job) -> None:
    """Write the job; the run's own that is there already wins, since its shards may have been claimed."""
    taken = _taken_up(run, ports, planned)
    planned, etag = taken or (planned, None)
    # Not over what another run has written in between: trying again will meet it.
    ports.put(planned.key, planned.to_json().encode(), etag=etag, new=etag is None)
    for stage, manifest in job.manifests(spec, planned, _Bucket(ports)):
        ports.put(stage.manifest, manifest)
        ports.put(keys.stage_key(stage), stage.to_json().encode())
        log.info("%s: %d items in %d shards of %d", stage.stage, stage.items, stage.shards, stage.shard_items)


def _find(run: Run, ports: Ports) -> tuple[job.Job | None, str]:
    """The job that lies where the DAG run's belongs, and the ETag of what says so."""
    etag = ""

    def read(key: str) -> bytes | None:
        nonlocal etag
        found = ports.get(key)
        etag = found.etag if found else ""
        return found.body if found else None

    # What was read last is what was found.
    return stored.find(read, run.dag, run.run_id, run.params), etag


def _taken_up(run: Run, ports: Ports, planned: job.Job) -> tuple[job.Job, str] | None:
    """The job that is there already, to go on with, and the ETag of what says so; None where there is none."""
    found, etag = _find(run, ports)
    if found is None:
        return None
    (entry, *_) = ports.listing(found.key)
    return stored.take_up(planned, found, since=format_time(entry.modified)), etag


def _stored(run: Run, ports: Ports) -> job.Job:
    found, _ = _find(run, ports)
    if found is None or not found.is_of(run.start.begun):
        raise JobError(
            f"{keys.job_key(run.dag, keys.job_id(run.run_id))} is not in the data bucket, or of another run: clear the"
            " Airflow task `plan`"
        )
    return found


def _cancelled(run: Run, ports: Ports) -> bool:
    # By the run's id, as `invoke cancel` does: a job of release 0.1 may lie elsewhere.
    return cancelling.cancelled(ports, run.dag, keys.job_id(run.run_id), run.start)


def _refuse_cancelled(run: Run, ports: Ports) -> None:
    if _cancelled(run, ports):
        raise JobError(cancelling.WORDS)


def _follow(ledger: Ledger, wait: float, now: dt.datetime) -> float:
    """When who follows looks again, in seconds: before the end that the ledger expects, or soon after the leader."""
    if ledger.remaining_seconds is not None:
        wait = (ledger.remaining_seconds - (now - ledger.updated_at).total_seconds()) * 0.6
    return min(FOLLOW_SECONDS, max(FOLLOW_SOONEST, wait) + AFTER_LEADER_SECONDS)


def _leads(ledger: Ledger, index: int) -> bool:
    """Whether the sensor of this group ticks: that of the first group which has not ended does."""
    if not ledger.groups:
        return True
    open_groups = [number for number, group in enumerate(ledger.groups) if not group.ended]
    return not open_groups or open_groups[0] == index


def _over(ledger: Ledger, index: int) -> bool:
    """Whether a group has ended well while others go on; what failures mean is decided for the stage as a whole."""
    if not ledger.groups or all(group.ended for group in ledger.groups):
        return False
    return ledger.groups[index].ended and not ledger.groups[index].failed


def _scale_in(ports: Ports, planned: job.Job | None, idle: int) -> None:
    """Scale in, unless other jobs are at work or about to be; the last one does it."""
    stages = planned.stages if planned else ()
    if planned:
        places.withdraw(ports, *_name(planned))
    mine = {arn for stage in stages for arn in ports.live_task_arns(engine.started_by(stage))}
    strangers = [arn for arn in ports.live_task_arns() if arn not in mine]
    others = places.others(ports, stages)
    if others or strangers:
        log.info("other jobs are on this cluster (%s); the last one scales in", ", ".join([*others, *strangers]))
        return
    log.info("scaling in to %d instances", idle)
    ports.ask(idle)


def _stop(ports: Ports, planned: job.Job, target: Deployment, run: Run) -> Iterator[float]:
    """End every stage that has begun, until none of its ECS tasks is meant to run.

    An engine that has not been killed yet may be in the middle of a tick, so once is not enough.
    """
    reached = True
    for stage in planned.stages:
        ledger = driver.find_ledger(ports, stage)
        if ledger is None and (not reached or driver.close(ports, stage, run.start)):
            reached = False
            continue
        reached = ledger is not None and ledger.state == "succeeded"
        limits = limits_of(planned, target, stage)
        told: dict[str, dt.datetime] = {}
        while True:
            ledger, _ = driver.tick(ports, stage, target.workload(stage.workload), limits, cancel=True, start=run.start)
            now = ports.now()
            live = ports.live_task_arns(engine.started_by(stage))
            if ledger.finished and not live:
                break
            log.info("%s is %s; stopping %d ECS tasks", stage.stage, ledger.state, len(live))
            for arn in live:
                # ECS may list one a little longer that it has been told to stop.
                if arn not in told or now - told[arn] > STOP_AGAIN:
                    ports.stop(arn, "winbatch: the job has ended")
                    told[arn] = ports.now()
            yield STOP_SECONDS
