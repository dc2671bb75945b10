"""The story of an item, or of one decision of the engine, in sentences.

Pure: records and ledger as they lie in S3, and ticks as the engine's code of this checkout replays them. Sentences of
ticks say what that code makes of what was seen then; `winbatch.ticks` says whether it was decided so.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.core.errors import one_line
from winbatch import attempts, engine
from winbatch.attempts import ENDS, Record
from winbatch.ecs_tasks import Worker
from winbatch.engine import Action, Explain, Put, Run, Settle, Step
from winbatch.ledger import Ledger
from winbatch.stage import ClaimMark, Stage
from winbatch.ticks import Decision, Replayed, Tick
from winbatch.times import format_time

# So many of several things are named.
NAMED = 5
# Of two decisions that differ, characters that are shown of each.
_LONGEST = 300

CAUSES: Mapping[str, str] = {
    "program": "its program failed",
    "memory": "it ran out of memory",
    "crash": "it took its ECS task with it",
    "result": "its result is missing or does not parse",
    "host": "its ECS task or host went away",
}


@dataclass(frozen=True)
class Sentence:
    """Something that happened, or was seen.

    Attributes:
        at: when.
        text: in words.
        tick: the number of the tick that says so; None where a record in S3 does.
    """

    at: datetime
    text: str
    tick: int | None = None

    def line(self) -> str:
        """As a person reads it."""
        return f"{moment(self.at)}  {one_line(self.text)}"

    def as_json(self) -> dict[str, Any]:
        """Give it as `--json` shows it; its time is UTC."""
        return {"at": self.at.astimezone(UTC).isoformat(), "tick": self.tick, "text": self.text}


def moment(at: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def many(number: int, what: str) -> str:
    """A number of things."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def names(what: str, some: Iterable[object]) -> str:
    """Several things by their names, of many the first ones."""
    found = [*map(str, some)]
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return f"{what}{'' if len(found) == 1 else 's'} {', '.join(found[:NAMED])}{more}"


def ecs(arns: Iterable[str]) -> str:
    """ECS tasks by their ids."""
    return names("ECS task", (arn.rpartition("/")[2] for arn in arns))


# -- an item


def of_item(
    stage: Stage,
    item: int,
    records: Mapping[ClaimMark, Record],
    *,
    ticks: Sequence[Replayed],
    ledger: Ledger | None,
    done_at: datetime | None,
) -> list[Sentence]:
    """Tell what became of an item, by the records of its shard and by what the engine made of them.

    Args:
        stage: the item's.
        item: its number.
        records: of its shard.
        ticks: that are kept of the stage, in order.
        ledger: of the stage, as it is now.
        done_at: when the shard's result was written; None: there is none.
    """
    shard = stage.shard_of(item)
    found: list[Sentence] = []
    if ledger is not None:
        others = f" with items {stage.shard_lines(shard)[0]} to {stage.shard_lines(shard)[-1]}"
        lies = f"item {item} is in shard {shard}{others if len(stage.shard_lines(shard)) > 1 else ''}"
        found.append(Sentence(ledger.started_at, f"stage {stage.stage} began; {lies}, free to be claimed"))
    # Of one moment, what was there comes before the tick that has seen it, and that before what it wrote.
    found += [*_attempts(item, shard, records, done_at), *_of_ticks(shard, records, ticks), *_released(records)]
    found.sort(key=lambda sentence: sentence.at)
    return [*found, *_now(stage, item, ticks, ledger, begun=bool(records))]


def _attempts(
    item: int, shard: int, records: Mapping[ClaimMark, Record], done_at: datetime | None
) -> Iterator[Sentence]:
    for told in attempts.told(item, records, done_at=done_at):
        yield Sentence(told.claimed_at, f"{ecs([told.task])} claimed shard {shard}: attempt {told.number}")
        if told.ended_at is not None:
            why = f": {told.reason}" if told.reason else ""
            yield Sentence(told.ended_at, f"attempt {told.number} ended for the item: {told.outcome}{why}")


