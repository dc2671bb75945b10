"""The results of an earlier stage: in order, a bounded number of them fetched ahead, or merged by several processes."""

import collections
import dataclasses
import functools
import itertools
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from winbatch import filenames, keys, results
from winbatch.account import Account
from winbatch.errors import JobError
from winbatch.ledger import Ledger
from winbatch.results import ItemFailure, ItemResult
from winbatch.stage import Stage, load_object
from winbatch.working.partials import read_partials
from winbatch.working.store import Store

FETCHES = 16
"""Threads that fetch results, each as many of them as hold about `FETCH_ITEMS` items; they lie in memory at most."""

FETCH_ITEMS = 64

LEAF_SHARDS = 2048
"""Shards that are worth a process: its start takes half a second, and fetching so many several."""


def read_results(store: Store, stage: Stage, name: str) -> Iterator[ItemResult]:
    """The item results of the stage `name`, which must be an input of `stage`, without the items that failed for good.

    Raises:
        JobError: it is none, or one of its items has no result, or two, and has not failed.
        StorageError: S3 refuses.
    """
    source = _Source.open(store, stage, name)
    return _read(source, range(source.stage.shards))


def fold_results[T](
    store: Store, stage: Stage, name: str, leaf: Callable[[Iterator[ItemResult]], T], combine: Callable[[T, T], T]
) -> T:
    """Merge the item results of the stage `name`, as `Context.fold` says it.

    Raises:
        JobError: as `read_results`.
        StorageError: S3 refuses.
    """
    source = _Source.open(store, stage, name)
    shards = source.stage.shards
    processes = min(os.cpu_count() or 1, shards // LEAF_SHARDS)
    if processes <= 1:
        return leaf(_read(source, range(shards)))
    leaves = [range(first, min(first + LEAF_SHARDS, shards)) for first in range(0, shards, LEAF_SHARDS)]
    # Spawned, as on Windows: threads of this process may hold anything.
    method = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=method, initializer=_end_with_parent) as pool:
        return functools.reduce(combine, pool.map(functools.partial(_leaf, source, leaf), leaves))


def read_account(store: Store, stage: Stage, name: str) -> Account:
    """What the stage `name` took, as its ledger and the job's parameters have it.

    Raises:
        JobError: it is no input of `stage`, or there is no job.json, or the ledger does not parse.
        StorageError: S3 refuses.
    """
    source = _Source.open(store, stage, name)
    body = store.find(source.ledger)
    ledger = None if body is None else Ledger.from_json(body, where=store.where(source.ledger))
    key = keys.job_key(stage.dag, stage.job)
    found = store.find(key)
    params = {} if found is None else dict(load_object(found, where=store.where(key)).get("params", {}))
    return Account(params=params, items=source.stage.items, shards=source.stage.shards, ledger=ledger)


def _leaf[T](source: "_Source", leaf: Callable[[Iterator[ItemResult]], T], shards: range) -> T:
    return leaf(_read(source, shards))


