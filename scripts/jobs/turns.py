"""Causes of jobs that nobody looks after: not begun, not planned, between two stages, or without an Airflow."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from scripts.jobs.reason import SHOWN, Reason, Situation, cut, utc
from scripts.jobs.story import many, names

# A run that Airflow has not taken up for so long waits for more than its turn.
QUEUED = timedelta(minutes=2)


def queued(situation: Situation) -> Reason | None:
    """Airflow has not taken it up."""
    snapshot = situation.snapshot
    if snapshot.state != "queued":
        return None
    since = snapshot.run.get("queued_at")
    evidence = (f"queued since {utc(datetime.fromisoformat(str(since)))}",) if since else ()
    if situation.paused:
        return Reason(
            "paused", "waits for its DAG, which is paused in Airflow", evidence, "unpause it on the Airflow page"
        )
    if situation.running:
        sentence = f"waits for its turn in Airflow: {many(len(situation.running), 'other run')} of its DAG are at work"
        advice = "wait, or cancel one of them (invoke cancel)"
        return Reason("turn", sentence, (*evidence, names("run", situation.running)), advice)
    long = since and situation.now - datetime.fromisoformat(str(since)) > QUEUED
    advice = "look at the Airflow page whether its scheduler is well" if long else ""
    return Reason("queued", "waits for Airflow, which has not taken it up", evidence, advice)


def airflow_away(situation: Situation) -> Reason | None:
    """Airflow does not answer, and nobody looks after the job."""
    if not situation.away or not (situation.late or _not_planned(situation)):
        return None
    words = f"Airflow's answer: {cut(situation.away)}"
    advice = "see MWAA's console, the alarms; workers go on with what they find, the engine takes over where it was"
    return Reason("airflow-away", "waits for Airflow, which does not answer", (*_last_look(situation), words), advice)


def planning(situation: Situation) -> Reason | None:
    """Airflow has begun with it, and it is not planned."""
    if not _not_planned(situation):
        return None
    at_work = [(name, state) for name, state in situation.tasks if state not in {"success", None}]
    which = ", ".join(f"Airflow task {name} is {str(state).replace('_', ' ')}" for name, state in at_work[:SHOWN])
    began = situation.snapshot.run.get("start_date")
    evidence = (f"since {utc(datetime.fromisoformat(str(began)))}",) if began else ()
    retries = any(state == "up_for_retry" for _, state in at_work)
    advice = "read that Airflow task's log on the Airflow page: it is tried again after an error" if retries else ""
    return Reason("planning", f"is being planned: {which or 'Airflow has not begun with it'}", evidence, advice)


def between_stages(situation: Situation) -> Reason | None:
    """The stage whose turn it is has not begun, or all of them have ended."""
    snapshot = situation.snapshot
    if snapshot.ended or snapshot.state != "running" or snapshot.current is None:
        return None
    stage, ledger = snapshot.current
    if ledger is not None and ledger.state == "succeeded":
        return Reason("scaling-in", "all stages are done; its Airflow task scale_in is still to end")
    if ledger is None or snapshot.waits(ledger):
        advice = "" if not situation.away else "see MWAA's console: Airflow does not answer"
        return Reason("not-begun", f"stage {stage.stage} waits for Airflow, which has not begun with it", (), advice)
    return None


def overdue(situation: Situation) -> Reason | None:
    """The engine's next look is long past."""
    if not situation.late or situation.away:
        return None
    advice = (
        "look at the Airflow page: its scheduler, the stage's Airflow task; the alarms scheduler and queue tell more."
        " Workers go on with what they find"
    )
    states = tuple(
        f"Airflow task {name} is {state}" for name, state in situation.tasks if state not in {"success", None}
    )
    evidence = (*_last_look(situation), *states[:SHOWN])
    return Reason("overdue", "nobody looks after it: Airflow has not called the engine in time", evidence, advice)


def airflow_away_beside(situation: Situation) -> Reason | None:
    """Airflow does not answer, and the job goes on all the same, or has ended."""
    if not situation.away or airflow_away(situation):
        return None
    return Reason("airflow-away", f"Airflow does not answer: {cut(situation.away)}")


def _last_look(situation: Situation) -> Iterator[str]:
    if situation.stage is not None:
        yield f"the engine's next look was due at {utc(situation.stage[1].due_at)}"


def _not_planned(situation: Situation) -> bool:
    snapshot = situation.snapshot
    return snapshot.state == "running" and not snapshot.stages and not snapshot.other