def _released(records: Mapping[ClaimMark, Record]) -> Iterator[Sentence]:
    for mark, record in records.items():
        ended = any(mark._replace(kind=kind) in records for kind in ENDS)
        if mark.kind == "released" and (ended or mark._replace(kind="claim") not in records):
            yield Sentence(record.at, f"attempt {mark.attempt + 1} may be claimed: {record.reason}")


def _of_ticks(shard: int, records: Mapping[ClaimMark, Record], ticks: Iterable[Replayed]) -> Iterator[Sentence]:
    before = ""
    for replayed in ticks:
        tick = replayed.tick
        if replayed.step is None:
            continue
        now = _judged(shard, tick, replayed.step)
        if now and now != before:
            yield Sentence(tick.seen.now, f"tick {tick.number} {now}", tick.number)
        before = now
        for action in replayed.step.actions:
            if isinstance(action, Settle):
                yield from _settled(shard, tick, action, records)


def _judged(shard: int, tick: Tick, step: Step) -> str:
    """What a tick made of a shard; empty where there is nothing to say of it."""
    if step.shards.done >> shard & 1:
        return "knew the shard as done: its result is there and parses"
    history = attempts.histories((mark, at) for mark, at in tick.seen.marks.items() if mark.shard == shard).get(shard)
    causes = Counter(cause for number in history.attempts if (cause := history.cause(number))) if history else Counter()
    rules, rounds = tick.limits.rules, tick.ledger.rounds
    for mark, due in step.shards.retry:
        if mark.shard == shard and history and (cause := history.cause(mark.attempt)):
            times = f"{causes[cause]} of {many(rules[cause].attempts * rounds, 'time')} that end the shard"
            next_ = f"the next may begin at {moment(due)}"
            return f"saw that attempt {mark.attempt} had ended: {CAUSES[cause]}, {times}; {next_}"
    for mark, reason in step.shards.broken:
        if mark.shard == shard:
            return f"could not use the shard's result: {reason}"
    for mark, kind in step.shards.failed:
        if mark.shard == shard:
            if step.shards.hopeless and causes[kind] < rules[kind].attempts * rounds:
                return f"gave the shard up: {CAUSES[kind]}, many shards fail, and none has succeeded"
            times = f"{many(causes[kind], 'time')}, and {rules[kind].attempts * rounds} end the shard"
            return f"gave the shard up after attempt {mark.attempt}: {CAUSES[kind]} {times}"
    return ""


def _settled(shard: int, tick: Tick, action: Settle, records: Mapping[ClaimMark, Record]) -> Iterator[Sentence]:
    for mark in action.marks:
        claim = records.get(mark._replace(kind="claim"))
        worker = next((worker for worker in tick.seen.workers if claim and worker.arn == claim.task), None)
        if mark.shard == shard and worker is not None and worker.arn not in action.live:
            said = f"tick {tick.number} saw that {_ended(worker)}, and looked whose claims are open"
            yield Sentence(tick.seen.now, said, tick.number)


def _ended(worker: Worker) -> str:
    """What ECS says of an ECS task that is gone."""
    if worker.status == "missing":
        return f"ECS does not know {ecs([worker.arn])} any more"
    code = f"exit code {worker.exit_code}" if worker.exit_code is not None else ""
    said = ", ".join(filter(None, (worker.stop_code, code, worker.reason)))
    return f"{ecs([worker.arn])} had ended ({said or 'ECS does not say why'})"


def _now(
    stage: Stage, item: int, ticks: Sequence[Replayed], ledger: Ledger | None, *, begun: bool
) -> Iterator[Sentence]:
    if ledger is None:
        return
    at, shard = ledger.updated_at, stage.shard_of(item)
    failure = next((failure for failure in ledger.failures if failure.item == item), None)
    if failure is not None:
        yield Sentence(at, f"item {item} has failed for good ({failure.kind}: {failure.reason})")
    elif ledger.done >> shard & 1 or shard in ledger.explained:
        yield Sentence(at, f"item {item} is done")
    elif ledger.finished:
        yield Sentence(at, f"the stage {ledger.state} without item {item}: {ledger.reason or 'no reason was noted'}")
    elif ticks and ticks[-1].step is not None and not begun:
        last = ticks[-1]
        yield Sentence(last.tick.seen.now, f"nobody has claimed it yet; {_saw(last, ticks[-1].step)}", last.tick.number)


