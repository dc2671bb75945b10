"""ECS tasks and container instances, and how DescribeTasks and DescribeContainerInstances show them."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.ecs.models import TaskDefinition

Json = dict[str, Any]

DEFAULT_STOP_TIMEOUT = 30  # seconds between SIGTERM and SIGKILL
# So long Windows waits for a container's services (WaitToKillServiceTimeout of the base image), whatever is asked for.
WINDOWS_STOP_SECONDS = 5


def drop_unset(fields: Mapping[str, Any]) -> Json:
    """Leave out what has no value, as AWS's answers do."""
    return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Resources:
    """What an ECS task takes from an instance: CPU units, MiB, elastic network interfaces and host ports."""

    cpu: int
    memory: int
    interfaces: int = 0
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Stop:
    """Why an ECS task is to stop."""

    code: str
    reason: str
    # The host is gone: nobody is left to stop the containers gently or to report their exit codes.
    host_lost: bool = False


@dataclass
class Container:
    """One container of an ECS task."""

    definition: Json
    override: Json
    arn: str
    windows: bool = False
    runtime_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    last_status: str = "PENDING"
    exit_code: int | None = None
    reason: str | None = None
    image_digest: str | None = None
    started_at: float | None = None
    # What a fault lets its engine tell in place of the program's exit code.
    told_exit_code: int | None = None

    @property
    def name(self) -> str:
        """Give its name in the task definition."""
        return str(self.definition["name"])

    @property
    def essential(self) -> bool:
        """Say whether its end ends the ECS task."""
        return bool(self.definition.get("essential", True))

    @property
    def stop_timeout(self) -> float:
        """Say how many seconds it has from the request to end until it is killed."""
        if self.windows:
            return WINDOWS_STOP_SECONDS
        return float(self.definition.get("stopTimeout") or DEFAULT_STOP_TIMEOUT)

    def _setting(self, name: str) -> Any:
        return self.override.get(name) or self.definition.get(name)

    @property
    def command(self) -> Sequence[str] | None:
        """Give the override's command, else the task definition's; None: the image's own."""
        command: Sequence[str] | None = self._setting("command")
        return command

    @property
    def cpu(self) -> int:
        """Give its CPU units, of which a vCPU has 1024; 0 where nobody says how many."""
        return int(self._setting("cpu") or 0)

    @property
    def memory(self) -> int:
        """MiB that placement counts: the soft limit where there is one, as on AWS."""
        return int(self._setting("memoryReservation") or self._setting("memory") or 0)

    @property
    def environment(self) -> dict[str, str]:
        """The task definition's environment under the override's."""
        variables = [*self.definition.get("environment", ()), *self.override.get("environment", ())]
        return {variable["name"]: variable["value"] for variable in variables}

    def describe(self, task: EcsTask) -> Json:
        """Give it as DescribeTasks shows it, without what is not set."""
        memory, reservation = self._setting("memory"), self._setting("memoryReservation")
        return drop_unset(
            {
                "containerArn": self.arn,
                "taskArn": task.arn,
                "name": self.name,
                "image": self.definition["image"],
                "imageDigest": self.image_digest,
                "runtimeId": self.runtime_id if self.started_at else None,
                "lastStatus": self.last_status,
                "exitCode": self.exit_code,
                "reason": self.reason,
                "networkBindings": [],
                "networkInterfaces": task.network_interfaces(),
                "healthStatus": "UNKNOWN",
                "cpu": str(self.cpu),
                "memory": str(memory) if memory else None,
                "memoryReservation": str(reservation) if reservation else None,
            }
        )


@dataclass(eq=False)
class ContainerInstance:
    """An EC2 instance that has registered with a cluster."""

    arn: str
    cluster: str
    ec2_instance_id: str
    capacity_provider: str | None
    size: Resources
    attributes: dict[str, str | None]
    # Of its instance profile; none of a host that somebody registered by hand, whose agent is not ours.
    role: str | None = None
    tags: list[dict[str, str]] = field(default_factory=list)
    status: str = "ACTIVE"
    agent_connected: bool = True
    registered_at: float = field(default_factory=time.time)
    inactive_at: float | None = None
    version: int = 1
    tasks: dict[str, EcsTask] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Give the last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def container_instance_arn(self) -> str:
        """The name under which moto's attribute calls look for it."""
        return self.arn

    @property
    def free(self) -> Resources:
        """Say what of its resources no ECS task has."""
        used = [task.needs for task in self.tasks.values()]
        return Resources(
            cpu=self.size.cpu - sum(needs.cpu for needs in used),
            memory=self.size.memory - sum(needs.memory for needs in used),
            interfaces=self.size.interfaces - sum(needs.interfaces for needs in used),
            ports=frozenset[int]().union(*(needs.ports for needs in used)),
        )

    def describe(self) -> Json:
        """Give it as DescribeContainerInstances shows it, without what is not set."""
        free = self.free
        running = sum(task.last_status == "RUNNING" for task in self.tasks.values())
        return drop_unset(
            {
                "containerInstanceArn": self.arn,
                "ec2InstanceId": self.ec2_instance_id,
                "capacityProviderName": self.capacity_provider,
                "version": self.version,
                "versionInfo": {
                    "agentVersion": "1.98.0",
                    "agentHash": "00000000",
                    "dockerVersion": "DockerVersion: 25.0.6",
                },
                "remainingResources": _resources(free.cpu, free.memory, free.ports),
                "registeredResources": _resources(self.size.cpu, self.size.memory, ()),
                "status": self.status,
                "agentConnected": self.agent_connected,
                "runningTasksCount": running,
                "pendingTasksCount": len(self.tasks) - running,
                "attributes": [drop_unset({"name": name, "value": value}) for name, value in self.attributes.items()],
                "registeredAt": self.registered_at,
                "attachments": [],
                "tags": self.tags,
            }
        )


