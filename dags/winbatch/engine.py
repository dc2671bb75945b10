"""The batch engine: a pure state machine that drives one stage of a job to its end. Events in, actions out.

It has no clock and no AWS in it. A *tick* is one call of `step`: what was seen goes in, what to do comes out;
`answered`, `paused`, `explained` and `settled` take the outcome. All it knows between ticks is in the ledger, and all
that decides what is done is in S3 and ECS, so any tick may be the first one of a new process, and two engines at once
do no harm:

* a shard is done when its result exists; workers claim shards themselves, by conditional writes;
* a RunTask call is written to the ledger before it is sent, and its client token follows from its number, so a call
  that was cut off is sent again and ECS answers with the same ECS tasks; a worker too many finds nothing to claim;
* how an attempt ended, and that the next may begin, are keys that depend on shard and attempt only.
"""

import dataclasses
import datetime as dt
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal

from winbatch import attempts, capacity, shares
from winbatch.attempts import Judgement, Kind, Rule, ShardKind
from winbatch.capacity import Instance
from winbatch.causes import like
from winbatch.ecs_tasks import START_TIMEOUT, Worker
from winbatch.ledger import SAMPLE_EVERY, SAMPLES, Asked, Fault, GroupCount, Known, Ledger, Wave
from winbatch.results import ItemFailure
from winbatch.stage import BLOCK, ClaimKind, ClaimMark, Stage, count_done
from winbatch.times import format_time

# RunTask takes ten ECS tasks a call; RunTask and StopTask share a bucket of 100 calls that refills at 40 a second
# (docs.aws.amazon.com, ECS request throttling). The jobs of a cluster take half of it together, and people have room.
RUN_BATCH = 10
RUN_BURST = 50.0
RUN_RATE = 20.0
# ECS holds 500 ECS tasks in PROVISIONING on a cluster.
MAX_PENDING = 400

# When so many shards have failed at least once, and none has succeeded, the fault is not one of items.
HOPELESS = 10
# An ECS task that RunTask has named but Describe does not know yet may be only seconds old; after this it is gone.
UNKNOWN_GRACE = dt.timedelta(seconds=120)
# ECS lists an ECS task for an hour after it has stopped; one of a round before may be listed a little longer.
ENDED_KEPT = dt.timedelta(hours=2)
# An instance that has been empty this long, and that nobody needs, is let go.
IDLE_GRACE = dt.timedelta(seconds=60)
# One that drains takes no ECS task any more. Whoever drained it may have ended, or been killed, before it let it go.
STRAY_GRACE = dt.timedelta(minutes=3)

# What was asked of AWS is not asked again while it is under way, unless it takes this long: a Windows instance takes
# minutes to end, and stays in ECS's listings meanwhile.
TERMINATE_AGAIN = dt.timedelta(minutes=15)
STOP_AGAIN = dt.timedelta(minutes=5)
ASK_AGAIN = dt.timedelta(seconds=60)
# RunTask found no place where there seemed to be one: so long until the next try.
CROWDED_PAUSE = dt.timedelta(seconds=5)
# When instances are missing this long, AWS is asked why, and again so often. The scale-out has asked for them before
# the first tick, so an answer may be this much older.
SHORT_GRACE = dt.timedelta(seconds=5)
SAID_EVERY = dt.timedelta(seconds=60)
SAID_BEFORE = dt.timedelta(minutes=2)

# Workers of a large stage are kept together in so many blocks of it, more when there are many of them.
BLOCKS_AT_ONCE = 4
SLOTS_A_BLOCK = 100

POLL_SOON = 2.0
POLL_LATEST = 30.0
# While instances boot and images are pulled, minutes pass: after this long the engine looks less often.
PATIENCE = dt.timedelta(seconds=20)

