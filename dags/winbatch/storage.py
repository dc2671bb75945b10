"""What the data bucket holds, as engine, worker and command line see it; `winbatch.working.store` is its S3."""

import dataclasses
import datetime as dt

from winbatch.errors import JobError

LARGEST = 64 << 20
"""Bytes of an object that is read as a whole; the size is looked at before."""


class Conflict(Exception):  # noqa: N818 - an answer, not a fault: somebody else wrote first
    """A conditional write found another version than expected."""


@dataclasses.dataclass(frozen=True)
class Object:
    """An object of the data bucket.

    Attributes:
        content: its bytes; none of what was not read.
        etag: its ETag.
        unread: why it was not read, in a line; empty where it was.
    """

    content: bytes
    etag: str
    unread: str = ""

    @property
    def body(self) -> bytes:
        """Give the content.

        Raises:
            JobError: it is too large to be read.
        """
        if self.unread:
            raise JobError(self.unread)
        return self.content

    @classmethod
    def too_large(cls, where: str, size: int, etag: str) -> "Object":
        """Stand for one that is not read."""
        return cls(b"", etag, f"{where}: {size:,} bytes, and no more than {LARGEST:,} are read; make it smaller")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of a listing of the data bucket.

    Attributes:
        key: of the object.
        modified: when it was written.
        size: bytes.
    """

    key: str
    modified: dt.datetime
    size: int = 0
