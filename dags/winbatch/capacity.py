"""How much of a cluster a job needs: pure arithmetic over sizes."""

import dataclasses
import math
from collections.abc import Iterable

from winbatch.deployment import Cluster, Workload

# ECS's agent and Windows keep some memory of a host for themselves. This is asked only before an instance has
# registered and told what it really has.
RESERVED_MEMORY_MIB = 1024

# Shards a slot works on, one after the other. Workers pull, so a shard costs a few small S3 requests and no container
# start: many make the end even. With items of very different length a sixteenth of the whole in one shard is too much:
# simulated, that ends 15 % late, and a sixty-fourth 5 % (docs/bench.md).
SHARDS_A_SLOT = 64
# But a shard of less work than this spends more on S3 than it gains.
SHARD_SECONDS = 5.0
# A Windows container's start. A slot that gets less work than that costs more than it gives.
START_SECONDS = 40.0


@dataclasses.dataclass(frozen=True)
class Instance:
    """A registered container instance.

    Attributes:
        cpu: free, in 1/1024 core.
        memory: free, in MiB.
        interfaces: free for ECS tasks.
        tasks: ECS tasks on it, of any job.
        arn: the container instance's.
        ec2_id: the EC2 instance's.
        draining: it takes no more ECS tasks.
        windows: which Windows it is, as ECS says it; empty where it does not.
        type: its instance type; empty where ECS does not say it.
    """

    cpu: int
    memory: int
    interfaces: int
    tasks: int = 0
    arn: str = ""
    ec2_id: str = ""
    draining: bool = False
    windows: str = ""
    type: str = ""


@dataclasses.dataclass(frozen=True)
class Group:
    """The Auto Scaling group.

    Attributes:
        desired: instances that it is to have.
        leaving: those that it is ending, by EC2 id: they stay in ECS's listings for minutes.
    """

    desired: int
    leaving: frozenset[str] = frozenset()


def tasks_per_instance(cluster: Cluster, workload: Workload) -> int:
    """ECS tasks of a workload that fit on the smallest of the cluster's instance types, at least 1.

    Each task in `awsvpc` mode takes a network interface, and the host one; Windows knows no trunking.
    """
    return max(
        1,
        min(
            min(
                kind.vcpus * 1024 // workload.cpu,
                (kind.memory_mib - RESERVED_MEMORY_MIB) // workload.memory,
                kind.network_interfaces - 1,
            )
            for kind in cluster.instance_types
        ),
    )


def room(instances: Iterable[Instance], workload: Workload) -> int:
    """ECS tasks of a workload that the registered instances have room for now."""
    return sum(
        max(0, min(instance.cpu // workload.cpu, instance.memory // workload.memory, instance.interfaces))
        for instance in instances
        if not instance.draining
    )


def workers_needed(shards: int, slots: int, shard_seconds: float | None = None) -> int:
    """ECS tasks that can be busy with this many shards, at least 1 when there is one.

    Args:
        shards: unfinished.
        slots: of an ECS task.
        shard_seconds: what a shard is thought to take; then no more slots than have work for a container start each.
    """
    busy = shards if shard_seconds is None else min(shards, max(1, math.ceil(shards * shard_seconds / START_SECONDS)))
    return -(-busy // slots)


def instances_needed(workers: int, per_instance: int, at_most: int) -> int:
    """Instances for this many ECS tasks, bounded."""
    return min(at_most, -(-workers // per_instance))


def shard_items(items: int, slots: int, item_seconds: float | None = None) -> int:
    """Items a shard, so that each of the job's slots gets `SHARDS_A_SLOT` shards; at least 1.

    Args:
        items: of the stage.
        slots: that the job has at its largest: instances times ECS tasks an instance times slots of an ECS task.
        item_seconds: what an item is thought to take; short items are packed until a shard is worth its requests, as
            long as every slot gets one.
    """
    even = items // (slots * SHARDS_A_SLOT)
    worth = math.ceil(SHARD_SECONDS / item_seconds) if item_seconds else 1
    return max(1, even, min(worth, items // slots))
