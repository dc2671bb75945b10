"""Decides which of a stage's ECS tasks are started, stopped or asked to leave."""

import dataclasses
import datetime as dt
import hashlib
import math
from collections import Counter
from collections.abc import Sequence

from winbatch.ecs_tasks import START_TIMEOUT
from winbatch.engine.model import Limits, Need, Retire, Run, Seen, Stop
from winbatch.ledger import Ledger, Wave
from winbatch.stage import Stage
from winbatch.times import format_time

# RunTask takes ten ECS tasks a call; RunTask and StopTask share a bucket of 100 calls that refills at 40 a second
# (docs.aws.amazon.com, ECS request throttling). The jobs of a cluster take half of it together, and people have room.
RUN_BATCH = 10
RUN_BURST = 50.0
RUN_RATE = 20.0
# ECS holds 500 ECS tasks in PROVISIONING on a cluster.
MAX_PENDING = 400
# What was asked of AWS is not asked again while it is under way, unless it takes this long.
STOP_AGAIN = dt.timedelta(minutes=5)
# RunTask found no place where there seemed to be one: so long until the next try.
CROWDED_PAUSE = dt.timedelta(seconds=5)
# By how much the clocks of two processes, or of one and ECS, may differ; more is a clock that is wrong.
CLOCKS = dt.timedelta(minutes=1)


def started_by(stage: Stage) -> str:
    """Give the `startedBy` of a stage's ECS tasks; 36 characters at most, the same in every process."""
    return "winbatch-" + hashlib.sha256(name_of(stage).encode()).hexdigest()[:24]


def name_of(stage: Stage) -> str:
    """Name a stage among all jobs."""
    return f"{stage.dag}/{stage.job}/{stage.stage}"


def client_token(ledger: Ledger, wave: Wave) -> str:
    """Give the client token of a RunTask call; 64 characters at most, the same in every process.

    A stage of the same name that was there before, and was deleted, had other ones: ECS would answer with its tasks.
    """
    told = (ledger.dag, ledger.job, ledger.stage, format_time(ledger.started_at), wave.number, wave.count)
    return hashlib.sha256("/".join(map(str, told)).encode()).hexdigest()[:32]


def stops(limits: Limits, ledger: Ledger, seen: Seen) -> tuple[Ledger, tuple[Stop, ...]]:
    """Stop ECS tasks that do not start in time; where the host does not answer, they stay pending after that."""
    pending = {worker.arn: worker.since for worker in seen.workers if worker.status == "pending"}
    told = {arn: at for arn, at in ledger.stopped.items() if arn in pending and seen.age(at) < STOP_AGAIN}
    slow = tuple(
        arn for arn, since in pending.items() if since and seen.age(since) > limits.start_timeout and arn not in told
    )
    ledger = dataclasses.replace(ledger, stopped=told | dict.fromkeys(slow, seen.now))
    return ledger, (Stop(slow, f"{START_TIMEOUT} ({limits.start_timeout.total_seconds():.0f} s)"),) if slow else ()


def retire(ledger: Ledger, need: Need, live: Sequence[str]) -> tuple[Ledger, tuple[Retire, ...]]:
    """Make room for other jobs: workers beyond the fair share leave after the shard at hand."""
    staying = [arn for arn in live if arn not in ledger.retired]
    surplus = len(staying) - need.workers
    if not need.contended or surplus <= 0:
        return dataclasses.replace(ledger, retired=ledger.retired & set(live)), ()
    leaving = tuple(staying[-surplus:])
    return dataclasses.replace(ledger, retired=ledger.retired & set(live) | set(leaving)), (Retire(leaving),)


def not_before(limits: Limits, ledger: Ledger) -> dt.datetime | None:
    """Say when ECS tasks may be started again after faults."""
    counts = Counter(fault.kind for fault in ledger.faults)
    due = [fault.at + limits.rules[fault.kind].pause(counts[fault.kind]) for fault in ledger.faults]
    due += [ledger.crowded_at + CROWDED_PAUSE] if ledger.crowded_at else []
    return max(due, default=None)


def filled_at(ledger: Ledger, now: dt.datetime) -> dt.datetime:
    """Say until when RunTask's bucket has been filled: processes whose clocks differ fill it once for each second."""
    before = ledger.tokens_at
    return max(now, before) if before and before - now < CLOCKS else now


def runs(limits: Limits, ledger: Ledger, seen: Seen, missing: int) -> tuple[Ledger, tuple[Run, ...]]:
    """Make RunTask calls for so many ECS tasks, under the token bucket; what was never answered comes first."""
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
        ledger, next_wave=number, waves=tuple(waves), tokens=tokens - len(now), tokens_at=filled_at(ledger, seen.now)
    )
    return ledger, tuple(Run(wave, client_token(ledger, wave)) for wave in now)
