"""What is judged when somebody asks why a job is where it is, and what is answered."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from scripts.core.errors import one_line
from scripts.jobs.runs import Snapshot
from scripts.jobs.story import many, moment
from winbatch import engine, shares
from winbatch.attempts import ShardKind
from winbatch.ledger import Ledger
from winbatch.shares import Board
from winbatch.stage import Stage

# Nobody has looked after a stage that is so late: a sensor is taken up within seconds.
OVERDUE = timedelta(minutes=2)
# Of AWS's words so much is shown, and so many of several shards, causes and Airflow tasks.
_WORDS, SHOWN = 600, 3
# Codes of jobs for which nobody has to do anything.
FINE = frozenset({"goes-on", "succeeded"})

Held = Literal["open", "waits"]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A shard that a worker is at, or that waits for its next attempt.

    Attributes:
        number: its.
        attempt: the last one's number.
        state: `open` or `waits`.
        since: when it was claimed, or its last attempt ended.
        cause: why its last attempt ended.
        due: when the next may begin.
        task: ARN of the ECS task that holds it, where it was read.
    """

    number: int
    attempt: int
    state: Held
    since: datetime
    cause: ShardKind | None = None
    due: datetime | None = None
    task: str = ""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A job and its surroundings at one moment.

    Attributes:
        snapshot: the job.
        now: when.
        options: what a command about the job needs behind its run id.
        away: why Airflow does not answer; empty: it does.
        paused: Airflow runs nothing of its DAG.
        running: other runs of the DAG that are at work.
        tasks: its Airflow tasks that have begun, each with its state.
        board: what all stages of the cluster could use.
        instances: that the cluster can have; None where nobody knows.
        shards: that are held, or wait, of the stage at work, the oldest first.
    """

    snapshot: Snapshot
    now: datetime
    options: str = ""
    away: str = ""
    paused: bool = False
    running: Sequence[str] = ()
    tasks: Sequence[tuple[str, str | None]] = ()
    board: Board = field(default_factory=Board)
    instances: int | None = None
    shards: Sequence[Shard] = ()

    def call(self, verb: str) -> str:
        """Give a command about this job."""
        named = f"--run-id {self.snapshot.run_id}" if verb in {"status", "why"} else self.snapshot.run_id
        return f"invoke {verb} {named}{self.options}"

    @property
    def stage(self) -> tuple[Stage, Ledger] | None:
        """The stage at work, once it has begun and while it is open."""
        current = self.snapshot.current
        if self.snapshot.ended or current is None or current[1] is None or current[1].finished:
            return None
        return current[0], current[1]

    @property
    def late(self) -> bool:
        """Nobody looks after the stage at work."""
        return self.stage is not None and self.now - self.stage[1].due_at > OVERDUE

    @property
    def contended(self) -> tuple[float, float, Sequence[str]] | None:
        """The stage's fair share of the cluster, what it could use, and whose the rest is; None where it has all."""
        if self.stage is None or self.instances is None:
            return None
        me = engine.name_of(self.stage[0])
        mine, others = self.board.demands.get(me), self.board.others(me, self.now)
        if mine is None or not others:
            return None
        share = shares.fair(self.instances, {me: mine.instances, **others})[me]
        return (share, mine.instances, sorted(others)) if share < mine.instances else None


@dataclass(frozen=True)
class Reason:
    """Why a job is where it is.

    Attributes:
        code: of the kind of cause, for a program.
        sentence: what it waits for, or what ended it.
        evidence: what shows it: since when, ARNs, AWS's own words; and what else is the case.
        advice: what to do; empty where that is nothing.
    """

    code: str
    sentence: str
    evidence: tuple[str, ...] = ()
    advice: str = ""

    @property
    def still(self) -> bool:
        """Nothing moves, or nothing will."""
        return self.code not in FINE

    def as_json(self) -> dict[str, Any]:
        """Give it as `invoke why --json` prints it."""
        return {**asdict(self), "evidence": list(self.evidence)}


def has_failed(snapshot: Snapshot, ledger: Ledger) -> bool:
    """Say whether a stage has failed, of the run as it is now."""
    return ledger.state == "failed" and not snapshot.waits(ledger) and not ledger.closed_for


def has_tasks(ledger: Ledger) -> bool:
    """Say whether a stage has ECS tasks that run, or are to."""
    return bool(ledger.tasks_running or ledger.tasks_pending)


def what_is_left(snapshot: Snapshot) -> str:
    """Say what ECS tasks and instances the open stages still have."""
    ledgers = [ledger for _, ledger in snapshot.stages if ledger and not ledger.finished]
    running = sum(ledger.tasks_running + ledger.tasks_pending for ledger in ledgers)
    return f"{many(running, 'ECS task')} and {many(sum(each.instances_registered for each in ledgers), 'instance')}"


def items_of(stage: Stage, shard: int) -> str:
    """Name a shard by its items."""
    lines = stage.shard_lines(shard)
    return f"item {lines.start}" if len(lines) == 1 else f"shard {shard} (items {lines.start} to {lines[-1]})"


def utc(when: datetime) -> str:
    """A time, to the second."""
    return f"{moment(when)} UTC"


def cut(words: str) -> str:
    """AWS's words in a line, not longer than a person reads."""
    said = one_line(words)
    return said if len(said) <= _WORDS else f"{said[:_WORDS]}…"