# -- a decision


def of_tick(stage: Stage, replayed: Replayed, before: Ledger | None, after: Ledger | None) -> list[Sentence]:
    """Tell what a tick saw, what it decided of that and why, and what came of it.

    Args:
        stage: the tick's.
        replayed: the tick.
        before: the ledger with which the tick before it began; None where that is not known.
        after: the ledger that this tick left; None where that is not known.
    """
    tick = replayed.tick
    whose = {"": "the teardown", "-1": "the stage's Airflow task"}
    who = whose.get(tick.who, f"the Airflow task with map index {tick.who}")
    again = f", attempt {tick.attempt}" if tick.attempt > 1 else ""
    texts = [f"tick {tick.number} of stage {stage.stage}, by {who}{again}"]
    if replayed.step is None:
        texts.append(f"the engine of this checkout fails on what it saw: {replayed.error}")
    else:
        if before is not None and before.rounds < tick.ledger.rounds:
            texts.append("somebody had started the stage again")
        texts.append(_saw(replayed, replayed.step))
        texts += _decided(replayed, replayed.step)
        texts += _came(tick, replayed.step, after)
    return [Sentence(tick.seen.now, text, tick.number) for text in texts]


def _saw(replayed: Replayed, step: Step) -> str:
    tick, seen, shards = replayed.tick, replayed.tick.seen, step.shards
    counts = {
        "done": shards.done.bit_count(),
        "claimed": len(shards.open),
        "in a pause after a failure": len(shards.retry),
        "with a result that is none": len(shards.broken),
        "failed for good": len(shards.failed),
        "free": shards.free,
    }
    of_shards = ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)
    parts = [
        f"it saw {len(seen.instances)} of {many(seen.desired, 'instance')}",
        f"{many(step.ledger.tasks_running, 'ECS task')} at work and {step.ledger.tasks_pending} pending",
        f"of {many(tick.ledger.shards, 'shard')} {of_shards}",
    ]
    if seen.results:
        parts.append(f"new results of {names('shard', sorted(seen.results))}")
    parts += [_ended(worker) for worker in seen.workers if step.ledger.known[worker.arn].status == "ending"][:NAMED]
    if seen.others:
        parts.append(f"other jobs could use {sum(seen.others.values()):.1f} instances: {names('stage', seen.others)}")
    if step.ledger.said:
        parts.append(f"AWS says: {step.ledger.said}")
    if seen.cancelled:
        parts.append("the job is cancelled")
    return "; ".join(parts)


def _decided(replayed: Replayed, step: Step) -> Iterator[str]:
    need, live = step.need, sum(task.status == "live" for task in step.ledger.known.values())
    runs = [action for action in step.actions if isinstance(action, Run)]
    if need is not None:
        workers = many(need.workers, "ECS task") + (", which is its fair share," if need.contended else "")
        shards = many(step.shards.unfinished, "unfinished shard")
        yield f"for {shards} it needs {workers} and has {live}; the cluster needs {many(need.instances, 'instance')}"
        if need.workers > live and not runs:
            yield f"it starts no ECS task: {_why_none(replayed, step)}"
    for action in step.actions:
        if not isinstance(action, Run):
            yield f"it {_does(action, replayed, step)}"
    if runs:
        started = sum(run.wave.count for run in runs)
        yield (
            f"it starts {many(started, 'ECS task')} by {many(len(runs), 'call')}: there is room for"
            f" {replayed.tick.seen.room}"
        )
    if step.ledger.finished:
        why = f": {step.ledger.reason}" if step.ledger.reason else ""
        yield f"it ends the stage as {step.ledger.state}{why}"
    else:
        yield f"{'' if step.actions else 'nothing was to be done; '}it looks again after {step.wait:.1f} s"


