"""One merge of a job's results by the workload's own aggregate, in a process of its own: `… merging PLACE`.

The place is a folder, or `s3://bucket`, and holds what `objects` makes: results as a stage leaves them in S3.
"""

import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from winbatch import results
from winbatch.results import ItemResult
from winbatch.stage import Stage
from winbatch.storage import Object
from winbatch.working import inputs
from winbatch.working.store import Store
from winbatch.workload import Context

# As the main job's.
PARAMS = {"frame_size": 4096, "method": "waveform", "num_frames": 300_000, "seed": 20261122}
POINTS = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 11.0, 12.0)
BITS = 4096 * 300_000
_KERNEL = "waveform/numba/1"
_FIRST, _SECOND = "simulate", "aggregate"


class Folder(Store):
    """A folder in a bucket's place, to read: a key is a path in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None, folder.name)
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Folder, (self._folder,)

    def find_version(self, key: str) -> Object | None:
        """Read a file; None where there is none. It has no version: its ETag is empty."""
        try:
            return Object((self._folder / key).read_bytes(), "")
        except FileNotFoundError:
            return None

    def keys(self, prefix: str, *, after: str = "", before: str = "") -> Iterator[str]:
        """List the files whose path begins so, by name, of those between two."""
        paths = (path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file())
        for key in sorted(key for key in paths if key.startswith(prefix)):
            if key > prefix + after and (not before or key < prefix + before):
                yield key


def stages(items: int, shard_items: int) -> tuple[Stage, Stage]:
    """The stage whose results are merged, and the one that merges them."""
    first = Stage(
        dag="bench", job="bench", stage=_FIRST, workload="ber", run="ber.simulate:run",
        manifest=f"{_FIRST}/manifest.jsonl", claims=f"{_FIRST}/claims/", partials=f"{_FIRST}/partials/",
        results="results/", outputs="files/", items=items, shard_items=shard_items,
    )  # fmt: skip
    return first, dataclasses.replace(
        first,
        stage=_SECOND,
        run="ber.aggregate:run",
        inputs={_FIRST: _stage_key(_FIRST)},
        items=1,
        shard_items=1,
    )


def errors(item: int) -> int:
    """The bit errors that an item is made to have: no two neighbours the same."""
    return 1000 + item * 7919 % 104_729


def objects(stage: Stage) -> Iterator[tuple[str, bytes]]:
    """Key and content of all that a merge reads."""
    yield _stage_key(stage.stage), stage.to_json().encode()
    for shard in range(stage.shards):
        items = (
            ItemResult(
                item,
                {**PARAMS, "ebn0_db": POINTS[item * len(POINTS) // stage.items]},
                {"bits": BITS, "bit_errors": errors(item), "kernel": _KERNEL},
            )
            for item in stage.shard_lines(shard)
        )
        yield stage.result_key(shard), results.encode(stage, shard, items)


def merge(store: Store, folder: Path) -> dict[str, Any]:
    """Merge, as a worker on the second stage does.

    Args:
        store: holds the objects.
        folder: where the aggregate's files are to be.

    Returns:
        `values` of the aggregate, `seconds` that it took, and `fold_seconds` of them for reading and adding up.
    """
    from ber import aggregate  # noqa: PLC0415 - the worker imports it before it claims anything

    _, stage = stages(1, 1)
    fold_seconds = 0.0

    def fold(name: str, leaf: Callable[[Iterator[ItemResult]], Any], combine: Callable[[Any, Any], Any]) -> Any:
        nonlocal fold_seconds
        began = time.monotonic()
        folded = inputs.fold_results(store, stage, name, leaf, combine)
        fold_seconds = time.monotonic() - began
        return folded

    context = Context(
        item=0,
        job=stage.job,
        earlier=tuple(stage.inputs),
        folder=folder,
        read_results=lambda name: inputs.read_results(store, stage, name),
        read_failures=lambda name: inputs.read_failures(store, stage, name),
        read_account=lambda name: inputs.read_account(store, stage, name),
        fold_results=fold,
    )
    began = time.monotonic()
    values = aggregate.run({name: PARAMS[name] for name in ("seed", "method")}, context)
    return {"values": values, "seconds": time.monotonic() - began, "fold_seconds": fold_seconds}


def _stage_key(stage: str) -> str:
    return f"{stage}/stage.json"


def main() -> None:
    """Merge once; what it took on standard output."""
    place = sys.argv[1]
    if place.startswith("s3://"):
        bucket = place.removeprefix("s3://")
        store = Store.connect(bucket, region=os.environ.get("AWS_REGION"), connections=1 + inputs.FETCHES)
    else:
        store = Folder(Path(place))
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps(merge(store, Path(folder))) + "\n")


if __name__ == "__main__":
    main()
