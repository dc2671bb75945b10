"""Jobs taken in hand: resumed after they ended, cancelled while they run."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scripts.core.airflow import bear
from scripts.core.errors import JobFailed
from scripts.jobs import runs
from scripts.jobs.runs import Snapshot
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import cancelling, keys, orchestration, resuming

# Between two looks at a job that is being cancelled, s.
LOOK_SECONDS = 2.0
# An Airflow task that was marked failed is killed with its next heartbeat, s; until then it may ask for instances.
KILL_SECONDS = 20.0
# DAG runs that are looked through for another job at work.
RUNS = 100

SETUP = "scale_out"


@dataclass(frozen=True)
class Cancelled:
    """What came of cancelling a job.

    Attributes:
        snapshot: the job as it is now.
        acted: it was stopped by this; False when it had ended, or was cancelled, before.
        instances: the Auto Scaling group's desired capacity; None when nobody had to look.
        others: runs of other jobs that are at work on the cluster.
    """

    snapshot: Snapshot
    acted: bool
    instances: int | None = None
    others: Sequence[str] = ()

    def as_json(self, dag: str) -> dict[str, Any]:
        """As `invoke cancel --json` prints it."""
        return {
            "run_id": self.snapshot.run_id,
            "dag": dag,
            "state": self.snapshot.state,
            "cancelled_now": self.acted,
            "items": self.snapshot.items,
            "items_done": self.snapshot.items_done,
            "failed_items": self.snapshot.failed_items,
            "instances": self.instances,
            "other_runs": list(self.others),
        }


def resume(workspace: Workspace, outputs: Outputs, dag: str, run_id: str) -> Snapshot | None:
    """Run what is missing of a job that has ended.

    All of its Airflow tasks run again: the cluster is scaled out, each stage goes on with the shards that have no
    result, and those that read a stage which lacks items are run anew. It keeps its parameters.

    Returns:
        None when the job goes on now; the job as it is when nothing is missing.

    Raises:
        JobFailed: there is no such run, or it has not ended.
    """
    snapshot = runs.look(workspace, outputs, dag, run_id)
    match resumption(snapshot):
        case "nothing":
            return snapshot
        case "not ended":
            raise JobFailed(
                f"{run_id} is {snapshot.state}, and only a job that has ended can be resumed; follow it:"
                f" invoke run --follow {run_id}"
            )
    airflow = workspace.airflow(outputs)
    runs.wake(airflow, dag)
    ports = runs.ports(workspace, outputs)
    for stage in resuming.stale(snapshot.stages):
        resuming.reopen(ports, stage)
    airflow.clear(dag, run_id)
    airflow.note(dag, run_id, "resumed by invoke resume")
    return None


def resumption(snapshot: Snapshot) -> Literal["possible", "nothing", "not ended"]:
    """Whether a job can be resumed."""
    if snapshot.state not in {"succeeded", "failed", "cancelled"}:
        return "not ended"
    return "nothing" if snapshot.state == "succeeded" and not snapshot.failed_items else "possible"


def cancel(workspace: Workspace, outputs: Outputs, dag: str, run_id: str, progress: Callable[[str], None]) -> Cancelled:
    """Stop a job and see the cluster scaled in. Results that are there stay.

    Args:
        workspace: where.
        outputs: of its Terraform.
        dag: the job's DAG.
        run_id: the DAG run's.
        progress: told what is waited for; not before the job is marked.

    Raises:
        JobFailed: there is no such run.
        WinbatchError: what lies of it in S3 cannot be read.
    """
    airflow = workspace.airflow(outputs)
    snapshot = runs.look(workspace, outputs, dag, run_id)
    if not _at_work(snapshot) and (snapshot.ended or snapshot.state == "cancelled"):
        return Cancelled(snapshot, acted=False)
    starting = (SETUP, "running") in airflow.task_states(dag, run_id)
    if (
        not snapshot.ended
        and not snapshot.cancelled
        and not airflow.mark_failed(dag, run_id, runs.cancel_note(snapshot.run))
    ):
        cancelling.cancel(runs.ports(workspace, outputs), dag, keys.job_id(run_id), runs.start_of(snapshot.run))
    runs.wake(airflow, dag)
    marked = time.monotonic()
    while True:
        # It is marked, so what is left is to wait, also for an Airflow that is away.
        snapshot = bear(lambda: runs.look(workspace, outputs, dag, run_id))
        # One that had not begun is over with that, and stays queued until Airflow gets to it: none of it will run.
        if snapshot.ended or snapshot.state == "cancelled":
            break
        progress(stopping(snapshot))
        time.sleep(LOOK_SECONDS)
    while starting and time.monotonic() - marked < KILL_SECONDS:
        progress("waiting until Airflow has ended its scale-out")
        time.sleep(LOOK_SECONDS)
    if starting or (snapshot.ended and _at_work(snapshot)):
        # Airflow runs no teardown where the scale-out was cut short, also of a run that was cleared; or it failed.
        for pause in orchestration.scale_in(
            _seen(dag, snapshot), runs.ports(workspace, outputs), runs.read_deployment(outputs)
        ):
            progress("Airflow runs no teardown of it: stopping its ECS tasks")
            time.sleep(pause)
        snapshot = runs.look(workspace, outputs, dag, run_id)
    if snapshot.run.get("state") == "success" and snapshot.state == "cancelled":
        # Its teardown ended well, and Airflow takes that for the run's success; its page should not say so.
        airflow.mark_failed(dag, run_id, str(snapshot.run.get("note")))
    others = at_work(airflow.runs(limit=RUNS), run_id)
    return Cancelled(snapshot, acted=True, instances=runs.ports(workspace, outputs).group().desired, others=others)


def _at_work(snapshot: Snapshot) -> bool:
    """Whether a stage's ledger says that it has not ended."""
    return any(ledger and not ledger.finished for _, ledger in snapshot.stages)


def _seen(dag: str, snapshot: Snapshot) -> orchestration.Run:
    """The run, as its teardown would see it."""
    params = {"idle_instances": 0, **(snapshot.run.get("conf") or {})}
    start = runs.start_of(snapshot.run)
    return orchestration.Run(dag=dag, run_id=snapshot.run_id, params=params, start=start)


def stopping(snapshot: Snapshot) -> str:
    """What is still to be stopped, in words."""
    current = snapshot.current
    ledger = current[1] if current else None
    if ledger is None or ledger.finished:
        return "ECS tasks are stopped; scaling in"
    return f"{ledger.tasks_running + ledger.tasks_pending} ECS tasks to stop, {ledger.instances_desired} instances"


def at_work(found: Sequence[Mapping[str, Any]], run_id: str) -> list[str]:
    """The runs beside this one that may use the cluster: all that have begun and not ended."""
    return [
        str(run["dag_run_id"]) for run in found if run.get("state") == "running" and run.get("dag_run_id") != run_id
    ]