def _end_with_parent() -> None:
    """In a process that merges: end when the worker is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _read(source: "_Source", shards: range) -> Iterator[ItemResult]:
    """The items of some shards, in order."""
    size = max(1, FETCH_ITEMS // source.stage.shard_items)
    with ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch") as pool:
        fetched: collections.deque[Future[list[ItemResult]]] = collections.deque()
        try:
            for some in itertools.batched(shards, size):
                fetched.append(pool.submit(source.read_all, some))
                if len(fetched) >= FETCHES:
                    yield from fetched.popleft().result()
            while fetched:
                yield from fetched.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read_failures(store: Store, stage: Stage, name: str) -> tuple[ItemFailure, ...]:
    """The items of the stage `name` that failed for good and have no result, in order.

    Raises:
        JobError: it is no input of `stage`, or its ledger does not parse.
        StorageError: S3 refuses.
    """
    source = _Source.open(store, stage, name)
    shards = sorted({failure.shard for failure in source.failures.values()})
    there = {item.item for shard in shards for item in source.find(shard)[0]}
    return tuple(failure for item, failure in sorted(source.failures.items()) if item not in there)


def find_items(store: Store, stage: Stage, shard: int) -> tuple[tuple[ItemResult, ...], str]:
    """Find what there is of a shard: its result's items, or else those of its partials; and what is wrong with it.

    Raises:
        StorageError: S3 refuses.
    """
    problem = ""
    found = store.find_version(stage.result_key(shard))
    if found is not None:
        try:
            return results.decode(found.body, stage, shard), ""
        except JobError as error:
            problem = str(error)
    partials = read_partials(store, stage, shard)
    return tuple(item for _number, item in sorted(partials.items())), problem


def fetch_outputs(store: Store, stage: Stage, item: int, folder: Path) -> None:
    """Fetch the files that the item of the same number has left in the stage's source.

    Raises:
        JobError: that item has no result, since it has failed.
        StorageError: S3 refuses.
    """
    source = _Source.open(store, stage, stage.source)
    items, problem = source.find(source.stage.shard_of(item))
    if item not in {result.item for result in items}:
        failure = source.failures.get(item)
        raise JobError(
            f"item {item} of stage {stage.source} has no result, so there is nothing to work on:"
            f" {failure.reason if failure else problem or 'run that stage again'}"
        )
    prefix = source.stage.outputs_of(item)
    names = [key.removeprefix(prefix) for key in store.keys(prefix)]
    for name, said in filenames.problems(names).items():
        raise JobError(f"{store.where(prefix + name)} is no file that an item can have left: {said}; remove it")
    for name in names:
        store.download(prefix + name, folder / name)


@dataclasses.dataclass(frozen=True)
class _Source:
    """The earlier stage, and where the engine's ledger of it lies."""

    store: Store
    stage: Stage
    ledger: str

    @classmethod
    def open(cls, store: Store, stage: Stage, name: str) -> Self:
        if name not in stage.inputs:
            known = ", ".join(stage.inputs) or "none"
            raise JobError(f"stage {stage.stage} of {stage.job} has no input {name!r} (its inputs: {known})")
        key = stage.inputs[name]
        source = Stage.from_json(store.get(key), where=store.where(key))
        return cls(store, source, keys.ledger_key(source))

    def read_all(self, shards: tuple[int, ...]) -> list[ItemResult]:
        """The items of some shards."""
        return [item for shard in shards for item in self.read(shard)]

    def read(self, shard: int) -> tuple[ItemResult, ...]:
        """A shard's items, all that have not failed for good."""
        items, problem = self.find(shard)
        lines = self.stage.shard_lines(shard)
        if len(items) == len(lines):  # each of them is there once, as `results` has checked
            return items
        there = {item.item for item in items}
        missing = [item for item in lines if item not in there]
        if missing and not all(item in self.failures for item in missing):
            raise JobError(problem or self._missing(shard, missing))
        return items

    def find(self, shard: int) -> tuple[tuple[ItemResult, ...], str]:
        """What there is of a shard, as `find_items` has it."""
        return find_items(self.store, self.stage, shard)

    @functools.cached_property
    def failures(self) -> Mapping[int, ItemFailure]:
        """The ledger's failures, by item; none where there is no ledger."""
        body = self.store.find(self.ledger)
        if body is None:
            return {}
        ledger = Ledger.from_json(body, where=self.store.where(self.ledger))
        return {failure.item: failure for failure in ledger.failures}

    def _missing(self, shard: int, items: list[int]) -> str:
        whole = len(items) == items[-1] - items[0] + 1
        named = f"{items[0]} to {items[-1]}" if whole else ", ".join(map(str, items))
        return (
            f"{self.store.where(self.stage.result_key(shard))} is missing: items {named} of stage {self.stage.stage}"
            " have no result; run that stage again"
        )
