"""Takes into the ledger what came of the actions."""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable

from winbatch.causes import like
from winbatch.ecs_tasks import Worker
from winbatch.engine.workers import filled_at
from winbatch.ledger import Fault, Known, Ledger, Wave
from winbatch.results import ItemFailure

# ECS lists an ECS task for an hour after it has stopped; one of a round before may be listed a little longer.
ENDED_KEPT = dt.timedelta(hours=2)
# A ledger is read and written at every tick: only so many failures keep the end of their log in it, of those that are
# alike only some, so that each cause has one.
LOGS_KEPT = 100
LOGS_OF_A_CAUSE = 5


def answered(ledger: Ledger, wave: Wave, arns: Iterable[str], now: dt.datetime) -> Ledger:
    """Take ECS's answer to a RunTask call into the ledger."""
    waves = tuple(unanswered for unanswered in ledger.waves if unanswered.number != wave.number)
    started = {arn: ledger.known.get(arn, Known("live", now)) for arn in arns}
    # The bucket refills from the last call on, which may have been a while after the tick looked.
    return dataclasses.replace(ledger, waves=waves, known={**ledger.known, **started}, tokens_at=filled_at(ledger, now))


def paused(ledger: Ledger, reason: str, now: dt.datetime) -> Ledger:
    """Note that ECS did not take a RunTask call and asks for a pause. The call stays unanswered and is sent again."""
    fault = Fault("throttled", reason, now)
    return dataclasses.replace(ledger, tokens=0.0, tokens_at=filled_at(ledger, now), faults=(*ledger.faults, fault))


def refused(ledger: Ledger, wave: Wave, fault: Fault) -> Ledger:
    """Note that ECS refused a RunTask call, which is not sent again."""
    ledger = answered(ledger, wave, (), fault.at)
    return dataclasses.replace(ledger, faults=(*ledger.faults, fault))


def crowded(ledger: Ledger, wave: Wave, now: dt.datetime) -> Ledger:
    """Note that ECS had no place for a RunTask call, which counts for nobody: a later call tries again."""
    return dataclasses.replace(answered(ledger, wave, (), now), crowded_at=now)


def terminated(ledger: Ledger, ec2_id: str, now: dt.datetime) -> Ledger:
    """Note that Auto Scaling has taken the order to terminate an instance, or the instance is none of its any more."""
    return dataclasses.replace(ledger, terminated={**ledger.terminated, ec2_id: now})


def told(ledger: Ledger, said: str, now: dt.datetime) -> Ledger:
    """Take into the ledger that AWS was asked for instances now, and what it said; nothing where it took them all."""
    ledger = dataclasses.replace(ledger, asked=ledger.asked and dataclasses.replace(ledger.asked, at=now))
    return dataclasses.replace(ledger, said=said, said_at=now) if said else ledger


def explained(ledger: Ledger, shards: Iterable[int], failures: Iterable[ItemFailure]) -> Ledger:
    """Take into the ledger why shards failed for good: their items that did; the others of them are done."""
    kept = Counter(like(failure.reason) for failure in ledger.failures if failure.log)
    new = []
    for failure in failures:
        cause = like(failure.reason)
        if kept[cause] < LOGS_OF_A_CAUSE and kept.total() < LOGS_KEPT:
            kept[cause] += bool(failure.log)
            new.append(failure)
        else:
            new.append(dataclasses.replace(failure, log=()))
    return dataclasses.replace(
        ledger, explained=ledger.explained | frozenset(shards), failures=(*ledger.failures, *new)
    )


def settled(
    ledger: Ledger, workers: Iterable[Worker], holders: frozenset[str], now: dt.datetime, *, where: str = ""
) -> Ledger:
    """After a tick's actions: what had ended needs no further look.

    Args:
        ledger: the ledger.
        workers: as the tick saw them.
        holders: the ECS tasks that held a claim at their end: that counts for the shard, and not for the stage.
        now: the tick's time.
        where: which image was to run on which hosts, for reasons that no further attempt mends.
    """
    ending = {arn for arn, task in ledger.known.items() if task.status == "ending"}
    ended = [worker for worker in workers if worker.arn in ending and worker.arn not in holders]
    faults = [
        Fault(
            worker.fault,
            (worker.reason or f"exit code {worker.exit_code}") + (where if worker.advice else ""),
            now,
            worker.advice,
        )
        for worker in ended
        if worker.fault is not None
    ]
    if any(worker.crowded_out for worker in ended):
        ledger = dataclasses.replace(ledger, crowded_at=now)
    known = {arn: Known("ended", now) if arn in ending else task for arn, task in ledger.known.items()}
    # ECS itself knows nothing any more of what ended so long ago, and the ledger is read and written at every tick.
    kept = {arn: task for arn, task in known.items() if task.status != "ended" or now - task.since < ENDED_KEPT}
    forgotten = ledger.forgotten + len(known) - len(kept)
    return dataclasses.replace(ledger, known=kept, forgotten=forgotten, faults=(*ledger.faults, *faults))
