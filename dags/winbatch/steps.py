"""What the Airflow tasks of a job do when they run (`winbatch.dag` says which there are).

Apart from the DAG's shape, so that parsing a DAG does not load the engine.
"""

import contextlib
import datetime as dt
import logging
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException
except ImportError:  # Airflow 3.0
    from airflow.exceptions import AirflowFailException, AirflowRescheduleException

from winbatch import attempts, cancelling, capacity, deployment, driver, engine, job, keys, release, stored
from winbatch.cancelling import Start
from winbatch.dag import ALL, FOLLOW_SECONDS
from winbatch.errors import UnavailableError, WinbatchError
from winbatch.ledger import Ledger
from winbatch.spec import Spec
from winbatch.stage import Stage
from winbatch.times import format_time
from winbatch.working.store import Store

if TYPE_CHECKING:
    from winbatch.aws import AwsPorts

log = logging.getLogger(__name__)

# A sensor that is to look again sooner than this stays and sleeps: being rescheduled costs a process start, and one
# that comes back within seconds may meet the end of its last process, which costs it a try (apache/airflow#71172). That
# can happen later, too, so there are many tries; a try that is lost in this way costs nothing else.
STAY_SECONDS = 10.0
# A sensor that follows looks so long after whoever leads.
AFTER_LEADER_SECONDS = 3.0
# The teardown tells an ECS task again to stop after so long.
STOP_AGAIN_SECONDS = 30.0


def scale_out(spec: Spec) -> None:
    """Ask for the instances that the job needs; nobody waits for them."""
    planned, target, _ = _planned(spec)
    ports = _ports(target)
    _refuse_cancelled(ports, spec.dag)
    # A job that cannot be planned needs no instances.
    _taken_up(ports, planned)
    _reserve(ports, planned, target)
    try:
        _ask(ports, planned, target)
    except BaseException:
        # Without its setup a DAG run has no teardown that would do it.
        driver.withdraw(ports, *_name(planned))
        raise


def plan(spec: Spec) -> list[str]:
    """Write the job to S3. Returns the names of the groups of items: what the grouped stage is mapped over."""
    planned, target, reader = _planned(spec)
    ports = _ports(target)
    _refuse_cancelled(ports, spec.dag)
    _reserve(ports, planned, target)
    _write(spec, ports, planned, reader)
    # Airflow maps over a whole return value only, so one stage of a job can have groups.
    return [group.name for stage in planned.stages for group in stage.groups] or [ALL]


def scale_in(spec: Spec) -> None:
    """The teardown: stop what still runs of the job, and scale in."""
    params, run_id, begun = _context()
    target = deployment.load()
    ports = _ports(target)
    with driver.teardown(ports, spec.dag, keys.job_id(run_id)):
        found, _ = _find(ports, spec.dag, run_id, params)
        planned = found if found and found.is_of(begun) else None
        if planned:
            _stop(ports, planned, target)
        else:
            driver.withdraw(ports, spec.dag, keys.job_id(run_id))
        _scale_in(ports, planned, int(params["idle_instances"]))


def drive(name: str, group: str) -> bool:
    """Drive a stage until it, or the group at hand, is finished; the map index says which group that is.

    Raises:
        AirflowRescheduleException: nothing is due for a while.
        AirflowFailException: the stage failed.
    """
    log.info("stage %s, items: %s", name, group)
    context = get_current_context()
    dag = str(context["dag"].dag_id)
    # One that is spoilt while a job runs is tried again, as everything that somebody may mend.
    target = deployment.load()
    with _final():
        ports = _ports(target)
        planned = _stored(ports, dag)
        stage = planned.stage(name)
        ledger = _drive(ports, planned, stage, target, context)
    if ledger.finished and (ledger.state != "succeeded" or stage == planned.stages[-1]):
        # Clearing *only failed* leaves the teardown out, so whoever ends a job scales in, too.
        _scale_in(ports, planned, int(context["params"]["idle_instances"]))
    if ledger.finished and ledger.state != "succeeded":
        raise AirflowFailException(f"{name}: {ledger.reason}")
    return True


@contextlib.contextmanager
def _final() -> Iterator[None]:
    """Fail the Airflow task at once for what does not get better by trying again, as S3 does."""
    try:
        yield
    except UnavailableError:
        raise
    except WinbatchError as error:
        raise AirflowFailException(str(error)) from error


def _context() -> tuple[dict[str, Any], str, str]:
    """The DAG run's parameters, its id, and when it was made, which clearing it leaves as it is."""
    context = get_current_context()
    return dict(context["params"]), str(context["run_id"]), format_time(context["dag_run"].run_after)


def _ports(target: deployment.Deployment) -> "AwsPorts":
    from winbatch.aws import AwsPorts  # noqa: PLC0415 - brings boto3, which parsing does not need

    return AwsPorts(target)