# Shards whose items' failures are read at one tick: of about so many items. A stage that ends for what failed ends
# then, so that not all of a million items that cannot be done are in its ledger.
EXPLAINED_ITEMS = 10_000
# A ledger is read and written at every tick: only so many failures keep the end of their log in it, of those that are
# alike only some, so that each cause has one.
LOGS_KEPT = 100
LOGS_OF_A_CAUSE = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds a stage.

    Attributes:
        slots: shards that one ECS task works on at once.
        tasks_per_instance: ECS tasks that fit on an instance.
        max_instances: never ask for more for this job.
        cluster_instances: that all jobs of the cluster can have together.
        keep_instances: that stay when there is nothing to do.
        max_failed_items: more than this end the stage.
        instance_timeout: for the first instance.
        start_timeout: for a pending ECS task.
        rules: for each kind of failure.
        shard_seconds: what a shard is thought to take; None when nobody knows.
        prices: US dollars an hour by instance type; a type that is not known yet, or has none, counts as the dearest.
    """

    slots: int
    tasks_per_instance: int
    max_instances: int
    cluster_instances: int
    keep_instances: int
    max_failed_items: int
    instance_timeout: dt.timedelta
    start_timeout: dt.timedelta
    rules: Mapping[Kind, Rule]
    shard_seconds: float | None = None
    prices: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def max_workers(self) -> int:
        return self.max_instances * self.tasks_per_instance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """Holds what a tick saw, until `now`.

    A look can take minutes. What began by the end of one look is as old, at the begin of the next one, as it is for
    certain: `age` counts so.

    Attributes:
        results: shards with a valid result that the ledger does not know to be done.
        broken: shards whose result does not parse, and why.
        marks: of the claims of shards that are not done, each with the time at which it was made.
        workers: the stage's ECS tasks; they must have been looked at before `marks`, so that each claim of one
            that has ended is among them.
        instances: that have registered with the cluster, without those that are being ended.
        room: ECS tasks of the workload that fit now.
        desired: the Auto Scaling group's desired capacity.
        others: instances that other stages on the cluster could use, by stage.
        said: what AWS says of instances that stay away, in one line; None when it was not asked.
        cancelled: somebody wants the stage to stop.
        looked: when the look began; None: at `now`.
    """

    now: dt.datetime
    results: frozenset[int]
    broken: Mapping[int, str]
    marks: Mapping[ClaimMark, dt.datetime]
    workers: Sequence[Worker]
    instances: Sequence[Instance]
    room: int
    desired: int
    others: Mapping[str, float]
    said: str | None = None
    cancelled: bool = False
    looked: dt.datetime | None = None

    def age(self, since: dt.datetime) -> dt.timedelta:
        """Say how long something was so at least, when it was seen."""
        return (self.looked or self.now) - since


@dataclasses.dataclass(frozen=True)
class Put:
    """Write a mark, unless it is there: how an attempt ended, or that the next may be claimed."""

    mark: ClaimMark
    reason: str


@dataclasses.dataclass(frozen=True)
class Point:
    """Tell workers in which blocks of a large stage they find something to claim."""

    blocks: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Explain:
    """Read why these shards failed for good: the last attempt's mark of each, and the kind of failure."""

    failed: tuple[tuple[ClaimMark, ShardKind], ...]


@dataclasses.dataclass(frozen=True)
class Settle:
    """Find out whose these open claims are, and mark those of ECS tasks that are not `live`.

    `ended` says which mark the claims of one that has ended get; those of one that nobody knows are lost.
    """

    marks: tuple[ClaimMark, ...]
    live: frozenset[str]
    ended: Mapping[str, ClaimKind]


@dataclasses.dataclass(frozen=True)
class Ask:
    """Ask the Auto Scaling group for this many instances."""

    instances: int


@dataclasses.dataclass(frozen=True)
class Run:
    """Start ECS tasks: one RunTask call."""

    wave: Wave
    token: str


@dataclasses.dataclass(frozen=True)
class Stop:
    """Stop ECS tasks."""

    arns: tuple[str, ...]
    reason: str


