"""S3 as a worker needs it: one bucket, one client for all threads, retries, and errors in one line."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from winbatch import denials
from winbatch.errors import JobError, StorageError

_NO_OBJECT = frozenset({"NoSuchKey", "404"})
_TAKEN = frozenset({"PreconditionFailed", "412"})
_BUSY = frozenset({"ConditionalRequestConflict", "409"})

# S3 answers 409 while another conditional write on the key is on its way, and asks to try again.
_BUSY_PAUSES = (0.05, 0.2, 1.0)

_CHUNK = 1 << 20

# What to do about some of S3's answers; about the others there is only where to look.
_LOOK = "look at the task role and at the bucket's policy"
_FORBIDDEN = f"{_LOOK}, and at the object's owner and its key in KMS"
_REPLACED = "it was replaced while it was read: write a job's inputs before the job begins"
_ADVICE = {
    "InvalidObjectState": "it is archived: restore it or copy it to another storage class, and run the job again",
    "AccessDenied": _FORBIDDEN,
    "403": _FORBIDDEN,
    "PreconditionFailed": _REPLACED,
    "412": _REPLACED,
}


class Store:
    """A bucket. Keys are without it; `prefix/` listings are paged."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    @classmethod
    def connect(cls, bucket: str, *, region: str | None, connections: int) -> Self:
        """Connect with the credentials and endpoint that botocore finds in the environment.

        Args:
            bucket: its name.
            region: of the bucket; None leaves it to botocore.
            connections: that threads may use at once.

        Raises:
            StorageError: there is no region or the configuration is broken.
        """
        # A quarter of a second that a wrong environment need not pay.
        from winbatch.working import client  # noqa: PLC0415

        with _told(f"s3://{bucket}"):
            return cls(client.connect(region=region, connections=connections), bucket)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process connects anew: a client is of the process that made it."""
        client: Any = self._client
        config = client.meta.config
        return _connect, (self.bucket, client.meta.region_name, config.max_pool_connections)

    def where(self, key: str) -> str:
        """A key's address, for people."""
        return f"s3://{self.bucket}/{key}"

    def get(self, key: str) -> bytes:
        """An object's content.

        Raises:
            JobError: there is none.
            StorageError: S3 refuses.
        """
        body = self.find(key)
        if body is None:
            raise JobError(f"{self.where(key)} does not exist")
        return body

    def find(self, key: str) -> bytes | None:
        """An object's content; None when there is none."""
        found = self.find_version(key)
        return found[0] if found else None

    def find_version(self, key: str) -> tuple[bytes, str] | None:
        """An object's content and ETag; None when there is none."""
        with _told(self.where(key)):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
                return bytes(answer["Body"].read()), str(answer["ETag"])
            except self._client.exceptions.ClientError as error:
                if _code(error) in _NO_OBJECT:
                    return None
                raise

    def open(self, key: str) -> tuple[str, Iterator[bytes]]:
        """An object's ETag, and its content in chunks.

        Raises:
            JobError: there is none.
            StorageError: S3 refuses.
        """
        with _told(self.where(key)):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
            except self._client.exceptions.ClientError as error:
                if _code(error) in _NO_OBJECT:
                    raise JobError(f"{self.where(key)} does not exist") from error
                raise
        return str(answer["ETag"]), self._chunks(key, answer["Body"])

    def get_range(self, key: str, start: int, stop: int, *, etag: str) -> bytes:
        """Bytes [start, stop) of the object that has this ETag.

        Raises:
            JobError: it is another object by now.
            StorageError: S3 refuses.
        """
        with _told(self.where(key)):
            try:
                answer = self._client.get_object(
                    Bucket=self.bucket, Key=key, Range=f"bytes={start}-{stop - 1}", IfMatch=etag
                )
                return bytes(answer["Body"].read())
            except self._client.exceptions.ClientError as error:
                if _code(error) in _TAKEN | _NO_OBJECT:
                    raise JobError(f"{self.where(key)} was replaced while the job runs; start a new job") from error
                raise

    def put_new(self, key: str, body: bytes) -> bool:
        """Create an object; False when there is one already.

        Raises:
            StorageError: S3 refuses.
        """
        return self._put_if(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, *, etag: str) -> bool:
        """Write over the object that has this ETag; False when it is another one by now, or gone.

        Raises:
            StorageError: S3 refuses.
        """
        return self._put_if(key, body, IfMatch=etag)

    def _put_if(self, key: str, body: bytes, **condition: str) -> bool:
        with _told(self.where(key)):
            for pause in (*_BUSY_PAUSES, None):
                try:
                    self._client.put_object(
                        Bucket=self.bucket,
                        Key=key,
                        Body=body,
                        ContentType="application/json",
                        **condition,
                    )
                except self._client.exceptions.ClientError as error:
                    if _code(error) in _BUSY:
                        if pause is not None:
                            time.sleep(pause)
                            continue
                        return False
                    if _code(error) not in (_TAKEN if "IfNoneMatch" in condition else _TAKEN | _NO_OBJECT):
                        raise
                    # A request that was sent again may have met what it had written itself the first time.
                    again = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                    return again and self.find(key) == body
                return True
        raise AssertionError("the last attempt returns")

    def upload(self, path: Path, key: str, *, content_type: str) -> None:
        """Upload a file, over what is there.

        Raises:
            OSError: the file cannot be read.
            StorageError: S3 refuses.
        """
        from s3transfer.manager import TransferManager  # noqa: PLC0415 - as above

        with _told(self.where(key)), TransferManager(self._client) as manager:
            manager.upload(str(path), self.bucket, key, {"ContentType": content_type}).result()

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file, and make the folders above it.

        Raises:
            JobError: there is none, or the disk has no room for it.
            OSError: the file cannot be written.
            StorageError: S3 refuses.
        """
        from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError  # noqa: PLC0415 - as above
        from s3transfer.manager import TransferManager  # noqa: PLC0415
        from s3transfer.subscribers import BaseSubscriber  # noqa: PLC0415

        path.parent.mkdir(parents=True, exist_ok=True)
        with _told(self.where(key)), TransferManager(self._client) as manager:
            try:
                found = self._client.head_object(Bucket=self.bucket, Key=key)
                size, free = int(found["ContentLength"]), shutil.disk_usage(path.parent).free
                if size > free:
                    raise JobError(
                        f"{self.where(key)} has {size:,} bytes, and the disk has room for {free:,};"
                        " split it, or take instances with more disk"
                    )

                class Known(BaseSubscriber):
                    """Saves a second request for the same, and has S3 refuse parts of another object."""

                    def on_queued(self, future: Any, **_: Any) -> None:
                        future.meta.provide_transfer_size(size)
                        future.meta.provide_object_etag(found["ETag"])

                manager.download(self.bucket, key, str(path), subscribers=[Known()]).result()
            except self._client.exceptions.ClientError as error:
                if _code(error) in _NO_OBJECT:
                    raise JobError(f"{self.where(key)} does not exist") from error
                raise
            except S3DownloadFailedError as error:  # what S3 says with 412, in its words
                raise StorageError(f"{self.where(key)}: {error} {_REPLACED}") from error
            except RetriesExceededError as error:
                raise _unreachable(self.where(key), error.last_exception) from error

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Key and size in bytes of each object below a prefix, in order.

        Raises:
            StorageError: S3 refuses.
        """
        with _told(self.where(prefix)):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from ((entry["Key"], entry["Size"]) for entry in page.get("Contents", ()))

    def folders(self, prefix: str) -> list[str]:
        """The names between a prefix and the next slash of what lies below it.

        Raises:
            StorageError: S3 refuses.
        """
        with _told(self.where(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, Delimiter="/"
            )
            found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ())]
        return [name.removeprefix(prefix).removesuffix("/") for name in found]

    def keys(self, prefix: str, *, after: str = "", before: str = "") -> Iterator[str]:
        """The keys below a prefix, in order; no more pages are asked for than that takes.

        Args:
            prefix: what they begin with.
            after: only those whose rest comes after this.
            before: only those whose rest comes before this; empty: to the end.

        Raises:
            StorageError: S3 refuses.
        """
        start = {"StartAfter": prefix + after} if after else {}
        with _told(self.where(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, **start)
            for page in pages:
                for entry in page.get("Contents", ()):
                    if before and entry["Key"] >= prefix + before:
                        return
                    yield entry["Key"]

    def _chunks(self, key: str, body: Any) -> Iterator[bytes]:
        with _told(self.where(key)):
            yield from body.iter_chunks(_CHUNK)


def _connect(bucket: str, region: str | None, connections: int) -> Store:
    return Store.connect(bucket, region=region, connections=connections)


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn botocore's errors into one line that says what was refused, and where."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - loaded with the client

    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        if denied := denials.explained(str(details.get("Message"))):
            raise StorageError(f"{where}: S3 refuses {error.operation_name}: {denied}") from error
        raise StorageError(
            f"{where}: S3 answers {error.operation_name} with {details.get('Code')}: {details.get('Message')};"
            f" {_ADVICE.get(_code(error), _LOOK)}"
        ) from error
    except BotoCoreError as error:
        raise _unreachable(where, error) from error


def _unreachable(where: str, error: BaseException) -> StorageError:
    return StorageError(f"{where}: {error}; look at network, region and credentials")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
