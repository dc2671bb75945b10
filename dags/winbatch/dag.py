"""A job specification as a DAG: scale-out (setup) → plan → a sensor a stage → scale-in (teardown, always).

A stage's sensor is in reschedule mode: one poke is one or more ticks of the engine, and while nothing is due it holds
no worker slot. No code of ours has to be in the triggerer: all of it is released with the DAGs. Parsing calls nobody.
"""

import datetime as dt
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, get_current_context, task

try:
    from airflow.sdk.exceptions import AirflowFailException
except ImportError:  # Airflow 3.0
    from airflow.exceptions import AirflowFailException

from winbatch import capacity, deployment, driver, engine, job
from winbatch.errors import WinbatchError
from winbatch.spec import COMMON_PARAMETERS, Spec
from winbatch.stage import Stage

if TYPE_CHECKING:
    from winbatch.aws import AwsPorts

log = logging.getLogger(__name__)

# A rescheduled sensor costs a process start; a tick that is due sooner than this stays and sleeps instead.
STAY_SECONDS = 6.0
POKE_SECONDS = 15.0
TIMEOUT = dt.timedelta(days=7)

DOC = """
### {title}

{description}

| Airflow task | what it does |
| --- | --- |
| `scale_out` | asks Auto Scaling for the instances that the job needs; does not wait for them |
| `plan` | writes manifest and stages to S3 |
{stages}
| `scale_in` | stops what still runs and scales in, whatever happened before |

A shard is done when its result is in S3: clearing an Airflow task, or running it again, goes on with what is missing.
"""


def batch_dag(spec: Spec) -> DAG:
    """The DAG of a job specification.

    Args:
        spec: the specification; its `dag` is the DAG's id.
    """
    rows = "\n".join(f"| `{stage.name}` | runs `{stage.run}` on ECS |" for stage in spec.stages)
    with DAG(
        dag_id=spec.dag,
        description=spec.title,
        doc_md=DOC.format(title=spec.title, description=spec.description, stages=rows),
        schedule=None,
        catchup=False,
        max_active_runs=4,
        is_paused_upon_creation=False,
        params={name: _param(name, schema) for name, schema in spec.parameters.items()},
        default_args={"retries": 3, "retry_delay": dt.timedelta(seconds=10)},
        tags=["winbatch", spec.workload],
    ) as dag:

        @task
        def scale_out() -> None:
            params, run_id = _context()
            _ask(spec, _planned(spec, params, run_id))

        @task
        def plan() -> None:
            params, run_id = _context()
            _write(spec, _planned(spec, params, run_id))

        @task(retries=5)
        def scale_in() -> None:
            params, run_id = _context()
            _scale_in(spec, params, run_id)

        setup = scale_out().as_setup()
        last = plan()
        setup >> last
        for stage in spec.stages:
            sensor = task.sensor(
                task_id=stage.name,
                mode="reschedule",
                poke_interval=POKE_SECONDS,
                timeout=TIMEOUT.total_seconds(),
            )(_run)(stage.name)
            last >> sensor
            last = sensor
        last >> scale_in().as_teardown(setups=setup)
    return dag


def _param(name: str, schema: Mapping[str, Any]) -> Param:
    rest = {key: value for key, value in schema.items() if key != "default"}
    return Param(schema["default"], section="Cluster" if name in COMMON_PARAMETERS else None, **rest)


def _context() -> tuple[dict[str, Any], str]:
    context = get_current_context()
    return dict(context["params"]), str(context["run_id"])


def _ports(target: deployment.Deployment) -> "AwsPorts":
    from winbatch.aws import AwsPorts  # noqa: PLC0415 - brings boto3, which parsing does not need

    return AwsPorts(target)


def _planned(spec: Spec, params: Mapping[str, Any], run_id: str) -> job.Job:
    """The job as its parameters say; bad input does not get better by trying again."""
    try:
        return job.plan(spec, spec.validate(params), run_id, deployment.load())
    except WinbatchError as error:
        raise AirflowFailException(str(error)) from error


def _ask(spec: Spec, planned: job.Job) -> None:
    target = deployment.load()
    ports = _ports(target)
    workload = target.workload(spec.workload)
    per_instance = capacity.tasks_per_instance(target.cluster, workload)
    workers = max(capacity.workers_needed(stage.shards, workload.slots) for stage in planned.stages)
    needed = capacity.instances_needed(workers, per_instance, planned.params["max_instances"])
    desired = ports.desired()
    log.info("%d ECS tasks need %d instances; %d are desired already", workers, needed, desired)
    if needed > desired:
        ports.ask(needed)