@dataclasses.dataclass(frozen=True)
class Retire:
    """Ask ECS tasks to leave after the shard at hand."""

    arns: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Drain:
    """Let nothing more be placed on these container instances."""

    arns: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Terminate:
    """Terminate these EC2 instances, which are empty, and lower the desired capacity with each."""

    ec2_ids: tuple[str, ...]


Action = Put | Point | Explain | Settle | Ask | Run | Stop | Retire | Drain | Terminate


@dataclasses.dataclass(frozen=True)
class Shards:
    """Every shard, in exactly one of these; of `free` ones, which wait to be claimed, only the number is known.

    It is `hopeless` when many have failed and none has succeeded.
    """

    done: int
    free: int
    open: tuple[ClaimMark, ...]
    retry: tuple[tuple[ClaimMark, dt.datetime], ...]
    broken: tuple[tuple[ClaimMark, str], ...]
    failed: tuple[tuple[ClaimMark, ShardKind], ...]
    hopeless: bool

    @property
    def unfinished(self) -> int:
        return self.free + len(self.open) + len(self.retry) + len(self.broken)


@dataclasses.dataclass(frozen=True)
class Need:
    """What the stage should have: ECS tasks of its own, and instances on the cluster for everybody."""

    workers: int
    instances: int
    demand: float
    contended: bool


@dataclasses.dataclass(frozen=True)
class Step:
    """What a tick does.

    Attributes:
        ledger: to be saved, after the actions.
        actions: to be done.
        demand: instances that the stage could use, for the others to know.
        wait: seconds after which to look again, unless the stage is finished.
        shards: by which it was decided.
        need: by which it was decided; None where the stage ends.
    """

    ledger: Ledger
    actions: tuple[Action, ...]
    demand: float
    wait: float
    shards: Shards
    need: Need | None = None


def started_by(stage: Stage) -> str:
    """The `startedBy` of a stage's ECS tasks; 36 characters at most, the same in every process."""
    return "winbatch-" + hashlib.sha256(name_of(stage).encode()).hexdigest()[:24]


def name_of(stage: Stage) -> str:
    """A stage's name among all jobs."""
    return f"{stage.dag}/{stage.job}/{stage.stage}"


def client_token(ledger: Ledger, wave: Wave) -> str:
    """The client token of a RunTask call; 64 characters at most, the same in every process.

    A stage of the same name that was there before, and was deleted, had other ones: ECS would answer with its tasks.
    """
    told = (ledger.dag, ledger.job, ledger.stage, format_time(ledger.started_at), wave.number, wave.count)
    return hashlib.sha256("/".join(map(str, told)).encode()).hexdigest()[:32]


def unsettled(stage: Stage, done: int) -> list[range]:
    """The shards that must still be looked at: those of all blocks that are not done as a whole, joined."""
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


def step(stage: Stage, limits: Limits, ledger: Ledger, seen: Seen) -> Step:
    """One tick.

    Args:
        stage: the stage.
        limits: its bounds.
        ledger: as the last tick left it.
        seen: what there is now.
    """
    shards = _sort_shards(stage, limits, ledger, seen)
    ledger = _count(stage, limits, ledger, seen, shards)
    ledger = _shortage(ledger, seen)
    verdict = _verdict(limits, ledger, seen, shards)
    live = [arn for arn, task in ledger.known.items() if task.status == "live"]
    if verdict is not None:
        state, reason = verdict
        # When all is done, workers end by themselves; they are told to only when the stage ends before its work.
        stop = (Stop(tuple(live), f"winbatch: the stage {state}"),) if live and state != "succeeded" else ()
        ended = dataclasses.replace(ledger, state=state, reason=reason, waves=(), due_at=seen.now)
        return Step(ended, stop, demand=0.0, wait=0.0, shards=shards)

    need = _need(limits, seen, shards)
    ledger, stops = _stops(limits, ledger, seen)
    actions: list[Action] = [*_marks(ledger, seen, shards, live), *stops]
    ledger, pointers = _point(stage, limits, ledger, shards)
    ledger, asks = _ask(ledger, seen, need)
    actions += [*pointers, *asks]
    ledger, retire = _retire(ledger, need, live)
    ledger, let_go = _let_go(limits, ledger, seen, need, missing=need.workers - len(live))
    ledger = dataclasses.replace(ledger, asked_at=None if seen.instances else ledger.asked_at or seen.now)
    missing = min(need.workers - len(live), seen.room, MAX_PENDING - ledger.tasks_pending)
    ledger, runs = _runs(limits, ledger, seen, missing)
    actions += [*retire, *let_go, *runs]
    wait = _wait(limits, ledger, seen, shards, actions)
    ledger = dataclasses.replace(ledger, due_at=seen.now + dt.timedelta(seconds=wait))
    return Step(ledger, tuple(actions), need.demand, wait, shards, need)


