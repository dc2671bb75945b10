"""Jobs: started, looked at, followed to their end, their files fetched."""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from scripts.core.airflow import AIRFLOW_PATIENCE, PATH_LENGTH, SERVER_ERROR, Airflow
from scripts.core.errors import AirflowError, JobFailed, SettingsError, one_line, printable
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import attempts, cancelling, causes, deployment, job, keys, spec, stored
from winbatch.attempts import POLICY, Kind, Rule
from winbatch.aws import AwsPorts
from winbatch.causes import Cause
from winbatch.job import Job
from winbatch.ledger import Ledger
from winbatch.results import ItemFailure
from winbatch.stage import Stage, count_done
from winbatch.starts import Start
from winbatch.suggesting import hint
from winbatch.times import format_time, parse_time
from winbatch.working.store import Store

# Between two looks at a job, s: at its ledgers in S3, and at its DAG run, which costs Airflow a request.
LEDGER_SECONDS = 1.0
RUN_SECONDS = 3.0
# Keys that S3 lists in one request: up to so many shards, progress is counted afresh at each look.
ONE_LISTING = 1000
# Before its first answer, so long: it may never come.
FIRST_PATIENCE = 45.0
ENDED = frozenset({"success", "failed"})
# Causes of failed items that are shown when a job ends badly.
SHOWN = 5

_STAMPED = re.compile(r"(?P<dag>.+)-\d{8}-\d{6}")
_CANCELLED = "cancelled by invoke cancel; queued at "


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment.

    Attributes:
        run_id: the DAG run's.
        run: Airflow's object of the DAG run.
        stages: the job's stages in order, each with its ledger once it has begun; none before the job is planned.
        marked: a mark in S3 says that this start of the run is cancelled.
        other: why what lies in S3 under this run's id is none of its; empty where it is.
        job: what was planned; None before that.
    """

    run_id: str
    run: Mapping[str, Any]
    stages: Sequence[tuple[Stage, Ledger | None]]
    marked: bool = False
    other: str = ""
    job: Job | None = None

    @property
    def ended(self) -> bool:
        """Say whether Airflow has the DAG run as ended, well or not."""
        return self.run.get("state") in ENDED

    @property
    def state(self) -> str:
        """`queued`, `running`, `cancelling`, `succeeded`, `failed` or `cancelled`.

        A DAG run that was marked failed can end well, for its teardown did: the stages decide. One that is cancelled
        before its turn has come stays queued in Airflow until then, but nothing of it will run.
        """
        begun = self.run.get("state") == "running"
        if not self.ended and self.cancelled:
            return "cancelling" if begun else "cancelled"
        if not self.ended:
            return (
                "running" if begun or any(ledger and not self.waits(ledger) for _, ledger in self.stages) else "queued"
            )
        states = [ledger.state if ledger else None for _, ledger in self.stages]
        if self.run["state"] == "success" and states and all(state == "succeeded" for state in states):
            return "succeeded"
        stopped = any(ledger and ledger.state == "cancelled" and not self.waits(ledger) for _, ledger in self.stages)
        return "cancelled" if self.cancelled or stopped else "failed"

    @property
    def cancelled(self) -> bool:
        """`invoke cancel` stopped it, and nobody has cleared it since."""
        return self.marked or self.run.get("note") == cancel_note(self.run)

    def waits(self, ledger: Ledger) -> bool:
        """The stage ended before the run was queued (again), so that it says nothing of the run as it is now."""
        queued = self.run.get("queued_at")
        return ledger.finished and bool(queued) and ledger.updated_at < datetime.fromisoformat(str(queued))

    @property
    def rules(self) -> Mapping[Kind, Rule]:
        """Its retry policy, as it was planned."""
        if self.job is None:
            return POLICY
        most = int(self.job.params.get("max_attempts", POLICY["program"].attempts))
        return attempts.policy(self.job.retry, max_attempts=most)

    @property
    def items(self) -> int:
        """Items of the first stage, which is what was asked for."""
        return self.stages[0][0].items if self.stages else 0

    @property
    def items_done(self) -> int:
        """Of the first stage."""
        ledger = self.stages[0][1] if self.stages else None
        return ledger.items_done if ledger else 0

    @property
    def failed_items(self) -> int:
        """Count the items that failed for good, in all stages."""
        return sum(ledger.items_failed for _, ledger in self.stages if ledger)

    @property
    def current(self) -> tuple[Stage, Ledger | None] | None:
        """The stage that is at work: the first that has not succeeded, else the last."""
        for stage, ledger in self.stages:
            if ledger is None or ledger.state != "succeeded":
                return stage, ledger
        return self.stages[-1] if self.stages else None

    @property
    def seconds(self) -> float:
        """From the DAG run's start to its end, or to now."""
        began = self.run.get("start_date")
        ended = self.run.get("end_date") if self.ended else None
        if not began:
            return 0.0
        end = datetime.fromisoformat(str(ended)) if ended else datetime.now(UTC)
        return max(0.0, (end - datetime.fromisoformat(str(began))).total_seconds())

    @property
    def failures(self) -> list[tuple[Stage, ItemFailure]]:
        """The items that failed for good, with their stages."""
        return [(stage, failure) for stage, ledger in self.stages if ledger for failure in ledger.failures]

    @property
    def rate(self) -> float | None:
        """Items a second of the stage at work, of late; None while there is none."""
        ledger = self.current[1] if self.current else None
        return ledger.rate if ledger and not ledger.finished and not self.ended else None

    @property
    def remaining_seconds(self) -> float | None:
        """What the stage at work still needs at that rate."""
        ledger = self.current[1] if self.current else None
        return ledger.remaining_seconds if ledger and self.rate else None

    @property
    def instance_seconds(self) -> float:
        """Add up the seconds of instances that its stages took."""
        return sum(ledger.instance_seconds for _, ledger in self.stages if ledger)

    @property
    def cost(self) -> float | None:
        """US dollars so far; None where the environment names no price."""
        costs = [ledger.cost for _, ledger in self.stages if ledger]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known and len(known) == len(costs) else None

    @property
    def reasons(self) -> list[str]:
        """Why its stages ended without success, a line each."""
        return [self.other] * bool(self.other) + [
            f"stage {stage.stage} {ledger.state}: {ledger.reason or 'no reason was noted'}"
            for stage, ledger in self.stages
            if ledger and ledger.state not in {"running", "succeeded"} and not self.waits(ledger)
        ]

    @property
    def causes(self) -> list[tuple[Stage, Cause]]:
        """Why items failed for good, each cause once, with their stages."""
        return [(stage, cause) for stage, ledger in self.stages if ledger for cause in causes.causes(ledger.failures)]

    @property
    def problems(self) -> list[str]:
        """The reasons, and the first causes with their items and some lines of the log."""
        lines = self.reasons
        for stage, cause in self.causes[:SHOWN]:
            lines.append(f"  {stage.stage}, {cause.named}, {cause.kind}: {one_line(cause.reason)}")
            lines += [f"    {printable(text)}" for text in cause.lines]
        if len(self.causes) > SHOWN:
            lines.append(f"  and {len(self.causes) - SHOWN} more causes: invoke status --run-id {self.run_id}")
        return lines


