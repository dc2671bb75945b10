"""The data bucket: objects with versions, conditional writes, listings in order."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator

from sortedcontainers import SortedList

from winbatch.storage import LARGEST, Conflict, Entry, Object

# ListObjectsV2's.
_PAGE = 1000


class Bucket:
    """Strongly consistent, as S3 is.

    Attributes:
        calls: requests, by name.
        watchers: are told of each write, with key, what was there, and what is there now.
        round: of its DAG run in which the process that writes began; None where nobody knows.
    """

    round: int | None = None

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        self._now = now
        self._objects: dict[str, tuple[bytes, int, Entry]] = {}
        self._keys: SortedList[str] = SortedList()
        self._version = 0
        self.calls: Counter[str] = Counter()
        self.watchers: list[Callable[[str, bytes | None, bytes], None]] = []

    def get(self, key: str) -> Object | None:
        """Read an object; None when there is none."""
        self.calls["s3.GetObject"] += 1
        found = self._objects.get(key)
        if found is None:
            return None
        body, etag = found[0], f'"{found[1]}"'
        return Object(body, etag) if len(body) <= LARGEST else Object.too_large(key, len(body), etag)

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """Write an object.

        Returns:
            Its ETag.

        Raises:
            Conflict: a condition does not hold.
        """
        self.calls["s3.PutObject"] += 1
        there = self._objects.get(key)
        if (new and there) or (etag is not None and (there is None or f'"{there[1]}"' != etag)):
            raise Conflict(key)
        self._version += 1
        if there is None:
            self._keys.add(key)
        self._objects[key] = (body, self._version, Entry(key, self._now(), len(body)))
        for watcher in self.watchers:
            watcher(key, there[0] if there else None, body)
        return f'"{self._version}"'

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        if self._objects.pop(key, None) is not None:
            self._keys.remove(key)

    def listing(self, prefix: str, after: str = "", before: str = "") -> Iterator[Entry]:
        """List what lies below a prefix: from `prefix + after` on, without what comes from `prefix + before` on."""
        last = prefix + before if before else prefix + chr(0x10FFFF)
        found = [self._objects[key][2] for key in self._keys.irange(prefix + after, last, (True, False))]
        self.calls["s3.ListObjectsV2"] += max(1, -(-len(found) // _PAGE))
        return iter(found)