def answered(ledger: Ledger, wave: Wave, arns: Iterable[str], now: dt.datetime) -> Ledger:
    """Take ECS's answer to a RunTask call into the ledger."""
    waves = tuple(unanswered for unanswered in ledger.waves if unanswered.number != wave.number)
    started = {arn: ledger.known.get(arn, Known("live", now)) for arn in arns}
    # The bucket refills from the last call on, which may have been a while after the tick looked.
    return dataclasses.replace(ledger, waves=waves, known={**ledger.known, **started}, tokens_at=now)


def paused(ledger: Ledger, reason: str, now: dt.datetime) -> Ledger:
    """ECS did not take a RunTask call: it asks for a pause. The call stays unanswered and is sent again."""
    fault = Fault("throttled", reason, now)
    return dataclasses.replace(ledger, tokens=0.0, tokens_at=now, faults=(*ledger.faults, fault))


def refused(ledger: Ledger, wave: Wave, fault: Fault) -> Ledger:
    """ECS refused a RunTask call: this one is not sent again."""
    ledger = answered(ledger, wave, (), fault.at)
    return dataclasses.replace(ledger, faults=(*ledger.faults, fault))


def crowded(ledger: Ledger, wave: Wave, now: dt.datetime) -> Ledger:
    """ECS had no place for any ECS task of a RunTask call: that counts for nobody, and a later call tries again."""
    return dataclasses.replace(answered(ledger, wave, (), now), crowded_at=now)


def terminated(ledger: Ledger, ec2_id: str, now: dt.datetime) -> Ledger:
    """Auto Scaling has taken the order to terminate an instance, or the instance is none of its any more."""
    return dataclasses.replace(ledger, terminated={**ledger.terminated, ec2_id: now})


def told(ledger: Ledger, said: str, now: dt.datetime) -> Ledger:
    """Take into the ledger that AWS was asked for instances now, and what it said; nothing where it took them all."""
    ledger = dataclasses.replace(ledger, asked=ledger.asked and dataclasses.replace(ledger.asked, at=now))
    return dataclasses.replace(ledger, said=said, said_at=now) if said else ledger


def asks_why(ledger: Ledger, now: dt.datetime) -> bool:
    """Say whether instances have stayed away so long that AWS should be asked why."""
    if ledger.short_at is None or now - ledger.short_at < SHORT_GRACE:
        return False
    return ledger.said_at is None or now - ledger.said_at >= SAID_EVERY


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


def _sort_shards(stage: Stage, limits: Limits, ledger: Ledger, seen: Seen) -> Shards:
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


def _count(stage: Stage, limits: Limits, ledger: Ledger, seen: Seen, shards: Shards) -> Ledger:
    """The ledger with what people are shown brought up to date, and the ECS tasks."""
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