def parse_params(pairs: Sequence[str]) -> dict[str, str]:
    """`key=value` pairs of the command line.

    Raises:
        SettingsError: one is none, or a key is there twice.
    """
    params: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise SettingsError(f"--param {pair}: key=value is expected, such as num_items=16")
        if key.strip() in params:
            raise SettingsError(f"--param {key.strip()} is given twice")
        params[key.strip()] = value.strip()
    return params


def new_run_id(dag: str, now: datetime) -> str:
    """A run id that a person can read, short enough for MWAA's paths: of a long DAG's name it holds the beginning."""
    stamp = f"{now.astimezone(UTC):-%Y%m%d-%H%M%S}"
    return dag[: PATH_LENGTH - len(f"/dags/{dag}/dagRuns/{stamp}")] + stamp


def dag_of(run_id: str, given: str, dags: Sequence[str], lying: Callable[[], Sequence[str]]) -> str:
    """Say which DAG a run is of.

    Args:
        run_id: as somebody typed it.
        given: the DAG, if they named it.
        dags: those that there are.
        lying: gives the DAGs of which a job of this run id lies in S3; asked where the id does not say it.

    Raises:
        SettingsError: this cannot be a run id, or several DAGs or none can be meant.
    """
    if not run_id.strip() or "/" in run_id or not run_id.isprintable():
        raise SettingsError(f"{run_id!r} is no run id, such as ber-20261122-190000; invoke status lists the last ones")
    if given:
        return given
    stamped = _STAMPED.fullmatch(run_id)
    if stamped is None:
        there = lying()
        if len(there) == 1:
            return there[0]
        raise SettingsError(f"run id {run_id} does not say its DAG: name it with --dag ({', '.join(there or dags)})")
    begin = stamped["dag"]
    found = (
        [begin]
        if begin in dags
        else [dag for dag in dags if new_run_id(dag, datetime.now(UTC)).startswith(f"{begin}-")]
    )
    if len(found) > 1:
        raise SettingsError(f"run id {run_id} may be of {', '.join(found)}: say which with --dag")
    # A DAG that the checkout does not have (any more) may still have runs.
    return found[0] if found else begin


