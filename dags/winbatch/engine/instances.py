"""Decides how many instances there should be, and which may go."""

import dataclasses
import datetime as dt
import math

from winbatch import capacity, shares
from winbatch.engine.model import Ask, Drain, Limits, Need, Seen, Shards, Terminate
from winbatch.ledger import Asked, Ledger

# An instance that has been empty this long, and that nobody needs, is let go.
IDLE_GRACE = dt.timedelta(seconds=60)
# One that drains takes no ECS task any more. Whoever drained it may have ended, or been killed, before it let it go.
STRAY_GRACE = dt.timedelta(minutes=3)
# What was asked of AWS is not asked again while it is under way, unless it takes this long: a Windows instance takes
# minutes to end, and stays in ECS's listings meanwhile.
TERMINATE_AGAIN = dt.timedelta(minutes=15)
ASK_AGAIN = dt.timedelta(seconds=60)
# When instances are missing this long, AWS is asked why, and again so often. The scale-out has asked for them before
# the first tick, so an answer may be this much older.
SHORT_GRACE = dt.timedelta(seconds=5)
SAID_EVERY = dt.timedelta(seconds=60)
SAID_BEFORE = dt.timedelta(minutes=2)


def shortage(ledger: Ledger, seen: Seen) -> Ledger:
    """Note since when instances are missing, and what AWS says of that."""
    if len(seen.instances) >= seen.desired:
        return dataclasses.replace(ledger, short_at=None, said="", said_at=None)
    ledger = dataclasses.replace(ledger, short_at=ledger.short_at or seen.now)
    return ledger if seen.said is None else dataclasses.replace(ledger, said=seen.said, said_at=seen.now)


def asks_why(ledger: Ledger, now: dt.datetime) -> bool:
    """Say whether instances have stayed away so long that AWS should be asked why."""
    if ledger.short_at is None or now - ledger.short_at < SHORT_GRACE:
        return False
    return ledger.said_at is None or now - ledger.said_at >= SAID_EVERY


def ask(ledger: Ledger, seen: Seen, need: Need) -> tuple[Ledger, tuple[Ask, ...]]:
    """Ask for the instances that are missing, once: the group's desired capacity may say so a little later."""
    asked = ledger.asked
    if asked and (seen.desired >= asked.instances or seen.age(asked.at) >= ASK_AGAIN):
        asked = None
    asks: tuple[Ask, ...] = ()
    if need.instances > max(seen.desired, asked.instances if asked else 0):
        asked, asks = Asked(need.instances, seen.now), (Ask(need.instances),)
    return dataclasses.replace(ledger, asked=asked), asks


def demand_of(limits: Limits, shards: int) -> float:
    """Say how many instances, in parts of one, a stage could use with so many unfinished shards."""
    return _workers(limits, shards) / limits.tasks_per_instance


def _workers(limits: Limits, shards: int) -> int:
    return min(limits.max_workers, capacity.workers_needed(shards, limits.slots, limits.shard_seconds))


def need(limits: Limits, seen: Seen, shards: Shards) -> Need:
    """Say what the stage should have, beside what the cluster's other stages could use."""
    workers, demand = _workers(limits, shards.unfinished), demand_of(limits, shards.unfinished)
    mine = "me"
    fair = shares.fair(limits.cluster_instances, {mine: demand, **seen.others})
    contended = fair[mine] < demand
    if contended:
        workers = max(1, math.floor(fair[mine] * limits.tasks_per_instance))
    alone = capacity.instances_needed(workers, limits.tasks_per_instance, limits.max_instances)
    everybody = min(limits.cluster_instances, math.ceil(sum(fair.values()) - 1e-9))
    return Need(workers, max(alone, everybody), demand, contended)


def let_go(
    limits: Limits, ledger: Ledger, seen: Seen, need: Need, missing: int
) -> tuple[Ledger, tuple[Drain | Terminate, ...]]:
    """Let instances go that nobody needs any more: drained first, so that nothing lands on them, then terminated."""
    active = [instance for instance in seen.instances if not instance.draining]
    idle = {each.arn: ledger.idle.get(each.arn, seen.now) for each in seen.instances if each.tasks == 0}
    spare = len(active) - max(need.instances, limits.keep_instances) if missing <= 0 else 0
    ripe = tuple(each.arn for each in active if each.arn in idle and seen.age(idle[each.arn]) >= IDLE_GRACE)
    ripe = ripe[: max(0, spare)]
    going = {ec2_id: at for ec2_id, at in ledger.terminated.items() if seen.age(at) < TERMINATE_AGAIN}
    empty = tuple(
        instance.ec2_id
        for instance in seen.instances
        if instance.draining
        and instance.tasks == 0
        and (instance.arn in ledger.draining or seen.age(idle[instance.arn]) >= STRAY_GRACE)
        and instance.ec2_id not in going
    )
    # One that the ledger names and ECS does not drain was meant to be, when a tick was cut off: its turn comes again.
    here = {instance.arn for instance in seen.instances if instance.draining}
    ledger = dataclasses.replace(ledger, idle=idle, draining=ledger.draining & here | set(ripe), terminated=going)
    return ledger, (*((Drain(ripe),) if ripe else ()), *((Terminate(empty),) if empty else ()))
