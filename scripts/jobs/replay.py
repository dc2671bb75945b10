"""A job's ticks, given to the engine of this checkout once more: whether it decides the same, and what happened why.

It reads S3 alone, so that it works while Airflow is away, and while the job runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Protocol

from scripts.core.errors import JobFailed, SettingsError
from scripts.jobs import story
from scripts.jobs.story import Sentence, many
from winbatch import keys, stored, ticks
from winbatch.attempts import Record
from winbatch.errors import JobError
from winbatch.job import Job
from winbatch.ledger import Ledger
from winbatch.release import code
from winbatch.stage import ClaimMark, Stage
from winbatch.storage import Entry, Object
from winbatch.suggesting import hint
from winbatch.ticks import Replayed, Tick

# A time of day has no more letters than this.
_OF_DAY = len("19:00:42")
_DAY = timedelta(days=1)


class Bucket(Protocol):
    """The data bucket, as the engine's ports have it."""

    def get(self, key: str) -> Object | None:
        """Read an object; None where there is none."""

    def get_many(self, keys: Sequence[str]) -> list[Object | None]:
        """Read objects, in the order of the keys; None for each that is not there."""

    def listing(self, prefix: str) -> Iterator[Entry]:
        """List objects below a prefix, by key."""

    def where(self, key: str) -> str:
        """Give the address of an object, for people."""


@dataclass(frozen=True)
class Part:
    """A stage of the job, replayed.

    Attributes:
        stage: the stage.
        ledger: as it is now; None before it has begun.
        ticks: that are kept and can be read, in order.
        unread: why others that are there cannot be, a line each.
    """

    stage: Stage
    ledger: Ledger | None
    ticks: Sequence[Replayed]
    unread: Sequence[str] = ()

    @property
    def different(self) -> list[Replayed]:
        """The ticks of which other decisions come out."""
        return [replayed for replayed in self.ticks if not replayed.same]

    @property
    def made(self) -> int:
        """How many ticks there were."""
        return self.ledger.ticks if self.ledger else 0

    @property
    def foreign(self) -> list[str]:
        """By which other code than this ticks were decided: the releases of the DAGs."""
        found = {replayed.tick.release or "a checkout" for replayed in self.ticks if replayed.tick.code != code()}
        return sorted(found)

    def lines(self) -> Iterator[str]:
        """Say in sentences what came of replaying it."""
        name = f"stage {self.stage.stage}"
        if self.ledger is None:
            yield f"{name} has not begun"
            return
        if not self.made and not self.ticks:
            yield f"{name} ran under a release that kept no ticks"
            return
        count = len(self.different)
        came = f"{count} of them decided otherwise" if count else "the same actions"
        yield f"{name}: {many(len(self.ticks), 'tick')}, {came if self.ticks else 'so that there is nothing to replay'}"
        # Where the ledger was lost, ticks were counted anew, and more may be there.
        if (missing := self.made - len(self.ticks) - len(self.unread)) > 0:
            yield (
                f"  {many(missing, 'tick')} of {self.made:,} not kept: old ones are thinned out; of others, the process"
                " ended first, S3 did not take them, or they were too large"
            )
        if self.ticks and self.ticks[0].tick.number == 1 and _had_begun(self.ticks[0].tick.ledger):
            yield "  it began under a release that kept no ticks"
        for line in self.unread[: story.NAMED]:
            yield f"  {line}"
        if len(self.unread) > story.NAMED:
            yield f"  and {len(self.unread) - story.NAMED:,} more that cannot be read"
        if self.foreign:
            yield f"  decided by another winbatch than this checkout's: {story.names('release', self.foreign)}"

    def as_json(self) -> dict[str, Any]:
        """Give it as `--json` shows it, with the first difference in words."""
        return {
            "stage": self.stage.stage,
            "ticks": self.made,
            "replayed": len(self.ticks),
            "unread": list(self.unread),
            "different": [replayed.tick.number for replayed in self.different],
            "first_difference": story.difference(self.stage, self.different[0]) if self.different else None,
            "releases": sorted({replayed.tick.release for replayed in self.ticks}),
            "same_code": not self.foreign,
        }


