"""The batch engine: a pure state machine that drives one stage of a job to its end. Events in, actions out.

It has no clock and no AWS in it. A *tick* is one call of `step`: what was seen goes in, what to do comes out;
`answered` and `settled` take the outcome. All it knows between ticks is in the ledger, and all that decides what is
done is in S3 and ECS, so any tick may be the first one of a new process, and two engines at once do no harm:

* a shard is done when its result exists; workers claim shards themselves, by conditional writes;
* a RunTask call is written to the ledger before it is sent, and its client token follows from its number, so a call
  that was cut off is sent again and ECS answers with the same ECS tasks; a worker too many finds nothing to claim;
* releasing a shard writes a key that depends on shard and attempt only.
"""

import dataclasses
import datetime as dt
import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from winbatch import capacity
from winbatch.ledger import Known, Ledger, Wave
from winbatch.stage import ClaimMark, Stage

# RunTask takes ten ECS tasks a call; RunTask and StopTask share a bucket of 100 calls that refills at 40 a second
# (docs.aws.amazon.com, ECS request throttling). A job takes a quarter of it: jobs side by side and people have room.
RUN_BATCH = 10
RUN_BURST = 25.0
RUN_RATE = 10.0

# A shard that was lost this often (hosts, workers that died) is given up: something about it kills its workers.
MAX_LOST = 10
# ECS tasks in a row that end by a fault of their own, with no result in between: the image or its rights are wrong.
MAX_FAULTS = 3
# An ECS task that RunTask has named but Describe does not know yet may be only seconds old; after this it is gone.
UNKNOWN_GRACE = dt.timedelta(seconds=120)

