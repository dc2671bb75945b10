"""EC2 instances that join and leave ECS clusters, as the agent on them does it."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceState
from moto.ecs.models import ecs_backends

from emulator import locks, user_data
from emulator.context import Context
from emulator.ecs.backend import EcsBackend
from emulator.ecs.model import Json, Resources
from emulator.ecs.placement import LOG_DRIVER, OS_FAMILY, OWN_LOGS, TASK_ENI, TASK_ROLE
from emulator.host_role import HostRole, NoRoleError
from emulator.identity.gate import Identity, Refused
from emulator.patching import OwnUrls, keep_with
from emulator.timers import Timers

log = logging.getLogger(__name__)

# From the notice of a Spot interruption to the end (EC2 guide, "Spot Instance interruption notices").
SPOT_NOTICE_SECONDS = 120.0

# ECS notices the end of an instance after EC2 has it: in so much more of the time that the end takes.
_ECS_LATER = 0.5
_WINDOWS = re.compile(r"Windows_Server-(\d{4})-English-(Core|Full)")
_ENDING = frozenset({"shutting-down", "terminated"})
# Of an instance type's memory the agent sees and registers less: firmware and kernel keep this much.
HIDDEN_MEMORY_MIB = 512


class Ec2Backend(OwnUrls, EC2Backend):
    """moto's EC2 where the end of an instance takes time, and ends what ran on it."""

    moto_service = "ec2"
    identity: Identity
    timers: Timers
    terminate_seconds: float
    # Told when an instance begins to end, and when it has ended: its Auto Scaling group wants to know.
    on_ending: Callable[[Instance], None]
    on_ended: Callable[[Instance], None]

    def terminate_instances(self, instance_ids: list[str]) -> Any:
        """Begin to end instances; one that is ending already is answered for once more."""
        known = {instance.id: instance for instance in self.get_multi_instances_by_id(instance_ids)}
        answer = []
        for instance_id in instance_ids:
            instance = known[instance_id]
            if instance.state in _ENDING:
                answer.append((instance, copy.copy(instance.instance_state)))
                continue
            answer += super().terminate_instances([instance_id])
            self._shut_down(instance)
        return answer

    def _shut_down(self, instance: Instance) -> None:
        """Windows goes down: its agent falls silent first, EC2 has it terminated later, and ECS is told last."""
        ecs_of(instance).silence_instance(instance.id)
        self.on_ending(instance)
        if not self.terminate_seconds:
            self._ended(instance)
            return
        # moto has it terminated at once.
        instance._state = InstanceState("shutting-down", 32)  # noqa: SLF001
        self.timers.after(self.terminate_seconds, partial(self._ended, instance))

    def _ended(self, instance: Instance) -> None:
        instance._state = InstanceState("terminated", 48)  # noqa: SLF001
        self.on_ended(instance)
        if self.terminate_seconds:
            told = partial(ecs_of(instance).lose_instance, instance.id)
            self.timers.after(self.terminate_seconds * _ECS_LATER, told)
        else:
            ecs_of(instance).lose_instance(instance.id)