def cancel_note(run: Mapping[str, Any]) -> str:
    """What `invoke cancel` notes on a DAG run. It names when the run was queued, for clearing it queues it anew."""
    return f"{_CANCELLED}{run.get('queued_at')}"


def start(workspace: Workspace, outputs: Outputs, dag: str, params: Mapping[str, Any]) -> str:
    """Start a job.

    Args:
        workspace: where.
        outputs: of its Terraform.
        dag: the DAG's id.
        params: as the job specification validated them.

    Returns:
        The DAG run's id.

    Raises:
        WinbatchError: the environment cannot run such a job.
        AirflowError: Airflow does not take it.
    """
    target = read_deployment(outputs)
    airflow = workspace.airflow(outputs)
    wake(airflow, dag)
    # By this a run is known to be ours, though nobody could say whether it was started.
    note = f"started by invoke run, call {secrets.token_hex(6)}"
    for _ in range(5):
        run_id = new_run_id(dag, datetime.now(UTC))
        # What the DAG would find out in minutes is found out here.
        job.plan(spec.load(dag), params, run_id, target, _data(workspace, outputs))
        if airflow.trigger(dag, run_id, params, note):
            return run_id
        time.sleep(1.0)
    raise AirflowError(f"five run ids in a row were taken for DAG {dag}; call again")


def wake(airflow: Airflow, dag: str) -> None:
    """Make sure that Airflow runs a DAG: nothing of a paused one goes on, its teardowns neither.

    Raises:
        AirflowError: Airflow does not know it.
    """
    known = airflow.dag(dag)
    if known is None:
        raise AirflowError(f"Airflow does not know DAG {dag}{hint(dag, spec.names())}: invoke dags.release")
    if known.get("is_paused"):
        airflow.unpause(dag)


def read_deployment(outputs: Outputs) -> deployment.Deployment:
    """What Terraform built, as the DAGs see it."""
    return deployment.Deployment.from_json(json.dumps(outputs.deployment), where="Terraform's output deployment")


def latest(airflow: Airflow, dags: Sequence[str]) -> tuple[str, str]:
    """Find the last run of some DAGs: its DAG and its id.

    Raises:
        JobFailed: there is none.
    """
    runs = airflow.runs(*dags, limit=1)
    if not runs:
        meant = hint(dags[0], spec.names())
        raise JobFailed(f"no job of {', '.join(dags)}{meant} has run yet: invoke run --dag {dags[0]}")
    return str(runs[0]["dag_id"]), str(runs[0]["dag_run_id"])


def look(workspace: Workspace, outputs: Outputs, dag: str, run_id: str) -> Snapshot:
    """A job as it is now.

    Raises:
        JobFailed: there is no such run.
    """
    run = workspace.airflow(outputs).run(dag, run_id)
    if run is None:
        raise JobFailed(f"DAG {dag}{hint(dag, spec.names())} has no run {run_id!r}; invoke status lists the last ones")
    return snapshot_of(workspace, outputs, dag, run)


def snapshot_of(workspace: Workspace, outputs: Outputs, dag: str, run: Mapping[str, Any]) -> Snapshot:
    """Look at a job in S3.

    Args:
        workspace: where.
        outputs: of its Terraform.
        dag: DAG id.
        run: Airflow's object of the DAG run.
    """
    run_id = str(run["dag_run_id"])
    data = _data(workspace, outputs)
    found = stored.find(data.find, dag, run_id, run.get("conf") or {})
    start = start_of(run)
    mark = data.find(keys.cancel_key(dag, keys.job_id(run_id)))
    marked = mark is not None and cancelling.applies(mark, start)
    if found is not None and not found.is_of(start.begun):
        other = (
            f"what lies in s3://{outputs.data_bucket}/{keys.job_prefix(dag, found.job)} is of run {found.run_id!r} of"
            f" {found.begun}, which was another one"
        )
        return Snapshot(run_id, run, [], marked, other)
    return Snapshot(run_id, run, _stages(workspace, outputs, found) if found else [], marked, job=found)


