"""How a group launches an instance: where it may, and from what."""

from __future__ import annotations

from collections.abc import Sequence

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import ASG_NAME_TAG, InstanceState
from moto.ec2.models.instances import InstanceState as Ec2State
from moto.ssm.models import ssm_backends

from emulator.autoscaling.base import BaseGroup
from emulator.autoscaling.capacity import SPOT, Place

RESOLVED = "resolve:ssm:"
COMING = frozenset({"Pending", "Pending:Wait", "InService"})


def subnets(group: BaseGroup) -> list[str]:
    """Where a group may launch, those with the fewest instances first, as Auto Scaling balances zones."""
    there = [*group.instance_states, *group.pool]
    named = (group.vpc_zone_identifier or "").split(",")
    return sorted(named, key=lambda wanted: sum(state.instance.subnet_id == wanted for state in there))


def places(group: BaseGroup, where: Sequence[str], desired: int) -> list[Place]:
    """Where the next instance may come from, in the order in which EC2 is asked.

    Another zone is tried when one has nothing (Auto Scaling guide, "Auto Scaling benefits"), and in it the types in
    their order, as "prioritized" takes them; Spot's strategies are not emulated.
    """
    asked = group.configuration
    on_demand = sum(
        group.weight(state)
        for state in group.instance_states
        if state.lifecycle_state in COMING and state.instance.lifecycle != SPOT
    )
    market = asked.market(desired, on_demand)
    zones = {
        subnet: group.ec2_backend.get_subnet(subnet).availability_zone if subnet else group.availability_zones[0]
        for subnet in where
    }
    return [Place(kind, zones[subnet], subnet or None, market) for subnet in where for kind in asked.weights]


def launch(group: BaseGroup, place: Place, lifecycle_state: str) -> InstanceState:
    """Launch an instance, which is none of the group's yet."""
    # moto puts all into the first subnet and knows neither overrides nor the launch template's version.
    template = group.ec2_launch_template
    reservation = group.ec2_backend.run_instances(
        resolved_image(group),
        1,
        group.user_data,
        [] if template else group.security_groups,
        instance_type=place.type,
        is_instance_type_default=False,
        tags={"instance": {**group.get_propagated_tags(), ASG_NAME_TAG: group.name}},
        placement=place.zone,
        launch_config=group.launch_config,
        launch_template={"LaunchTemplateId": template.id, "Version": group.launch_template_version}
        if template
        else None,
        region_name=group.region,
        subnet_id=place.subnet,
    )
    instance = reservation.instances[0]
    instance.autoscaling_group = group  # type: ignore[attr-defined]
    if place.market == SPOT:
        instance.lifecycle = SPOT
    # moto's instances run at once.
    instance._state = Ec2State("pending", 0)  # noqa: SLF001
    state = InstanceState(
        instance,
        lifecycle_state=lifecycle_state,
        protected_from_scale_in=group.new_instances_protected_from_scale_in,
    )
    if any(weight != 1 for weight in group.configuration.weights.values()):
        state.weighted_capacity = str(group.weight(state))  # type: ignore[attr-defined]
    return state


def resolved_image(group: BaseGroup) -> str:
    """The AMI of a group's instances.

    Raises:
        ValidationError: the parameter that names it is not there
    """
    image = group.image_id
    if not image.startswith(RESOLVED):
        return image
    parameter = ssm_backends[group.account_id][group.region].get_parameter(image.removeprefix(RESOLVED))
    if parameter is None:
        raise ValidationError(f"You must use a valid fully-formed launch template. {image}")
    return str(parameter.value)
