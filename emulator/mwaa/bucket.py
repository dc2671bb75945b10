"""Reads the environment's bucket: moto's S3 of the same process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.utilities.utils import get_partition

from emulator import locks


@dataclass(frozen=True)
class Bucket:
    """A bucket of an account, read as MWAA reads it."""

    account: str
    region: str
    name: str

    def exists(self) -> bool:
        """Whether there is such a bucket."""
        with locks.S3:
            return self._find() is not None

    def versioned(self) -> bool:
        """Whether it keeps versions, which MWAA asks for."""
        with locks.S3:
            bucket = self._find()
            return bucket is not None and bucket.versioning_status == "Enabled"

    def listing(self, prefix: str) -> dict[str, str]:
        """What lies under a prefix: the key without it, and a text that changes with the object.

        A bucket that is gone lists as empty, as one whose objects were deleted before it.
        """
        with locks.S3:
            return {
                key.name.removeprefix(prefix): f"{key.etag} {key.version_id}"
                for key in self._keys()
                if key.name.startswith(prefix)
            }

    def version(self, key: str) -> str | None:
        """The version id of an object's newest version; None when it is not there."""
        with locks.S3:
            for candidate in self._keys():
                if candidate.name == key:
                    return str(candidate.version_id)
        return None

    def read(self, key: str, version: str | None = None) -> bytes:
        """An object's content.

        Raises:
            LookupError: the object, or that version of it, is not there
        """
        with locks.S3:
            bucket = self._find()
            versions = bucket.keys.getlist(key, []) if bucket is not None else []
            for candidate in reversed(versions):
                if not isinstance(candidate, FakeKey):
                    if version is None:
                        break  # the newest is a delete marker
                elif version is None or str(candidate.version_id) == version:
                    return bytes(candidate.value)
        wanted = "" if version is None else f" in version {version}"
        raise LookupError(f"s3://{self.name}/{key} is not there{wanted}")

    def _find(self) -> FakeBucket | None:
        backend = s3_backends[self.account][get_partition(self.region)]
        return backend.buckets.get(self.name)

    def _keys(self) -> Iterator[FakeKey]:
        bucket = self._find()
        if bucket is not None:
            # The newest of each, without those whose newest is a delete marker.
            yield from (key for key in bucket.keys.values() if isinstance(key, FakeKey))
