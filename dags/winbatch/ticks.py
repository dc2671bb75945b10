"""Ticks as they are kept in S3 for `invoke replay`: what the engine was given, and what it decided.

A tick is an object of its own, under a key that follows from its number: `ticks/<level>-<place>.json.gz`. Its level
says by which power of two its number can be divided, and a level has `PLACES` places, taken in turn. So nobody has to
list, read or delete anything for a bound: what is written over is thinned out. Of a stage's last 1,024 ticks all are
there, of the 1,024 before every second one, of the 2,048 before those every fourth, and so on; what is more than 65,536
ticks old is gone.

The failures' logs are left out: the engine does not read them, and the ledger has them.
"""

import dataclasses
import json
import zlib
from typing import Self

from winbatch import engine, keys, release
from winbatch.coding import codec
from winbatch.engine import Action, Limits, Seen, Step
from winbatch.errors import JobError
from winbatch.ledger import Ledger, State
from winbatch.parsing import MALFORMED
from winbatch.stage import SCHEMA, Stage, load_object

LEVELS, PLACES = 8, 512
# Bytes of an object. A tick of 500 ECS tasks that hold 2,000 shards takes some 30,000.
LARGEST = 64 * 1024
# What such an object may come to when it is unpacked.
_LARGEST_TEXT = 16 * 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS


@dataclasses.dataclass(frozen=True)
class Decision:
    """Holds what the engine decided, as far as somebody outside of it can tell.

    Attributes:
        state: the stage's.
        reason: for which it ended.
        actions: to be done.
        demand: instances that the stage could use.
        wait: seconds until the next tick.
    """

    state: State
    reason: str
    actions: tuple[Action, ...]
    demand: float
    wait: float

    @classmethod
    def of(cls, step: Step) -> Self:
        """Tell what a step decided."""
        return cls(step.ledger.state, step.ledger.reason, step.actions, step.demand, step.wait)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tick:
    """A tick whose ledger was saved.

    Attributes:
        number: counts the stage's ticks, from 1.
        who: the Airflow task that made it, of those that drive the stage.
        attempt: that task's.
        release: of the DAGs; empty in a checkout.
        code: which code decided (`winbatch.release.code`).
        limits: the stage's.
        ledger: as the engine was given it.
        seen: what the engine was given.
        decided: what it made of that.
    """

    number: int
    who: str
    attempt: int
    release: str
    code: str
    limits: Limits
    ledger: Ledger
    seen: Seen
    decided: Decision

    @classmethod
    def of(cls, limits: Limits, ledger: Ledger, seen: Seen, step: Step, *, who: str, attempt: int) -> Self:
        """Take down a tick of this code.

        Args:
            limits: the engine was given.
            ledger: the engine was given.
            seen: the engine was given.
            step: what it made of them.
            who: the Airflow task that makes the tick.
            attempt: that task's.
        """
        without_logs = tuple(dataclasses.replace(failure, log=()) for failure in ledger.failures)
        return cls(
            number=ledger.ticks,
            who=who,
            attempt=attempt,
            release=release.current(),
            code=release.code(),
            limits=limits,
            ledger=dataclasses.replace(ledger, failures=without_logs),
            seen=seen,
            decided=Decision.of(step),
        )


@dataclasses.dataclass(frozen=True)
class Replayed:
    """A tick, and what the engine of this code makes of what it was given.

    Attributes:
        tick: as it was kept.
        step: what came out; None where the engine fails on it.
        error: with which it fails.
    """

    tick: Tick
    step: Step | None
    error: str = ""

    @property
    def same(self) -> bool:
        """Say whether it decides what was decided then."""
        return self.step is not None and Decision.of(self.step) == self.tick.decided


def replay(stage: Stage, tick: Tick) -> Replayed:
    """Give the engine what it was given then."""
    if any(shard >= stage.shards for shard in tick.seen.results):
        # A bit each: what somebody else wrote there may name one that takes all memory.
        return Replayed(tick, None, f"results of shards of which {stage.stage} has none")
    try:
        return Replayed(tick, engine.step(stage, tick.limits, tick.ledger, tick.seen))
    except Exception as error:  # noqa: BLE001 - of whatever another release wrote; what it says is the outcome
        return Replayed(tick, None, f"{type(error).__name__}: {error}")


def key(stage: Stage, number: int) -> str:
    """Say where a tick lies, from number 1 on; it takes the place of an older one of its level."""
    level = min((number & -number).bit_length() - 1, LEVELS - 1)
    turn = number >> level if level == LEVELS - 1 else number >> level + 1
    return f"{keys.ticks_prefix(stage)}{level}-{turn % PLACES:03d}.json.gz"


def encode(tick: Tick) -> bytes:
    """Write a tick down.

    Raises:
        JobError: it is too large to be kept.
    """
    text = json.dumps({"schema": SCHEMA, **codec(Tick).encode(tick)}, separators=(",", ":")).encode()
    packer = zlib.compressobj(wbits=_GZIP)
    body = packer.compress(text) + packer.flush()
    if len(body) > LARGEST or len(text) > _LARGEST_TEXT:
        raise JobError(f"it takes {len(body):,} bytes, and {LARGEST:,} are kept of one")
    return body


def decode(body: bytes, *, where: str) -> Tick:
    """Read a tick.

    Args:
        body: the object.
        where: its address, for the error's line.

    Raises:
        JobError: it is none, or of a release whose engine was given something else.
    """
    try:
        unpacker = zlib.decompressobj(_GZIP)
        text = unpacker.decompress(body, _LARGEST_TEXT)
        if not unpacker.eof:
            raise JobError(f"{where}: cut off, or more than {_LARGEST_TEXT:,} bytes")
        tick: Tick = codec(Tick).decode(load_object(text, where=where))
    except zlib.error as error:
        raise JobError(f"{where}: not packed by gzip ({error}); it was cut off or written by something else") from error
    except MALFORMED as error:
        raise JobError(f"{where}: not a tick that this release can read ({type(error).__name__}: {error})") from error
    return tick
