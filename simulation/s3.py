"""The data bucket: objects with versions, conditional writes, listings in order."""

import bisect
import datetime as dt
from collections.abc import Callable, Iterator

from winbatch.storage import Conflict, Entry, Object


class Bucket:
    """Strongly consistent, as S3 is.

    Attributes:
        watchers: are told of each write, with key, what was there, and what is there now.
    """

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        self._now = now
        self._objects: dict[str, tuple[bytes, int, dt.datetime]] = {}
        self._keys: list[str] = []
        self._version = 0
        self.watchers: list[Callable[[str, bytes | None, bytes], None]] = []

    def get(self, key: str) -> Object | None:
        """Read an object; None when there is none."""
        found = self._objects.get(key)
        return Object(found[0], f'"{found[1]}"') if found else None

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """Write an object.

        Returns:
            Its ETag.

        Raises:
            Conflict: a condition does not hold.
        """
        there = self.get(key)
        if (new and there) or (etag is not None and (there is None or there.etag != etag)):
            raise Conflict(key)
        self._version += 1
        if there is None:
            bisect.insort(self._keys, key)
        self._objects[key] = (body, self._version, self._now())
        for watcher in self.watchers:
            watcher(key, there.body if there else None, body)
        return f'"{self._version}"'

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        if self._objects.pop(key, None) is not None:
            del self._keys[bisect.bisect_left(self._keys, key)]

    def listing(self, prefix: str, after: str = "", before: str = "") -> Iterator[Entry]:
        """List what lies below a prefix: from `prefix + after` on, without what comes from `prefix + before` on."""
        first = bisect.bisect_left(self._keys, prefix + after)
        for key in self._keys[first:]:
            if not key.startswith(prefix) or (before and key >= prefix + before):
                return
            body, _, modified = self._objects[key]
            yield Entry(key, modified, len(body))
