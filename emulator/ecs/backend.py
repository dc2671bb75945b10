"""A region's ECS: container instances and ECS tasks that are real, on clusters and of task definitions of moto's."""

from __future__ import annotations

import itertools
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ecs.exceptions import EcsClientException, ECSException, InvalidParameterException
from moto.ecs.models import CapacityProvider, Cluster, TaskDefinition
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

from emulator.ecs.agent import Agent, request_stop
from emulator.ecs.clusters import ClusterBackend
from emulator.ecs.definitions import check_run, is_windows
from emulator.ecs.interfaces import Interfaces
from emulator.ecs.model import Container, ContainerInstance, EcsTask, Json, Resources, Stop
from emulator.ecs.placement import Failure, attributes, needs, place
from emulator.ecs.requests import ConflictException, RunRequest
from emulator.faults import Faults

_STOPPED_KEPT_SECONDS = 3600.0
# A client token counts so long, and an hour beyond its ECS tasks at most (ECS API reference, "Ensuring idempotency").
_TOKEN_SECONDS = 24 * 3600.0
_PROVISIONING_QUOTA = 500


@dataclass(frozen=True)
class _Answered:
    """A RunTask request with a client token that started something."""

    fingerprint: str
    tasks: list[EcsTask]
    at: float = field(default_factory=time.time)


