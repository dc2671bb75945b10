"""What a worker costs before and beside the workload's own code: its start, and its memory over a long shard."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import boto3
from botocore.config import Config

from scripts.bench.figures import Figure
from scripts.core.errors import BenchError
from winbatch.stage import Stage

ITEMS = 10_000
START_BOUND, GROWTH_BOUND = 0.3, 20.0  # s, MB
_BUCKET = "bench"
# As the main job's: what an item is told, and what it comes to.
_PARAMS = {"ebn0_db": 8.0, "frame_size": 4096, "method": "waveform", "num_frames": 300000, "seed": 20261122}
_CODE = """import os, time
from pathlib import Path
Path(os.environ["BENCH_BEGUN"]).write_text(str(time.time()))
def run(params, context):
    return {"bits": 1228800000, "bit_errors": 96 + context.item, "kernel": "waveform/numba/1"}
"""


def measure(runs: int, progress: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
    """Measure.

    Args:
        runs: how many workers are started for the start's figure.
        progress: told what is being done.

    Raises:
        BenchError: a worker failed, or S3's stand-in did not start.
    """
    with tempfile.TemporaryDirectory() as folder, _s3(Path(folder)) as environment:
        _work(environment, Path(folder), 1)  # compiles what is not compiled yet
        starts, clients = [], []
        for number in range(runs):
            progress(f"start {number + 1} of {runs}")
            clients.append(_client_seconds(environment))
            begun, small = _work(environment, Path(folder), 1)
            starts.append(begun)
        progress(f"a shard of {ITEMS:,} items")
        _, large = _work(environment, Path(folder), ITEMS)
    return [
        Figure(
            name="worker.start_seconds",
            values=starts,
            unit="s",
            bound=START_BOUND,
            compared_with="the next, and to read the stage in S3",
        ),
        Figure(
            name="worker.client_seconds",
            values=clients,
            unit="s",
            compared_with="an interpreter that makes botocore's S3 client as it comes, and does nothing else",
        ),
        Figure(name=f"worker.peak_mb_{ITEMS // 1000}k_items", values=[large], unit="MB"),
        Figure(
            name=f"worker.growth_mb_{ITEMS // 1000}k_items",
            values=[large - small],
            unit="MB",
            bound=GROWTH_BOUND,
            compared_with="a shard of one item",
        ),
    ], {}


def _client_seconds(environment: Mapping[str, str]) -> float:
    """Seconds until an interpreter has a client of S3."""
    # Its end is no part of a start.
    code = "import os, botocore.session; botocore.session.Session().create_client('s3'); os._exit(0)"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"no client of S3: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}")
    return time.monotonic() - started


def _work(environment: Mapping[str, str], folder: Path, items: int) -> tuple[float, float]:
    """One worker on one shard: seconds until the workload's code is imported, and its processes' peak memory in MB.

    The peaks are added up, and what processes share counts for each of them.
    """
    key = f"{items}-{time.monotonic_ns()}"
    stage = Stage(
        dag="bench", job=key, stage="main", workload="bench", run="bench_worker_code:run",
        manifest=f"{key}/manifest.jsonl", claims=f"{key}/claims/", partials=f"{key}/partials/",
        results=f"{key}/results/", outputs=f"{key}/files/", items=items, shard_items=items,
    )  # fmt: skip
    client = _client(environment)
    lines = "".join(json.dumps({"item": item, "params": _PARAMS}) + "\n" for item in range(items))
    client.put_object(Bucket=_BUCKET, Key=stage.manifest, Body=lines.encode())
    client.put_object(Bucket=_BUCKET, Key=f"{key}/stage.json", Body=stage.to_json().encode())
    (folder / "bench_worker_code.py").write_text(_CODE, encoding="utf-8")
    begun = folder / "begun"
    own = {"WINBATCH_STAGE": f"s3://{_BUCKET}/{key}/stage.json", "BENCH_BEGUN": str(begun), "PYTHONPATH": str(folder)}
    started = time.time()
    with subprocess.Popen(
        [sys.executable, "-m", "winbatch.worker"],
        env={**environment, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = [_drain(process.stdout), _drain(process.stderr)]
        peaks: dict[int, float] = {}
        while process.poll() is None:
            peaks |= {number: found for number in family(process.pid) if (found := peak_mb(number))}
            time.sleep(0.02)
        for thread, _ in said:
            thread.join()
    found = client.list_objects_v2(Bucket=_BUCKET, Prefix=stage.results).get("KeyCount", 0)
    if process.returncode != 0 or found != 1:
        last = b"".join(said[1][1]).decode(errors="replace").strip().splitlines()[-1:]
        raise BenchError(f"the worker ended with {process.returncode} and {found} results: {' '.join(last)}")
    return float(begun.read_text(encoding="utf-8")) - started, sum(peaks.values())


def family(pid: int) -> list[int]:
    """A process and all that come from it, as Linux lists them."""
    found = [pid]
    for number in found:
        for path in Path(f"/proc/{number}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, path.read_text(encoding="ascii").split())
    return found


def peak_mb(pid: int) -> float:
    """The most memory that a process has held so far, MB; 0 when it is gone. Linux counts it by itself."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _drain(stream: IO[bytes]) -> tuple[threading.Thread, list[bytes]]:
    """Read a stream to its end, so that nobody waits for a full pipe; of what was read, the last block."""
    kept: list[bytes] = []

    def read() -> None:
        while block := stream.read(1 << 16):
            kept[:] = [block]

    thread = threading.Thread(target=read)
    thread.start()
    return thread, kept


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[Mapping[str, str]]:
    """A process that answers as S3, and the process environment of who talks to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ECS_"))} | {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "TMPDIR": str(folder),
        "no_proxy": "*",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if server.poll() is not None or time.monotonic() > deadline:
                    raise BenchError("moto's S3 does not start: python -m moto.server says why")
                time.sleep(0.05)
            place: Any = {"LocationConstraint": "eu-central-1"}
            _client(environment).create_bucket(Bucket=_BUCKET, CreateBucketConfiguration=place)
            yield environment
        finally:
            server.terminate()


def _client(environment: Mapping[str, str]) -> Any:
    return boto3.client(
        "s3",
        region_name="eu-central-1",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106 - a stand-in takes any
        config=Config(proxies={}),
    )
