"""Causes of jobs that have ended, or are about to: each gives its reason, or None where it is none of the job's."""

from collections.abc import Iterator
from datetime import datetime

from scripts.core.errors import one_line
from scripts.jobs import refusals
from scripts.jobs.reason import SHOWN, Reason, Situation, cut, has_failed, utc, what_is_left
from scripts.jobs.runs import Snapshot
from scripts.jobs.story import many, names


def another_job(situation: Situation) -> Reason | None:
    """What lies in S3 under its run id is of another run."""
    other = situation.snapshot.other
    advice = "start the run under another id, or delete what lies there (docs/operating.md)"
    return Reason("another-job", other, (), advice) if other else None


def succeeded(situation: Situation) -> Reason | None:
    """It has succeeded, perhaps without some of its items."""
    snapshot = situation.snapshot
    if snapshot.state != "succeeded":
        return None
    if not snapshot.causes:
        return Reason("succeeded", f"succeeded: {many(snapshot.items, 'item')}", (_ended_at(snapshot),))
    failed = f"succeeded, but {many(snapshot.failed_items, 'item')} failed: {_first_cause(snapshot)}"
    return Reason("succeeded-with-failures", failed, (_ended_at(snapshot), *_item_evidence(snapshot)), _mend(situation))


def cancelled(situation: Situation) -> Reason | None:
    """Somebody cancelled it."""
    snapshot = situation.snapshot
    if snapshot.state == "cancelling":
        left = f"{what_is_left(snapshot)} are left"
        return Reason("cancelling", "is being cancelled: its ECS tasks are stopped, the cluster scaled in", (left,))
    if snapshot.state != "cancelled":
        return None
    done = f"{snapshot.items_done:,} of {many(snapshot.items, 'item')} are done and kept"
    evidence = (_ended_at(snapshot), *snapshot.reasons)
    return Reason("cancelled", f"was cancelled: {done}", evidence, f"go on with the rest: {situation.call('resume')}")


def failed(situation: Situation) -> Reason | None:
    """A stage has failed, and the job with it."""
    snapshot = situation.snapshot
    found = next(
        ((stage, ledger) for stage, ledger in snapshot.stages if ledger and has_failed(snapshot, ledger)), None
    )
    if found is None or snapshot.state not in {"failed", "running"}:
        return None
    stage, ledger = found
    how = "failed" if snapshot.ended else "is failing"
    sentence = f"{how}: stage {stage.stage}: {cut(ledger.reason or 'no reason was noted')}"
    since = f"since {utc(ledger.updated_at)}"
    if ledger.failures:
        return Reason("items-failed", sentence, (since, *_item_evidence(snapshot)), _mend(situation))
    again = f"then go on with what is missing: {situation.call('resume')}"
    if ledger.faults:
        kind, fault = refusals.of_tasks(ledger.faults)
        words = f"ECS's words at {utc(fault.at)}: {cut(fault.reason)}"
        return Reason(kind.code, sentence, (since, words), f"{fault.advice or kind.advice}; {again}")
    if ledger.short_at:
        kind = refusals.of_launch(ledger.said)
        said = f"AWS says: {cut(ledger.said)}" if ledger.said else "AWS said nothing of it"
        return Reason(kind.code, sentence, (since, said), f"{kind.advice}; {again}")
    return Reason("failed", sentence, (since,), f"mend it, and {again}")


def failed_outside(situation: Situation) -> Reason | None:
    """Its DAG run failed, and none of its stages says why: an Airflow task did."""
    snapshot = situation.snapshot
    if snapshot.state != "failed" or any(ledger and has_failed(snapshot, ledger) for _, ledger in snapshot.stages):
        return None
    left = next((stage for stage, ledger in snapshot.stages if ledger and not ledger.finished), None)
    if left is not None:
        sentence = f"its DAG run has ended, but stage {left.stage} says it is running: the teardown did not get through"
        evidence = (_ended_at(snapshot), f"{what_is_left(snapshot)} are left")
        return Reason("teardown", sentence, evidence, f"stop what is left and scale in: {situation.call('cancel')}")
    broken = sorted({name for name, state in situation.tasks if state == "failed"})
    where = f" in {names('Airflow task', broken)}" if broken else ""
    when = "before it was planned" if not snapshot.stages else "outside of its stages"
    advice = f"read the log of the Airflow task on the Airflow page, mend it: {situation.call('resume')}"
    return Reason("airflow-task", f"failed{where}, {when}", (_ended_at(snapshot),), advice)


def _mend(situation: Situation) -> str:
    stage, cause = situation.snapshot.causes[0]
    item = f"{situation.call('logs')} --item {cause.items[0]} --stage {stage.stage}"
    again = situation.call("resume")
    return f"read the log ({item}), mend it, push the image (invoke up), and run what is missing: {again}"


def _first_cause(snapshot: Snapshot) -> str:
    stage, cause = snapshot.causes[0]
    return f"stage {stage.stage}, {cause.named}: {cut(cause.reason)}"


def _item_evidence(snapshot: Snapshot) -> Iterator[str]:
    for stage, cause in snapshot.causes[:SHOWN]:
        yield f"stage {stage.stage}, {cause.named}, {cause.kind}: {cut(cause.reason)}"
        yield from (f"  {one_line(line)}" for line in cause.lines)


def _ended_at(snapshot: Snapshot) -> str:
    ended = snapshot.run.get("end_date")
    return f"ended at {utc(datetime.fromisoformat(str(ended)))}" if ended else "its DAG run has not ended yet"
