"""Auto Scaling's requests and answers, with the parameters that moto drops."""

from __future__ import annotations

from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import InstanceState, LifecycleHook
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from emulator.autoscaling.backend import GroupsBackend
from emulator.autoscaling.capacity import SPOT, Place

_PAGE = 100
_MARKETS = {SPOT: "Spot"}


class GroupsResponse(AutoScalingResponse):
    """moto's handlers under the emulator's own."""

    @property
    def _backend(self) -> GroupsBackend:
        return self.autoscaling_backend  # type: ignore[return-value]

    def delete_auto_scaling_group(self) -> ActionResult:
        """Answer DeleteAutoScalingGroup, with the ForceDelete that moto drops."""
        force = bool(self._get_bool_param("ForceDelete", False))
        self._backend.remove(self._get_param("AutoScalingGroupName"), force=force)
        return EmptyResult()

    def describe_scaling_activities(self) -> ActionResult:
        """Answer DescribeScalingActivities with the groups' own activities.

        Raises:
            ValidationError: no answer gave this NextToken
        """
        backend = self._backend
        deleted = self._get_bool_param("IncludeDeletedGroups", False)
        try:
            activities, token = backend.activities.page(
                self._get_param("AutoScalingGroupName"),
                self._get_param("ActivityIds", []),
                None if deleted else list(backend.autoscaling_groups),
                min(self._get_int_param("MaxRecords") or _PAGE, _PAGE),
                self._get_param("NextToken"),
            )
        except ValueError as error:
            raise ValidationError("The NextToken value is not valid.") from error
        return ActionResult({"Activities": [activity.describe() for activity in activities], "NextToken": token})

    def terminate_instance_in_auto_scaling_group(self) -> ActionResult:
        """Answer TerminateInstanceInAutoScalingGroup, which may name several instances, too."""
        decrement = bool(self._get_bool_param("ShouldDecrementDesiredCapacity", False))
        if several := self._get_param("InstanceIds", []):
            ended = [self._backend.terminate(instance_id, decrement=decrement) for instance_id in several]
            return ActionResult({"Activities": [activity.describe() for activity in ended]})
        activity = self._backend.terminate(self._get_param("InstanceId"), decrement=decrement)
        return ActionResult({"Activity": activity.describe()})

    def set_instance_health(self) -> ActionResult:
        """Answer SetInstanceHealth, with the grace period that moto drops.

        Raises:
            ValidationError: there is no such state of health, or no such instance
        """
        health = self._get_param("HealthStatus")
        if health not in {"Healthy", "Unhealthy"}:
            raise ValidationError("Valid instance health states are: [Healthy, Unhealthy].")
        respect = bool(self._get_bool_param("ShouldRespectGracePeriod", True))
        self._backend.set_health(self._get_param("InstanceId"), health, respect_grace=respect)
        return EmptyResult()

    def launch_instances(self) -> ActionResult:
        """LaunchInstances, which moto lacks."""
        name, token = self._get_param("AutoScalingGroupName"), self._get_param("ClientToken")
        where = {
            "zones": self._get_param("AvailabilityZones", []),
            "zone_ids": self._get_param("AvailabilityZoneIds", []),
            "subnets": self._get_param("SubnetIds", []),
        }
        retry = self._get_param("RetryStrategy") == "retry-with-group-configuration"
        count = self._get_int_param("RequestedCapacity")
        done = self._backend.launch_instances(name, count, token, where, retry=retry)
        launched: dict[Place, list[str]] = {}
        for state in done.states:
            launched.setdefault(_place(state), []).append(state.instance_id)
        return ActionResult(
            {
                "AutoScalingGroupName": name,
                "ClientToken": token,
                "Instances": [{**self._describe(place), "InstanceIds": ids} for place, ids in launched.items()],
                "Errors": [
                    {**self._describe(entry.place), "ErrorCode": entry.code, "ErrorMessage": entry.message}
                    for entry in done.refusals
                ],
            }
        )

    def _describe(self, place: Place) -> dict[str, Any]:
        subnet = self._backend.ec2_backend.get_subnet(str(place.subnet))
        return {
            "InstanceType": place.type,
            "MarketType": _MARKETS.get(place.market, "OnDemand"),
            "SubnetId": place.subnet,
            "AvailabilityZone": place.zone,
            "AvailabilityZoneId": subnet.availability_zone_id,
        }

    def put_scaling_policy(self) -> ActionResult:
        """Answer PutScalingPolicy, and remember whether the policy is on, which moto forgets."""
        super().put_scaling_policy()
        policy: Any = self.autoscaling_backend.policies[self._get_param("PolicyName")]
        # moto forgets whether it is on, shows a configuration that nobody gave, and gives the ARN a name that no client
        # reads.
        policy.enabled = self._get_bool_param("Enabled", True)
        policy.predictive_scaling_configuration = policy.predictive_scaling_configuration or None
        return ActionResult({"PolicyARN": policy.arn})

    def put_lifecycle_hook(self) -> ActionResult:
        """Answer PutLifecycleHook, and remember whom the hook tells, which moto forgets."""
        result = super().put_lifecycle_hook()
        name, group = self._get_param("LifecycleHookName"), self._get_param("AutoScalingGroupName")
        hook: LifecycleHook = self.autoscaling_backend.lifecycle_hooks[f"{group}_{name}"]
        for parameter in ("RoleARN", "NotificationTargetARN", "NotificationMetadata"):
            setattr(hook, parameter, self._get_param(parameter))
        return result

    def complete_lifecycle_action(self) -> ActionResult:
        """Answer CompleteLifecycleAction, which moto lacks."""
        self._backend.complete_lifecycle_action(
            self._get_param("AutoScalingGroupName"),
            self._get_param("LifecycleHookName"),
            self._get_param("InstanceId"),
            self._get_param("LifecycleActionResult"),
        )
        return EmptyResult()

    def describe_warm_pool(self) -> ActionResult:
        """Answer DescribeWarmPool with the group's real pool."""
        group = self._backend.group(self._get_param("AutoScalingGroupName"))
        return ActionResult({"WarmPoolConfiguration": group.warm_pool, "Instances": group.pool})

    def delete_warm_pool(self) -> ActionResult:
        """Answer DeleteWarmPool, with the ForceDelete that moto drops."""
        force = bool(self._get_bool_param("ForceDelete", False))
        self._backend.remove_warm_pool(self._get_param("AutoScalingGroupName"), force=force)
        return EmptyResult()


def _place(state: InstanceState) -> Place:
    instance = state.instance
    market = instance.lifecycle or "on-demand"
    return Place(str(state.instance_type), str(state.availability_zone), instance.subnet_id, market)
