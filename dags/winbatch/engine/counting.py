"""Counts a stage's shards, items, ECS tasks and cost by what was seen."""

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable

from winbatch import attempts
from winbatch.attempts import Judgement
from winbatch.ecs_tasks import Worker
from winbatch.engine.model import Limits, Seen, Shards
from winbatch.ledger import SAMPLE_EVERY, SAMPLES, GroupCount, Known, Ledger
from winbatch.stage import BLOCK, ClaimMark, Stage, count_done

# When so many shards have failed at least once, and none has succeeded, the fault is not one of items.
HOPELESS = 10
# An ECS task that RunTask has named but Describe does not know yet may be only seconds old; after this it is gone.
UNKNOWN_GRACE = dt.timedelta(seconds=120)


def unsettled(stage: Stage, done: int) -> list[range]:
    """Find the shards that must still be looked at: those of all blocks that are not done as a whole, joined."""
    ranges: list[range] = []
    for first in range(0, stage.shards, BLOCK):
        block = range(first, min(first + BLOCK, stage.shards))
        if count_done(done, block) == len(block):
            continue
        if ranges and ranges[-1].stop == first:
            ranges[-1] = range(ranges[-1].start, block.stop)
        else:
            ranges.append(block)
    return ranges


def sort_shards(stage: Stage, limits: Limits, ledger: Ledger, seen: Seen) -> Shards:
    """Sort every shard by what its attempts say, whether it is done, free, or something else."""
    done = ledger.done
    for shard in seen.results:
        done |= 1 << shard
    known = attempts.histories(seen.marks.items())
    judged = [
        history.judge(limits.rules, rounds=ledger.rounds, broken=shard in seen.broken)
        for shard, history in known.items()
    ]
    sorted_: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in judged:
        sorted_[judgement.state].append(judgement)
    waits, failed = sorted_["waits"], [(each.mark, each.cause) for each in sorted_["failed"] if each.cause]
    # A result that nobody claimed to make, and that is none.
    unclaimed = [
        (ClaimMark(shard, 0, "invalid"), reason)
        for shard, reason in seen.broken.items()
        if shard not in known and not done >> shard & 1
    ]
    broken = [*unclaimed, *((each.mark, seen.broken[each.mark.shard]) for each in sorted_["broken"])]
    hopeless = not done and ledger.rounds == 1 and len(waits) + len(failed) >= HOPELESS
    if hopeless:
        failed += [(known[each.mark.shard].last, each.cause) for each in waits if each.cause]
        waits = []
    others = len(sorted_["open"]) + len(waits) + len(failed) + len(broken)
    return Shards(
        done,
        stage.shards - done.bit_count() - others,
        tuple(each.mark for each in sorted_["open"]),
        tuple((each.mark, each.due) for each in waits if each.due),
        tuple(broken),
        tuple(failed),
        hopeless,
    )


def count(stage: Stage, limits: Limits, ledger: Ledger, seen: Seen, shards: Shards) -> Ledger:
    """Bring up to date what people are shown in the ledger, and the ECS tasks."""
    known = dict(ledger.known)
    for worker in seen.workers:
        before = known.get(worker.arn, Known("live", seen.now))
        if before.status == "ended" or _live(worker, before, seen):
            known[worker.arn] = before
        else:
            known[worker.arn] = dataclasses.replace(before, status="ending")
    live = sum(task.status == "live" for task in known.values())
    running = sum(worker.status == "running" for worker in seen.workers)
    progress = shards.done.bit_count() > ledger.shards_done
    failed = {mark.shard for mark, _ in shards.failed}
    failures = tuple(failure for failure in ledger.failures if failure.shard in failed)
    explained_shards = ledger.explained & failed
    items_done = _items(stage, shards.done) + sum(len(stage.shard_lines(shard)) for shard in explained_shards)
    ledger = dataclasses.replace(
        ledger,
        items_done=items_done - len(failures),
        items_failed=len(failures),
        failures=failures,
        explained=explained_shards,
        done=shards.done,
        shards_failed=len(failed),
        shards_claimed=len(shards.open),
        tasks_pending=live - running,
        tasks_running=running,
        tasks_stopped=ledger.forgotten + len(known) - live,
        instances_desired=seen.desired,
        instances_registered=len(seen.instances),
        groups=tuple(_group_counts(stage, shards.done, failed)),
        known=known,
        faults=() if progress else ledger.faults,
        progress_at=seen.now if progress or running > ledger.tasks_running else ledger.progress_at,
    )
    return _rate(_cost(limits, ledger, seen, live))


def _live(worker: Worker, known: Known, seen: Seen) -> bool:
    """ECS may need a moment to know an ECS task that it has just named."""
    return worker.live or (worker.status == "missing" and seen.age(known.since) < UNKNOWN_GRACE)


def _items(stage: Stage, done: int) -> int:
    last = stage.shards - 1
    short = stage.shard_items - len(stage.shard_lines(last))
    return done.bit_count() * stage.shard_items - (short if done >> last & 1 else 0)


def _group_counts(stage: Stage, done: int, failed: set[int]) -> Iterable[GroupCount]:
    for group in stage.groups:
        shards = stage.group_shards(group)
        yield GroupCount(
            group.name,
            len(shards),
            count_done(done, shards),
            sum(shard in failed for shard in shards),
        )


def _cost(limits: Limits, ledger: Ledger, seen: Seen, live: int) -> Ledger:
    """Count what instances cost from the moment they are asked for; jobs side by side pay by their ECS tasks."""
    tasks = sum(instance.tasks for instance in seen.instances)
    part = min(1.0, live / tasks) if tasks else 1 / (1 + len(seen.others))
    passed = max(0.0, (seen.now - ledger.updated_at).total_seconds()) * part
    there = len(seen.instances)
    asked = max(seen.desired, there)
    seconds, cost = ledger.instance_seconds + passed * asked, None
    if limits.prices:
        dearest = max(limits.prices.values())
        rate = sum(limits.prices.get(instance.type, dearest) for instance in seen.instances)
        rate += (asked - there) * dearest
        cost = (ledger.cost or 0.0) + passed * rate / 3600
    return dataclasses.replace(ledger, updated_at=seen.now, instance_seconds=seconds, cost=cost)


def _rate(ledger: Ledger) -> Ledger:
    now, items = ledger.updated_at, ledger.items_done
    samples = ledger.samples
    if ledger.tasks_running == 0 and items == samples[-1][1]:
        # Nothing works yet: the wait for instances says nothing about the work.
        samples = ((now, items),)
    elif now - samples[-1][0] >= SAMPLE_EVERY:
        samples = (*samples, (now, items))[-SAMPLES:]
    since, before = samples[0]
    passed = (now - since).total_seconds()
    # The first shards end together, after a whole shard's time: only a round of them makes a rate.
    round_ = max(1, ledger.shards_claimed * ledger.shard_items)
    rate = (items - before) / passed if passed > 0 and items - before >= round_ else None
    left = (ledger.items - items - ledger.items_failed) / rate if rate else None
    return dataclasses.replace(ledger, samples=samples, rate=rate, remaining_seconds=left)
