"""What is finished of a shard that is not: kept in S3 as its items end, so that the next attempt begins after them."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from winbatch import results
from winbatch.errors import JobError
from winbatch.results import ItemResult
from winbatch.stage import ClaimMark, Stage
from winbatch.working import settling
from winbatch.working.manifest import Item
from winbatch.working.store import Store

SECONDS = 10.0
"""A shard's partials are at least so far apart: what a lost host loses of finished items took no longer than this."""

_log = logging.getLogger(__name__)


class Done(NamedTuple):
    """An item that has been run.

    Attributes:
        encoded: as it stands in the shard's result.
        summary: of its values, for the log.
    """

    encoded: bytes
    summary: Mapping[str, Any]


class Progress:
    """The finished items of a shard that a worker holds; any thread may save them."""

    def __init__(self, store: Store, stage: Stage, mark: ClaimMark, items: Sequence[Item]) -> None:
        """Begin with what earlier attempts have left.

        Raises:
            StorageError: S3 refuses.
        """
        self._store = store
        self._stage = stage
        self._mark = mark
        self._params = {item.item: item.params for item in items}
        self._lock = threading.Lock()
        self._saved_at = time.monotonic()
        self._number = 0
        # In the order of their ends, with when these were.
        self._unsaved: list[tuple[float, int]] = []
        # Encoded, as they stand in the result: a long shard's items are small in memory then.
        self._finished: dict[int, bytes] = {}
        if mark.attempt and len(items) > 1:
            found = read_partials(store, stage, mark.shard)
            self._finished = {
                number: results.encode_item(item)
                for number, item in found.items()
                if item.params == self._params[number]
            }

    @property
    def finished(self) -> AbstractSet[int]:
        """The numbers of the items."""
        return self._finished.keys()

    @property
    def result(self) -> bytes:
        """The shard's result, of all its items."""
        return results.join(self._stage, self._mark.shard, (self._finished[number] for number in self._params))

    def add(self, item: int, done: Done) -> None:
        """An item is finished. It is saved if others are not, and the last save was long enough ago.

        Raises:
            StorageError: S3 refuses.
        """
        now = time.monotonic()
        with self._lock:
            self._finished[item] = done.encoded
            if len(self._params) > 1:
                self._unsaved.append((now, item))
        if len(self._finished) < len(self._params) and now - self._saved_at >= SECONDS:
            self.save()

    def save(self, *, settled: bool = False) -> None:
        """Save what is finished and not saved yet.

        Args:
            settled: also what ended so lately that it may have answered a stop: no stop has come since.

        Raises:
            StorageError: S3 refuses.
        """
        with self._lock:
            sure = time.monotonic() - (0.0 if settled else settling.SECONDS)
            saved = [number for ended, number in self._unsaved if ended <= sure]
            if not saved:
                return
            body = results.join(self._stage, self._mark.shard, (self._finished[number] for number in saved))
            key = f"{self._stage.partials_of(self._mark.shard)}{self._mark.attempt:02d}-{self._number:04d}.json"
            self._number += 1
            if self._store.put_new(key, body):
                del self._unsaved[: len(saved)]
            else:
                _log.warning("%s is there already; nobody else should write it", self._store.where(key))
            self._saved_at = time.monotonic()


def read_partials(store: Store, stage: Stage, shard: int) -> dict[int, ItemResult]:
    """What the attempts at a shard have finished, by item; the first one stands for an item that is there twice.

    A partial that does not parse is passed over, with a line in the log.

    Raises:
        StorageError: S3 refuses.
    """
    finished: dict[int, ItemResult] = {}
    for key in store.keys(stage.partials_of(shard)):
        try:
            items = results.decode_partial(store.get(key), stage, shard, where=store.where(key))
        except JobError as error:
            _log.warning("passed over: %s", error)
            continue
        for item in items:
            finished.setdefault(item.item, item)
    return finished