def start_of(run: Mapping[str, Any]) -> Start:
    """Name the start of a DAG run that is the present one.

    Args:
        run: Airflow's object of the DAG run.
    """
    at = run.get("start_date")
    return Start(format_time(parse_time(str(run["run_after"]))), parse_time(str(at)) if at else None)


def ports(workspace: Workspace, outputs: Outputs) -> AwsPorts:
    """Give the engine's ports, with this environment's clients."""
    return AwsPorts(read_deployment(outputs), workspace.aws.client)


def lying(workspace: Workspace, outputs: Outputs, run_id: str) -> list[str]:
    """Name the DAGs of which a job of this run id lies in S3."""
    data = _data(workspace, outputs)
    return [dag for dag in sorted(data.folders(keys.PREFIX)) if stored.find(data.find, dag, run_id, {})]


def _data(workspace: Workspace, outputs: Outputs) -> Store:
    return Store(workspace.aws.client("s3"), outputs.data_bucket)


def _stages(workspace: Workspace, outputs: Outputs, planned: Job) -> list[tuple[Stage, Ledger | None]]:
    """A job's stages with their ledgers."""
    s3 = workspace.aws.client("s3")
    data = _data(workspace, outputs)
    found: list[tuple[Stage, Ledger | None]] = []
    for stage in planned.stages:
        at = keys.ledger_key(stage)
        body = data.find(at)
        ledger = Ledger.from_json(body, where=at) if body else None
        # Workers may have finished a shard while they were being stopped, so that an end is no last word either.
        if ledger and ledger.state != "succeeded" and stage.shards <= ONE_LISTING:
            ledger = _with_results(s3, outputs.data_bucket, stage, ledger)
        found.append((stage, ledger))
    return found


def _with_results(s3: Any, bucket: str, stage: Stage, ledger: Ledger) -> Ledger:
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=stage.results).get("Contents", ())
    found = (stage.parse_result_key(item["Key"]) for item in listed)
    return refreshed(stage, ledger, [shard for shard in found if shard is not None], datetime.now(UTC))


def refreshed(stage: Stage, ledger: Ledger, results: Sequence[int], now: datetime) -> Ledger:
    """The ledger, as fresh as the results: the engine looks only when something is due, and workers go on meanwhile.

    When a stage ended stays as it is.

    Args:
        stage: the stage.
        ledger: as the engine left it.
        results: shards that have a result. The engine has read those that it counts; the others are taken on trust.
        now: when they were listed.
    """
    new = [shard for shard in set(results) if shard < stage.shards and not ledger.done >> shard & 1]
    done = ledger.done | sum(1 << shard for shard in new)
    items = ledger.items_done + sum(len(stage.shard_lines(shard)) for shard in new)
    items = min(items, ledger.items - ledger.items_failed)
    counts = {group.name: count_done(done, stage.group_shards(group)) for group in stage.groups}
    return replace(
        ledger,
        done=done,
        items_done=items,
        remaining_seconds=(ledger.items - items - ledger.items_failed) / ledger.rate if ledger.rate else None,
        groups=tuple(replace(count, done=counts.get(count.name, count.done)) for count in ledger.groups),
        updated_at=ledger.updated_at if ledger.finished else now,
    )


def follow(workspace: Workspace, outputs: Outputs, dag: str, run_id: str, show: Callable[[Snapshot], None]) -> Snapshot:
    """Look at a job until it has ended; the last look.

    Raises:
        JobFailed: there is no such run.
    """
    for snapshot in _looks(workspace, outputs, dag, run_id):
        show(snapshot)
        if snapshot.ended:
            return snapshot
    raise AssertionError("looks do not end before the run does")


def _looks(workspace: Workspace, outputs: Outputs, dag: str, run_id: str) -> Iterator[Snapshot]:
    answered, patience, snapshot = time.monotonic(), FIRST_PATIENCE, None
    while True:
        try:
            snapshot = look(workspace, outputs, dag, run_id)
            answered, patience = time.monotonic(), AIRFLOW_PATIENCE
        except AirflowError as error:
            # Airflow may be starting again; the ledgers in S3 tell of the job meanwhile.
            refused = error.status is not None and error.status < SERVER_ERROR
            if refused or time.monotonic() - answered > patience:
                raise
        if snapshot is None:
            time.sleep(LEDGER_SECONDS)
            continue
        yield snapshot
        asked = time.monotonic()
        while time.monotonic() - asked < RUN_SECONDS:
            time.sleep(LEDGER_SECONDS)
            yield snapshot_of(workspace, outputs, dag, snapshot.run)