def _write(spec: Spec, planned: job.Job) -> None:
    """Write the job; one that is there already wins, since its shards may have been claimed."""
    ports = _ports(deployment.load())
    try:
        ports.put(planned.key, planned.to_json().encode(), new=True)
    except driver.Conflict:
        planned = _stored(ports, spec.dag, planned.job)
    for stage_spec, stage in zip(spec.stages, planned.stages, strict=True):
        ports.put(stage.manifest, job.manifest(stage_spec, planned.params, stage.items))
        ports.put(driver.stage_key(stage), stage.to_json().encode())
        log.info("%s: %d items in %d shards of %d", stage.stage, stage.items, stage.shards, stage.shard_items)


def _stored(ports: "AwsPorts", dag: str, job_id: str) -> job.Job:
    key = job.job_prefix(dag, job_id) + "job.json"
    stored = ports.get(key)
    if stored is None:
        raise AirflowFailException(f"{key} is not in the data bucket; clear the Airflow task `plan` to write it")
    return job.Job.from_json(stored.body, where=key)


def _limits(planned: job.Job, target: deployment.Deployment, stage: Stage) -> engine.Limits:
    workload = target.workload(stage.workload)
    return engine.Limits(
        slots=workload.slots,
        tasks_per_instance=capacity.tasks_per_instance(target.cluster, workload),
        max_instances=planned.params["max_instances"],
        max_attempts=planned.params["max_attempts"],
        max_failed_items=planned.params["max_failed_items"],
        instance_timeout=dt.timedelta(seconds=planned.params["instance_timeout"]),
        start_timeout=dt.timedelta(seconds=planned.params["start_timeout"]),
    )


def _run(name: str) -> bool:
    """Tick a stage until it is finished (True) or nothing is due for a while (False)."""
    context = get_current_context()
    target = deployment.load()
    ports = _ports(target)
    planned = _stored(ports, context["dag"].dag_id, job.job_id(str(context["run_id"])))
    stage = planned.stage(name)
    limits = _limits(planned, target, stage)
    attempt = int(context["ti"].try_number)
    while True:
        ledger, wait = driver.tick(ports, stage, target.workload(stage.workload), limits, attempt=attempt)
        log.info(
            "%s: %d of %d items, %d failed; %d ECS tasks running, %d pending; %d of %d instances",
            ledger.state,
            ledger.items_done,
            ledger.items,
            ledger.items_failed,
            ledger.tasks_running,
            ledger.tasks_pending,
            ledger.instances_registered,
            ledger.instances_desired,
        )
        if ledger.finished and ledger.state != "succeeded":
            raise AirflowFailException(f"{name}: {ledger.reason}")
        if ledger.finished:
            return True
        if wait > STAY_SECONDS:
            return False
        time.sleep(wait)


def _scale_in(spec: Spec, params: Mapping[str, Any], run_id: str) -> None:
    target = deployment.load()
    ports = _ports(target)
    key = job.job_prefix(spec.dag, job.job_id(run_id)) + "job.json"
    stored = ports.get(key)
    if stored is not None:
        planned = job.Job.from_json(stored.body, where=key)
        _stop(ports, planned, target)
    others = ports.live_task_arns()
    if others:
        log.info("%d ECS tasks of other jobs run on this cluster; the last job scales it in", len(others))
        return
    idle = int(params["idle_instances"])
    log.info("scaling in to %d instances", idle)
    ports.ask(idle)


def _stop(ports: "AwsPorts", planned: job.Job, target: deployment.Deployment) -> None:
    """End every stage that has begun, until none of its ECS tasks is meant to run.

    An engine that has not been killed yet may be in the middle of a tick, so once is not enough.
    """
    for stage in planned.stages:
        if ports.get(driver.ledger_key(stage)) is None:
            continue
        limits = _limits(planned, target, stage)
        while True:
            ledger, _ = driver.tick(ports, stage, target.workload(stage.workload), limits, cancel=True)
            live = ports.live_task_arns(engine.started_by(stage))
            if ledger.finished and not live:
                break
            log.info("%s is %s; stopping %d ECS tasks", stage.stage, ledger.state, len(live))
            for arn in live:
                ports.stop(arn, "winbatch: the job has ended")
            time.sleep(engine.POLL_SOON)