def _verdict(
    limits: Limits, ledger: Ledger, seen: Seen, shards: Shards
) -> tuple[Literal["succeeded", "failed", "cancelled"], str] | None:
    """How the stage ends, and why; None while it goes on."""
    if not shards.unfinished and not shards.failed:
        return "succeeded", ""
    if seen.cancelled:
        return "cancelled", "its DAG run ended before it did: somebody stopped it, or one of its Airflow tasks failed"
    enough = len(shards.failed) == len(ledger.explained) or ledger.items_failed > limits.max_failed_items
    if shards.hopeless and ledger.failures and enough:
        first = ledger.failures[0]
        return "failed", (
            f"{len(shards.failed)} shards failed and none succeeded, so more would be a waste; the first item:"
            f" {first.item} ({first.kind}: {first.reason})"
        )
    if ledger.items_failed > limits.max_failed_items:
        first = ledger.failures[0]
        return "failed", (
            f"{ledger.items_failed} items failed for good, the first item {first.item} ({first.kind}: {first.reason});"
            f" max_failed_items is {limits.max_failed_items}"
        )
    if len(shards.failed) > len(ledger.explained):
        return None
    if not shards.unfinished and not ledger.items_done:
        first = ledger.failures[0]
        why = f"the first: {first.item} ({first.kind}: {first.reason})"
        return "failed", f"none of {ledger.items} items succeeded; {why}"
    if not shards.unfinished:
        return "succeeded", f"{ledger.items_failed} items failed"
    if reason := _comes_to_nothing(limits, ledger):
        return "failed", reason
    if ledger.asked_at and not seen.instances and seen.age(ledger.asked_at) > limits.instance_timeout:
        return "failed", (
            f"no instance registered within {limits.instance_timeout.total_seconds():.0f} s (desired: {seen.desired});"
            + (f" AWS says: {ledger.said}" if ledger.said else " look at the Auto Scaling group's activities")
        )
    return None


def _comes_to_nothing(limits: Limits, ledger: Ledger) -> str:
    """Why no ECS task of the stage gets to work; empty while one may.

    What no further attempt mends ends a stage at once, unless others of its ECS tasks got further.
    """
    permanent = next((fault for fault in ledger.faults if fault.advice), None)
    if permanent and not ledger.done and not ledger.tasks_running:
        return f"no ECS task can start: {permanent.reason}; {permanent.advice}"
    counts = Counter(fault.kind for fault in ledger.faults)
    # A host takes all of its ECS tasks with it: that is one.
    counts["host"] = len({fault.at for fault in ledger.faults if fault.kind == "host"})
    for kind, count in counts.items():
        if count >= limits.rules[kind].attempts:
            last = next(fault for fault in reversed(ledger.faults) if fault.kind == kind)
            advice = f"; {last.advice}" if last.advice else ""
            return f"{count} ECS tasks in a row came to nothing ({kind}); the last: {last.reason}{advice}"
    return ""


def _shortage(ledger: Ledger, seen: Seen) -> Ledger:
    """Since when instances are missing, and what AWS says of that."""
    if len(seen.instances) >= seen.desired:
        return dataclasses.replace(ledger, short_at=None, said="", said_at=None)
    ledger = dataclasses.replace(ledger, short_at=ledger.short_at or seen.now)
    return ledger if seen.said is None else dataclasses.replace(ledger, said=seen.said, said_at=seen.now)


def _ask(ledger: Ledger, seen: Seen, need: Need) -> tuple[Ledger, tuple[Ask, ...]]:
    """Ask for the instances that are missing, once: the group's desired capacity may say so a little later."""
    asked = ledger.asked
    if asked and (seen.desired >= asked.instances or seen.age(asked.at) >= ASK_AGAIN):
        asked = None
    asks: tuple[Ask, ...] = ()
    if need.instances > max(seen.desired, asked.instances if asked else 0):
        asked, asks = Asked(need.instances, seen.now), (Ask(need.instances),)
    return dataclasses.replace(ledger, asked=asked), asks


def demand_of(limits: Limits, shards: int) -> float:
    """Instances, in parts of one, that a stage could use with so many unfinished shards."""
    return _workers(limits, shards) / limits.tasks_per_instance


