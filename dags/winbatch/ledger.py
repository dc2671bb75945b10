"""The ledger: what the engine remembers between ticks, and what people are shown of a stage.

It is a cache of what S3 and ECS say, and a diary; losing it costs no result.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from winbatch.errors import JobError
from winbatch.stage import SCHEMA, Stage, load_object

State = Literal["running", "succeeded", "failed", "cancelled"]


@dataclasses.dataclass(frozen=True)
class Failure:
    """A shard that failed for good, with the items it held and the last lines of its log."""

    shard: int
    items: tuple[int, ...]
    reason: str
    log: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Wave:
    """One RunTask call: up to ten ECS tasks under one client token, which is made of the call's number."""

    number: int
    count: int


@dataclasses.dataclass(frozen=True)
class Known:
    """An ECS task of the stage.

    Attributes:
        status: `live`; `ending` from the tick that first saw it gone until that tick has acted on it; then `ended`.
        since: when the engine first heard of it.
    """

    status: Literal["live", "ending", "ended"]
    since: dt.datetime


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Attributes beside those of the contract; in JSON they lie under `engine`.

    Attributes:
        attempt: the attempt of the Airflow task that drives the stage; only a later one starts an ended stage again.
        rounds: how often people have started the stage; each time its shards get their attempts anew.
        next_wave: number of the next RunTask call; never used twice.
        waves: calls decided on and not yet answered: a restart sends them again, under the same tokens.
        asked_at: since when the stage has been without an instance; None while one is there.
        tokens: RunTask calls that the token bucket allows at `tokens_at`.
        known: the stage's ECS tasks by ARN.
        faults: reasons of the ECS tasks that ended by a fault of their own since the last progress.
    """

    dag: str
    job: str
    stage: str
    items: int
    shards: int
    shard_items: int
    started_at: dt.datetime
    updated_at: dt.datetime
    state: State = "running"
    reason: str = ""
    items_done: int = 0
    items_failed: int = 0
    shards_done: int = 0
    shards_failed: int = 0
    shards_claimed: int = 0
    tasks_pending: int = 0
    tasks_running: int = 0
    tasks_stopped: int = 0
    instances_desired: int = 0
    instances_registered: int = 0
    failures: tuple[Failure, ...] = ()
    attempt: int = 1
    rounds: int = 1
    next_wave: int = 0
    waves: tuple[Wave, ...] = ()
    asked_at: dt.datetime | None = None
    tokens: float = 0.0
    tokens_at: dt.datetime | None = None
    known: Mapping[str, Known] = dataclasses.field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @classmethod
    def begin(cls, stage: Stage, now: dt.datetime) -> Self:
        return cls(
            dag=stage.dag,
            job=stage.job,
            stage=stage.stage,
            items=stage.items,
            shards=stage.shards,
            shard_items=stage.shard_items,
            started_at=now,
            updated_at=now,
        )

    def again(self, attempt: int) -> Self:
        """The ledger of a stage that had ended and that somebody starts again: it goes on with what is missing."""
        return dataclasses.replace(
            self, state="running", reason="", attempt=attempt, rounds=self.rounds + 1, faults=(), asked_at=None
        )

    @property
    def finished(self) -> bool:
        return self.state != "running"

    def to_json(self) -> str:
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
            "instances": {"desired": self.instances_desired, "registered": self.instances_registered},
            "started_at": format_time(self.started_at),
            "updated_at": format_time(self.updated_at),
            "failures": [dataclasses.asdict(failure) for failure in self.failures],
            "engine": {
                "attempt": self.attempt,
                "rounds": self.rounds,
                "next_wave": self.next_wave,
                "waves": [dataclasses.asdict(wave) for wave in self.waves],
                "asked_at": format_time(self.asked_at) if self.asked_at else None,
                "tokens": self.tokens,
                "tokens_at": format_time(self.tokens_at) if self.tokens_at else None,
                "known": {
                    arn: {"status": known.status, "since": format_time(known.since)}
                    for arn, known in self.known.items()
                },
                "faults": list(self.faults),
            },
        }
        return json.dumps(data, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """Read a ledger.

        Raises:
            JobError: it does not parse, is of another schema or lacks a field.
        """
        data = load_object(text, where=where)
        try:
            return cls._from_object(data)
        except (KeyError, TypeError, ValueError) as error:
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
            shards_done=data["shards"]["done"],
            shards_failed=data["shards"]["failed"],
            shards_claimed=data["shards"]["claimed"],
            shard_items=data["shards"]["items"],
            tasks_pending=data["tasks"]["pending"],
            tasks_running=data["tasks"]["running"],
            tasks_stopped=data["tasks"]["stopped"],
            instances_desired=data["instances"]["desired"],
            instances_registered=data["instances"]["registered"],
            started_at=parse_time(data["started_at"]),
            updated_at=parse_time(data["updated_at"]),
            failures=tuple(
                Failure(failure["shard"], tuple(failure["items"]), failure["reason"], tuple(failure["log"]))
                for failure in data["failures"]
            ),
            attempt=engine["attempt"],
            rounds=engine["rounds"],
            next_wave=engine["next_wave"],
            waves=tuple(Wave(**wave) for wave in engine["waves"]),
            asked_at=parse_time(engine["asked_at"]) if engine["asked_at"] else None,
            tokens=engine["tokens"],
            tokens_at=parse_time(engine["tokens_at"]) if engine["tokens_at"] else None,
            known={arn: Known(known["status"], parse_time(known["since"])) for arn, known in engine["known"].items()},
            faults=tuple(engine["faults"]),
        )


def format_time(moment: dt.datetime) -> str:
    """A UTC time as text, to the millisecond."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
