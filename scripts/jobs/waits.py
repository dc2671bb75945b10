"""Causes of a stage at work that waits, or is slow: instances, ECS tasks, places, shards.

What stands in its way is one cause, and the same beside others that work is another one, which is told later.
"""

from datetime import datetime, timedelta

from scripts.jobs import refusals
from scripts.jobs.reason import SHOWN, Reason, Situation, cut, has_tasks, items_of, utc
from scripts.jobs.story import CAUSES as ENDINGS
from scripts.jobs.story import ecs, many, names

# No shard done for so long: something is slow, or hangs.
STILL = timedelta(minutes=10)


def instances(situation: Situation) -> Reason | None:
    """It has no instance."""
    if situation.stage is None or situation.stage[1].instances_registered:
        return None
    ledger = situation.stage[1]
    since = ledger.short_at or ledger.asked_at
    evidence = (f"0 of {many(ledger.instances_desired, 'instance')}", *((f"since {utc(since)}",) if since else ()))
    if not ledger.said:
        what = "to boot and register" if ledger.instances_desired else "to be asked for"
        return Reason("booting", f"waits for its instances {what}; AWS has refused none so far", evidence)
    kind = refusals.of_launch(ledger.said)
    said = f"AWS says{f' at {utc(ledger.said_at)}' if ledger.said_at else ''}: {cut(ledger.said)}"
    return Reason(kind.code, f"waits for instances: {kind.words}", (*evidence, said), kind.advice)


def no_task_works(situation: Situation) -> Reason | None:
    """Its ECS tasks come to nothing, and none is at work."""
    return _faults(situation) if situation.stage and not situation.stage[1].tasks_running else None


def share_of_none(situation: Situation) -> Reason | None:
    """Other jobs have the places that it would need, and it has none."""
    return _share(situation) if situation.stage and not has_tasks(situation.stage[1]) else None


def retry(situation: Situation) -> Reason | None:
    """All that is left waits for its next attempt."""
    at_work = any(shard.state == "open" for shard in situation.shards)
    return _retries(situation) if situation.stage and not at_work else None


def pending(situation: Situation) -> Reason | None:
    """Its ECS tasks do not run yet: they fetch their image, and start."""
    if situation.stage is None or situation.stage[1].tasks_running or not situation.stage[1].tasks_pending:
        return None
    ledger = situation.stage[1]
    live = sorted((known.since, arn) for arn, known in ledger.known.items() if known.status == "live")
    evidence = (f"since {utc(live[0][0])}: {ecs(arn for _, arn in live)}", live[0][1]) if live else ()
    sentence = f"waits for {many(ledger.tasks_pending, 'ECS task')} to start: images are pulled, containers begin"
    return Reason(
        "starting", sentence, evidence, "one that takes longer than start_timeout is stopped, and tried again"
    )


def no_room(situation: Situation) -> Reason | None:
    """Its instances have no place for an ECS task."""
    if situation.stage is None or has_tasks(situation.stage[1]) or not situation.stage[1].instances_registered:
        return None
    ledger = situation.stage[1]
    there = f"{ledger.instances_registered} of {ledger.instances_desired} instances are there"
    if ledger.crowded_at is None:
        return Reason(
            "no-task", f"{there}, and no ECS task of it yet", (f"no shard done since {utc(ledger.progress_at)}",)
        )
    evidence = (f"ECS had no place at {utc(ledger.crowded_at)}: RESOURCE:CPU, MEMORY or ENI, or its agent", there)
    advice = "wait for the ECS tasks that are on them, or give the workload less cpu and memory, or larger instances"
    return Reason("no-room", "waits for room: ECS has no place on the instances that are there", evidence, advice)


def slow(situation: Situation) -> Reason | None:
    """ECS tasks are at work, and none of their shards gets done."""
    if situation.stage is None or not situation.stage[1].tasks_running:
        return None
    stage, ledger = situation.stage
    if situation.now - ledger.progress_at <= STILL:
        return None
    longest = [shard for shard in situation.shards if shard.state == "open"][:SHOWN]
    evidence = [f"no shard done since {utc(ledger.progress_at)}"]
    evidence += [
        f"{items_of(stage, shard.number)}: attempt {shard.attempt} since {utc(shard.since)}"
        + (f", by {ecs([shard.task])}" if shard.task else "")
        for shard in longest
    ]
    item = stage.shard_lines(longest[0].number).start if longest else None
    what = f"; the longest is {items_of(stage, longest[0].number)}" if longest else ""
    look = f"{situation.call('logs')} --item {item} --stage {stage.stage} --follow" if longest else "invoke logs"
    sentence = f"{many(ledger.tasks_running, 'ECS task')} at work, but no shard has got done for long{what}"
    advice = f"see what it is doing: {look}; if it is the program, cancel and mend it"
    return Reason("slow-item", sentence, tuple(evidence), advice)


