"""Which container instance takes an ECS task. Pure: state in, decisions out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.ecs.model import Container, ContainerInstance, Resources

# What an instance offers whose agent was started with -EnableTaskENI.
TASK_ENI = "ecs.capability.task-eni"
OS_FAMILY = "ecs.os-family"
# What it offers with -EnableTaskIAMRole, -LoggingDrivers and ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE.
TASK_ROLE = "com.amazonaws.ecs.capability.task-iam-role"
LOG_DRIVER = "com.amazonaws.ecs.capability.logging-driver."
OWN_LOGS = "ecs.capability.execution-role-awslogs"


@dataclass(frozen=True)
class Failure:
    """Why an instance did not take an ECS task, as RunTask's `failures` say it."""

    arn: str
    reason: str

    def describe(self) -> dict[str, Any]:
        """Give it as an entry of `failures`."""
        return {"arn": self.arn, "reason": self.reason}


def needs(
    containers: Sequence[Container], network_mode: str | None, *, cpu: str | None, memory: str | None
) -> Resources:
    """What an ECS task takes.

    The sum over its containers, or the task-level cpu and memory where they are set; on AWS those are ignored for
    Windows, which then takes the containers' all the same.
    """
    ports = frozenset(
        mapping["hostPort"]
        for container in containers
        for mapping in container.definition.get("portMappings", ())
        if mapping.get("hostPort") and network_mode != "awsvpc"
    )
    return Resources(
        cpu=int(cpu) if cpu else sum(container.cpu for container in containers),
        memory=int(memory) if memory else sum(container.memory for container in containers),
        interfaces=1 if network_mode == "awsvpc" else 0,
        ports=ports,
    )


def attributes(
    containers: Sequence[Container], network_mode: str | None, *, task_role: bool, execution_role: bool
) -> frozenset[str]:
    """Name what an instance must offer for an ECS task: its definition's `requiresAttributes`."""
    logged = [container.definition.get("logConfiguration") for container in containers]
    drivers = {configuration["logDriver"] for configuration in logged if configuration}
    wanted = {
        TASK_ENI: network_mode == "awsvpc",
        TASK_ROLE: task_role,
        OWN_LOGS: execution_role and "awslogs" in drivers,
    }
    return frozenset({*(LOG_DRIVER + driver for driver in drivers), *(name for name, is_so in wanted.items() if is_so)})


def lacking(free: Resources, wanted: Resources) -> str | None:
    """The first resource of which there is too little, or None when the ECS task fits."""
    if wanted.cpu > free.cpu:
        return "RESOURCE:CPU"
    if wanted.memory > free.memory:
        return "RESOURCE:MEMORY"
    if wanted.interfaces > free.interfaces:
        return "RESOURCE:ENI"
    if wanted.ports & free.ports:
        return "RESOURCE:PORTS"
    return None


def place(
    wanted: Resources,
    instances: Iterable[ContainerInstance],
    constraints: Sequence[str] = (),
    attributes: Collection[str] = (),
    family: str | None = None,
) -> ContainerInstance | list[Failure]:
    """The instance for one ECS task, or why none of them takes it.

    An operating system family that is asked for must be the instance's, where that is known.

    Of those with room the one with the fewest ECS tasks is taken: without a placement strategy ECS spreads standalone
    ECS tasks at random, which is as even, and this is repeatable. `distinctInstance` is the constraint that is known.
    """
    failures = []
    fitting = []
    for instance in instances:
        if not instance.agent_connected:
            failures.append(Failure(instance.arn, "AGENT"))
        elif not instance.attributes.keys() >= set(attributes) or (
            family and instance.attributes.get(OS_FAMILY) not in {None, family}
        ):
            failures.append(Failure(instance.arn, "ATTRIBUTE"))
        elif "distinctInstance" in constraints and instance.tasks:
            failures.append(Failure(instance.arn, "DistinctInstance placement constraint unsatisfied."))
        elif reason := lacking(instance.free, wanted):
            failures.append(Failure(instance.arn, reason))
        else:
            fitting.append(instance)
    if not fitting:
        return failures
    return min(fitting, key=lambda instance: (len(instance.tasks), instance.registered_at))
