"""The manifest, read so that memory does not grow with it: passed over once, then fetched a shard at a time."""

import array
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from winbatch.errors import JobError
from winbatch.stage import Stage


class Item(NamedTuple):
    """A line of the manifest."""

    item: int
    params: Mapping[str, Any]


class Source(Protocol):
    """What reading needs of the store."""

    def open(self, key: str) -> tuple[str, Iterable[bytes]]:
        """Give an object's ETag, and its content in chunks."""

    def get_range(self, key: str, start: int, stop: int, *, etag: str) -> bytes:
        """Read bytes [start, stop) of the object that has this ETag.

        Raises:
            JobError: it is another object by now.
        """

    def where(self, key: str) -> str:
        """Give the address of an object, for people."""


class Manifest:
    """A stage's manifest."""

    def __init__(self, store: Source, stage: Stage) -> None:
        """Pass over the manifest and note where each shard starts.

        Raises:
            JobError: there is none, or it is not the one that the stage was planned with.
            StorageError: S3 refuses.
        """
        self._store = store
        self._stage = stage
        self._etag, chunks = store.open(stage.manifest)
        digest = hashlib.sha256()
        self._starts, lines = _shard_starts(_digested(chunks, digest), stage.shard_items)
        if stage.digest and stage.digest != digest.hexdigest():
            raise JobError(
                f"{store.where(stage.manifest)} is not the one that the job was planned with: start a new job"
            )
        if lines != stage.items:
            raise JobError(
                f"{store.where(stage.manifest)} has {lines} lines, stage.json says {stage.items} items;"
                " plan the job again"
            )

    def shard(self, shard: int) -> tuple[Item, ...]:
        """The items of a shard.

        Raises:
            JobError: a line is no item, or not the one that belongs there.
            StorageError: S3 refuses.
        """
        body = self._store.get_range(
            self._stage.manifest, self._starts[shard], self._starts[shard + 1], etag=self._etag
        )
        numbers = self._stage.shard_lines(shard)
        return tuple(self._parse(line, number) for line, number in zip(body.splitlines(), numbers, strict=True))

    def _parse(self, line: bytes, number: int) -> Item:
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            data = None
        match data:
            case {"item": int(item), "params": dict(params)} if item == number:
                return Item(item, params)
        where = f"{self._store.where(self._stage.manifest)}, line {number + 1}"
        raise JobError(f"{where}: not item {number}: {line[:200].decode(errors='replace')}; plan the job again")


def _digested(chunks: Iterable[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _shard_starts(chunks: Iterable[bytes], shard_items: int) -> tuple[array.array[int], int]:
    """Offset of each shard's first line, and the end; and the number of lines."""
    starts = array.array("Q", [0])
    lines = offset = 0
    ends_with_newline = True
    for chunk in chunks:
        position = chunk.find(b"\n")
        while position >= 0:
            lines += 1
            if lines % shard_items == 0:
                starts.append(offset + position + 1)
            position = chunk.find(b"\n", position + 1)
        offset += len(chunk)
        ends_with_newline = chunk.endswith(b"\n")
    if not ends_with_newline:
        lines += 1
    if starts[-1] != offset:
        starts.append(offset)
    return starts, lines
