"""`aws.memory`: what the emulator grows by as work is done in it, which it is to outlive by days."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from scripts.bench.calls import Caller, emulator
from scripts.bench.figures import Figure
from scripts.core.errors import BenchError
from scripts.core.settings import Settings

MOST_MB = 20
# As many once before: what allocators have to spare is taken by then.
ITEMS = 6_000
SHARD_ITEMS = 2
TASKS = 600
TASKS_A_CALL = 10  # at most, for RunTask
STOP_SECONDS = 60.0

BUCKET = "memory"
CLUSTER = "memory"
GROUP = "/bench/memory"
STREAM = "worker"
NO_IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/none:none"
RESULT = json.dumps([{"item": item, "values": {"bits": 10**6, "errors": 123}} for item in range(SHARD_ITEMS)]).encode()


def measure(settings: Settings) -> list[Figure]:
    """Measure it, in an emulator of its own.

    Raises:
        BenchError: it did not come up, or ECS tasks do not stop in it.
    """
    with (
        tempfile.TemporaryDirectory(prefix="memory-") as folder,
        emulator(Path(folder) / "emulator", settings.region, "observe") as (process, caller),
    ):
        client = _clients(caller)
        _prepare(client, settings.region)
        per_item = _growth(process, lambda items: _finish_items(client, items), ITEMS) / ITEMS
        per_task = _growth(process, lambda tasks: _stop_tasks(client, tasks), TASKS) / TASKS
    return [
        Figure(
            name="aws.memory_mb_per_10k_items",
            values=[(10_000 * per_item + 1_000 * per_task) / 1e6],
            unit="MB",
            bound=MOST_MB,
            compared_with=f"{per_item:,.0f} B an item and {per_task:,.0f} B a stopped ECS task",
        )
    ]


def _clients(caller: Caller) -> Callable[[str], Any]:
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = caller.client(service)
        return made[service]

    return client


def _growth(process: psutil.Process, work: Callable[[range], None], count: int) -> float:
    """Bytes by which a process grows while so much is done, after as much was done."""
    work(range(count))
    before = process.memory_info().rss
    work(range(count, 2 * count))
    return float(process.memory_info().rss - before)


def _finish_items(client: Callable[[str], Any], items: range) -> None:
    """What workers call of S3 and logs to finish items: claims, results, and their lists now and then."""
    s3 = client("s3")
    for item in items[::SHARD_ITEMS]:
        s3.put_object(Bucket=BUCKET, Key=f"claims/{item:06}/00.claim", Body=b'{"task": "t"}', IfNoneMatch="*")
        s3.put_object(Bucket=BUCKET, Key=f"results/{item:06}.json", Body=RESULT)
        # A ledger and a board are written over all the time.
        s3.put_object(Bucket=BUCKET, Key="ledger.json", Body=RESULT * 20)
        if item % 100 == 0:
            s3.list_objects_v2(Bucket=BUCKET, Prefix="claims/", MaxKeys=100)
            event = {"timestamp": int(time.time() * 1000), "message": f"{item} of many"}
            client("logs").put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=[event] * 100)


def _stop_tasks(client: Callable[[str], Any], tasks: range) -> None:
    """ECS tasks whose image there is not, so that they stop at once: started, looked at, forgotten by nobody."""
    ecs = client("ecs")
    waiting: list[str] = []
    for _ in tasks[::TASKS_A_CALL]:
        answer = ecs.run_task(cluster=CLUSTER, taskDefinition=CLUSTER, launchType="EC2", count=TASKS_A_CALL)
        waiting = [task["taskArn"] for task in answer["tasks"]]
        deadline = time.monotonic() + STOP_SECONDS
        while {task["lastStatus"] for task in ecs.describe_tasks(cluster=CLUSTER, tasks=waiting)["tasks"]} != {
            "STOPPED"
        }:
            if time.monotonic() > deadline:
                raise BenchError("ECS tasks without an image do not stop in the emulator")
            time.sleep(0.02)


def _prepare(client: Callable[[str], Any], region: str) -> None:
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": region})
    client("logs").create_log_group(logGroupName=GROUP)
    client("logs").create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    ecs = client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.register_task_definition(
        family=CLUSTER, containerDefinitions=[{"name": "main", "image": NO_IMAGE, "memory": 128, "cpu": 64}]
    )
    ecs.register_container_instance(
        cluster=CLUSTER,
        instanceIdentityDocument=json.dumps({"instanceId": "i-0123456789abcdef0", "instanceType": "c5.xlarge"}),
        totalResources=[
            {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 8192},
        ],
    )