POLL_SOON = 2.0
POLL_LATEST = 30.0
# While instances boot and images are pulled, minutes pass: after this long the engine looks less often.
PATIENCE = dt.timedelta(seconds=20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds a stage.

    Attributes:
        slots: shards that one ECS task works on at once.
        tasks_per_instance: ECS tasks that fit on an instance.
        max_instances: never ask for more.
        max_attempts: of a shard whose program fails.
        max_failed_items: more than this end the stage.
        instance_timeout: for the first instance.
        start_timeout: for a pending ECS task.
    """

    slots: int
    tasks_per_instance: int
    max_instances: int
    max_attempts: int
    max_failed_items: int
    instance_timeout: dt.timedelta
    start_timeout: dt.timedelta

    @property
    def max_workers(self) -> int:
        return self.max_instances * self.tasks_per_instance


TaskStatus = Literal["pending", "running", "stopped", "missing"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worker:
    """An ECS task as ECS sees it.

    Attributes:
        arn: its ARN.
        status: `missing` when ECS does not know it (any more).
        since: when it was created; None for a missing one.
        exit_code: of its container, when it stopped and had one.
        stop_code: ECS's, when it stopped.
        reason: ECS's and the container's reason.
    """

    arn: str
    status: TaskStatus
    since: dt.datetime | None = None
    exit_code: int | None = None
    stop_code: str = ""
    reason: str = ""

    @property
    def live(self) -> bool:
        return self.status in ("pending", "running")

    @property
    def faulty(self) -> bool:
        """It ended by a fault of its own: a start that failed, or an exit code that is neither 0 nor a stop's."""
        if self.status != "stopped" or self.stop_code in _LOST:
            return False
        return self.stop_code == "TaskFailedToStart" or self.exit_code not in (None, 0, *_STOPPED_EXITS)


# ECS's stop codes that are nobody's fault: the host went, or somebody stopped the ECS task.
_LOST = frozenset({"SpotInterruption", "TerminationNotice", "UserInitiated", "ServiceSchedulerInitiated"})
# SIGTERM and SIGKILL; Windows ends a container that is told to stop with the control-C status.
_STOPPED_EXITS = (137, 143, 3221225786)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What a tick saw, at `now`.

    Attributes:
        results: shards that have one.
        marks: of the claims.
        workers: the stage's ECS tasks; they must have been looked at before `marks`, so that each claim of one
            that has ended is among them.
        registered: instances that have registered with the cluster.
        room: ECS tasks of the workload that fit now.
        desired: the Auto Scaling group's desired capacity.
        cancelled: somebody wants the stage to stop.
    """

    now: dt.datetime
    results: frozenset[int]
    marks: frozenset[ClaimMark]
    workers: Sequence[Worker]
    registered: int
    room: int
    desired: int
    cancelled: bool = False


@dataclasses.dataclass(frozen=True)
class Release:
    """Give a shard's attempt back, so that the next attempt can be claimed."""

    mark: ClaimMark
    reason: str


@dataclasses.dataclass(frozen=True)
class ReadFailures:
    """Read why these shards failed for good, for the ledger."""

    marks: tuple[ClaimMark, ...]


@dataclasses.dataclass(frozen=True)
class ReleaseOrphans:
    """Release these attempts if the ECS task that claimed them is none of `live`."""

    marks: tuple[ClaimMark, ...]
    live: frozenset[str]


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


Action = Release | ReadFailures | ReleaseOrphans | Ask | Run | Stop


@dataclasses.dataclass(frozen=True)
class Step:
    """What a tick does: act, save the ledger, and look again after `wait` seconds unless it is finished."""

    ledger: Ledger
    actions: tuple[Action, ...]
    wait: float


@dataclasses.dataclass(frozen=True)
class _Shards:
    """Every shard, in exactly one of these."""

    done: frozenset[int]
    claimable: tuple[int, ...]
    open: tuple[ClaimMark, ...]
    retry: tuple[ClaimMark, ...]
    failed: tuple[ClaimMark, ...]


def started_by(stage: Stage) -> str:
    """The `startedBy` of a stage's ECS tasks; 36 characters at most, the same in every process."""
    return "winbatch-" + hashlib.sha256(f"{stage.dag}/{stage.job}/{stage.stage}".encode()).hexdigest()[:24]


def client_token(stage: Stage, wave: Wave) -> str:
    """The client token of a RunTask call; 64 characters at most, the same in every process."""
    text = f"{stage.dag}/{stage.job}/{stage.stage}/{wave.number}/{wave.count}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def step(stage: Stage, limits: Limits, ledger: Ledger, seen: Seen) -> Step:
    """One tick.

    Args:
        stage: the stage.
        limits: its bounds.
        ledger: as the last tick left it.
        seen: what there is now.
    """
    shards = _sort_shards(stage, limits, ledger.rounds, seen)
    ledger = _count(stage, ledger, seen, shards)
    verdict = _verdict(limits, ledger, seen, shards)
    live = tuple(arn for arn, task in ledger.known.items() if task.status == "live")
    if verdict is not None:
        state, reason = verdict
        actions: list[Action] = []
        # When all is done, workers end by themselves; they are told to only when the stage ends before its work.
        if live and state != "succeeded":
            actions.append(Stop(live, f"winbatch: the stage {state}"))
        if shards.failed:
            actions.append(ReadFailures(shards.failed))
        return Step(dataclasses.replace(ledger, state=state, reason=reason, waves=()), tuple(actions), 0.0)

    actions = [Release(mark, "the program failed and may be tried again") for mark in shards.retry]
    # Reading who holds what costs a request a claim: only when somebody has ended, or a lost ledger knows nobody.
    if shards.open and (not live or any(task.status == "ending" for task in ledger.known.values())):
        actions.append(ReleaseOrphans(shards.open, frozenset(live)))
    slow = tuple(
        worker.arn
        for worker in seen.workers
        if worker.status == "pending" and worker.since and seen.now - worker.since > limits.start_timeout
    )
    if slow:
        actions.append(Stop(slow, f"winbatch: not running after {limits.start_timeout.total_seconds():.0f} s"))

    unfinished = len(shards.claimable) + len(shards.open) + len(shards.retry)
    wanted = min(limits.max_workers, capacity.workers_needed(unfinished, limits.slots))
    instances = capacity.instances_needed(wanted, limits.tasks_per_instance, limits.max_instances)
    if instances > seen.desired:
        actions.append(Ask(instances))
    ledger = dataclasses.replace(ledger, asked_at=None if seen.registered else ledger.asked_at or seen.now)
    ledger, runs = _runs(stage, ledger, seen, min(wanted - len(live), seen.room))
    return Step(ledger, (*actions, *runs), _wait(ledger, seen, bool(actions or runs)))


def answered(ledger: Ledger, wave: Wave, arns: Iterable[str], now: dt.datetime) -> Ledger:
    """Take ECS's answer to a RunTask call into the ledger."""
    waves = tuple(unanswered for unanswered in ledger.waves if unanswered.number != wave.number)
    started = {arn: ledger.known.get(arn, Known("live", now)) for arn in arns}
    return dataclasses.replace(ledger, waves=waves, known={**ledger.known, **started})


def settled(ledger: Ledger) -> Ledger:
    """After a tick's actions: what had ended needs no further look."""
    known = {
        arn: dataclasses.replace(task, status="ended") if task.status == "ending" else task
        for arn, task in ledger.known.items()
    }
    return dataclasses.replace(ledger, known=known)


def _sort_shards(stage: Stage, limits: Limits, rounds: int, seen: Seen) -> _Shards:
    kinds: dict[int, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for mark in seen.marks:
        kinds[mark.shard][mark.attempt].add(mark.kind)
    claimable, still_open, retry, failed = [], [], [], []
    for shard in range(stage.shards):
        if shard in seen.results:
            continue
        attempts = kinds.get(shard)
        if not attempts:
            claimable.append(shard)
            continue
        last = max(attempts)
        fails = sum("failed" in marks for marks in attempts.values())
        lost = sum("failed" not in marks and "released" in marks for marks in attempts.values())
        if fails >= limits.max_attempts * rounds or lost >= MAX_LOST * rounds:
            failed.append(ClaimMark(shard, last, "failed" if "failed" in attempts[last] else "claim"))
        elif "released" in attempts[last]:
            claimable.append(shard)
        elif "failed" in attempts[last]:
            retry.append(ClaimMark(shard, last, "released"))
        else:
            still_open.append(ClaimMark(shard, last, "claim"))
    return _Shards(seen.results, tuple(claimable), tuple(still_open), tuple(retry), tuple(failed))


def _count(stage: Stage, ledger: Ledger, seen: Seen, shards: _Shards) -> Ledger:
    """The ledger with what people are shown brought up to date, the ECS tasks, and faults since the last progress."""
    known = dict(ledger.known)
    faults = () if len(shards.done) > ledger.shards_done else ledger.faults
    for worker in seen.workers:
        before = known.get(worker.arn, Known("live", seen.now))
        if before.status == "ended":
            continue
        if _live(worker, before, seen.now):
            known[worker.arn] = before
            continue
        if worker.faulty and before.status == "live":
            faults = (*faults, worker.reason or f"exit code {worker.exit_code}")
        known[worker.arn] = dataclasses.replace(before, status="ending")
    live = sum(task.status == "live" for task in known.values())
    running = sum(worker.status == "running" for worker in seen.workers)
    return dataclasses.replace(
        ledger,
        updated_at=seen.now,
        items_done=_items(stage, shards.done),
        items_failed=_items(stage, (mark.shard for mark in shards.failed)),
        shards_done=len(shards.done),
        shards_failed=len(shards.failed),
        shards_claimed=len(shards.open),
        tasks_pending=live - running,
        tasks_running=running,
        tasks_stopped=len(known) - live,
        instances_desired=seen.desired,
        instances_registered=seen.registered,
        known=known,
        faults=faults,
    )


def _live(worker: Worker, known: Known, now: dt.datetime) -> bool:
    """ECS may need a moment to know an ECS task that it has just named."""
    return worker.live or (worker.status == "missing" and now - known.since < UNKNOWN_GRACE)


def _items(stage: Stage, shards: Iterable[int]) -> int:
    return sum(len(stage.shard_lines(shard)) for shard in shards)


def _verdict(
    limits: Limits, ledger: Ledger, seen: Seen, shards: _Shards
) -> tuple[Literal["succeeded", "failed", "cancelled"], str] | None:
    """How the stage ends, and why; None while it goes on."""
    if not (shards.claimable or shards.open or shards.retry or shards.failed):
        return "succeeded", ""
    if seen.cancelled:
        return "cancelled", "cancelled"
    if ledger.items_failed > limits.max_failed_items:
        return "failed", (
            f"{ledger.items_failed} items failed for good, the first in shard {shards.failed[0].shard};"
            f" max_failed_items is {limits.max_failed_items}"
        )
    if not (shards.claimable or shards.open or shards.retry):
        return "succeeded", f"{ledger.items_failed} items failed"
    if len(ledger.faults) >= MAX_FAULTS:
        return (
            "failed",
            f"{len(ledger.faults)} ECS tasks in a row failed without a result; the last: {ledger.faults[-1]}",
        )
    if ledger.asked_at and not seen.registered and seen.now - ledger.asked_at > limits.instance_timeout:
        return "failed", (
            f"no instance registered within {limits.instance_timeout.total_seconds():.0f} s (desired: {seen.desired});"
            " look at the Auto Scaling group's activities"
        )
    return None


def _runs(stage: Stage, ledger: Ledger, seen: Seen, missing: int) -> tuple[Ledger, tuple[Run, ...]]:
    """RunTask calls for this many ECS tasks, under the token bucket; calls that were never answered come first."""
    elapsed = (seen.now - ledger.tokens_at).total_seconds() if ledger.tokens_at else math.inf
    tokens = min(RUN_BURST, ledger.tokens + max(0.0, elapsed) * RUN_RATE)
    missing -= sum(wave.count for wave in ledger.waves)
    waves = list(ledger.waves)
    number = ledger.next_wave
    while missing > 0 and len(waves) < int(tokens):
        waves.append(Wave(number, min(RUN_BATCH, missing)))
        missing -= waves[-1].count
        number += 1
    now = waves[: int(tokens)]
    ledger = dataclasses.replace(
        ledger, next_wave=number, waves=tuple(waves), tokens=tokens - len(now), tokens_at=seen.now
    )
    return ledger, tuple(Run(wave, client_token(stage, wave)) for wave in now)


def _wait(ledger: Ledger, seen: Seen, acted: bool) -> float:
    """Seconds until there is something to see: soon after an act or during a start, else by the rate of work."""
    if acted:
        return POLL_SOON
    if ledger.tasks_running == 0:
        waiting = seen.now - (ledger.asked_at or ledger.started_at)
        return POLL_SOON if waiting < PATIENCE else POLL_LATEST / 2
    elapsed = (seen.now - ledger.started_at).total_seconds()
    left = elapsed * (ledger.shards - ledger.shards_done) / ledger.shards_done if ledger.shards_done else elapsed
    return min(POLL_LATEST, max(POLL_SOON, left / 4))