def _why_none(replayed: Replayed, step: Step) -> str:
    tick = replayed.tick
    if tick.seen.room == 0:
        return "there is no room on the instances that have registered"
    due = engine.not_before(tick.limits, step.ledger)
    if due is not None and due > tick.seen.now:
        faults = step.ledger.faults
        return f"not before {moment(due)}, after {faults[-1].reason if faults else 'it found no place for one'}"
    if step.ledger.waves:
        return f"{many(len(step.ledger.waves), 'call')} of RunTask must wait for its bucket, or for what has just ended"
    return "as many as ECS takes at once are pending"


def _does(action: Action, replayed: Replayed, step: Step) -> str:
    seen, limits = replayed.tick.seen, replayed.tick.limits
    match action:
        case Put(mark, reason):
            if mark.kind == "released":
                return f"lets attempt {mark.attempt + 1} at shard {mark.shard} be claimed: {reason}"
            return f"notes of attempt {mark.attempt} at shard {mark.shard}: {ENDS[mark.kind].outcome}, for {reason}"
        case engine.Point(blocks):
            return f"points workers to {names('block', blocks)} of the shards: there they find work"
        case Explain(failed):
            return f"reads why {names('shard', (mark.shard for mark, _ in failed))} failed for good"
        case Settle(marks, _, ended):
            whose = f"since {ecs(ended)} ended" if ended else "since it knows no living ECS task"
            return f"looks whose the {many(len(marks), 'open claim')} are, {whose}"
        case engine.Ask(instances):
            return f"asks the Auto Scaling group for {many(instances, 'instance')}, where {seen.desired} are desired"
        case Run(wave, _):
            return f"starts {many(wave.count, 'ECS task')}"
        case engine.Stop(arns, reason):
            return f"stops {ecs(arns)}: {reason}"
        case engine.Retire(arns):
            return f"asks {ecs(arns)} to leave after the shard at hand: others have a right to a share"
        case engine.Drain(arns):
            needed = max(step.need.instances if step.need else 0, limits.keep_instances)
            return (
                f"lets nothing more be placed on {names('instance', arns)}: without an ECS task for"
                f" {engine.instances.IDLE_GRACE.total_seconds():.0f} s, and {needed} are needed"
            )
        case engine.Terminate(ids):
            return f"has {names('instance', ids)} ended, which are drained and empty"


def _came(tick: Tick, step: Step, after: Ledger | None) -> Iterator[str]:
    """What came of the actions, by the ledger that the next tick had."""
    if after is None or not step.actions:
        return
    # As the ledger has it, to the millisecond.
    now = format_time(tick.seen.now)
    started = [arn for arn in after.known if arn not in step.ledger.known]
    if started:
        yield f"ECS started {ecs(started)}"
    yield from (f"ECS: {fault.reason}" for fault in after.faults if format_time(fault.at) == now)
    if after.crowded_at and format_time(after.crowded_at) == now:
        yield "ECS found no place for an ECS task"
    gone = [ec2_id for ec2_id, at in after.terminated.items() if format_time(at) == now]
    if gone:
        yield f"Auto Scaling ends {names('instance', gone)}"
    if after.said and after.said != step.ledger.said:
        yield f"AWS says: {after.said}"


# -- a difference


def difference(stage: Stage, replayed: Replayed) -> str:
    """Where what was decided then and what this code decides part."""
    tick = replayed.tick
    where = f"stage {stage.stage}, tick {tick.number} at {moment(tick.seen.now)}"
    if replayed.step is None:
        return f"{where}: the engine of this checkout fails on what it saw: {replayed.error}"
    then, now = tick.decided, Decision.of(replayed.step)
    if (then.state, then.reason) != (now.state, now.reason):
        return f"{where}: then {then.state} {then.reason!r}, now {now.state} {now.reason!r}"
    if then.actions != now.actions:
        return f"{where}: then {_only(then, now)}, now {_only(now, then)}"
    return (
        f"{where}: then to look again after {then.wait} s with a demand of {then.demand} instances, now after"
        f" {now.wait} s with {now.demand}"
    )


def _only(these: Decision, those: Decision) -> str:
    """The actions of one decision that the other one does not have."""
    own = [repr(action) for action in these.actions if action not in those.actions]
    if not own and these.actions:
        return "the same actions in another order or number"
    text = ", ".join(own) or "nothing"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