def goes_on(situation: Situation) -> Reason | None:
    """Nothing is in its way."""
    if situation.stage is None or not has_tasks(situation.stage[1]):
        return None
    ledger = situation.stage[1]
    done = f"{ledger.items_done:,} of {many(ledger.items, 'item')} done"
    if not ledger.rate:
        return Reason("goes-on", f"goes on: {done}, {many(ledger.tasks_running, 'ECS task')} at work, no rate yet")
    left = timedelta(seconds=round(ledger.remaining_seconds or 0))
    return Reason("goes-on", f"goes on: {done}, {ledger.rate * 60:.1f} a minute, about {left} left")


# -- what slows a job that goes on


def fewer_instances(situation: Situation) -> Reason | None:
    """Some of its instances stay away."""
    if situation.stage is None or not situation.stage[1].said or not situation.stage[1].instances_registered:
        return None
    ledger = situation.stage[1]
    kind = refusals.of_launch(ledger.said)
    count = f"{ledger.instances_registered} of {many(ledger.instances_desired, 'instance')}"
    return Reason(kind.code, f"works with {count}: {kind.words}: {cut(ledger.said)}", (), kind.advice)


def faults_beside(situation: Situation) -> Reason | None:
    """Some of its ECS tasks come to nothing, while others work."""
    return _faults(situation) if situation.stage and situation.stage[1].tasks_running else None


def share_of_some(situation: Situation) -> Reason | None:
    """Other jobs have some of the places that it could use."""
    return _share(situation) if situation.stage and has_tasks(situation.stage[1]) else None


def retries_beside(situation: Situation) -> Reason | None:
    """Some shards wait for their next attempt, while others are at work."""
    at_work = any(shard.state == "open" for shard in situation.shards)
    return _retries(situation) if situation.stage and at_work else None


def _faults(situation: Situation) -> Reason | None:
    if situation.stage is None or not situation.stage[1].faults:
        return None
    ledger = situation.stage[1]
    kind, fault = refusals.of_tasks(ledger.faults)
    rules = situation.snapshot.rules
    alike = sum(each.kind == fault.kind for each in ledger.faults)
    due = max(each.at + rules[each.kind].pause(alike) for each in ledger.faults)
    sentence = f"{many(len(ledger.faults), 'ECS task')} came to nothing in a row: {kind.words}{_due(situation, due)}"
    words = f"ECS's words at {utc(fault.at)}: {cut(fault.reason)}"
    rule = f"{alike} of {rules[fault.kind].attempts} that end the stage"
    return Reason(kind.code, sentence, (words, rule), fault.advice or kind.advice)


def _share(situation: Situation) -> Reason | None:
    found = situation.contended
    if found is None:
        return None
    share, could, others = found
    sentence = (
        f"its share of the cluster is {share:.3g} of {situation.instances} instances, and it could use {could:.3g}"
    )
    advice = "wait until they have ended, cancel one, or raise max_instances of the cluster (terraform/environments)"
    return Reason("share", sentence, (names("the others:", others),), advice)


def _retries(situation: Situation) -> Reason | None:
    waiting = sorted(
        ((shard.due, shard) for shard in situation.shards if shard.state == "waits" and shard.due),
        key=lambda pair: pair[0],
    )
    if situation.stage is None or not waiting:
        return None
    due, first = waiting[0]
    why = ENDINGS[first.cause] if first.cause else "its last attempt ended"
    sentence = f"{many(len(waiting), 'shard')} wait{'s' * (len(waiting) == 1)} for a retry{_due(situation, due)}"
    rule = f" of {situation.snapshot.rules[first.cause].attempts}" if first.cause else ""
    stage = situation.stage[0]
    evidence = tuple(
        f"{items_of(stage, shard.number)}: attempt {shard.attempt}{rule} ended at {utc(shard.since)}: {why}"
        for _, shard in waiting[:1]
    )
    item = stage.shard_lines(first.number).start
    return Reason(
        "retry", sentence, evidence, f"see its log: {situation.call('logs')} --item {item} --stage {stage.stage}"
    )


def _due(situation: Situation, due: datetime) -> str:
    seconds = (due - situation.now).total_seconds()
    return f"; the next try is due in {seconds:.0f} s" if seconds >= 1 else "; the next try is due now"
