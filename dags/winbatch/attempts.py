"""The protocol of attempts: what the records of a shard in S3 mean. Nothing else interprets them.

An attempt at a shard leaves records below the stage's claims prefix, `<shard>/<attempt>.<kind>`. Each is written only
where none is (`IfNoneMatch`), and none is changed or removed.

========  ==========  =================================================================
record    written by  it says
========  ==========  =================================================================
claim     worker      the attempt is this worker's
failed    worker      a program failed; names the items
memory    worker      a program ran out of memory; names the items
crash     engine      the attempt took its worker with it
invalid   engine      the attempt's result is missing or does not parse
lost      engine      the attempt's worker or host went away
released  both        the attempt has ended, and the next may be claimed
========  ==========  =================================================================

A shard is *done* when its result exists and parses. Until then the records of its last attempt decide (`judge`):

==================================  ====================================================
last attempt                        the shard
==================================  ====================================================
none, or released                   free: a worker may claim the next attempt
claimed, nothing more               open: a worker is at it, or was
ended, the policy allows another    waits until the pause is over, then it is released
ended, the policy allows no other   failed for good
==================================  ====================================================
"""

import dataclasses
import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, NamedTuple, Self

from winbatch.errors import JobError
from winbatch.parsing import MALFORMED
from winbatch.stage import ClaimKind, ClaimMark

ShardKind = Literal["program", "memory", "crash", "result", "host"]
# Of ECS tasks "host" says that one ended with its host, as it seems, before it had claimed anything.
TaskKind = Literal["image", "start", "unstarted", "worker", "throttled", "host"]
Kind = ShardKind | TaskKind
Outcome = Literal["at work", "done", "failed", "out of memory", "crashed", "invalid result", "lost", "given back"]

LAST_ATTEMPT = 99
"""The number of an attempt has two digits in its key."""

# A worker keeps less of a log; the ledger holds what is read, at every tick.
_LINES, _LINE = 100, 4000

LONGEST_BACKOFF = dt.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True)
class Rule:
    """Says how a kind of failure is met.

    Attributes:
        attempts: as many end the shard, or, of ECS tasks in a row, the stage.
        backoff: seconds until the next attempt; they double with each failure, up to five minutes.
    """

    attempts: int
    backoff: float

    def pause(self, failures: int) -> dt.timedelta:
        """Return the pause after so many failures of this kind."""
        doublings = min(max(0, failures - 1), 30)
        return min(LONGEST_BACKOFF, dt.timedelta(seconds=self.backoff * 2**doublings))


POLICY: Mapping[Kind, Rule] = {
    # Of a shard. Its program failed or returned what cannot be kept; it ran out of memory; it took its worker with it;
    # its result is missing or does not parse; its host or worker went away, which is no fault of its own, but ten times
    # mean that something about the shard ends its workers.
    "program": Rule(3, 5),
    "memory": Rule(2, 30),
    "crash": Rule(3, 5),
    "result": Rule(3, 5),
    "host": Rule(10, 0),
    # Of ECS tasks, which count in a row: with no result in between, something is wrong for all items. The image cannot
    # be pulled; the start timed out; it never started for another reason; the worker says that its surroundings are
    # wrong (rights, configuration, an image without the stage's code); ECS asks for a pause.
    "image": Rule(3, 20),
    "start": Rule(3, 20),
    "unstarted": Rule(4, 10),
    "worker": Rule(3, 5),
    "throttled": Rule(100, 2),
}
"""The retry policy: what becomes of each kind of failure, unless a job says otherwise."""


def policy(overrides: Mapping[str, Mapping[str, float]], *, max_attempts: int) -> dict[Kind, Rule]:
    """Make a job's retry policy.

    Args:
        overrides: by kind, `attempts` and `backoff` as the job specification has them; what it leaves out stays.
        max_attempts: of a shard whose program fails: what people are asked for when they start a job.
    """
    defaults = {**POLICY, "program": dataclasses.replace(POLICY["program"], attempts=max_attempts)}
    return {
        kind: Rule(int(changed.get("attempts", rule.attempts)), float(changed.get("backoff", rule.backoff)))
        for kind, rule in defaults.items()
        for changed in [overrides.get(kind, {})]
    }


class End(NamedTuple):
    """Tells what a record says of an attempt that it ended.

    Attributes:
        cause: the kind of failure that counts for the shard.
        outcome: in people's words, for an item that the record names or that no record does.
    """

    cause: ShardKind
    outcome: Outcome


