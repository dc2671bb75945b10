"""The results of an earlier stage, in order, a bounded number of them fetched ahead."""

import collections
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from winbatch import results
from winbatch.errors import JobError
from winbatch.results import ItemResult
from winbatch.stage import Stage
from winbatch.working.store import Store

FETCHES = 16
"""Results on their way at once; as many lie in memory at most."""


def read_results(store: Store, stage: Stage, name: str) -> Iterator[ItemResult]:
    """The item results of the stage `name`, which must be an input of `stage`.

    Raises:
        JobError: it is none, or one of its items has no result or two.
        StorageError: S3 refuses.
    """
    if name not in stage.inputs:
        known = ", ".join(stage.inputs) or "none"
        raise JobError(f"stage {stage.stage} of {stage.job} has no input {name!r} (its inputs: {known})")
    key = stage.inputs[name]
    source = Stage.from_json(store.get(key), where=store.where(key))
    with ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch") as pool:
        fetched: collections.deque[Future[tuple[ItemResult, ...]]] = collections.deque()
        try:
            for shard in range(source.shards):
                fetched.append(pool.submit(_read, store, source, shard))
                if len(fetched) >= FETCHES:
                    yield from fetched.popleft().result()
            while fetched:
                yield from fetched.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(store: Store, stage: Stage, shard: int) -> tuple[ItemResult, ...]:
    body = store.find(stage.result_key(shard))
    if body is None:
        lines = stage.shard_lines(shard)
        raise JobError(
            f"{store.where(stage.result_key(shard))} is missing: items {lines.start} to {lines.stop - 1} of stage"
            f" {stage.stage} have no result; run that stage again"
        )
    return results.decode(body, stage, shard)
