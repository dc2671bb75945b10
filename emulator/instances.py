"""EC2 instances that join and leave ECS clusters, as the agent on them does it."""

from __future__ import annotations

import logging
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance
from moto.ecs.models import ecs_backends

from emulator import locks, user_data
from emulator.context import Context
from emulator.ecs.backend import EcsBackend
from emulator.ecs.model import Resources
from emulator.ecs.placement import TASK_ENI
from emulator.patching import OwnUrls, keep_with

log = logging.getLogger(__name__)

# Of an instance type's memory the agent sees and registers less: firmware and kernel keep this much.
HIDDEN_MEMORY_MIB = 512


class Ec2Backend(OwnUrls, EC2Backend):
    """moto's EC2 where the end of an instance ends what ran on it, and an endpoint uses its network interfaces."""

    moto_service = "ec2"

    def terminate_instances(self, instance_ids: list[str]) -> Any:
        ended = super().terminate_instances(instance_ids)
        for instance, _ in ended:
            ecs_of(instance).lose_instance(instance.id)
        return ended

    def create_vpc_endpoint(self, *arguments: Any, **options: Any) -> Any:
        endpoint = super().create_vpc_endpoint(*arguments, **options)
        # moto calls them available, as if whoever cleans up could delete them.
        for name in endpoint.network_interface_ids or ():
            self.enis[name].status = "in-use"
        return endpoint


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
        "ecs.os-family": "WINDOWS_SERVER_2022_CORE" if windows else "LINUX",
        "ecs.cpu-architecture": "x86_64",
        "ecs.subnet-id": instance.subnet_id,
        "ecs.vpc-id": instance.vpc_id,
        "ecs.capability.task-iam-role": None,
        "ecs.capability.logging-driver.awslogs": None,
    }
    if settings.task_eni:
        attributes[TASK_ENI] = None
    try:
        backend.register_instance(
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
        )
    except ServiceException as error:
        # As on AWS, where the agent tries again and again and the instance runs all the same.
        log.warning("instance %s cannot join cluster %s: %s", instance.id, settings.cluster, error)


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
    keep_with(ec2_backends, Ec2Backend)

    def lose(instance_id: str) -> None:
        # Imported here: Auto Scaling stands on this module.
        from emulator.autoscaling import replace_lost  # noqa: PLC0415

        with locks.CONTROL:
            backend = ec2_backends[context.account][context.region]
            instance = backend.get_instance_by_id(instance_id)
            if instance is None or instance.state != "running":
                raise LookupError(f"no running instance {instance_id}")
            backend.terminate_instances([instance_id])
            replace_lost(backend, instance_id)

    context.faults.act_with("lose-instance", lose)


def shutdown() -> None:
    """Nothing runs."""