def _workers(limits: Limits, shards: int) -> int:
    return min(limits.max_workers, capacity.workers_needed(shards, limits.slots, limits.shard_seconds))


def _need(limits: Limits, seen: Seen, shards: Shards) -> Need:
    workers, demand = _workers(limits, shards.unfinished), demand_of(limits, shards.unfinished)
    mine = "me"
    fair = shares.fair(limits.cluster_instances, {mine: demand, **seen.others})
    contended = fair[mine] < demand
    if contended:
        workers = max(1, math.floor(fair[mine] * limits.tasks_per_instance))
    alone = capacity.instances_needed(workers, limits.tasks_per_instance, limits.max_instances)
    everybody = min(limits.cluster_instances, math.ceil(sum(fair.values()) - 1e-9))
    return Need(workers, max(alone, everybody), demand, contended)


def _marks(ledger: Ledger, seen: Seen, shards: Shards, live: Sequence[str]) -> Iterable[Action]:
    for mark, reason in shards.broken:
        yield Put(mark, reason)
    for mark, due in shards.retry:
        if due <= seen.now:
            yield Put(mark, "it may be tried again")
    unexplained = ((mark, kind) for mark, kind in shards.failed if mark.shard not in ledger.explained)
    if explain := tuple(islice(unexplained, max(1, EXPLAINED_ITEMS // ledger.shard_items))):
        yield Explain(explain)
    # Reading who holds what costs a request a claim: only when somebody has ended, or a lost ledger knows nobody.
    ending = {arn for arn, task in ledger.known.items() if task.status == "ending"}
    if shards.open and (ending or not live):
        verdicts = {worker.arn: worker.verdict for worker in seen.workers if worker.arn in ending}
        yield Settle(shards.open, frozenset(live), verdicts)


def _point(stage: Stage, limits: Limits, ledger: Ledger, shards: Shards) -> tuple[Ledger, tuple[Point, ...]]:
    """Keep workers together, from the front: only then are blocks done as a whole, and need not be listed any more."""
    if stage.shards <= BLOCK:
        return ledger, ()
    taken = Counter(mark.shard // BLOCK for mark in shards.open)
    taken.update(mark.shard // BLOCK for kind in (shards.retry, shards.broken, shards.failed) for mark, _ in kind)
    with_work = (
        number
        for number, first in enumerate(range(0, stage.shards, BLOCK))
        if len(block := range(first, min(first + BLOCK, stage.shards))) > count_done(shards.done, block) + taken[number]
    )
    slots = limits.max_workers * limits.slots
    blocks = tuple(islice(with_work, max(BLOCKS_AT_ONCE, -(-slots // SLOTS_A_BLOCK))))
    if blocks == ledger.blocks:
        return ledger, ()
    return dataclasses.replace(ledger, blocks=blocks), (Point(blocks),)


def _stops(limits: Limits, ledger: Ledger, seen: Seen) -> tuple[Ledger, tuple[Stop, ...]]:
    """ECS tasks that do not start in time; one whose host does not answer stays pending after it was told to stop."""
    pending = {worker.arn: worker.since for worker in seen.workers if worker.status == "pending"}
    told = {arn: at for arn, at in ledger.stopped.items() if arn in pending and seen.age(at) < STOP_AGAIN}
    slow = tuple(
        arn for arn, since in pending.items() if since and seen.age(since) > limits.start_timeout and arn not in told
    )
    ledger = dataclasses.replace(ledger, stopped=told | dict.fromkeys(slow, seen.now))
    return ledger, (Stop(slow, f"{START_TIMEOUT} ({limits.start_timeout.total_seconds():.0f} s)"),) if slow else ()


def _retire(ledger: Ledger, need: Need, live: Sequence[str]) -> tuple[Ledger, tuple[Retire, ...]]:
    """Make room for other jobs: workers beyond the fair share leave after the shard at hand."""
    staying = [arn for arn in live if arn not in ledger.retired]
    surplus = len(staying) - need.workers
    if not need.contended or surplus <= 0:
        return dataclasses.replace(ledger, retired=ledger.retired & set(live)), ()
    leaving = tuple(staying[-surplus:])
    return dataclasses.replace(ledger, retired=ledger.retired & set(live) | set(leaving)), (Retire(leaving),)


def _let_go(
    limits: Limits, ledger: Ledger, seen: Seen, need: Need, missing: int
) -> tuple[Ledger, tuple[Drain | Terminate, ...]]:
    """Instances that nobody needs any more: drained first, so that nothing lands on them, then terminated."""
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


def not_before(limits: Limits, ledger: Ledger) -> dt.datetime | None:
    """When ECS tasks may be started again after faults."""
    counts = Counter(fault.kind for fault in ledger.faults)
    due = [fault.at + limits.rules[fault.kind].pause(counts[fault.kind]) for fault in ledger.faults]
    due += [ledger.crowded_at + CROWDED_PAUSE] if ledger.crowded_at else []
    return max(due, default=None)


def _runs(limits: Limits, ledger: Ledger, seen: Seen, missing: int) -> tuple[Ledger, tuple[Run, ...]]:
    """RunTask calls for this many ECS tasks, under the token bucket; calls that were never answered come first."""
    # Jobs side by side divide the bucket among them.
    jobs = 1 + len(seen.others)
    elapsed = (seen.now - ledger.tokens_at).total_seconds() if ledger.tokens_at else math.inf
    # However many they are, each may call now and then.
    tokens = min(max(1.0, RUN_BURST / jobs), ledger.tokens + max(0.0, elapsed) * RUN_RATE / jobs)
    held_up = not_before(limits, ledger)
    # Whether a fault counts for the stage is known only after this tick's actions: so nothing starts beside one.
    faulty = any(
        (worker.fault or worker.crowded_out) and ledger.known[worker.arn].status == "ending" for worker in seen.workers
    )
    allowed = 0 if faulty or (held_up and seen.now < held_up) else int(tokens)
    missing -= sum(wave.count for wave in ledger.waves)
    waves = list(ledger.waves)
    number = ledger.next_wave
    while missing > 0 and len(waves) < allowed:
        waves.append(Wave(number, min(RUN_BATCH, missing)))
        missing -= waves[-1].count
        number += 1
    now = waves[:allowed]
    ledger = dataclasses.replace(
        ledger, next_wave=number, waves=tuple(waves), tokens=tokens - len(now), tokens_at=seen.now
    )
    return ledger, tuple(Run(wave, client_token(ledger, wave)) for wave in now)


def _wait(limits: Limits, ledger: Ledger, seen: Seen, shards: Shards, actions: Sequence[Action]) -> float:
    """Seconds until there is something to see: soon after an act or during a start, else by the rate of work."""
    if any(isinstance(action, Explain) for action in actions):
        return 0.0
    if any(not isinstance(action, Put | Point) for action in actions):
        return POLL_SOON
    due = [since + IDLE_GRACE for since in ledger.idle.values()]
    due += [at] if (at := not_before(limits, ledger)) else []
    # While there is other work to claim, a retry can wait for the usual look.
    due += [] if shards.free else [at for _, at in shards.retry]
    timers = [(at - seen.now).total_seconds() for at in due if at > seen.now]
    if ledger.tasks_running == 0:
        waiting = seen.now - (ledger.asked_at or ledger.progress_at)
        usual = POLL_SOON if waiting < PATIENCE else POLL_LATEST / 2
    elif ledger.remaining_seconds is not None:
        usual = ledger.remaining_seconds / 2
    else:
        # Nothing is finished yet, so nobody knows how long a shard takes: what is quick is to be seen soon, and what
        # takes long costs few looks.
        still = (seen.now - ledger.progress_at).total_seconds()
        usual = max(1.25 * still, 0.1 * (seen.now - ledger.samples[0][0]).total_seconds())
    return min(POLL_LATEST, max(POLL_SOON, min([usual, *timers])))
