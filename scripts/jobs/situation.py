"""Reads what `scripts.jobs.why` judges by: a job, the board of the cluster, its shards at work, Airflow's word of it.

A few requests, whatever the size of the job: of a listing no more is read than `LISTED` records.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from scripts.core.airflow import SERVER_ERROR, Airflow
from scripts.core.errors import AirflowError
from scripts.jobs import runs, why
from scripts.jobs.reason import Reason, Shard, Situation
from scripts.jobs.runs import Snapshot
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import attempts, engine, places, stored
from winbatch.attempts import History, Kind, Record, Rule
from winbatch.errors import JobError, WinbatchError
from winbatch.ledger import Ledger
from winbatch.ports import Reader
from winbatch.shares import Board
from winbatch.stage import ClaimMark, Stage

# Records of claims that are read at most; five pages of a listing.
LISTED = 5000
# Of shards that are held it is read by which ECS task, of so many; the others say since when.
NAMED = 3
# Runs of a DAG that are looked through for those before it.
_RUNS = 20


def read(workspace: Workspace, outputs: Outputs, dag: str, run_id: str, *, options: str = "") -> Situation:
    """Read a job's situation.

    Args:
        workspace: where.
        outputs: of its Terraform.
        dag: the job's.
        run_id: the DAG run's.
        options: what a command about it needs behind its run id.

    Raises:
        JobFailed: there is no such run.
        AirflowError: Airflow refuses; or does not answer, and S3 does not know the job either.
    """
    airflow = workspace.airflow(outputs)
    away = ""
    try:
        snapshot = runs.look(workspace, outputs, dag, run_id)
    except AirflowError as error:
        if not _is_away(error):
            raise
        run = _run_in_s3(runs.ports(workspace, outputs), dag, run_id)
        if run is None:
            raise
        away, snapshot = str(error), runs.snapshot_of(workspace, outputs, dag, run)
    found = of_snapshot(workspace, outputs, snapshot, options=options)
    return replace(found, away=away) if away else _with_airflow(airflow, dag, found)


def of_snapshot(workspace: Workspace, outputs: Outputs, snapshot: Snapshot, *, options: str = "") -> Situation:
    """Read what S3 has of a job's surroundings; Airflow is not asked.

    Args:
        workspace: where.
        outputs: of its Terraform.
        snapshot: the job.
        options: what a command about it needs behind its run id.
    """
    most = runs.read_deployment(outputs).cluster.max_instances
    return around(runs.ports(workspace, outputs), snapshot, datetime.now(UTC), instances=most, options=options)


def around(
    bucket: Reader, snapshot: Snapshot, now: datetime, *, instances: int | None = None, options: str = ""
) -> Situation:
    """Read the board, and the shards of the stage at work.

    Args:
        bucket: the data bucket.
        snapshot: the job.
        now: the time.
        instances: that the cluster can have.
        options: what a command about the job needs behind its run id.
    """
    found = Situation(snapshot=snapshot, now=now, options=options, instances=instances)
    if found.stage is None:
        return found
    stage, ledger = found.stage
    return replace(
        found,
        board=_board(bucket),
        shards=_shards(bucket, stage, ledger, snapshot.rules),
    )


def _board(bucket: Reader) -> Board:
    """The board; an empty one where none can be read, for it only explains."""
    with contextlib.suppress(JobError):
        return places.read(bucket)[0]
    return Board()


class Teller:
    """Says of a job that is followed why nothing moves; asked at each look, it reads anew now and then.

    Args:
        read: gives the situation of a snapshot.
        every: reads no more often.
    """

    def __init__(self, read: Callable[[Snapshot], Situation], every: timedelta = timedelta(seconds=10)) -> None:
        self._read, self._every = read, every
        self._at: datetime | None = None
        self._said: Reason | None = None

    def __call__(self, snapshot: Snapshot) -> Reason | None:
        """Give the reason; None while the job goes on."""
        now = datetime.now(UTC)
        if self._at is None or now - self._at >= self._every:
            self._at, self._said = now, None
            # It only explains: who follows a job goes on following it.
            with contextlib.suppress(WinbatchError):
                self._said = why.tell(self._read(snapshot))
        return self._said if self._said and self._said.still else None


def _with_airflow(airflow: Airflow, dag: str, found: Situation) -> Situation:
    """Add what Airflow says; that it does not answer is something, too."""
    snapshot = found.snapshot
    try:
        if snapshot.state == "queued":
            known = airflow.dag(dag) or {}
            others = [run for run in airflow.runs(dag, limit=_RUNS) if run["dag_run_id"] != snapshot.run_id]
            running = [str(run["dag_run_id"]) for run in others if run.get("state") == "running"]
            return replace(found, paused=bool(known.get("is_paused")), running=running)
        if snapshot.state in {"running", "failed"}:
            return replace(found, tasks=airflow.task_states(dag, snapshot.run_id))
    except AirflowError as error:
        return replace(found, away=str(error))
    return found


def _is_away(error: AirflowError) -> bool:
    return error.status is None or error.status >= SERVER_ERROR


def _run_in_s3(bucket: Reader, dag: str, run_id: str) -> Mapping[str, Any] | None:
    """What Airflow would say of a run, as far as its job in S3 tells; None where there is none."""

    def find(key: str) -> bytes | None:
        there = bucket.get(key)
        return there.body if there else None

    planned = stored.find(find, dag, run_id, {})
    if planned is None or not planned.begun:
        return None
    return {"dag_run_id": run_id, "dag_id": dag, "run_after": planned.begun, "state": "running"}


def _shards(bucket: Reader, stage: Stage, ledger: Ledger, rules: Mapping[Kind, Rule]) -> Sequence[Shard]:
    """The shards that are held or wait, the oldest first, as far as they are among the records that are read."""
    histories = attempts.histories(islice(_marks(bucket, stage, ledger), LISTED))
    found = [
        shard for history in histories.values() if (shard := _shard(history, rules, rounds=ledger.rounds)) is not None
    ]
    found.sort(key=lambda shard: shard.since)
    held = [shard for shard in found if shard.state == "open"][:NAMED]
    tasks = {shard.number: _holder(bucket, stage, shard) for shard in held}
    return [replace(shard, task=tasks.get(shard.number, "")) for shard in found]


def _marks(bucket: Reader, stage: Stage, ledger: Ledger) -> Iterator[tuple[ClaimMark, datetime]]:
    for shards in engine.unsettled(stage, ledger.done):
        for entry in bucket.listing(stage.claims, f"{shards.start:06d}", f"{shards.stop:06d}"):
            mark = stage.parse_claim_key(entry.key)
            if mark is not None and not ledger.done >> mark.shard & 1:
                yield mark, entry.modified


def _shard(history: History, rules: Mapping[Kind, Rule], *, rounds: int) -> Shard | None:
    judged = history.judge(rules, rounds=rounds)
    if judged.state not in {"open", "waits"}:
        return None
    attempt = judged.mark.attempt
    times = [at for at in history.attempts[attempt].values() if at is not None]
    return Shard(
        number=history.shard,
        attempt=attempt,
        state="open" if judged.state == "open" else "waits",
        since=max(times),
        cause=judged.cause,
        due=judged.due,
    )


def _holder(bucket: Reader, stage: Stage, shard: Shard) -> str:
    key = stage.claim_key(ClaimMark(shard.number, shard.attempt, "claim"))
    there = bucket.get(key)
    try:
        return Record.decode(there.body, where=key).task if there else ""
    except JobError:
        # It only explains.
        return ""