ENDS: Mapping[ClaimKind, End] = {
    "failed": End("program", "failed"),
    "memory": End("memory", "out of memory"),
    "crash": End("crash", "crashed"),
    "invalid": End("result", "invalid result"),
    "lost": End("host", "lost"),
}
"""The records that end an attempt; where there are several, the first one counts.

One that was released without any was given back by its worker, which was told to stop: that is the host's kind.
"""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Says what is to become of a shard that is not done.

    Attributes:
        state: as the module's second table has it; `broken`: it has a result that is none, and no record says so.
        mark: the record that stands for it: that to be written (`waits`, `broken`), else the last attempt's.
        cause: why its last attempt ended, or the kind that makes it fail.
        due: when it may be released.
    """

    state: Literal["free", "open", "waits", "broken", "failed"]
    mark: ClaimMark
    cause: ShardKind | None = None
    due: dt.datetime | None = None


class History:
    """The records of one shard: for each attempt their kinds, each with the time at which it was written."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.attempts: dict[int, dict[ClaimKind, dt.datetime | None]] = {}

    def add(self, mark: ClaimMark, at: dt.datetime | None = None) -> None:
        """Take a record in."""
        self.attempts.setdefault(mark.attempt, {})[mark.kind] = at

    def ended_by(self, attempt: int) -> ClaimKind:
        """Name the record that says why an attempt ended: `claim` where none does."""
        return next((kind for kind in ENDS if kind in self.attempts[attempt]), "claim")

    def cause(self, attempt: int) -> ShardKind | None:
        """Say why an attempt ended; None while it goes on."""
        kind = self.ended_by(attempt)
        if kind in ENDS:
            return ENDS[kind].cause
        return "host" if "released" in self.attempts[attempt] else None

    @property
    def last(self) -> ClaimMark:
        """The record of the last attempt that says most of it."""
        attempt = max(self.attempts)
        return ClaimMark(self.shard, attempt, self.ended_by(attempt))

    def next(self, *, has_result: bool) -> int | None:
        """Number the attempt that a worker may claim; None when it may claim none.

        A shard that has a result may be claimed only when that was found to be none, and an attempt released since.
        """
        released = max((number for number, kinds in self.attempts.items() if "released" in kinds), default=-1)
        attempt = released + 1
        if attempt > LAST_ATTEMPT or "claim" in self.attempts.get(attempt, ()):
            return None
        if has_result and not any("invalid" in kinds for number, kinds in self.attempts.items() if number < attempt):
            return None
        return attempt

    def judge(self, rules: Mapping[Kind, Rule], *, rounds: int = 1, broken: bool = False) -> Judgement:
        """Decide what is to become of a shard that has begun and is not done.

        Args:
            rules: the retry policy.
            rounds: how often the stage was begun: each time a person starts it again, it has all its attempts anew.
            broken: it has a result that does not parse.
        """
        last = self.last
        marks = self.attempts[last.attempt]
        counts = Counter(cause for attempt in self.attempts if (cause := self.cause(attempt)))
        cause = self.cause(last.attempt)
        over = next((kind for kind, count in counts.items() if count >= rules[kind].attempts * rounds), None)
        if over is None and cause and last.attempt >= LAST_ATTEMPT:
            over = cause
        if over:
            return Judgement("failed", last, over)
        if "released" in marks:
            return Judgement("free", last, cause)
        if cause:
            ended = max(at for kind, at in marks.items() if kind != "claim" and at is not None)
            return Judgement("waits", last._replace(kind="released"), cause, ended + rules[cause].pause(counts[cause]))
        if broken and "result" not in counts:
            return Judgement("broken", last._replace(kind="invalid"))
        return Judgement("open", last)


_NONE = History(-1)


def histories(marks: Iterable[tuple[ClaimMark, dt.datetime | None]]) -> dict[int, History]:
    """Sort records by shard, each with the time at which it was written."""
    found: dict[int, History] = {}
    for mark, at in marks:
        history = found.get(mark.shard)
        if history is None:
            history = found[mark.shard] = History(mark.shard)
        history.add(mark, at)
    return found


def claimable(shards: int, results: AbstractSet[int], marks: Iterable[ClaimMark], *, first: int = 0) -> list[ClaimMark]:
    """List the claims that may be written, at most one a shard, by shard.

    Args:
        shards: those from this number on are left out.
        results: shards that have one.
        marks: all records there are of these shards.
        first: shards before it are left out.
    """
    known = histories((mark, None) for mark in marks)
    return [
        ClaimMark(shard, attempt, "claim")
        for shard in range(first, shards)
        if (attempt := known.get(shard, _NONE).next(has_result=shard in results)) is not None
    ]


def reopening(marks: Iterable[ClaimMark]) -> list[ClaimMark]:
    """List the records that let every shard be claimed once more, whatever became of it."""
    known = histories((mark, None) for mark in marks)
    return [known[shard].last._replace(kind="released") for shard in sorted(known)]


