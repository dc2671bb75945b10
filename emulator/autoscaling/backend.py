"""A region's Auto Scaling groups: moto's, with the rules that it lacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.ec2.models.instances import Instance

from emulator.autoscaling.activities import Activities, Activity, at, now
from emulator.autoscaling.capacity import Refusal
from emulator.autoscaling.group import Group, check_bounds
from emulator.patching import OwnUrls

_PROTECTABLE = frozenset({"InService", "EnteringStandby", "Standby"})
_MOST_LAUNCHED = 100


@dataclass(frozen=True)
class Launched:
    """LaunchInstances' answer: what was launched, and why the rest was not."""

    request: dict[str, Any]
    states: list[InstanceState]
    refusals: list[Refusal]


class GroupsBackend(OwnUrls, AutoScalingBackend):
    """Everything here runs under the control lock."""

    moto_service = "autoscaling"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.activities = Activities()
        self._launched: dict[tuple[str, str], Launched] = {}

    def group(self, name: str) -> Group:
        """A group by name.

        Raises:
            ValidationError: there is none
        """
        if name not in self.autoscaling_groups:
            # moto raises a KeyError: HTTP 500.
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return self.autoscaling_groups[name]  # type: ignore[return-value]

    def groups(self) -> list[Group]:
        """Give all groups of the region."""
        return list(self.autoscaling_groups.values())  # type: ignore[arg-type]

    # --- groups

    def create_auto_scaling_group(self, name: str, *args: Any, **given: Any) -> FakeAutoScalingGroup:
        """Make a group.

        Raises:
            AutoscalingClientError: there is one of this name; moto puts the new one in its place
            ValidationError: the desired capacity is out of the group's bounds
        """
        if name in self.autoscaling_groups:
            raise AutoscalingClientError(
                "AlreadyExists",
                f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
            )
        least, most = int(given["min_size"]), int(given["max_size"])
        desired = given.get("desired_capacity")
        check_bounds(least, most, least if desired is None else int(desired))
        return super().create_auto_scaling_group(name, *args, **given)

    def set_desired_capacity(self, group_name: str, desired_capacity: int | None) -> None:
        """Have another desired capacity, within the group's bounds.

        Raises:
            ValidationError: it is out of these bounds, at which moto does not look
        """
        group = self.group(group_name)
        wanted = desired_capacity or 0
        if wanted > (group.max_size or 0):
            raise ValidationError(
                f"New SetDesiredCapacity value {wanted} is above max value {group.max_size} for the AutoScalingGroup."
            )
        if wanted < (group.min_size or 0):
            raise ValidationError(
                f"New SetDesiredCapacity value {wanted} is below min value {group.min_size} for the AutoScalingGroup."
            )
        group.desire(wanted, "a user request explicitly set group desired capacity")

    def execute_policy(self, group_name: str) -> None:
        """ExecutePolicy; AWS keeps the result within the bounds, and knows a policy by name or ARN.

        Raises:
            ValidationError: there is no such policy
            NotImplementedError: it is no simple scaling policy
        """
        named = (policy for policy in self.policies.values() if group_name in {policy.name, policy.arn})
        policy = next(named, None)
        if policy is None:
            raise ValidationError(f"No policy found with name {group_name}")
        if policy.policy_type != "SimpleScaling":
            raise NotImplementedError(f"ExecutePolicy of a {policy.policy_type} policy")
        group = self.group(policy.auto_scaling_group_name)
        before, adjustment = group.desired_capacity or 0, int(policy.scaling_adjustment or 0)
        wanted = adjusted(str(policy.adjustment_type), before, adjustment, int(policy.min_adjustment_magnitude or 0))
        wanted = min(max(wanted, group.min_size or 0), group.max_size or 0)
        group.desire(wanted, f"a user request executed policy {policy.name}")

    def delete_auto_scaling_group(self, group_name: str) -> None:
        """CloudFormation's way, which forces; moto's puts another group of the name in its place at once."""
        self.group(group_name).delete_all()
        self.autoscaling_groups.pop(group_name, None)

    def remove(self, group_name: str, *, force: bool) -> None:
        """DeleteAutoScalingGroup; moto knows no ForceDelete and always forces."""
        group = self.group(group_name)
        if (group.instance_states or group.pool) and not force:
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
                "still in the group.",
            )
        group.delete_all()
        self._remove_deleted(group)

    def _remove_deleted(self, group: Group) -> None:
        if group.status and not group.instance_states and not group.pool:
            self.autoscaling_groups.pop(group.name, None)

    def resume_processes(self, group_name: str, scaling_processes: list[str]) -> None:
        """Let processes of a group go on, and do at once what they were kept from."""
        group = self.group(group_name)
        super().resume_processes(group_name, scaling_processes)
        self._replace_unhealthy(group)
        group.reconcile()

    # --- instances

    def terminate(self, instance_id: str, *, decrement: bool) -> Activity:
        """TerminateInstanceInAutoScalingGroup.

        For an instance that is on its way out already the capacity goes down once more: kubernetes/autoscaler#5411
        saw a group dwindle to its minimum so.

        Raises:
            ValidationError: there is no such instance, or the group would become too small
        """
        group, state = self._managed(instance_id)
        before = group.desired_capacity or 0
        cause = f"instance {instance_id} was taken out of service in response to a user request"
        if decrement:
            if before <= (group.min_size or 0):
                raise ValidationError(
                    f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without "
                    "replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity "
                    "flag to false or lower group's min size."
                )
            group.desired_capacity = before - min(group.weight(state), before)
            cause += f", shrinking the capacity from {before} to {group.desired_capacity}"
        group.end(state, at(f"{cause}."))
        activity = group.journal.current(state)
        group.reconcile()
        return activity

    def set_instance_protection(
        self, group_name: str, instance_ids: list[str], protected_from_scale_in: bool | None
    ) -> None:
        """Protect instances from scale-in, or end that.

        Raises:
            ValidationError: an instance is not the group's, or in no state to be protected; then none of them is
        """
        group = self.group(group_name)
        states = {state.instance_id: state for state in group.instance_states}
        for instance_id in instance_ids:
            if instance_id not in states:
                raise ValidationError(f"The instance {instance_id} is not part of Auto Scaling group {group_name}.")
        for instance_id in instance_ids:
            if states[instance_id].lifecycle_state not in _PROTECTABLE:
                raise ValidationError(f"The instance {instance_id} is not in InService or EnteringStandby or Standby.")
        super().set_instance_protection(group_name, instance_ids, protected_from_scale_in)
        group.reconcile()

    def set_health(self, instance_id: str, health: str, *, respect_grace: bool) -> None:
        """SetInstanceHealth: an unhealthy instance is replaced.

        In the group's grace period nothing happens unless the call says not to respect it.

        Raises:
            ValidationError: there is no such instance
        """
        group, state = self._managed(instance_id)
        grace = float(group.health_check_grace_period or 0)
        began = group.in_service_since(state)
        if health == "Unhealthy" and respect_grace and (began is None or (now() - began).total_seconds() < grace):
            return
        state.health_status = health
        self._replace_unhealthy(group)

    def _replace_unhealthy(self, group: Group) -> None:
        if group.suspended("ReplaceUnhealthy") or group.suspended("Terminate"):
            return
        for state in list(group.instance_states):
            if state.health_status == "Unhealthy" and state.lifecycle_state == "InService":
                check = "an instance was taken out of service in response to a user health-check."
                group.end(state, at(check))
        group.reconcile()

    def launch_instances(
        self, group_name: str, capacity: int, token: str, where: dict[str, Sequence[str]], *, retry: bool
    ) -> Launched:
        """LaunchInstances, by the guide ("Launch instances synchronously") and botocore's model.

        Raises:
            ValidationError: the group, or what is asked of it, does not allow it
            AutoscalingClientError: IdempotentParameterMismatch
        """
        request = {"group": group_name, "capacity": capacity, "where": where, "retry": retry}
        if (earlier := self._launched.get((group_name, token))) is not None:
            if earlier.request != request:
                raise AutoscalingClientError(
                    "IdempotentParameterMismatch",
                    "The parameters in the current request do not match the parameters from a previous request with "
                    "the same client token.",
                )
            return earlier
        group = self.group(group_name)
        subnets = self._launchable(group, capacity, where)
        states, refusals = group.launch_now(capacity, subnets, retry=retry)
        self._launched[group_name, token] = Launched(request, states, refusals)
        return self._launched[group_name, token]

    def _launchable(self, group: Group, capacity: int, where: dict[str, Sequence[str]]) -> list[str]:
        if group.ec2_launch_template is None:
            raise ValidationError("LaunchInstances requires an Auto Scaling group with a launch template.")
        if group.configuration.wholly is None:
            raise ValidationError(
                "LaunchInstances does not support mixed instances policies that combine On-Demand and Spot Instances."
            )
        most, desired = group.max_size or 0, group.desired_capacity or 0
        if desired + capacity > most:
            raise ValidationError(
                f"Requested capacity {capacity} would bring the group from {desired} above its max size {most}."
            )
        if capacity / min(group.configuration.weights.values()) > _MOST_LAUNCHED:
            raise ValidationError(f"At most {_MOST_LAUNCHED} instances can be launched at once.")
        zones, zone_ids, subnets = where["zones"], where["zone_ids"], where["subnets"]
        if zones and zone_ids:
            raise ValidationError("You cannot specify both AvailabilityZones and AvailabilityZoneIds.")
        named = [
            subnet
            for subnet in self.ec2_backend.describe_subnets(subnet_ids=(group.vpc_zone_identifier or "").split(","))
            if (not zones or subnet.availability_zone in zones)
            and (not zone_ids or subnet.availability_zone_id in zone_ids)
            and (not subnets or subnet.id in subnets)
        ]
        if not named:
            raise ValidationError("The Availability Zones or subnets are not part of the Auto Scaling group.")
        if len({subnet.availability_zone for subnet in named}) > 1:
            raise ValidationError(
                "Either AvailabilityZones or SubnetIds must be specified for a group with multiple Availability Zones."
            )
        return [subnet.id for subnet in named]

    # --- what others tell

    def notify_terminate_instances(self, instance_ids: list[str]) -> None:
        """Nothing: EC2 tells by `ending` and `ended`, whoever asked it to end an instance."""

    def ending(self, instance: Instance) -> None:
        """EC2 begins to end an instance."""
        for group in self.groups():
            group.ending(instance.id)

    def ended(self, instance: Instance) -> None:
        """EC2 has ended an instance."""
        for group in self.groups():
            group.ended(instance.id)
            self._remove_deleted(group)

    def drained(self, instance_id: str) -> None:
        """No ECS task is left on an instance."""
        for group in self.groups():
            group.drained(instance_id)

    # --- lifecycle hooks and warm pools

    def complete_lifecycle_action(self, group_name: str, hook: str, instance_id: str, result: str) -> None:
        """CompleteLifecycleAction, which moto lacks."""
        if result not in {"ABANDON", "CONTINUE"}:
            raise ValidationError(f"Lifecycle action result '{result}' is not valid: ABANDON or CONTINUE.")
        self.group(group_name).complete(instance_id, hook, result)

    def remove_warm_pool(self, group_name: str, *, force: bool) -> None:
        """DeleteWarmPool; moto knows no ForceDelete."""
        group = self.group(group_name)
        if group.warm_pool is None:
            raise ValidationError(f"No warm pool found for Auto Scaling group {group_name}")
        if group.pool and not force:
            raise AutoscalingClientError("ResourceInUse", "The warm pool still has instances.")
        group.delete_warm_pool()

    def _managed(self, instance_id: str) -> tuple[Group, InstanceState]:
        for group in self.groups():
            for state in group.instance_states:
                if state.instance_id == instance_id:
                    return group, state
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def adjusted(kind: str, before: int, adjustment: int, least: int) -> int:
    """The capacity that a simple scaling policy asks for.

    A percentage is rounded towards zero, and up to one instance (Auto Scaling guide, "Scaling adjustment types").
    """
    if kind == "ExactCapacity":
        return adjustment
    change = adjustment
    if kind == "PercentChangeInCapacity":
        exact = before * adjustment / 100
        size = max(math.floor(abs(exact)), 1 if exact else 0, least)
        change = size if exact > 0 else -size
    return before + change
