"""S3 as a worker needs it: one bucket, one client for all threads, retries, and errors in one line."""

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any, Self

from winbatch import denials
from winbatch.errors import JobError, StorageError, UnavailableError
from winbatch.storage import LARGEST, Conflict, Entry, Object
from winbatch.throttling import throttled

_NO_OBJECT = frozenset({"NoSuchKey", "404"})
_TAKEN = frozenset({"PreconditionFailed", "412"})
_SERVER_ERROR = 500
_BUSY = frozenset({"ConditionalRequestConflict", "409"})

# S3 answers 409 while another conditional write on the key is on its way, and asks to try again.
_BUSY_PAUSES = (0.05, 0.2, 1.0)

_CHUNK = 1 << 20
# Objects of one DeleteObjects call.
_DELETE_OBJECTS = 1000
# Objects on their way at once.
AT_ONCE = 16

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
            JobError: there is none, or it is too large.
            StorageError: S3 refuses.
        """
        body = self.find(key)
        if body is None:
            raise JobError(f"{self.where(key)} does not exist")
        return body

    def find(self, key: str) -> bytes | None:
        """An object's content; None when there is none.

        Raises:
            JobError: it is too large.
            StorageError: S3 refuses.
        """
        found = self.find_version(key)
        return found.body if found else None

    def find_many(self, keys: Sequence[str]) -> list[Object | None]:
        """Read many objects at once, each None where there is none."""
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a worker's start need not pay for it

        if len(keys) <= 1:
            return [self.find_version(key) for key in keys]
        with ThreadPoolExecutor(min(AT_ONCE, len(keys)), thread_name_prefix="get") as pool:
            return [*pool.map(self.find_version, keys)]

    def find_version(self, key: str) -> Object | None:
        """Read an object; None when there is none. What is too large is not read, and its `body` says so."""
        with _told(self.where(key)):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
                if (size := int(answer["ContentLength"])) > LARGEST:
                    # The connection is not used again: what is on its way is not waited for.
                    answer["Body"].close()
                    return Object.too_large(self.where(key), size, str(answer["ETag"]))
                return Object(bytes(answer["Body"].read()), str(answer["ETag"]))
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
        return self._won(key, body, new=True)

    def replace(self, key: str, body: bytes, *, etag: str) -> bool:
        """Write over the object that has this ETag; False when it is another one by now, or gone.

        Raises:
            StorageError: S3 refuses.
        """
        return self._won(key, body, etag=etag)

    def _won(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> bool:
        try:
            self.put(key, body, etag=etag, new=new)
        except Conflict:
            return False
        return True

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """Write an object, over whatever is there unless a condition is given.

        Args:
            key: where.
            body: its content.
            etag: only over the object that has this one.
            new: only where nothing is.

        Returns:
            The new ETag.

        Raises:
            Conflict: the condition does not hold.
            StorageError: S3 refuses.
        """
        condition = {"IfNoneMatch": "*"} if new else {"IfMatch": etag} if etag is not None else {}
        # An object that is gone is another one than was expected.
        lost = _TAKEN | _NO_OBJECT if etag is not None else _TAKEN
        kind = "application/json" if key.endswith(".json") else "application/octet-stream"
        with _told(self.where(key)):
            for pause in (*_BUSY_PAUSES, None):
                try:
                    answer = self._client.put_object(
                        Bucket=self.bucket, Key=key, Body=body, ContentType=kind, **condition
                    )
                    return str(answer["ETag"])
                except self._client.exceptions.ClientError as error:
                    if not condition:
                        raise
                    if _code(error) in _BUSY and pause is not None:
                        time.sleep(pause)
                        continue
                    if _code(error) not in lost | _BUSY:
                        raise
                    # A request that was sent again may have met what it had written itself the first time.
                    again = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                    there = self.find_version(key) if again else None
                    if there is None or there.content != body:
                        raise Conflict(key) from error
                    return there.etag
        raise AssertionError("the last attempt returns or raises")

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects.

        Raises:
            StorageError: S3 refuses, for one of them or altogether.
        """
        for batch in batched(keys, _DELETE_OBJECTS):
            objects = [{"Key": key} for key in batch]
            with _told(self.where(batch[0])):
                answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            # The answer is 200 whatever became of each.
            for error in answer.get("Errors", ()):
                raise StorageError(
                    f"{self.where(error['Key'])} cannot be deleted: {error.get('Code')}: {error.get('Message')};"
                    " look at the role and at the bucket's policy, and call again"
                )

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

    def listing(self, prefix: str, *, after: str = "", before: str = "") -> Iterator[Entry]:
        """List the objects below a prefix, in order of their keys; no more pages are asked for than that takes.

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
                    yield Entry(entry["Key"], entry["LastModified"], entry["Size"])

    def keys(self, prefix: str, *, after: str = "", before: str = "") -> Iterator[str]:
        """List the keys below a prefix, as `listing` does."""
        return (entry.key for entry in self.listing(prefix, after=after, before=before))

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
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        passing = status >= _SERVER_ERROR or throttled(str(error), _code(error))
        raise (UnavailableError if passing else StorageError)(
            f"{where}: S3 answers {error.operation_name} with {details.get('Code')}: {details.get('Message')};"
            f" {_ADVICE.get(_code(error), _LOOK)}"
        ) from error
    except BotoCoreError as error:
        raise _unreachable(where, error) from error


def _unreachable(where: str, error: BaseException) -> UnavailableError:
    return UnavailableError(f"{where}: {error}; look at network, region and credentials")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