class FailedItem(NamedTuple):
    """An item that failed in an attempt, as a worker says it.

    Attributes:
        item: its number.
        error: why, in one line.
        exit_code: of its program; None where there was none.
        log: the last lines that it wrote.
    """

    item: int
    error: str
    exit_code: int | None
    log: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Record:
    """Holds what a record says.

    Attributes:
        at: when it was written.
        task: the ECS task of a worker that says so; empty for the engine.
        reason: in one line; empty where the kind says all.
        failures: items that failed; None for a kind that names none.
    """

    at: dt.datetime
    task: str = ""
    reason: str = ""
    failures: tuple[FailedItem, ...] | None = None

    @classmethod
    def decode(cls, body: bytes, *, where: str) -> Self:
        """Read a record.

        Args:
            body: the object.
            where: its address, for the error's line.

        Raises:
            JobError: it is none of ours.
        """
        try:
            data = json.loads(body)
            failures = data.get("failures")
            return cls(
                at=dt.datetime.fromisoformat(data["at"]),
                task=str(data.get("task", "")),
                reason=str(data.get("reason", "")),
                failures=None if failures is None else tuple(map(_failed_item, failures)),
            )
        except MALFORMED as error:
            raise JobError(
                f"{where}: not a record of this release ({error!r}); something else wrote it: remove it"
            ) from error


def _failed_item(data: Mapping[str, Any]) -> FailedItem:
    code = data.get("exit_code")
    log = [str(line)[:_LINE] for line in data.get("log", ())][-_LINES:]
    return FailedItem(int(data["item"]), str(data["error"])[:_LINE], None if code is None else int(code), tuple(log))


def encode_worker(task: str, at: dt.datetime, failures: Sequence[Mapping[str, Any]] | None = None) -> bytes:
    """Write the body of a record that a worker signs: a claim, or how it ended."""
    # Microseconds: a worker knows its own claim by these bytes.
    fields = {} if failures is None else {"failures": failures}
    return _encode({"task": task, "at": _stamp(at), **fields})


def encode_reason(reason: str, at: dt.datetime) -> bytes:
    """Write the body of a record that says why."""
    return _encode({"reason": reason, "at": _stamp(at)})


def _stamp(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _encode(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data) + "\n").encode()


@dataclasses.dataclass(frozen=True)
class Told:
    """An attempt at an item's shard, as it is told to people.

    Attributes:
        number: 0 for the first.
        task: ARN of the ECS task that claimed it.
        claimed_at: when.
        outcome: what came of it, for the item.
        reason: why, where there is something to say.
        ended_at: when; None while it is at work, or where nobody noted it.
        kept: the last lines of the item's log, as its failure holds them.
    """

    number: int
    task: str
    claimed_at: dt.datetime
    outcome: Outcome
    reason: str = ""
    ended_at: dt.datetime | None = None
    kept: tuple[str, ...] = ()


def told(item: int, records: Mapping[ClaimMark, Record], *, done_at: dt.datetime | None = None) -> list[Told]:
    """Tell what was tried for an item, the oldest attempt first.

    Args:
        item: its number.
        records: of its shard.
        done_at: when the shard's result was written; None: there is none.
    """
    by_attempt: dict[int, dict[ClaimKind, Record]] = defaultdict(dict)
    for mark, record in records.items():
        by_attempt[mark.attempt][mark.kind] = record
    last = max(by_attempt, default=None)
    return [
        _told(item, number, by_attempt[number], done_at if number == last else None)
        for number in sorted(by_attempt)
        if "claim" in by_attempt[number]
    ]


def _told(item: int, number: int, records: Mapping[ClaimKind, Record], done_at: dt.datetime | None) -> Told:
    claim = records["claim"]
    outcome: Outcome
    kind = next((kind for kind in ENDS if kind in records), None)
    if kind is not None:
        record = records[kind]
        outcome, reason = ENDS[kind].outcome, record.reason
        kept: tuple[str, ...] = ()
        if record.failures is not None:
            failure = next((failure for failure in record.failures if failure.item == item), None)
            if failure is None:
                # Others of the shard failed, and this one is among the shard's partial results.
                outcome = "done"
            else:
                code = failure.exit_code
                reason, kept = failure.error if code is None else f"{failure.error} (exit code {code})", failure.log
        return Told(number, claim.task, claim.at, outcome, reason, record.at, kept)
    if done_at is not None:
        # Beside a release it came while its worker was told to stop.
        return Told(number, claim.task, claim.at, "done", "", done_at)
    if "released" in records:
        released = records["released"]
        return Told(number, claim.task, claim.at, "given back", released.reason, released.at)
    return Told(number, claim.task, claim.at, "at work")