def _resources(cpu: int, memory: int, ports: Iterable[int]) -> list[Json]:
    def of(name: str, kind: str, **value: Any) -> Json:
        return {"name": name, "type": kind, "doubleValue": 0.0, "longValue": 0, "integerValue": 0, **value}

    # RDP, the two Windows remote management ports and the agent's own.
    taken = ["3389", "5985", "5986", "51678", "51679", *(str(port) for port in sorted(ports))]
    return [
        of("CPU", "INTEGER", integerValue=cpu),
        of("MEMORY", "INTEGER", integerValue=memory),
        of("PORTS", "STRINGSET", stringSetValue=taken),
        of("PORTS_UDP", "STRINGSET", stringSetValue=[]),
    ]


@dataclass(eq=False)
class EcsTask:
    """One ECS task. Changed under the control lock only."""

    sequence: int
    arn: str
    cluster_arn: str
    definition: TaskDefinition
    needs: Resources
    containers: list[Container]
    overrides: Json
    started_by: str | None
    group: str
    tags: list[dict[str, str]]
    launch_type: str | None
    capacity_provider: str | None
    subnets: Sequence[str] = ()
    attachments: list[Json] = field(default_factory=list)
    instance: ContainerInstance | None = None
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    stop: Stop | None = None
    connectivity_at: float | None = None
    created_at: float = field(default_factory=time.time)
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    version: int = 1
    # Its host is down, and ECS does not know that yet.
    silent: bool = False
    # What its agent thread has to react to: ("exit", container index) and ("stop",).
    events: queue.SimpleQueue[int | None] = field(default_factory=queue.SimpleQueue)

    @property
    def id(self) -> str:
        """Give the last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def cluster(self) -> str:
        """Give its cluster's name."""
        return self.cluster_arn.rpartition("/")[2]

    @property
    def task_arn(self) -> str:
        """The name under which moto's tagging calls look for it."""
        return self.arn

    @property
    def role_arn(self) -> str | None:
        """Give the role of its programs: the override's, else the task definition's."""
        return self.overrides.get("taskRoleArn") or getattr(self.definition, "task_role_arn", None)

    @property
    def execution_role_arn(self) -> str | None:
        """Give the role by which the agent pulls images and opens logs for it."""
        return self.overrides.get("executionRoleArn") or getattr(self.definition, "execution_role_arn", None)

    def network_interfaces(self) -> list[Json]:
        """Give its network interfaces that have an address, as DescribeTasks shows a container's."""
        found = []
        for attachment in self.attachments:
            details = {detail["name"]: detail["value"] for detail in attachment["details"]}
            if "privateIPv4Address" in details:
                found.append({"attachmentId": attachment["id"], "privateIpv4Address": details["privateIPv4Address"]})
        return found

    def describe(self, *, tags: bool) -> Json:
        """Give it as DescribeTasks shows it, without what is not set."""
        instance = self.instance
        return drop_unset(
            {
                "taskArn": self.arn,
                "clusterArn": self.cluster_arn,
                "taskDefinitionArn": self.definition.arn,
                "containerInstanceArn": instance.arn if instance else None,
                "availabilityZone": instance.attributes.get("ecs.availability-zone") if instance else None,
                "attachments": self.attachments,
                "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
                "capacityProviderName": self.capacity_provider,
                "connectivity": "CONNECTED" if self.connectivity_at else None,
                "connectivityAt": self.connectivity_at,
                "containers": [container.describe(self) for container in self.containers],
                "cpu": str(self.needs.cpu),
                "memory": str(self.needs.memory),
                "createdAt": self.created_at,
                "desiredStatus": self.desired_status,
                "enableExecuteCommand": False,
                "executionStoppedAt": self.execution_stopped_at,
                "group": self.group,
                "healthStatus": "UNKNOWN",
                "lastStatus": self.last_status,
                "launchType": self.launch_type,
                "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **self.overrides},
                "platformFamily": (self.definition.runtime_platform or {}).get("operatingSystemFamily"),
                "pullStartedAt": self.pull_started_at,
                "pullStoppedAt": self.pull_stopped_at,
                "startedAt": self.started_at,
                "startedBy": self.started_by,
                "stopCode": self.stop.code if self.stop else None,
                "stoppedAt": self.stopped_at,
                "stoppedReason": self.stop.reason if self.stop else None,
                "stoppingAt": self.stopping_at,
                "tags": self.tags if tags else None,
                "version": self.version,
            }
        )