@dataclass(frozen=True)
class Replay:
    """A job, replayed.

    Attributes:
        run_id: the DAG run's.
        dag: its DAG.
        parts: its stages, in order.
    """

    run_id: str
    dag: str
    parts: Sequence[Part]

    @property
    def kept(self) -> bool:
        """Whether any tick of the job was kept."""
        return any(part.made or part.ticks for part in self.parts)

    def lines(self) -> list[str]:
        """Say in sentences what came of it."""
        if not self.kept:
            return [f"{self.run_id} has no ticks to replay: it has not begun, or ran under a release that kept none"]
        return [line for part in self.parts for line in part.lines()]

    def problem(self) -> str:
        """Say where the first difference is, and of which code that is; empty where there is none."""
        part = next((part for part in self.parts if part.different), None)
        if part is None:
            return ""
        first = part.different[0]
        whose = f"release {first.tick.release}" if first.tick.release else "a checkout"
        by = "the same code: that is a defect" if first.tick.code == code() else f"another winbatch, that of {whose}"
        return f"{story.difference(part.stage, first)}; then it was decided by {by}"

    def as_json(self, told: Sequence[Sentence]) -> dict[str, Any]:
        """As `invoke replay --json` prints it."""
        return {
            "run_id": self.run_id,
            "dag": self.dag,
            "same": not any(part.different for part in self.parts),
            "stages": [part.as_json() for part in self.parts],
            "story": [sentence.as_json() for sentence in told],
        }


def replay(bucket: Bucket, dag: str, run_id: str) -> Replay:
    """Replay all ticks of a job that are kept.

    Raises:
        JobError: what lies there of the job does not parse.
        JobFailed: no job of this name lies there.
    """

    def read(key: str) -> bytes | None:
        found = bucket.get(key)
        return found.body if found else None

    found = stored.find(read, dag, run_id, {})
    if found is None:
        raise JobFailed(
            f"no job of run {run_id} of DAG {dag} lies in the data bucket: it is not planned yet, or was deleted;"
            " invoke status lists the last ones"
        )
    return Replay(run_id, dag, _parts(bucket, found))


def why(bucket: Bucket, replayed: Replay, item: int, stage_name: str = "") -> list[Sentence]:
    """Tell the story of an item.

    Args:
        bucket: with the records of its shard.
        replayed: the job.
        item: its number.
        stage_name: default: the first stage.

    Raises:
        JobError: a record of the shard does not parse.
        SettingsError: there is no such stage or item.
    """
    part = _chosen(replayed, stage_name)[0]
    stage = part.stage
    if item >= stage.items:
        raise SettingsError(f"--why {item}: stage {stage.stage} of {replayed.run_id} has items 0 to {stage.items - 1}")
    shard = stage.shard_of(item)
    written = next((entry.modified for entry in bucket.listing(stage.result_key(shard))), None)
    records = _records(bucket, stage, shard)
    return story.of_item(stage, item, records, ticks=part.ticks, ledger=part.ledger, done_at=written)


def at(replayed: Replay, text: str, stage_name: str = "") -> list[Sentence]:
    """Tell the story of the last tick at a time or before it.

    Args:
        replayed: the job.
        text: the time, as somebody typed it.
        stage_name: default: whichever stage was at work.

    Raises:
        JobFailed: no tick is kept from then.
        SettingsError: it is no time, or there is no such stage.
    """
    parts = _chosen(replayed, stage_name)
    found = sorted((each.tick.seen.now, number) for number, part in enumerate(parts) for each in part.ticks)
    if not found:
        raise JobFailed(f"{replayed.run_id} has no ticks that tell of {text}")
    first, last = found[0][0], found[-1][0]
    moment = parse_time(text, first)
    # Times are shown to the second, and what is shown can be typed.
    earlier = [number for now, number in found if now.replace(microsecond=0) <= moment]
    if not earlier:
        raise JobFailed(f"--at {text}: ticks of {replayed.run_id} are kept from {story.moment(first)} UTC on")
    part = parts[earlier[-1]]
    number = max(
        number for number, each in enumerate(part.ticks) if each.tick.seen.now.replace(microsecond=0) <= moment
    )
    told = story.of_tick(part.stage, part.ticks[number], _before(part, number), _after(part, number))
    if moment >= last:
        told.append(Sentence(last, "no later tick is kept", part.ticks[number].tick.number))
    return told