def _planned(spec: Spec) -> tuple[job.Job, deployment.Deployment, Store | None]:
    """The job as its parameters say, where it is to run, and the data bucket if its items are listed there."""
    params, run_id, begun = _context()
    with _final():
        target = deployment.load()
        reader = Store.connect(target.data_bucket, region=target.region, connections=1) if spec.lists else None
        values = spec.validate(params)
        planned = job.plan(spec, values, run_id, target, reader, begun=begun, release=release.current())
    return planned, target, reader


def _name(planned: job.Job) -> tuple[str, str]:
    """DAG and job, as its stages have them."""
    first = planned.stages[0]
    return first.dag, first.job


def _reserve(ports: "AwsPorts", planned: job.Job, target: deployment.Deployment) -> None:
    """Put the job on the board until its first tick, so that nobody takes its instances for nobody's."""
    demands = [engine.demand_of(_limits(planned, target, stage), stage.shards) for stage in planned.stages]
    driver.reserve(ports, *_name(planned), max(demands))


def _after(planned: job.Job, target: deployment.Deployment, stage: Stage) -> float:
    """Instances that the stage after this one could use; 0 after the last."""
    later = planned.stages[planned.stages.index(stage) + 1 :]
    return engine.demand_of(_limits(planned, target, later[0]), later[0].shards) if later else 0.0


def _ask(ports: "AwsPorts", planned: job.Job, target: deployment.Deployment) -> None:
    needed = max(_instances(stage, _limits(planned, target, stage)) for stage in planned.stages)
    desired = ports.group().desired
    log.info("the job needs %d instances; %d are desired already", needed, desired)
    if needed > desired and (said := ports.ask(needed)):
        log.warning("AWS says: %s", said)


def _instances(stage: Stage, limits: engine.Limits) -> int:
    workers = capacity.workers_needed(stage.shards, limits.slots, limits.shard_seconds)
    return capacity.instances_needed(workers, limits.tasks_per_instance, limits.max_instances)


def _write(spec: Spec, ports: "AwsPorts", planned: job.Job, reader: Store | None) -> None:
    """Write the job; the run's own that is there already wins, since its shards may have been claimed."""
    taken = _taken_up(ports, planned)
    planned, etag = taken or (planned, None)
    # Not over what another run has written in between: trying again will meet it.
    ports.put(planned.key, planned.to_json().encode(), etag=etag, new=etag is None)
    for stage, manifest in job.manifests(spec, planned, reader):
        ports.put(stage.manifest, manifest)
        ports.put(keys.stage_key(stage), stage.to_json().encode())
        log.info("%s: %d items in %d shards of %d", stage.stage, stage.items, stage.shards, stage.shard_items)


def _find(ports: "AwsPorts", dag: str, run_id: str, params: Mapping[str, Any]) -> tuple[job.Job | None, str]:
    """The job that lies where the DAG run's belongs, and the ETag of what says so."""
    etag = ""

    def read(key: str) -> bytes | None:
        nonlocal etag
        found = ports.get(key)
        etag = found.etag if found else ""
        return found.body if found else None

    # What was read last is what was found.
    return stored.find(read, dag, run_id, params), etag


def _taken_up(ports: "AwsPorts", planned: job.Job) -> tuple[job.Job, str] | None:
    """The job that is there already, to go on with, and the ETag of what says so; None where there is none.

    Raises:
        AirflowFailException: it is another run's, or does not parse.
    """
    with _final():
        found, etag = _find(ports, planned.dag, planned.run_id, planned.params)
        if found is None:
            return None
        (entry, *_) = ports.listing(found.key)
        return stored.take_up(planned, found, since=format_time(entry.modified)), etag


def _stored(ports: "AwsPorts", dag: str) -> job.Job:
    params, run_id, begun = _context()
    found, _ = _find(ports, dag, run_id, params)
    if found is None or not found.is_of(begun):
        raise AirflowFailException(
            f"{keys.job_key(dag, keys.job_id(run_id))} is not in the data bucket, or of another run: clear the Airflow"
            " task `plan`"
        )
    return found


def _cancelled(ports: "AwsPorts", dag: str) -> bool:
    # By the run's id, as `invoke cancel` does: a job of release 0.1 may lie elsewhere.
    run = get_current_context()["dag_run"]
    return cancelling.cancelled(ports, dag, keys.job_id(run.run_id), Start.of(run))


def _refuse_cancelled(ports: "AwsPorts", dag: str) -> None:
    if _cancelled(ports, dag):
        raise AirflowFailException(cancelling.WORDS)


def _limits(planned: job.Job, target: deployment.Deployment, stage: Stage) -> engine.Limits:
    workload = target.workload(stage.workload)
    return engine.Limits(
        slots=workload.slots,
        tasks_per_instance=capacity.tasks_per_instance(target.cluster, workload),
        max_instances=planned.params["max_instances"],
        cluster_instances=target.cluster.max_instances,
        keep_instances=planned.params["idle_instances"],
        rules=attempts.policy(planned.retry, max_attempts=planned.params["max_attempts"]),
        shard_seconds=stage.shard_seconds,
        usd_per_hour=target.cluster.usd_per_hour,
        max_failed_items=planned.params["max_failed_items"],
        instance_timeout=dt.timedelta(seconds=planned.params["instance_timeout"]),
        start_timeout=dt.timedelta(seconds=planned.params["start_timeout"]),
    )