class EcsBackend(ClusterBackend):
    """Everything here runs under the control lock."""

    agent: Agent
    faults: Faults
    # Told of each instance that has no ECS task left: managed draining waits for that.
    on_idle: Callable[[ContainerInstance], None]
    # The emulator stops: what ends makes no room for others.
    closing = False

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._sequence = itertools.count(1)
        self._answered: dict[tuple[str, str], _Answered] = {}
        self._interfaces = Interfaces(ec2_backends[account_id][region_name])

    # --- container instances

    def register_instance(
        self,
        cluster: str,
        ec2_instance_id: str,
        size: Resources,
        *,
        capacity_provider: str | None,
        attributes: dict[str, str | None],
        role: str | None = None,
    ) -> ContainerInstance:
        """Let an EC2 instance join a cluster and take waiting ECS tasks; by its role its agent does what it does.

        Raises:
            ClusterNotFoundException: there is no such cluster
        """
        name = self._get_cluster(cluster).name
        instance = ContainerInstance(
            arn=self._arn("container-instance", name, uuid.uuid4().hex),
            cluster=name,
            ec2_instance_id=ec2_instance_id,
            capacity_provider=capacity_provider,
            size=size,
            attributes=attributes,
            role=role,
        )
        self.instances[instance.id] = instance
        # Where moto's attribute calls look.
        self.container_instances.setdefault(name, {})[instance.id] = instance  # type: ignore[assignment]
        self._place_waiting(name)
        return instance

    def instance_of(self, ec2_instance_id: str) -> ContainerInstance | None:
        """The container instance of an EC2 instance, if it has registered."""
        found = (item for item in self.registered() if item.ec2_instance_id == ec2_instance_id)
        return next(found, None)

    def find_instances(self, cluster: str, ids: Iterable[str]) -> tuple[list[ContainerInstance], list[Failure]]:
        """Container instances by ARN or id, INACTIVE ones among them, and those that are unknown as MISSING."""
        name = self._get_cluster(cluster).name
        found, failures = [], []
        for wanted in ids:
            instance = self.instances.get(wanted.rpartition("/")[2])
            if instance is not None and instance.cluster == name:
                found.append(instance)
            else:
                arn = wanted if wanted.startswith("arn:") else self._arn("container-instance", name, wanted)
                failures.append(Failure(arn, "MISSING"))
        return found, failures

    def listed_instances(self, cluster: str, status: str | None) -> list[ContainerInstance]:
        """The registered container instances; ACTIVE and DRAINING ones without a status."""
        name = self._get_cluster(cluster).name
        return [
            instance for instance in self.registered() if instance.cluster == name and status in {None, instance.status}
        ]

    def set_instance_state(self, instance: ContainerInstance, status: str) -> None:
        """ACTIVE or DRAINING. Standalone ECS tasks on a draining instance go on until they end by themselves."""
        instance.status = status
        instance.version += 1
        if status == "ACTIVE":
            self._place_waiting(instance.cluster)
        elif not instance.tasks:
            self.on_idle(instance)

    def deregister_instance(self, instance: ContainerInstance, *, force: bool) -> None:
        """Take an instance out of its cluster.

        Raises:
            InvalidParameterException: ECS tasks run on it and `force` is not set
        """
        if instance.tasks and not force:
            raise InvalidParameterException("Found running tasks on the instance.")
        instance.status = "INACTIVE"
        instance.inactive_at = time.time()
        instance.agent_connected = False
        instance.version += 1
        self.container_instances[instance.cluster].pop(instance.id, None)

    def silence_instance(self, ec2_instance_id: str) -> None:
        """The agent of an EC2 instance is not heard any more; what ran there has ended and nobody says so."""
        for instance in self.registered():
            if instance.ec2_instance_id == ec2_instance_id:
                instance.agent_connected = False
                instance.version += 1
                for task in instance.tasks.values():
                    self.agent.silence(task)

    def drain_instance(self, ec2_instance_id: str) -> None:
        """Let an EC2 instance take no ECS task any more, as its agent asks for when its Spot Instance is taken back."""
        if instance := self.instance_of(ec2_instance_id):
            self.set_instance_state(instance, "DRAINING")

    def lose_instance(self, ec2_instance_id: str) -> None:
        """The EC2 instance is gone, and with it the agent and all containers, deregistered before or not."""
        reason = f"Host EC2 (instance {ec2_instance_id}) terminated."
        for instance in self.instances.values():
            if instance.ec2_instance_id == ec2_instance_id:
                for task in list(instance.tasks.values()):
                    request_stop(task, Stop("TerminationNotice", reason, host_lost=True))
                self.deregister_instance(instance, force=True)

    # --- ECS tasks

    def run(self, request: RunRequest) -> tuple[list[EcsTask], list[Failure]]:
        """RunTask.

        Raises:
            ServiceException: as AWS does
        """
        cluster = self._get_cluster(request.cluster)
        self._forget_stopped()
        key = (cluster.name, request.token or "")
        if request.token and (answered := self._answered.get(key)):
            if answered.fingerprint != request.fingerprint:
                raise ConflictException([task.arn for task in answered.tasks])
            return answered.tasks, []
        provider = self._provider(cluster, request)
        definition = self._definition(request)
        self._check_role(definition, request)
        # With managed scaling an ECS task without room waits for the instance that it causes; else it fails at once.
        waits = provider is not None and provider.auto_scaling_group_provider["managedScaling"]["status"] == "ENABLED"
        if not waits and not self._candidates(cluster.name, provider):
            where = "capacity provider" if provider else "cluster"
            raise InvalidParameterException(f"No Container Instances were found in your {where}.")
        started: list[EcsTask] = []
        failures: list[Failure] = []
        for _ in range(request.count):
            task = self._new_task(cluster, definition, provider, request)
            reasons = self._place(task, request.constraints)
            if reasons and not waits:
                self._interfaces.delete(task)
                failures = reasons
                break
            if reasons and self._waiting_count(cluster.name) >= _PROVISIONING_QUOTA:
                raise EcsClientException("You've reached the limit on the number of tasks that can be provisioned.")
            self.ecs_tasks[task.id] = task
            started.append(task)
        if request.token and started:
            self._answered[key] = _Answered(request.fingerprint, started)
        return started, failures

    def find_tasks(self, cluster: str, ids: Iterable[str]) -> tuple[list[EcsTask], list[Failure]]:
        """ECS tasks by ARN or id, and those that are unknown or stopped long ago as MISSING."""
        name = self._get_cluster(cluster).name
        self._forget_stopped()
        found, failures = [], []
        for wanted in ids:
            task = self.ecs_tasks.get(wanted.rpartition("/")[2])
            if task is not None and task.cluster == name and not self.faults.hidden(task.arn):
                found.append(task)
            else:
                arn = wanted if wanted.startswith("arn:") else self._arn("task", name, wanted)
                failures.append(Failure(arn, "MISSING"))
        return found, failures

    def listed_tasks(
        self,
        cluster: str,
        *,
        family: str | None = None,
        started_by: str | None = None,
        instance: str | None = None,
        desired_status: str = "RUNNING",
    ) -> list[EcsTask]:
        """ECS tasks by what they have in common, oldest first."""
        name = self._get_cluster(cluster).name
        self._forget_stopped()
        instance_id = instance.rpartition("/")[2] if instance else None
        return [
            task
            for task in self.ecs_tasks.values()
            if task.cluster == name
            and task.desired_status == desired_status
            and family in {None, task.definition.family}
            and started_by in {None, task.started_by}
            and (instance_id is None or (task.instance is not None and task.instance.id == instance_id))
        ]

    def stop(self, cluster: str, task_id: str, reason: str | None) -> EcsTask:
        """StopTask.

        Raises:
            InvalidParameterException: there is no such ECS task
        """
        name = self._get_cluster(cluster).name
        task = self.ecs_tasks.get(task_id.rpartition("/")[2])
        if task is None or task.cluster != name:
            raise InvalidParameterException("The referenced task was not found.")
        self.end(task, Stop("UserInitiated", reason or "Task stopped by user"))
        return task

    def end(self, task: EcsTask, stop: Stop) -> None:
        """Let an ECS task stop."""
        request_stop(task, stop)
        if task.instance is None and task.last_status == "PROVISIONING":
            # It waits for room, so no agent has it.
            for container in task.containers:
                container.last_status = "STOPPED"
            self._interfaces.delete(task)
            task.execution_stopped_at = task.stopped_at = time.time()
            task.last_status = "STOPPED"

    def released(self, task: EcsTask) -> None:
        """An ECS task's room is free: whoever waits may have it."""
        self._interfaces.delete(task)
        instance = task.instance
        assert instance is not None, "only placed ECS tasks have an agent"
        instance.tasks.pop(task.id, None)
        instance.version += 1
        if not instance.tasks:
            self.on_idle(instance)
        self._place_waiting(task.cluster)

    def list_tasks(self, *_: Any, **__: Any) -> Any:
        """For moto's tagging calls."""
        return list(self.ecs_tasks.values())

    def iter_tagged_resources(self) -> Any:
        """Give what has tags to moto's tagging service, the ECS tasks of here among it."""
        self.tasks = {"": {task.arn: task for task in self.ecs_tasks.values()}}  # type: ignore[misc] # alike enough
        return super().iter_tagged_resources()

    def _arn(self, kind: str, cluster: str, name: str) -> str:
        return f"arn:{self.partition}:ecs:{self.region_name}:{self.account_id}:{kind}/{cluster}/{name}"

    def _provider(self, cluster: Cluster, request: RunRequest) -> CapacityProvider | None:
        """The capacity provider of a request: the one with the greatest weight, as base and split are not emulated."""
        strategy = request.strategy
        if not strategy and not request.launch_type:
            strategy = cluster.default_capacity_provider_strategy or ()
        if not strategy:
            if request.launch_type not in {None, "EC2"}:
                raise InvalidParameterException(f"launch type {request.launch_type} is not emulated; use EC2")
            return None
        name = max(strategy, key=lambda entry: entry.get("weight") or 0)["capacityProvider"]
        provider = self._get_provider(name)
        if provider is None or provider.name not in (cluster.capacity_providers or ()):
            raise InvalidParameterException(
                f"The specified capacity provider '{name}' was not found. Specify a valid name or ARN and try again."
            )
        return provider

    def _definition(self, request: RunRequest) -> TaskDefinition:
        try:
            definition = self.describe_task_definition(request.task_definition)
        except ECSException as error:
            raise EcsClientException("TaskDefinition not found.") from error
        if definition.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        names = {container["name"] for container in definition.container_definitions}
        for override in request.overrides.get("containerOverrides", ()):
            if override.get("name") not in names:
                raise InvalidParameterException(
                    f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
                )
        if definition.network_mode == "awsvpc" and not request.subnets:
            raise InvalidParameterException(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            )
        return definition

    def _check_role(self, definition: TaskDefinition, request: RunRequest) -> None:
        for role in (
            request.overrides.get("taskRoleArn") or getattr(definition, "task_role_arn", None),
            request.overrides.get("executionRoleArn") or getattr(definition, "execution_role_arn", None),
        ):
            if role is None:
                continue
            try:
                iam_backends[self.account_id][self.partition].get_role_by_arn(role)
            except NotFoundException as error:
                raise EcsClientException(
                    f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that "
                    "the role being passed has the proper trust relationship and permissions and that your IAM user "
                    "has permissions to pass this role."
                ) from error

    def _new_task(
        self, cluster: Cluster, definition: TaskDefinition, provider: CapacityProvider | None, request: RunRequest
    ) -> EcsTask:
        windows = is_windows(definition.runtime_platform)
        check_run(definition.container_definitions, definition.volumes, windows=windows)
        task_id = uuid.uuid4().hex
        overrides = {entry["name"]: entry for entry in request.overrides.get("containerOverrides", ())}
        containers = [
            Container(
                definition=container,
                override=overrides.get(container["name"], {}),
                arn=self._arn("container", cluster.name, f"{task_id}/{uuid.uuid4()}"),
                windows=windows,
            )
            for container in definition.container_definitions
        ]
        task = EcsTask(
            sequence=next(self._sequence),
            arn=self._arn("task", cluster.name, task_id),
            cluster_arn=cluster.arn,
            definition=definition,
            needs=needs(
                containers,
                definition.network_mode,
                # Windows ignores what is set for the whole ECS task.
                cpu=None if windows else request.overrides.get("cpu") or definition.cpu,
                memory=None if windows else request.overrides.get("memory") or definition.memory,
            ),
            containers=containers,
            overrides=request.overrides,
            started_by=request.started_by,
            group=request.group or f"family:{definition.family}",
            tags=_tags(cluster, definition, request),
            launch_type=None if provider else "EC2",
            capacity_provider=provider.name if provider else None,
            subnets=request.subnets,
        )
        if definition.network_mode == "awsvpc":
            self._interfaces.create(task, request)
        return task

    def _candidates(self, cluster: str, provider: CapacityProvider | None) -> list[ContainerInstance]:
        return [
            instance
            for instance in self.registered()
            if instance.cluster == cluster
            and instance.status == "ACTIVE"
            and (provider is None or instance.capacity_provider == provider.name)
        ]

    def _place(self, task: EcsTask, constraints: Sequence[str] = ()) -> list[Failure]:
        provider = self._get_provider(task.capacity_provider) if task.capacity_provider else None
        kinds = [*constraints, *(entry["type"] for entry in task.definition.placement_constraints)]
        family = (task.definition.runtime_platform or {}).get("operatingSystemFamily")
        offered = attributes(
            task.containers,
            task.definition.network_mode,
            task_role=task.role_arn is not None,
            execution_role=task.execution_role_arn is not None,
        )
        placed = place(task.needs, self._candidates(task.cluster, provider), kinds, offered, family)
        if not isinstance(placed, ContainerInstance):
            return placed or [Failure(task.cluster_arn, "RESOURCE:CPU")]
        task.instance = placed
        placed.tasks[task.id] = task
        placed.version += 1
        if task.definition.network_mode != "awsvpc":
            task.last_status = "PENDING"
        self.agent.launch(task)
        return []

    def _place_waiting(self, cluster: str) -> None:
        for task in list(self.ecs_tasks.values()):
            if (
                not self.closing
                and task.cluster == cluster
                and task.instance is None
                and task.last_status == "PROVISIONING"
            ):
                self._place(task)

    def _waiting_count(self, cluster: str) -> int:
        return sum(task.cluster == cluster and task.last_status == "PROVISIONING" for task in self.ecs_tasks.values())

    def _forget_stopped(self) -> None:
        oldest = time.time() - _STOPPED_KEPT_SECONDS
        gone = [task.id for task in self.ecs_tasks.values() if task.stopped_at and task.stopped_at < oldest]
        for task_id in gone:
            del self.ecs_tasks[task_id]
        self._answered = {
            key: answered
            for key, answered in self._answered.items()
            if answered.at > time.time() - _TOKEN_SECONDS and any(task.id in self.ecs_tasks for task in answered.tasks)
        }
        # How long ECS knows an INACTIVE instance is not documented; its ECS tasks are not known longer.
        self.instances = {
            instance.id: instance
            for instance in self.instances.values()
            if instance.tasks or instance.inactive_at is None or instance.inactive_at > oldest
        }


def _tags(cluster: Cluster, definition: TaskDefinition, request: RunRequest) -> list[Json]:
    tags: dict[str, str] = defaultdict(str)
    if request.propagate_tags == "TASK_DEFINITION":
        tags.update({tag["key"]: tag["value"] for tag in definition.tags})
    tags.update({tag["key"]: tag.get("value", "") for tag in request.tags})
    if request.managed_tags:
        tags["aws:ecs:clusterName"] = cluster.name
    return [{"key": key, "value": value} for key, value in tags.items()]
