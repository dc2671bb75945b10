"""Claiming shards.

A claim is an object that only one writer can create. Workers never talk to each other, so the rule of which shards may
be claimed (`winbatch.attempts`), S3's conditional write and the fact that nothing is ever removed are all that keeps
two of them from one attempt.
"""

import collections
import datetime as dt
import json
import logging
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from winbatch import attempts
from winbatch.errors import StorageError
from winbatch.parsing import MALFORMED
from winbatch.stage import BLOCK, ClaimMark, Stage

# After so many lost races in a row the listing is stale: others work where this worker looks.
_LOST_RACES = 2

_log = logging.getLogger(__name__)


class Marks(Protocol):
    """What claiming needs of the store."""

    def find(self, key: str) -> bytes | None:
        """Read an object; None where there is none."""

    def keys(self, prefix: str, *, after: str = "", before: str = "") -> Iterable[str]:
        """List the keys below a prefix whose rest comes after `after`, and before `before` unless that is empty."""

    def put_new(self, key: str, body: bytes) -> bool:
        """Create an object; False when there is one already."""


class Claims:
    """The claims of one worker on one stage, for all of its threads.

    It walks over the stage in blocks of shards, so that finding work costs the same whether the stage has a hundred
    shards or a hundred thousand: first the blocks that the engine points to, then the others. Blocks and shards are
    taken in an order of the worker's own, so that two of them meet rarely.
    """

    def __init__(self, store: Marks, stage: Stage, owner: str, now: Callable[[], dt.datetime]) -> None:
        self._store = store
        self._stage = stage
        self._owner = owner
        self._now = now
        self._blocks = -(-stage.shards // BLOCK)
        self._random = random.Random(owner)  # noqa: S311 - an order, no secret
        self._looking = threading.Lock()  # guards the next two
        self._candidates: collections.deque[ClaimMark] = collections.deque()
        self._lost_races = 0
        self._changed = threading.Condition()  # guards the rest
        self._asking = 0
        self._won = 0
        self._held: set[ClaimMark] = set()
        self._closed = False

    def take(self) -> ClaimMark | None:
        """Claim a shard; None when none can be claimed any more, or the engine asks this worker to leave.

        Raises:
            StorageError: S3 refuses.
        """
        while (mark := self._next()) is not None:
            if self._won and self._store.find(self._stage.retired_key(self._owner)) is not None:
                _log.info("other jobs have a right to this place")
                return None
            with self._changed:
                if self._closed:
                    return None
                self._asking += 1
            won = False
            try:
                won = self._store.put_new(self._stage.claim_key(mark), attempts.encode_worker(self._owner, self._now()))
            finally:
                with self._changed:
                    self._asking -= 1
                    self._lost_races = 0 if won else self._lost_races + 1
                    if won:
                        self._won += 1
                        self._held.add(mark)
                    self._changed.notify_all()
                    closed = self._closed
            if won and not closed:
                return mark
        return None

    def _next(self) -> ClaimMark | None:
        """What to claim next; None when a whole walk found nothing, or nothing is to be claimed any more."""
        with self._looking:
            if self._lost_races >= _LOST_RACES:
                self._candidates.clear()
                self._lost_races = 0
            for block in () if self._candidates else self._walk():
                if self._closed:
                    return None
                self._candidates.extend(self._list(block))
                if self._candidates:
                    break
            return self._candidates.popleft() if self._candidates and not self._closed else None

    def _walk(self) -> Iterator[int]:
        """All blocks: those that the engine points to, then what comes after them."""
        pointed = self._pointed() if self._blocks > 1 else []
        self._random.shuffle(pointed)
        yield from pointed
        start = max(pointed) + 1 if pointed else self._random.randrange(self._blocks)
        for step in range(self._blocks):
            block = (start + step) % self._blocks
            if block not in pointed:
                yield block

    def _pointed(self) -> list[int]:
        """What the engine's hint says; what is no hint is none, for it only saves time."""
        try:
            blocks = json.loads(self._store.find(self._stage.blocks_key) or b"{}")["blocks"]
            return [block for block in map(int, blocks) if 0 <= block < self._blocks]
        except MALFORMED:
            return []

    def done(self, mark: ClaimMark) -> None:
        """The shard has its result."""
        with self._changed:
            self._held.discard(mark)

    def fail(self, mark: ClaimMark, kind: Literal["failed", "memory"], failures: Sequence[Mapping[str, Any]]) -> None:
        """Say that this attempt failed, unless the worker has been told to stop, which makes programs fail.

        Args:
            mark: the claim.
            kind: how it failed: `memory` if for want of it.
            failures: an entry an item that failed: `item`, `error`, `exit_code` and `log`.
        """
        with self._changed:
            if self._closed:
                return
        failed = mark._replace(kind=kind)
        self._store.put_new(self._stage.claim_key(failed), attempts.encode_worker(self._owner, self._now(), failures))
        self.done(mark)

    def close(self) -> None:
        """Claim nothing any more, and let no failure count: from now on programs fail because they are ended."""
        with self._changed:
            self._closed = True

    def release_all(self, reason: str, *, patience: float, save: Callable[[ClaimMark], None]) -> None:
        """Claim nothing any more, and let others have the shards that are held, all at once.

        What S3 does not let go of is logged and left: the engine releases it once this worker has ended.

        Args:
            reason: for whoever looks at the job.
            patience: seconds to wait for claims that are on their way to S3 just now.
            save: keeps what is finished of a shard; called before the shard is released.
        """
        with self._changed:
            self._closed = True
            held = set(self._held)
        releasing = [self._release(mark, reason, save) for mark in sorted(held)]
        with self._changed:
            self._changed.wait_for(lambda: self._asking == 0, patience)
            late = self._held - held
        releasing += [self._release(mark, reason, save) for mark in sorted(late)]
        for thread in releasing:
            thread.join()

    def _release(self, mark: ClaimMark, reason: str, save: Callable[[ClaimMark], None]) -> threading.Thread:
        """Release a shard in a thread of its own: one that S3 keeps waiting must not keep the others."""

        def release() -> None:
            released = mark._replace(kind="released")
            body = attempts.encode_reason(reason, self._now())
            try:
                save(mark)
            except StorageError as error:
                _log.error("what is finished of shard %d is not kept: %s", mark.shard, error)
            try:
                self._store.put_new(self._stage.claim_key(released), body)
            except StorageError as error:
                _log.error("shard %d is not released, the engine will do it: %s", mark.shard, error)
            else:
                _log.info("released shard %d, attempt %d: %s", mark.shard, mark.attempt, reason)

        thread = threading.Thread(target=release, name=f"release-{mark.shard}", daemon=True)
        thread.start()
        return thread

    def _list(self, block: int) -> list[ClaimMark]:
        first, last = block * BLOCK, min((block + 1) * BLOCK, self._stage.shards)
        after, before = f"{first:06d}", f"{last:06d}" if last < self._stage.shards else ""
        # Claims before results: a shard finished in between is then seen as done, and not as lost.
        claims = [*self._store.keys(self._stage.claims, after=after, before=before)]
        results = [
            self._stage.parse_result_key(key)
            for key in self._store.keys(self._stage.results, after=after, before=before)
        ]
        marks = [self._stage.parse_claim_key(key) for key in claims]
        free = attempts.claimable(
            last,
            {shard for shard in results if shard is not None},
            [mark for mark in marks if mark is not None],
            first=first,
        )
        self._random.shuffle(free)
        return free