def parse_time(text: str, first: datetime) -> datetime:
    """A time, as somebody typed it: UTC where it does not say otherwise.

    Args:
        text: ISO 8601, or a time of day.
        first: the first tick's time: a time of day is the first one that is not before it, to the second.

    Raises:
        SettingsError: it is none.
    """
    try:
        if len(text) <= _OF_DAY:
            found = datetime.combine(first.astimezone(UTC).date(), time.fromisoformat(text), UTC)
            return found if found >= first.replace(microsecond=0) else found + _DAY
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"--at {text!r}: a time is expected, in UTC, such as 19:00:42 or 2026-11-22T19:00:42"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _parts(bucket: Bucket, job: Job) -> list[Part]:
    found = []
    for stage in job.stages:
        key = keys.ledger_key(stage)
        body = bucket.get(key)
        ledger = Ledger.from_json(body.body, where=bucket.where(key)) if body else None
        read, unread = _ticks(bucket, stage)
        found.append(Part(stage, ledger, [ticks.replay(stage, tick) for tick in read], unread))
    return found


def _ticks(bucket: Bucket, stage: Stage) -> tuple[list[Tick], list[str]]:
    entries = [*bucket.listing(keys.ticks_prefix(stage))]
    # Workloads may write below the job's prefix, too: nothing is read that no engine wrote.
    large = [entry for entry in entries if entry.size > ticks.LARGEST]
    unread = [f"{bucket.where(entry.key)}: {entry.size:,} bytes, more than a tick has" for entry in large]
    there = [entry.key for entry in entries if entry.size <= ticks.LARGEST]
    read = []
    for key, body in zip(there, bucket.get_many(there), strict=True):
        try:
            read.append(ticks.decode(body.body if body else b"", where=bucket.where(key)))
        except JobError as error:
            unread.append(str(error))
    # By time: where the ledger was lost, they were counted anew.
    return sorted(read, key=lambda tick: (tick.seen.now, tick.number)), unread


def _records(bucket: Bucket, stage: Stage, shard: int) -> dict[ClaimMark, Record]:
    marks = {
        mark: entry.key
        for entry in bucket.listing(stage.claims_of(shard))
        if (mark := stage.parse_claim_key(entry.key)) is not None
    }
    bodies = zip(marks.items(), bucket.get_many([*marks.values()]), strict=True)
    return {mark: Record.decode(found.body, where=bucket.where(key)) for (mark, key), found in bodies if found}


def _chosen(replayed: Replay, name: str) -> Sequence[Part]:
    """The stages that somebody means."""
    found = [part for part in replayed.parts if name in {"", part.stage.stage}]
    if not found:
        there = ", ".join(part.stage.stage for part in replayed.parts)
        meant = hint(name, (part.stage.stage for part in replayed.parts))
        raise SettingsError(f"{replayed.run_id} has no stage {name!r}{meant}; there are {there}")
    return found


def _had_begun(ledger: Ledger) -> bool:
    return ledger.updated_at != ledger.started_at


def _before(part: Part, place: int) -> Ledger | None:
    """The ledger that the tick before this one was given; None where that is not kept."""
    before = part.ticks[place - 1].tick if place else None
    return before.ledger if before and before.number == part.ticks[place].tick.number - 1 else None


def _after(part: Part, place: int) -> Ledger | None:
    """The ledger that a tick left; None where nobody knows."""
    number = part.ticks[place].tick.number
    after = part.ticks[place + 1].tick if place + 1 < len(part.ticks) else None
    if after is not None:
        return after.ledger if after.number == number + 1 else None
    return part.ledger if part.ledger and part.ledger.ticks == number else None
