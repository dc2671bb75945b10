"""Puts the emulator's Auto Scaling into moto's place."""

from __future__ import annotations

from moto.autoscaling import models
from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.ec2.models.instances import Instance

from emulator.autoscaling.api import GroupsResponse
from emulator.autoscaling.backend import GroupsBackend
from emulator.autoscaling.group import Group
from emulator.context import Context
from emulator.ecs.backend import EcsBackend
from emulator.ecs.model import ContainerInstance
from emulator.instances import Ec2Backend
from emulator.patching import keep_with, serve_with


def install(context: Context) -> None:
    """Serve Auto Scaling."""
    Group.timers = context.timers
    Group.faults = context.faults
    Group.instance_seconds = context.instance_seconds
    models.FakeAutoScalingGroup = Group  # type: ignore[misc] # where moto's backend looks for its class
    keep_with(autoscaling_backends, GroupsBackend)
    serve_with("autoscaling", GroupsResponse, AutoScalingResponse)
    EcsBackend.on_idle = staticmethod(_drained)
    Ec2Backend.on_ending = staticmethod(lambda instance: _of(instance).ending(instance))
    Ec2Backend.on_ended = staticmethod(lambda instance: _of(instance).ended(instance))


def _of(instance: Instance) -> GroupsBackend:
    ec2 = instance.ec2_backend
    return autoscaling_backends[ec2.account_id][ec2.region_name]  # type: ignore[return-value]


def _drained(instance: ContainerInstance) -> None:
    for _, _, backend in autoscaling_backends.iter_backends():
        backend.drained(instance.ec2_instance_id)  # type: ignore[attr-defined]


def shutdown() -> None:
    """The timers are stopped by their owner."""
