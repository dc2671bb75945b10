"""The ledger: what the engine remembers between ticks, and what people are shown of a stage.

It is a cache of what S3 and ECS say, and a diary; losing it costs no result.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from winbatch.attempts import TaskKind
from winbatch.errors import JobError
from winbatch.parsing import MALFORMED
from winbatch.results import ItemFailure
from winbatch.stage import SCHEMA, Stage, load_object
from winbatch.starts import Start
from winbatch.times import format_time, parse_time

State = Literal["running", "succeeded", "failed", "cancelled"]

# The rate is that of the last minutes; a sample is kept no more often than this.
SAMPLES = 20
SAMPLE_EVERY = dt.timedelta(seconds=15)


@dataclasses.dataclass(frozen=True)
class GroupCount:
    """How far a group of items is, in shards."""

    name: str
    shards: int
    done: int
    failed: int

    @property
    def ended(self) -> bool:
        """Say whether each of its shards is done or has failed for good."""
        return self.done + self.failed >= self.shards


@dataclasses.dataclass(frozen=True)
class Wave:
    """One RunTask call: up to ten ECS tasks under one client token, which is made of the call's number."""

    number: int
    count: int


@dataclasses.dataclass(frozen=True)
class Fault:
    """An ECS task that came to nothing, or a call that ECS did not take.

    Attributes:
        kind: which rule it counts for.
        reason: in AWS's words.
        at: when it was seen.
        advice: what to do, where no further attempt would help.
    """

    kind: TaskKind
    reason: str
    at: dt.datetime
    advice: str = ""


@dataclasses.dataclass(frozen=True)
class Known:
    """An ECS task of the stage.

    Attributes:
        status: `live`; `ending` from the tick that first saw it gone until that tick has acted on it; then `ended`.
        since: when the engine first heard of it; of one that has ended, when that tick was.
    """

    status: Literal["live", "ending", "ended"]
    since: dt.datetime


@dataclasses.dataclass(frozen=True)
class Asked:
    """Instances that were asked for, and when; until the group wants as many, or that took too long."""

    instances: int
    at: dt.datetime