def join_cluster(instance: Instance, auto_scaling_group_arn: str | None) -> None:
    """Start the agent that the instance's user data asks for; nothing happens when it asks for none."""
    settings = user_data.parse(str(instance.user_data or ""))
    if settings.cluster is None:
        return
    backend = ecs_of(instance)
    kind = INSTANCE_TYPES[instance.instance_type]
    interfaces = kind["NetworkInfo"]["MaximumNetworkInterfaces"]
    windows = instance.platform == "windows"
    attributes: dict[str, str | None] = {
        "ecs.ami-id": instance.image_id,
        "ecs.availability-zone": instance.availability_zone,
        "ecs.instance-type": instance.instance_type,
        "ecs.os-type": "windows" if windows else "linux",
        "ecs.cpu-architecture": "x86_64",
        "ecs.subnet-id": instance.subnet_id,
        "ecs.vpc-id": instance.vpc_id,
        **dict.fromkeys(LOG_DRIVER + driver for driver in sorted(settings.drivers)),
    }
    if family := _os_family(instance) if windows else "LINUX":
        attributes[OS_FAMILY] = family
    offered = {TASK_ENI: settings.task_eni, TASK_ROLE: settings.task_role, OWN_LOGS: settings.own_logs}
    attributes |= dict.fromkeys(name for name, is_so in offered.items() if is_so)
    role = HostRole(Ec2Backend.identity, instance, auto_scaling_group_arn)
    try:
        role.join(settings.cluster)
        joined = backend.register_instance(
            settings.cluster,
            instance.id,
            Resources(
                cpu=kind["VCpuInfo"]["DefaultVCpus"] * 1024,
                memory=kind["MemoryInfo"]["SizeInMiB"] - max(HIDDEN_MEMORY_MIB, settings.reserved_memory),
                # The first interface is the host's own.
                interfaces=interfaces - 1 if settings.task_eni else 0,
            ),
            capacity_provider=_capacity_provider(backend, settings.cluster, auto_scaling_group_arn),
            attributes=attributes,
            role=role.arn,
        )
        role.work(settings.cluster, joined.arn)
    except (ServiceException, Refused, NoRoleError) as error:
        # As on AWS, where the agent tries again and again and the instance runs all the same.
        log.warning("instance %s cannot join cluster %s: %s", instance.id, settings.cluster, error)


def _os_family(instance: Instance) -> str | None:
    """What the agent finds out on a Windows host: here the name of its AMI says it, if anything does."""
    image = next((image for image in instance.ec2_backend.describe_images(ami_ids=[instance.image_id])), None)
    match = _WINDOWS.search(image.name or "" if image else "")
    return f"WINDOWS_SERVER_{match[1]}_{match[2].upper()}" if match else None


def may_say(instance: Instance, auto_scaling_group_arn: str, action: str) -> bool:
    """Whether an instance may tell its group something by an action of Auto Scaling's; if not, nobody hears of it."""
    try:
        HostRole(Ec2Backend.identity, instance, auto_scaling_group_arn).tell(action)
    except (Refused, NoRoleError) as error:
        log.warning("instance %s: %s", instance.id, error)
        return False
    return True


def ecs_of(instance: Instance) -> EcsBackend:
    """The ECS of an instance's account and region."""
    ec2 = instance.ec2_backend
    return ecs_backends[ec2.account_id][ec2.region_name]  # type: ignore[return-value]


def _capacity_provider(backend: EcsBackend, cluster: str, group_arn: str | None) -> str | None:
    attached = backend.clusters[cluster].capacity_providers or () if cluster in backend.clusters else ()
    for provider in backend.capacity_providers.values():
        group = provider.auto_scaling_group_provider.get("autoScalingGroupArn", "")
        # A capacity provider may name its group by ARN or by name.
        if provider.name in attached and group_arn and group_arn.endswith(group.rpartition("/")[2]):
            return provider.name
    return None


def install(context: Context) -> None:
    """Serve EC2; let a fault take an instance away."""
    Ec2Backend.identity = context.identity
    Ec2Backend.timers = context.timers
    Ec2Backend.terminate_seconds = context.terminate_seconds
    keep_with(ec2_backends, Ec2Backend)

    def running(spec: Json) -> Instance:
        backend = ec2_backends[context.account][context.region]
        instance = backend.get_instance_by_id(spec["instance"])
        if instance is None or instance.state != "running":
            raise LookupError(f"no running instance {spec['instance']}")
        return instance

    def end(instance: Instance) -> None:
        instance.ec2_backend.terminate_instances([instance.id])

    def lose(spec: Json) -> None:
        with locks.CONTROL:
            end(running(spec))

    def interrupt(spec: Json) -> None:
        with locks.CONTROL:
            instance = running(spec)
            if instance.lifecycle != "spot":
                raise LookupError(f"{instance.id} is no Spot Instance")
            if user_data.parse(str(instance.user_data or "")).spot_draining:
                ecs_of(instance).drain_instance(instance.id)
            context.timers.after(spec.get("seconds", SPOT_NOTICE_SECONDS), partial(end, instance))

    context.faults.act_with("lose-instance", lose)
    context.faults.act_with("spot-notice", interrupt)


def shutdown() -> None:
    """Nothing runs."""
