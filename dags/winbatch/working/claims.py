"""Which shards may be claimed, and claiming them.

A claim is an object that only one writer can create. Workers never talk to each other, so the rule below, S3's
conditional write and the fact that nothing is ever removed are all that keeps two of them from one attempt.
"""

import collections
import dataclasses
import datetime as dt
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from winbatch.errors import StorageError
from winbatch.stage import ClaimMark, Stage

LAST_ATTEMPT = 99  # two digits in the key

# After so many lost races the listing is stale: others work where this worker looks.
_LOST_RACES = 8

_log = logging.getLogger(__name__)


def claimable(shards: int, done: AbstractSet[int], marks: Iterable[ClaimMark]) -> list[ClaimMark]:
    """The claims that may be written, at most one a shard, by shard.

    Shard k, attempt a may be claimed when k has no result, a is 0 or attempt a-1 is released, and a is not claimed.

    Args:
        shards: number of shards.
        done: shards that have a result.
        marks: all there are.
    """
    attempt = [0] * shards
    claimed: set[tuple[int, int]] = set()
    for mark in marks:
        if mark.kind == "claim":
            claimed.add((mark.shard, mark.attempt))
        elif mark.kind == "released" and mark.shard < shards:
            attempt[mark.shard] = max(attempt[mark.shard], mark.attempt + 1)
    return [
        ClaimMark(shard, attempt[shard], "claim")
        for shard in range(shards)
        if shard not in done and attempt[shard] <= LAST_ATTEMPT and (shard, attempt[shard]) not in claimed
    ]


def rotated[T](items: list[T], owner: str) -> list[T]:
    """The same items, starting where the owner's name says, so that workers that start together meet rarely."""
    if not items:
        return []
    start = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8]) % len(items)
    return items[start:] + items[:start]


class Marks(Protocol):
    """What claiming needs of the store."""

    def keys(self, prefix: str) -> Iterable[str]: ...

    def put_new(self, key: str, body: bytes) -> bool:
        """Create an object; False when there is one already."""


class Claims:
    """The claims of one worker on one stage, for all of its threads."""

    def __init__(self, store: Marks, stage: Stage, owner: str, now: Callable[[], dt.datetime]) -> None:
        self._store = store
        self._stage = stage
        self._owner = owner
        self._now = now
        self._changed = threading.Condition()
        self._candidates: collections.deque[ClaimMark] = collections.deque()
        self._lost_races = 0
        self._asking = 0
        self._held: set[ClaimMark] = set()
        self._closed = False

    def take(self) -> ClaimMark | None:
        """Claim a shard; None when none can be claimed any more.

        Raises:
            StorageError: S3 refuses.
        """
        while True:
            with self._changed:
                if self._closed:
                    return None
                if not self._candidates or self._lost_races >= _LOST_RACES:
                    self._candidates.extend(self._list())
                    self._lost_races = 0
                if not self._candidates:
                    return None
                mark = self._candidates.popleft()
                self._asking += 1
            won = False
            try:
                won = self._store.put_new(self._stage.claim_key(mark), self._mark_body())
            finally:
                with self._changed:
                    self._asking -= 1
                    self._lost_races = 0 if won else self._lost_races + 1
                    if won:
                        self._held.add(mark)
                    self._changed.notify_all()
                    closed = self._closed
            if won and not closed:
                return mark

    def done(self, mark: ClaimMark) -> None:
        """The shard has its result."""
        with self._changed:
            self._held.discard(mark)

    def fail(self, mark: ClaimMark, failure: Mapping[str, Any]) -> None:
        """Say that this attempt failed: `failure` holds `item`, `error`, `exit_code` and `log`."""
        failed = dataclasses.replace(mark, kind="failed")
        self._store.put_new(self._stage.claim_key(failed), self._mark_body(**failure))
        self.done(mark)

    def release_all(self, reason: str, *, patience: float) -> None:
        """Claim nothing any more, and let others have the shards that are held.

        What S3 does not let go of is logged and left: the engine releases it once this worker has ended.

        Args:
            reason: for whoever looks at the job.
            patience: seconds to wait for claims that are on their way to S3 just now.
        """
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._asking == 0, patience)
            held = sorted(self._held)
        for mark in held:
            released = dataclasses.replace(mark, kind="released")
            body = _encode({"reason": reason, "at": _stamp(self._now())})
            try:
                self._store.put_new(self._stage.claim_key(released), body)
            except StorageError as error:
                _log.error("shard %d is not released, the engine will do it: %s", mark.shard, error)
            else:
                _log.info("released shard %d, attempt %d: %s", mark.shard, mark.attempt, reason)

    def _list(self) -> list[ClaimMark]:
        # Claims before results: a shard finished in between is then seen as done, and not as lost.
        marks = [self._stage.parse_claim_key(key) for key in self._store.keys(self._stage.claims)]
        results = [self._stage.parse_result_key(key) for key in self._store.keys(self._stage.results)]
        free = claimable(
            self._stage.shards,
            {shard for shard in results if shard is not None},
            [mark for mark in marks if mark is not None],
        )
        return rotated(free, self._owner)

    def _mark_body(self, **fields: Any) -> bytes:
        return _encode({"task": self._owner, "at": _stamp(self._now()), **fields})


def _stamp(time_: dt.datetime) -> str:
    # Microseconds: a worker knows its own claim by these bytes.
    return time_.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _encode(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data) + "\n").encode()
