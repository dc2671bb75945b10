"""What the data bucket holds, as engine, worker and command line see it; `winbatch.working.store` is its S3."""

import dataclasses
import datetime as dt


class Conflict(Exception):  # noqa: N818 - an answer, not a fault: somebody else wrote first
    """A conditional write found another version than expected."""


@dataclasses.dataclass(frozen=True)
class Object:
    """An object of the data bucket."""

    body: bytes
    etag: str


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