@dataclasses.dataclass(frozen=True)
class Measured:
    """What CloudWatch was last told of the stage: the next time it is told what came since.

    Attributes:
        at: when.
        items_done: until then.
        cost: until then, in US dollars.
        failed: items that had failed by then in this round, by kind.
    """

    at: dt.datetime
    items_done: int = 0
    cost: float = 0.0
    failed: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Attributes beside those of the contract; in JSON they lie under `engine`.

    Attributes:
        attempts: of the Airflow tasks that drive the stage, by which an earlier release knows that it is started anew.
        rounds: how often people have started the stage; each time its shards get their attempts anew.
        ticks: that have been begun: the number of the last one.
        done: the shards that have a valid result, a bit each.
        explained: shards that failed for good and whose failures are among `failures`.
        next_wave: number of the next RunTask call; never used twice.
        waves: calls decided on and not yet answered: a restart sends them again, under the same tokens.
        asked: what the Auto Scaling group has been asked for and does not say yet.
        asked_at: since when the stage has been without an instance; None while one is there.
        short_at: since when fewer instances have registered than are desired.
        said: in one line, what AWS said of instances that stay away.
        said_at: when it was asked for that last.
        crowded_at: when there was no place for an ECS task last.
        terminated: instances whose end was asked for, by EC2 id, and when: it takes minutes.
        stopped: ECS tasks that were told to stop, and when.
        progress_at: when a shard was last seen done, or an ECS task running for the first time.
        tokens: RunTask calls that the token bucket allows at `tokens_at`.
        known: the stage's ECS tasks by ARN, without those that ended long ago.
        forgotten: how many these are.
        faults: in a row, since the last progress.
        idle: instances without an ECS task, since when; by ARN.
        draining: instances that the engine has let go of, by ARN.
        blocks: blocks of a large stage to which workers were pointed last.
        retired: ECS tasks that were asked to leave after the shard at hand.
        samples: items done at a time, of late.
        measured: what the metrics said last.
        closed_for: the start of the DAG run whose teardown ended the stage before it had begun; empty: it has begun.
        start: the latest start of the DAG run that has driven or ended the stage: only a later one starts it again.
            None of what an earlier release has left.
    """

    dag: str
    job: str
    stage: str
    items: int
    shards: int
    shard_items: int
    started_at: dt.datetime
    updated_at: dt.datetime
    due_at: dt.datetime
    progress_at: dt.datetime
    state: State = "running"
    reason: str = ""
    items_done: int = 0
    items_failed: int = 0
    shards_failed: int = 0
    shards_claimed: int = 0
    tasks_pending: int = 0
    tasks_running: int = 0
    tasks_stopped: int = 0
    instances_desired: int = 0
    instances_registered: int = 0
    said: str = ""
    rate: float | None = None
    remaining_seconds: float | None = None
    instance_seconds: float = 0.0
    cost: float | None = None
    groups: tuple[GroupCount, ...] = ()
    failures: tuple[ItemFailure, ...] = ()
    attempts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    rounds: int = 1
    ticks: int = 0
    done: int = 0
    explained: frozenset[int] = frozenset()
    next_wave: int = 0
    waves: tuple[Wave, ...] = ()
    asked: Asked | None = None
    asked_at: dt.datetime | None = None
    short_at: dt.datetime | None = None
    said_at: dt.datetime | None = None
    crowded_at: dt.datetime | None = None
    terminated: Mapping[str, dt.datetime] = dataclasses.field(default_factory=dict)
    stopped: Mapping[str, dt.datetime] = dataclasses.field(default_factory=dict)
    tokens: float = 0.0
    tokens_at: dt.datetime | None = None
    known: Mapping[str, Known] = dataclasses.field(default_factory=dict)
    forgotten: int = 0
    faults: tuple[Fault, ...] = ()
    idle: Mapping[str, dt.datetime] = dataclasses.field(default_factory=dict)
    draining: frozenset[str] = frozenset()
    retired: frozenset[str] = frozenset()
    blocks: tuple[int, ...] = ()
    samples: tuple[tuple[dt.datetime, int], ...] = ()
    measured: Measured | None = None
    closed_for: str = ""
    start: Start | None = None

    @classmethod
    def begin(cls, stage: Stage, now: dt.datetime) -> Self:
        """Make the ledger of a stage that begins now."""
        return cls(
            dag=stage.dag,
            job=stage.job,
            stage=stage.stage,
            items=stage.items,
            shards=stage.shards,
            shard_items=stage.shard_items,
            started_at=now,
            updated_at=now,
            due_at=now,
            progress_at=now,
            samples=((now, 0),),
        )

    def again(self, now: dt.datetime) -> Self:
        """The ledger of a stage that had ended and that somebody starts again: it goes on with what is missing."""
        return dataclasses.replace(
            self,
            state="running",
            reason="",
            rounds=self.rounds + 1,
            failures=(),
            explained=frozenset(),
            faults=(),
            asked=None,
            asked_at=None,
            short_at=None,
            said="",
            said_at=None,
            crowded_at=None,
            # Between its end and now it neither worked nor cost anything.
            updated_at=now,
            progress_at=now,
            closed_for="",
            samples=((now, self.items_done),),
            measured=self.measured and dataclasses.replace(self.measured, failed={}),
        )

    @classmethod
    def closed(cls, stage: Stage, now: dt.datetime, start: Start) -> Self:
        """The ledger of a stage that has not begun, and that no sensor of this start of the run may begin."""
        begun = cls.begin(stage, now)
        reason = "the job ended before this stage began"
        return dataclasses.replace(begun, state="failed", reason=reason, rounds=0, closed_for=str(start), start=start)

    @property
    def shards_done(self) -> int:
        """Say how many shards are done."""
        return self.done.bit_count()

    @property
    def finished(self) -> bool:
        """Say whether the stage has ended, however."""
        return self.state != "running"

    def to_json(self) -> str:
        """Give it as it stands in S3."""
        data = {
            "schema": SCHEMA,
            "dag": self.dag,
            "job": self.job,
            "stage": self.stage,
            "state": self.state,
            "reason": self.reason,
            "items": {"total": self.items, "done": self.items_done, "failed": self.items_failed},
            "shards": {
                "total": self.shards,
                "done": self.shards_done,
                "failed": self.shards_failed,
                "claimed": self.shards_claimed,
                "items": self.shard_items,
            },
            "tasks": {
                "pending": self.tasks_pending,
                "running": self.tasks_running,
                "stopped": self.tasks_stopped,
            },
            "instances": {
                "desired": self.instances_desired,
                "registered": self.instances_registered,
                "said": self.said,
            },
            "rate": self.rate,
            "remaining_seconds": self.remaining_seconds,
            "instance_seconds": self.instance_seconds,
            "cost": self.cost,
            "groups": [dataclasses.asdict(group) for group in self.groups],
            "started_at": format_time(self.started_at),
            "updated_at": format_time(self.updated_at),
            "due_at": format_time(self.due_at),
            "failures": [dataclasses.asdict(failure) for failure in self.failures],
            "engine": self._engine(),
        }
        return json.dumps(data, sort_keys=True)

    def _engine(self) -> dict[str, Any]:
        return {
            "attempts": dict(self.attempts),
            "rounds": self.rounds,
            "ticks": self.ticks,
            "done": f"{self.done:x}",
            "explained": sorted(self.explained),
            "next_wave": self.next_wave,
            "waves": [dataclasses.asdict(wave) for wave in self.waves],
            "asked": {"instances": self.asked.instances, "at": format_time(self.asked.at)} if self.asked else None,
            "asked_at": _written(self.asked_at),
            "short_at": _written(self.short_at),
            "said_at": _written(self.said_at),
            "crowded_at": _written(self.crowded_at),
            "terminated": {ec2_id: format_time(at) for ec2_id, at in self.terminated.items()},
            "stopped": {arn: format_time(at) for arn, at in self.stopped.items()},
            "progress_at": format_time(self.progress_at),
            "tokens": self.tokens,
            "tokens_at": _written(self.tokens_at),
            "known": {
                arn: {"status": known.status, "since": format_time(known.since)} for arn, known in self.known.items()
            },
            "forgotten": self.forgotten,
            "faults": [{**dataclasses.asdict(fault), "at": format_time(fault.at)} for fault in self.faults],
            "idle": {arn: format_time(since) for arn, since in self.idle.items()},
            "draining": sorted(self.draining),
            "retired": sorted(self.retired),
            "blocks": list(self.blocks),
            "samples": [[format_time(at), items] for at, items in self.samples],
            "measured": {**dataclasses.asdict(self.measured), "at": format_time(self.measured.at)}
            if self.measured
            else None,
            "closed_for": self.closed_for,
            "start": self.start.to_object() if self.start else None,
        }

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """Read a ledger.

        Raises:
            JobError: it does not parse, is of another schema or lacks a field.
        """
        data = load_object(text, where=where)
        try:
            return cls._from_object(data)
        except MALFORMED as error:
            raise JobError(
                f"{where}: not a ledger of this release ({error!r}); delete it and the engine starts afresh"
            ) from error

    @classmethod
    def _from_object(cls, data: Mapping[str, Any]) -> Self:
        engine = data["engine"]
        return cls(
            dag=data["dag"],
            job=data["job"],
            stage=data["stage"],
            state=data["state"],
            reason=data["reason"],
            items=data["items"]["total"],
            items_done=data["items"]["done"],
            items_failed=data["items"]["failed"],
            shards=data["shards"]["total"],
            shards_failed=data["shards"]["failed"],
            shards_claimed=data["shards"]["claimed"],
            shard_items=data["shards"]["items"],
            tasks_pending=data["tasks"]["pending"],
            tasks_running=data["tasks"]["running"],
            tasks_stopped=data["tasks"]["stopped"],
            instances_desired=data["instances"]["desired"],
            instances_registered=data["instances"]["registered"],
            rate=data["rate"],
            remaining_seconds=data["remaining_seconds"],
            instance_seconds=data["instance_seconds"],
            cost=data["cost"],
            groups=tuple(GroupCount(**group) for group in data["groups"]),
            started_at=parse_time(data["started_at"]),
            updated_at=parse_time(data["updated_at"]),
            due_at=parse_time(data["due_at"]),
            failures=tuple(ItemFailure(**{**failure, "log": tuple(failure["log"])}) for failure in data["failures"]),
            attempts=engine["attempts"],
            rounds=engine["rounds"],
            done=int(engine["done"], 16),
            explained=frozenset(engine["explained"]),
            next_wave=engine["next_wave"],
            waves=tuple(Wave(**wave) for wave in engine["waves"]),
            # What an earlier release wrote has none of those that are asked for by `get`.
            said=data["instances"].get("said", ""),
            ticks=engine.get("ticks", 0),
            closed_for=engine.get("closed_for", ""),
            start=Start.from_object(start) if (start := engine.get("start")) else None,
            forgotten=engine.get("forgotten", 0),
            asked=Asked(asked["instances"], parse_time(asked["at"])) if (asked := engine.get("asked")) else None,
            asked_at=_read(engine["asked_at"]),
            short_at=_read(engine.get("short_at")),
            said_at=_read(engine.get("said_at")),
            crowded_at=_read(engine.get("crowded_at")),
            terminated={ec2_id: parse_time(at) for ec2_id, at in engine.get("terminated", {}).items()},
            stopped={arn: parse_time(at) for arn, at in engine.get("stopped", {}).items()},
            progress_at=parse_time(engine["progress_at"]),
            tokens=engine["tokens"],
            tokens_at=_read(engine["tokens_at"]),
            known={arn: Known(known["status"], parse_time(known["since"])) for arn, known in engine["known"].items()},
            faults=tuple(
                Fault(fault["kind"], fault["reason"], parse_time(fault["at"]), fault.get("advice", ""))
                for fault in engine["faults"]
            ),
            idle={arn: parse_time(since) for arn, since in engine["idle"].items()},
            draining=frozenset(engine["draining"]),
            retired=frozenset(engine["retired"]),
            blocks=tuple(engine["blocks"]),
            samples=tuple((parse_time(at), items) for at, items in engine["samples"]),
            # A job that an earlier release began has none.
            measured=Measured(**{**measured, "at": parse_time(measured["at"])})
            if (measured := engine.get("measured"))
            else None,
        )


def _written(moment: dt.datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _read(text: str | None) -> dt.datetime | None:
    return parse_time(text) if text else None
