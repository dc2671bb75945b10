"""Why a job is where it is: what it waits for, or what ended it, in a sentence, with evidence and advice.

Pure: all comes from a `Situation`. Each cause is a function that gives its reason, or None where it is none of the
job's. Their order decides: the first is told, and what else is the case is evidence of it. What stands in a job's way
comes before "goes on", what only slows it comes after.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from scripts.jobs import ends, turns, waits
from scripts.jobs.reason import FINE, Reason, Situation

type Cause = Callable[[Situation], Reason | None]

CAUSES: Sequence[Cause] = (
    ends.another_job,
    ends.succeeded,
    ends.cancelled,
    ends.failed,
    ends.failed_outside,
    turns.queued,
    turns.airflow_away,
    turns.planning,
    turns.between_stages,
    turns.overdue,
    waits.instances,
    waits.no_task_works,
    waits.share_of_none,
    waits.retry,
    waits.pending,
    waits.no_room,
    waits.slow,
    waits.goes_on,
    waits.fewer_instances,
    waits.faults_beside,
    waits.share_of_some,
    waits.retries_beside,
    turns.airflow_away_beside,
)


def tell(situation: Situation) -> Reason:
    """Give the reason that counts; the others that hold are evidence of it."""
    first, *others = reasons(situation)
    also = tuple(f"also: {each.sentence}" for each in others if each.code not in FINE)
    return replace(first, evidence=(*first.evidence, *also))


def reasons(situation: Situation) -> list[Reason]:
    """Give all reasons that hold, in their order; never none."""
    return [reason for cause in CAUSES if (reason := cause(situation)) is not None] or [_unknown(situation)]


def _unknown(situation: Situation) -> Reason:
    return Reason("unknown", f"nothing that was read says why it is {situation.snapshot.state}")
