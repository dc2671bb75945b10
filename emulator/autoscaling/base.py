"""What the parts of a group know of it, and it of its region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState, LifecycleHook

from emulator.autoscaling.activities import Activities
from emulator.autoscaling.capacity import SPOT, Configuration


class Region(Protocol):
    """A region's groups, as one of them sees the others."""

    activities: Activities

    def describe_lifecycle_hooks(self, as_name: str) -> Sequence[LifecycleHook]:
        """Give the hooks of a group, by its name."""

    def set_health(self, instance_id: str, health: str, *, respect_grace: bool) -> None:
        """Set an instance's health as SetInstanceHealth does, which replaces an unhealthy one."""


class BaseGroup(FakeAutoScalingGroup):
    """moto's group, with a warm pool and what its launch template and mixed instances policy ask for."""

    autoscaling_backend: Region  # type: ignore[assignment]  # moto's, which ours is
    pool: list[InstanceState]

    @property
    def configuration(self) -> Configuration:
        """What the launch template and the mixed instances policy ask for."""
        template = self.ec2_launch_template
        if template is None:
            spot = bool(self.launch_config.spot_price)
        else:
            options = template.get_version(self.launch_template_version).data.get("InstanceMarketOptions") or {}
            spot = options.get("MarketType") == SPOT
        return Configuration.of(self.mixed_instances_policy, self.instance_type, template_spot=spot)

    def weight(self, state: InstanceState) -> int:
        """How much of the capacity an instance is."""
        return self.configuration.weights.get(state.instance_type, 1)
