"""What merging a large job costs: the real aggregate over real result objects, in files and in the emulator's S3."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from scripts.bench import merging
from scripts.bench.figures import Figure
from scripts.bench.worker import peak_mb
from scripts.core.aws import LOCAL_CREDENTIALS
from scripts.core.console import Steps
from scripts.core.errors import BenchError
from scripts.core.settings import Settings
from scripts.terraform.workspace import Workspace
from scripts.tools import emulator
from winbatch import capacity
from winbatch.stage import Stage

ITEMS = 100_000
# Of the seed's cluster: six instances of four.
SLOTS = 24
SECONDS_BOUND, PEAK_BOUND = 3.0, 300.0  # s, MB
MERGE_SECONDS = 300.0
_BUCKET = "bench"
_UPLOADS = 8
_LOOK = 0.01


@dataclasses.dataclass(frozen=True)
class Merge:
    """One merge.

    Attributes:
        seconds: of the aggregate, from its call to its last file.
        fold_seconds: of them for reading and adding up.
        peak_mb: the sum of the most memory that each of its processes held.
    """

    seconds: float
    fold_seconds: float
    peak_mb: float


def measure(settings: Settings, runs: int) -> tuple[list[Figure], dict[str, Any]]:
    """Measure.

    Args:
        settings: of the local environment; the emulator is the bench's own.
        runs: merges of each kind.

    Raises:
        OperatorError: the emulator does not start, or a merge fails, or its totals are not exact.
    """
    own = dataclasses.replace(settings, state_root=settings.state_root / "bench-aggregate", port=emulator.free_port())
    packed, _ = merging.stages(ITEMS, capacity.shard_items(ITEMS, SLOTS))
    steps = Steps()
    try:
        with steps.step(f"{ITEMS:,} items in {packed.shards:,} files"):
            folder = _written(own, packed)
            here = [merged(str(folder), os.environ, packed) for _ in range(runs)]
        with _s3(own, steps) as (environment, client), steps.step("The same in the emulator's S3"):
            with ThreadPoolExecutor(_UPLOADS) as pool:
                puts = [
                    pool.submit(client.put_object, Bucket=_BUCKET, Key=key, Body=body)
                    for key, body in merging.objects(packed)
                ]
                for put in puts:
                    put.result()
            there = [merged(f"s3://{_BUCKET}", environment, packed) for _ in range(runs)]
    finally:
        shutil.rmtree(own.state_root, ignore_errors=True)
    details = {
        "shard_items": packed.shard_items,
        "files": [dataclasses.asdict(merge) for merge in here],
        "s3": [dataclasses.asdict(merge) for merge in there],
    }
    return figures(packed, here, there), details


def figures(packed: Stage, here: Sequence[Merge], there: Sequence[Merge]) -> list[Figure]:
    """What merges come to: of files, and of S3's objects."""
    objects = f"{packed.shards:,} objects of {packed.shard_items} items"
    return [
        Figure(
            name="aggregate.results_100k_seconds",
            values=[merge.seconds for merge in here],
            unit="s",
            bound=SECONDS_BOUND,
            compared_with=f"files, packed as for {SLOTS} slots: {objects}; the aggregate's five files are in it",
        ),
        Figure(
            name="aggregate.peak_mb",
            values=[max(pair) for pair in zip((m.peak_mb for m in here), (m.peak_mb for m in there), strict=True)],
            unit="MB",
            bound=PEAK_BOUND,
            compared_with="the larger of files and S3; the sum of all processes' peaks",
        ),
        Figure(
            name="aggregate.objects_per_second",
            values=[(packed.shards + 1) / merge.fold_seconds for merge in there],
            unit="objects/s",
            compared_with=f"the emulator's S3 on the same machine; {objects}",
        ),
    ]


def merged(place: str, environment: Mapping[str, str], stage: Stage) -> Merge:
    """One merge in a process of its own.

    Raises:
        BenchError: it fails, or its totals are not those of the objects.
    """
    command = [sys.executable, "-m", "scripts.bench.merging", place]
    peaks: dict[int, float] = {}
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + MERGE_SECONDS
        while process.poll() is None:
            for pid in _tree(process.pid):
                peaks[pid] = max(peaks.get(pid, 0.0), peak_mb(pid))
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(_LOOK)
        said, error = process.communicate()
    if process.returncode != 0:
        last = (error.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise BenchError(f"the merge of {stage.shards:,} results in {place} failed: {last}")
    report = json.loads(said)
    expected = {
        "items": stage.items,
        "bits": stage.items * merging.BITS,
        "bit_errors": sum(map(merging.errors, range(stage.items))),
    }
    found = {name: report["values"][name] for name in expected}
    if found != expected:
        raise BenchError(f"the merge of {stage.shards:,} results in {place} comes to {found}, not {expected}")
    return Merge(report["seconds"], report["fold_seconds"], sum(peaks.values()))


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return []


def _written(settings: Settings, stage: Stage) -> Path:
    """The stage's objects as files."""
    folder = settings.state_root / f"by-{stage.shard_items}"
    for key, body in merging.objects(stage):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


@contextlib.contextmanager
def _s3(settings: Settings, steps: Steps) -> Iterator[tuple[Mapping[str, str], Any]]:
    """An emulator with a bucket: the process environment of who reads it, and a client."""
    try:
        with steps.step("Emulator") as step:
            emulator.start(settings, step)
        aws = Workspace(settings).aws
        client = aws.client("s3")
        client.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": settings.region})
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
            "AWS_ACCESS_KEY_ID": LOCAL_CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": LOCAL_CREDENTIALS["aws_secret_access_key"],
            "AWS_REGION": settings.region,
            "AWS_ENDPOINT_URL": str(aws.endpoint_url),
            "no_proxy": "*",
        }
        yield environment, client
    finally:
        emulator.stop(settings)
