"""How much of a cluster a job needs: pure arithmetic over sizes."""

import dataclasses
from collections.abc import Iterable

from winbatch.deployment import Cluster, Workload

# ECS's agent and Windows keep some memory of a host for themselves. This is asked only before an instance has
# registered and told what it really has.
RESERVED_MEMORY_MIB = 1024

# Shards a slot works on, one after the other: enough that a slow one at the end costs little, few enough that claiming
# and storing stay small beside the work.
SHARDS_A_SLOT = 4


@dataclasses.dataclass(frozen=True)
class Instance:
    """A registered container instance's free resources; `tasks` counts what runs on it, of any job."""

    cpu: int
    memory: int
    interfaces: int
    tasks: int = 0


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
    )


def workers_needed(shards: int, slots: int) -> int:
    """ECS tasks that can be busy with this many shards."""
    return -(-shards // slots)


def instances_needed(workers: int, per_instance: int, at_most: int) -> int:
    """Instances for this many ECS tasks, bounded."""
    return min(at_most, -(-workers // per_instance))


def shard_items(items: int, slots: int) -> int:
    """Items a shard, so that each of the job's slots gets `SHARDS_A_SLOT` shards; at least 1.

    Args:
        items: of the stage.
        slots: that the job has at its largest: instances times ECS tasks an instance times slots of an ECS task.
    """
    return max(1, items // (slots * SHARDS_A_SLOT))
