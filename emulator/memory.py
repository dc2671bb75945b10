"""What moto keeps without need, let go: the emulator lives for days and answers for hundreds of thousands of items.

moto is made for tests that end in seconds. It remembers every model that was ever made, for a dashboard that nobody
opens here, so nothing that is overwritten or deleted is ever freed; Flask's debug mode makes a class a request; and an
object of S3 takes some 4 KB beside its content, of which most are attributes that say nothing.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime
from functools import cache
from threading import Lock
from types import SimpleNamespace
from typing import IO, Any

from moto.core.common_models import BaseModel
from moto.s3 import models, responses
from moto.s3.models import FakeKey
from moto.settings import get_s3_default_key_buffer_size
from moto.utilities.tagging_service import TaggingService
from moto.utilities.utils import LowercaseDict

from emulator.context import Context


class Content:
    """A file in memory that takes no more than its bytes; above a size it is one on the disk."""

    __slots__ = ("_at", "_bytes", "_file", "_most")

    def __init__(self, max_size: int = 0) -> None:
        """Begin empty.

        Args:
            max_size: bytes up to which it stays in memory.
        """
        self._bytes = b""
        self._at = 0
        self._most = max_size
        self._file: IO[bytes] | None = None

    def seek(self, offset: int) -> int:
        """Go to a place from the beginning."""
        self._at = offset
        return offset if self._file is None else self._file.seek(offset)

    def read(self, size: int = -1) -> bytes:
        """Read on, to the end unless a size is given."""
        if self._file is not None:
            return self._file.read(size)
        end = len(self._bytes) if size < 0 else self._at + size
        # The whole of it is not copied.
        found = self._bytes[self._at : end]
        self._at += len(found)
        return found

    def write(self, data: bytes) -> int:
        """Write on, over what is there."""
        if self._file is None and self._at + len(data) > self._most:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its object
            self._file.write(self._bytes)
            self._file.seek(self._at)
            self._bytes = b""
        if self._file is not None:
            return self._file.write(data)
        rest = self._bytes[self._at + len(data) :]
        self._bytes = bytes(data) if not self._at and not rest else self._bytes[: self._at] + bytes(data) + rest
        self._at += len(data)
        return len(data)

    def truncate(self) -> int:
        """Forget what follows."""
        if self._file is not None:
            return self._file.truncate()
        self._bytes = self._bytes[: self._at]
        return self._at

    def close(self) -> None:
        """Give a file on the disk back."""
        if self._file is not None:
            self._file.close()


class Key(FakeKey):
    """moto's object with what most objects have in the class, so that one takes a quarter of the memory."""

    # A dictionary of more than 30 attributes is not shared with others of its class, and takes 1.5 KB. Account, region
    # and access control list are the emulator's own where nobody says otherwise.
    account_id: str
    acl: Any
    partition = "aws"
    region_name: str
    # Contents are read under S3's own lock (`emulator.locks`).
    lock: Any = Lock()
    # Of restoring from an archive, which is done at once.
    _status: str | None = None
    _tick = 0
    _time_progressed = datetime.min  # noqa: DTZ901 - moto's times have no zone
    _transitions: list[tuple[str | None, str]] = [(None, "IN_PROGRESS"), ("IN_PROGRESS", "RESTORED")]  # noqa: RUF012 - as moto declares it
    model_name = "s3::keyrestore"
    _expiry: Any = None
    _is_versioned = False
    _max_buffer_size = get_s3_default_key_buffer_size()
    _storage_class: str | None = "STANDARD"
    _version_id: str | None = None
    bucket_key_enabled: Any = None
    checksum_algorithm: str | None = None
    checksum_parts: int | None = None
    checksum_type: str | None = None
    checksum_value: str | None = None
    disposed = False
    encryption: str | None = None
    kms_key_id: str | None = None
    lock_legal_status: str | None = None
    lock_mode: str | None = None
    lock_until: str | None = None
    multipart: Any = None
    website_redirect_location: str | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OF_THE_CLASS:
            return
        default = getattr(type(self), name, _MISSING)
        if not _same(value, default):
            object.__setattr__(self, name, sys.intern(value) if name == "bucket_name" and value else value)
        elif getattr(self, name) is not default:
            object.__delattr__(self, name)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_value_buffer"} | {"value": self.value}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: value for name, value in state.items() if name != "value"})
        self._value_buffer = Content(self._max_buffer_size)  # type: ignore[assignment]
        self.value = state["value"]  # type: ignore[misc]

    def __del__(self) -> None:
        # moto warns of what its tests have not disposed of by hand.
        self.dispose()


_MISSING = object()
_OF_THE_CLASS = frozenset({"lock", "_time_progressed", "_transitions"})


def _same(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, str | int) and type(value) is type(default) and value == default)


def _untracked(cls: type[BaseModel], *args: Any, **kwargs: Any) -> BaseModel:  # noqa: ARG001 - as its class is called
    return object.__new__(cls)


def _tag_resource(tagger: TaggingService, arn: str, tags: list[dict[str, str]] | None) -> None:
    # An object without tags needs no place for them.
    if tags or ":s3:::" not in arn:
        _moto_tag_resource(tagger, arn, tags)


_moto_tag_resource = TaggingService.tag_resource


def install(context: Context) -> None:
    """Let moto forget."""
    Key.account_id, Key.region_name = context.account, context.region
    TaggingService.tag_resource = _tag_resource  # type: ignore[method-assign,assignment]
    # The same few names of headers, an object's each.
    LowercaseDict._keytransform = lambda _, key: sys.intern(key.lower())  # type: ignore[method-assign,assignment] # noqa: SLF001
    BaseModel.__new__ = _untracked  # type: ignore[method-assign]
    for module in (models, responses):
        module.FakeKey = Key  # type: ignore[attr-defined]
        # Nobody changes an access control list: another takes its place.
        module.get_canned_acl = cache(models.get_canned_acl)  # type: ignore[attr-defined]
    Key.acl = models.get_canned_acl("private")
    # The name by which moto's objects find the class of their content.
    models.tempfile = SimpleNamespace(SpooledTemporaryFile=Content)  # type: ignore[attr-defined,assignment]


def shutdown() -> None:
    """Nothing runs."""