def _attempt(context: Mapping[str, Any]) -> int:
    """How often a person has started this Airflow task: clearing adds to `max_tries`, Airflow's own retries do not."""
    return max(1, int(context["ti"].max_tries) - int(context["task"].retries) + 1)


def _drive(
    ports: "AwsPorts", planned: job.Job, stage: Stage, target: deployment.Deployment, context: Mapping[str, Any]
) -> Ledger:
    """Tick, or follow who ticks, until the stage or this Airflow task's group of it has ended."""
    limits = _limits(planned, target, stage)
    workload = target.workload(stage.workload)
    instance = context["ti"]
    index = int(instance.map_index)
    after = _after(planned, target, stage)
    while True:
        ledger, wait = driver.tick(
            ports,
            stage,
            workload,
            limits,
            who=str(index),
            attempt=_attempt(context),
            leads=partial(_leads, index=index),
            cancel=_cancelled(ports, planned.dag),
            after=after,
        )
        log.info("%s", _words(ledger))
        instance.xcom_push(key="progress", value=_progress(ledger))
        if ledger.finished or _over(ledger, index):
            return ledger
        if not _leads(ledger, index):
            wait = _follow(ledger, wait, ports.now())
        if wait > STAY_SECONDS:
            raise AirflowRescheduleException(ports.now() + dt.timedelta(seconds=wait))
        time.sleep(wait)


def _follow(ledger: Ledger, wait: float, now: dt.datetime) -> float:
    """When who follows looks again, in seconds: before the end that the ledger expects, or soon after the leader."""
    if ledger.remaining_seconds is not None:
        wait = (ledger.remaining_seconds - (now - ledger.updated_at).total_seconds()) * 0.6
    return min(FOLLOW_SECONDS, max(STAY_SECONDS, wait) + AFTER_LEADER_SECONDS)


def _leads(ledger: Ledger, index: int) -> bool:
    """Whether the Airflow task of this map index ticks: that of the first group which has not ended does."""
    if not ledger.groups:
        return True
    open_groups = [number for number, group in enumerate(ledger.groups) if not group.ended]
    return not open_groups or open_groups[0] == index


def _over(ledger: Ledger, index: int) -> bool:
    """Whether a group has ended well while others go on; what failures mean is decided for the stage as a whole."""
    if not ledger.groups or all(group.ended for group in ledger.groups):
        return False
    return ledger.groups[index].ended and not ledger.groups[index].failed


def _words(ledger: Ledger) -> str:
    left = f", about {ledger.remaining_seconds:.0f} s left" if ledger.remaining_seconds is not None else ""
    return (
        f"{ledger.state}: {ledger.items_done} of {ledger.items} items, {ledger.items_failed} failed{left};"
        f" {ledger.tasks_running} ECS tasks running, {ledger.tasks_pending} pending;"
        f" {ledger.instances_registered} of {ledger.instances_desired} instances"
        + (f"; AWS says: {ledger.said}" if ledger.said else "")
    )


def _progress(ledger: Ledger) -> dict[str, Any]:
    """What the Airflow page shows of a stage while it runs, as an XCom."""
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


def _scale_in(ports: "AwsPorts", planned: job.Job | None, idle: int) -> None:
    """Scale in, unless other jobs are at work or about to be; the last one does it."""
    stages = planned.stages if planned else ()
    if planned:
        driver.withdraw(ports, *_name(planned))
    mine = {arn for stage in stages for arn in ports.live_task_arns(engine.started_by(stage))}
    strangers = [arn for arn in ports.live_task_arns() if arn not in mine]
    others = driver.others(ports, stages)
    if others or strangers:
        log.info("other jobs are on this cluster (%s); the last one scales in", ", ".join([*others, *strangers]))
        return
    log.info("scaling in to %d instances", idle)
    ports.ask(idle)


def _stop(ports: "AwsPorts", planned: job.Job, target: deployment.Deployment) -> None:
    """End every stage that has begun, until none of its ECS tasks is meant to run.

    An engine that has not been killed yet may be in the middle of a tick, so once is not enough.
    """
    for stage in planned.stages:
        if driver.find_ledger(ports, stage) is None:
            continue
        limits = _limits(planned, target, stage)
        told: dict[str, float] = {}
        while True:
            ledger, _ = driver.tick(ports, stage, target.workload(stage.workload), limits, cancel=True)
            live = ports.live_task_arns(engine.started_by(stage))
            if ledger.finished and not live:
                break
            log.info("%s is %s; stopping %d ECS tasks", stage.stage, ledger.state, len(live))
            for arn in live:
                # ECS may list one a little longer that it has been told to stop.
                if time.monotonic() - told.get(arn, -math.inf) > STOP_AGAIN_SECONDS:
                    ports.stop(arn, "winbatch: the job has ended")
                    told[arn] = time.monotonic()
            time.sleep(1.0)
