"""Results: what a shard leaves in S3, written and read back with every check that merging them relies on.

A partial has the form of a result and holds some of the shard's items: those that an attempt finished before it ended.
"""

import collections
import dataclasses
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from winbatch.attempts import ShardKind
from winbatch.errors import JobError
from winbatch.stage import SCHEMA, Stage, canonical, load_object


class ItemResult(NamedTuple):
    """What one item came to.

    Attributes:
        item: its number, which is its line in the manifest.
        params: as the manifest has them.
        values: as the workload's function returned them.
    """

    item: int
    params: Mapping[str, Any]
    values: Mapping[str, Any]


_NAMED = 10


@dataclasses.dataclass(frozen=True)
class ItemFailure:
    """An item that has failed for good, as the ledger says it.

    Attributes:
        item: its number.
        shard: the shard that holds it.
        kind: of its failure.
        reason: one line.
        log: the last lines that it logged.
    """

    item: int
    shard: int
    kind: ShardKind
    reason: str
    log: tuple[str, ...] = ()


def encode(stage: Stage, shard: int, items: Iterable[ItemResult]) -> bytes:
    """A shard's result, or a partial: the same bytes whenever the items came to the same values."""
    return join(stage, shard, map(encode_item, items))


def encode_item(item: ItemResult) -> bytes:
    """An item as it stands in a result."""
    return canonical({"item": item.item, "params": item.params, "values": item.values}).rstrip(b"\n")


def join(stage: Stage, shard: int, items: Iterable[bytes]) -> bytes:
    """A shard's result, or a partial, of items that are encoded already."""
    head = {"schema": SCHEMA, "job": stage.job, "stage": stage.stage, "shard": shard}
    if stage.digest:
        head["manifest"] = stage.digest
    # "items" is the first of the names in order, so the rest of the canonical object follows it.
    return b"".join((b'{"items":[', b",".join(items), b"],", canonical(head)[1:]))


def decode(body: bytes, stage: Stage, shard: int) -> tuple[ItemResult, ...]:
    """The items of a shard's result, in order.

    Raises:
        JobError: it does not parse, belongs elsewhere, or does not hold each of the shard's items once; the line names
            the result's key.
    """
    key = stage.result_key(shard)
    items = _items(body, stage, shard, key)
    _check_numbers([item.item for item in items], stage.shard_lines(shard), key)
    return items


def decode_partial(body: bytes, stage: Stage, shard: int, *, where: str) -> tuple[ItemResult, ...]:
    """The items of a partial: some of the shard's, none of them twice.

    Raises:
        JobError: it does not parse or belongs elsewhere; the line names the key that `where` is.
    """
    items = _items(body, stage, shard, where)
    numbers = [item.item for item in items]
    own = stage.shard_lines(shard)
    _check_numbers(numbers, [number for number in own if number in set(numbers)], where)
    return items


def _items(body: bytes, stage: Stage, shard: int, key: str) -> tuple[ItemResult, ...]:
    data = load_object(body, where=key)
    own = {"job": stage.job, "stage": stage.stage, "shard": shard, "manifest": stage.digest}
    for name, expected in own.items():
        # Release 0.1 said nothing of the manifest.
        if data.get(name, "") != expected:
            raise JobError(f"{key}: {name} is {data.get(name)!r}, not {expected!r}; another job wrote here")
    entries = data.get("items")
    if not isinstance(entries, list):
        raise JobError(f"{key}: items is no list; remove the result and run the job again")
    return tuple(_item(entry, key) for entry in entries)


def _item(entry: Any, key: str) -> ItemResult:
    # Pattern matching would say the same and take three times as long, for each item of a job.
    if isinstance(entry, dict):
        item, params, values = entry.get("item"), entry.get("params"), entry.get("values")
        if isinstance(item, int) and isinstance(params, dict) and isinstance(values, dict):
            return ItemResult(item, params, values)
    raise JobError(f"{key}: not an item's result: {reprlib.repr(entry)}; remove the result and run the job again")


def _check_numbers(found: list[int], expected: Sequence[int], key: str) -> None:
    if found == list(expected):
        return
    times = collections.Counter(found)
    problems = {
        "missing": sorted(set(expected) - set(found)),
        "there twice": sorted(item for item, count in times.items() if count > 1),
        "of another shard": sorted(set(found) - set(expected)),
    }
    named = [f"{what}: {_listed(items)}" for what, items in problems.items() if items]
    raise JobError(f"{key}: items {'; '.join(named) or 'out of order'}; remove the result and run the job again")


def _listed(items: Sequence[int]) -> str:
    return ", ".join(map(str, items[:_NAMED])) + (f", … ({len(items):,} in all)" if len(items) > _NAMED else "")
