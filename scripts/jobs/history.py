"""The jobs of the past, newest first, and what differs between two of them: Airflow's runs, and the ledgers in S3."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from scripts.core.errors import JobFailed
from scripts.jobs import runs
from scripts.jobs.runs import Snapshot
from scripts.terraform.workspace import Outputs, Workspace
from winbatch.errors import WinbatchError
from winbatch.working.store import Store

# Jobs that are read at once.
THREADS = 8
LIMIT = 20
# Of a release that the DAG bucket has no more than its archive of.
_DEPLOYMENT = "deployment.json"


@dataclass(frozen=True)
class Past:
    """A job as the history tells it.

    Attributes:
        at: when its DAG run was made, ISO 8601.
        run_id: the DAG run's.
        dag: its DAG.
        state: the job's; Airflow's where the job cannot be read.
        items: of its first stage.
        items_done: of these.
        failed_items: of all stages.
        seconds: from start to end, or to now.
        cost: US dollars; None where the environment names no price.
        instance_seconds: of the cluster's instances.
        by: who started it, as Airflow says; empty where it does not.
        release: of the DAGs; empty for none, or where it was not planned.
        params: a value for every parameter; none where it was not planned.
        stages: items by stage.
        workloads: of its stages.
        problem: why it cannot be read; empty where it was.
    """

    at: str
    run_id: str
    dag: str
    state: str
    items: int = 0
    items_done: int = 0
    failed_items: int = 0
    seconds: float = 0.0
    cost: float | None = None
    instance_seconds: float = 0.0
    by: str = ""
    release: str = ""
    params: Mapping[str, Any] | None = None
    stages: Mapping[str, int] | None = None
    workloads: Sequence[str] = ()
    problem: str = ""

    @classmethod
    def of(cls, dag: str, snapshot: Snapshot) -> "Past":
        """Tell a job."""
        job = snapshot.job
        return cls(
            at=_made(snapshot.run),
            run_id=snapshot.run_id,
            dag=dag,
            state=snapshot.state,
            items=snapshot.items,
            items_done=snapshot.items_done,
            failed_items=snapshot.failed_items,
            seconds=round(snapshot.seconds, 1),
            cost=snapshot.cost,
            instance_seconds=round(snapshot.instance_seconds, 1),
            by=starter(snapshot.run),
            release=job.release if job else "",
            params=job.params if job else None,
            stages={stage.stage: stage.items for stage, _ in snapshot.stages},
            workloads=sorted({stage.workload for stage, _ in snapshot.stages}),
            problem=snapshot.other,
        )

    def as_json(self) -> dict[str, Any]:
        """Give it as `invoke jobs --json` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """What two jobs have different; None where one has nothing of it."""

    what: str
    one: Any
    other: Any


def read(workspace: Workspace, outputs: Outputs, dags: Sequence[str], limit: int = LIMIT) -> list[Past]:
    """The last jobs of some DAGs, newest first."""
    # A client is made once, and not by two threads.
    workspace.aws.client("s3")
    found = workspace.airflow(outputs).runs(*dags, limit=limit)
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda run: _past(workspace, outputs, run), found))


def _past(workspace: Workspace, outputs: Outputs, run: Mapping[str, Any]) -> Past:
    dag = str(run["dag_id"])
    try:
        return Past.of(dag, runs.snapshot_of(workspace, outputs, dag, run))
    except WinbatchError as error:
        # One job that another release wrote, or somebody spoilt, hides none of the others.
        state, run_id = str(run.get("state")), str(run["dag_run_id"])
        return Past(_made(run), run_id, dag, state, by=starter(run), problem=str(error))


def _made(run: Mapping[str, Any]) -> str:
    return str(run.get("run_after") or run.get("queued_at") or run.get("start_date") or "")


def starter(run: Mapping[str, Any]) -> str:
    """Say who started a DAG run, as Airflow has it: a person, else by which way.

    Args:
        run: Airflow's object of the DAG run; before Airflow 3.1 it names no person.
    """
    return str(run.get("triggering_user_name") or run.get("triggered_by") or run.get("run_type") or "")


def differences(
    one: Past, other: Past, images: tuple[Mapping[str, str] | None, Mapping[str, str] | None] = (None, None)
) -> list[Difference]:
    """What two jobs have different, in the order in which a person asks.

    Args:
        one: a job.
        other: another one.
        images: of each, by workload; None where nobody knows them.
    """
    mine, others = _facts(one, images[0]), _facts(other, images[1])
    names = dict.fromkeys((*mine, *others))
    return [Difference(name, mine.get(name), others.get(name)) for name in names if mine.get(name) != others.get(name)]


def _facts(past: Past, images: Mapping[str, str] | None) -> dict[str, Any]:
    params = {f"parameter {name}": value for name, value in sorted((past.params or {}).items())}
    known = images or {}
    return {
        "DAG": past.dag,
        **params,
        "release": past.release,
        **{f"image {name}": known.get(name) for name in past.workloads},
        **{f"items of stage {name}": items for name, items in (past.stages or {}).items()},
        "state": past.state,
        "items done": past.items_done,
        "items failed": past.failed_items,
        "seconds": past.seconds,
        "instance seconds": past.instance_seconds,
        "US dollars": None if past.cost is None else round(past.cost, 4),
        "started by": past.by,
    }


def compared(workspace: Workspace, outputs: Outputs, pairs: Sequence[tuple[str, str]]) -> list[Difference]:
    """Read two jobs, each a DAG and a run id, and say what differs.

    Raises:
        JobFailed: there is no such run, or its job cannot be read.
    """
    pasts = [Past.of(dag, runs.look(workspace, outputs, dag, run_id)) for dag, run_id in pairs]
    for past in pasts:
        if past.params is None:
            raise JobFailed(f"{past.run_id} {past.problem or 'was never planned'}: there is nothing to compare")
    one, other = pasts
    images = [_images(workspace, outputs, past.release) for past in pasts]
    return differences(one, other, (images[0], images[1]))


def _images(workspace: Workspace, outputs: Outputs, release: str) -> Mapping[str, str] | None:
    """The images of a release, by workload: it was checked with a deployment.json of its own."""
    if not release:
        return None
    dags = Store(workspace.aws.client("s3"), outputs.dags_bucket)
    body = next((body for body in _deployments(dags, str(outputs.deployment["dags_prefix"]), release) if body), None)
    if body is None:
        return None
    workloads = json.loads(body)["workloads"]
    return {name: str(workload["image"]) for name, workload in workloads.items()}


def _deployments(dags: Store, prefix: str, release: str) -> Iterator[bytes | None]:
    """Where a release's deployment.json may be: in its folder, and, when that is gone, in its archive."""
    yield dags.find(f"{prefix}/releases/{release}/{_DEPLOYMENT}")
    archive = dags.find(f"releases/{release}.zip")
    if archive is not None:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            yield packed.read(_DEPLOYMENT)
