"""Auto Scaling groups whose instances take time to come, join ECS clusters, and drain before they go."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from moto.autoscaling import models
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import (
    ASG_NAME_TAG,
    AutoScalingBackend,
    FakeAutoScalingGroup,
    InstanceState,
    LifecycleHook,
    TerminateInstanceActivity,
    autoscaling_backends,
)
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import EC2Backend
from moto.ecs.models import ecs_backends
from moto.ssm.models import ssm_backends

from emulator.context import Context
from emulator.ecs.backend import EcsBackend
from emulator.ecs.model import ContainerInstance
from emulator.instances import ecs_of, join_cluster
from emulator.patching import OwnUrls, keep_with, serve_with
from emulator.timers import Timers

log = logging.getLogger(__name__)

_SSM = "resolve:ssm:"
_COMING = frozenset({"Pending", "InService"})


class Group(FakeAutoScalingGroup):
    """moto launches and ends instances at once, and none of them does anything."""

    timers: Timers
    instance_seconds: float
    _deleted = False

    def set_desired_capacity(self, new_capacity: int | None) -> None:
        self.desired_capacity = self.min_size if new_capacity is None else new_capacity
        self.reconcile()

    def reconcile(self) -> None:
        """Launch what is missing, end what is too much and not protected."""
        alive = [state for state in self.instance_states if state.lifecycle_state in _COMING]
        missing = (self.desired_capacity or 0) - len(alive)
        suspended = {process["ProcessName"] for process in self.suspended_processes}
        if missing > 0 and "Launch" not in suspended and not self._deleted:
            self.replace_autoscaling_group_instances(missing, self.get_propagated_tags())
        elif missing < 0 and "Terminate" not in suspended:
            # Those that are not ready yet go first, then the oldest.
            free = [state for state in alive if not state.protected_from_scale_in]
            free.sort(key=lambda state: state.lifecycle_state != "Pending")
            for state in free[:-missing]:
                self.end(state)

    def replace_autoscaling_group_instances(self, count_needed: int, propagated_tags: dict[str, str]) -> None:
        subnets = (self.vpc_zone_identifier or "").split(",")
        for _ in range(count_needed):
            # moto puts all into the first subnet and knows neither overrides nor the launch template's version.
            subnet = min(subnets, key=lambda wanted: sum(s.instance.subnet_id == wanted for s in self.instance_states))
            template = self.ec2_launch_template
            reservation = self.ec2_backend.run_instances(
                self._resolved_image(),
                1,
                self.user_data,
                [] if template else self.security_groups,
                instance_type=self._instance_type(),
                is_instance_type_default=False,
                tags={"instance": {**propagated_tags, ASG_NAME_TAG: self.name}},
                placement=self.availability_zones[0],
                launch_config=self.launch_config,
                launch_template={"LaunchTemplateId": template.id, "Version": self.launch_template_version}
                if template
                else None,
                region_name=self.region,
                subnet_id=subnet or None,
            )
            instance = reservation.instances[0]
            instance.autoscaling_group = self  # type: ignore[attr-defined]
            state = InstanceState(
                instance,
                lifecycle_state="Pending",
                protected_from_scale_in=self.new_instances_protected_from_scale_in,
            )
            self.instance_states.append(state)
            # On AWS too an instance is InService when it runs, and joins its cluster when Windows and the agent are up.
            self.timers.after(self.instance_seconds / 2, partial(self._in_service, state))
            self.timers.after(self.instance_seconds, partial(self._join, state))

    def end(self, state: InstanceState, *, at_once: bool = False) -> None:
        """Terminate an instance; with managed draining only when no ECS task is left on it."""
        registered = ecs_of(state.instance).instance_of(state.instance_id)
        if registered is not None and registered.tasks and not at_once and self._managed_draining(registered):
            # A capacity provider's managed draining holds the instance by a lifecycle hook and drains it; standalone
            # ECS tasks end by themselves.
            state.lifecycle_state = "Terminating:Wait"
            ecs_of(state.instance).set_instance_state(registered, "DRAINING")
            return
        state.lifecycle_state = "Terminating"
        self.ec2_backend.terminate_instances([state.instance_id])
        self.instance_states = [other for other in self.instance_states if other is not state]

    def drained(self, instance_id: str) -> None:
        """No ECS task is left on an instance: it goes if that was waited for."""
        for state in self.instance_states:
            if state.instance_id == instance_id and state.lifecycle_state == "Terminating:Wait":
                self.end(state)
                return

    def delete_all(self) -> None:
        """End every instance without waiting, as ForceDelete does."""
        self._deleted = True
        for state in list(self.instance_states):
            self.end(state, at_once=True)

    def _in_service(self, state: InstanceState) -> None:
        if state in self.instance_states and state.lifecycle_state == "Pending":
            state.lifecycle_state = "InService"

    def _join(self, state: InstanceState) -> None:
        if state in self.instance_states and state.lifecycle_state == "InService":
            join_cluster(state.instance, self.arn)

    def _managed_draining(self, registered: ContainerInstance) -> bool:
        providers = ecs_backends[self.account_id][self.region].capacity_providers
        provider = providers.get(registered.capacity_provider or "")
        return provider is not None and provider.auto_scaling_group_provider.get("managedDraining") != "DISABLED"

    def _instance_type(self) -> str:
        # The first override, as "prioritized" takes it; Spot's strategies are not emulated.
        overrides = ((self.mixed_instances_policy or {}).get("LaunchTemplate") or {}).get("Overrides") or []
        named = (override["InstanceType"] for override in overrides if "InstanceType" in override)
        return next(named, self.instance_type)

    def _resolved_image(self) -> str:
        image = self.image_id
        if not image.startswith(_SSM):
            return image
        parameter = ssm_backends[self.account_id][self.region].get_parameter(image.removeprefix(_SSM))
        if parameter is None:
            raise AutoscalingClientError(
                "ValidationError", f"You must use a valid fully-formed launch template. {image}"
            )
        return str(parameter.value)


class GroupsBackend(OwnUrls, AutoScalingBackend):
    """moto's groups with the checks that it lacks."""

    moto_service = "autoscaling"

    def group(self, name: str) -> Group:
        """A group by name.

        Raises:
            ValidationError: there is none
        """
        if name not in self.autoscaling_groups:
            # moto raises a KeyError: HTTP 500.
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return self.autoscaling_groups[name]  # type: ignore[return-value]

    def set_desired_capacity(self, group_name: str, desired_capacity: int | None) -> None:
        group = self.group(group_name)
        wanted = desired_capacity or 0
        # AWS keeps to the bounds; moto does not look.
        if wanted > (group.max_size or 0):
            raise ValidationError(
                f"New SetDesiredCapacity value {wanted} is above max value {group.max_size} for the AutoScalingGroup."
            )
        if wanted < (group.min_size or 0):
            raise ValidationError(
                f"New SetDesiredCapacity value {wanted} is below min value {group.min_size} for the AutoScalingGroup."
            )
        super().set_desired_capacity(group_name, wanted)

    def remove(self, group_name: str, *, force: bool) -> None:
        """DeleteAutoScalingGroup; moto knows no ForceDelete and always forces."""
        group = self.group(group_name)
        if group.instance_states and not force:
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
                "still in the group.",
            )
        group.delete_all()
        del self.autoscaling_groups[group_name]

    def terminate_instance(self, instance_id: str, should_decrement: bool) -> TerminateInstanceActivity:
        group, state = self._managed(instance_id)
        before = group.desired_capacity or 0
        if should_decrement:
            if before <= (group.min_size or 0):
                raise ValidationError(
                    f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without "
                    "replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity "
                    "flag to false or lower group's min size."
                )
            group.desired_capacity = before - 1
        group.end(state)
        group.reconcile()
        return TerminateInstanceActivity(state.instance, before)

    def set_instance_protection(
        self, group_name: str, instance_ids: list[str], protected_from_scale_in: bool | None
    ) -> None:
        members = {state.instance_id for state in self.group(group_name).instance_states}
        if strangers := set(instance_ids) - members:
            raise ValidationError(
                f"The instance {', '.join(sorted(strangers))} is not part of Auto Scaling group {group_name}."
            )
        super().set_instance_protection(group_name, instance_ids, protected_from_scale_in)

    def notify_terminate_instances(self, instance_ids: list[str]) -> None:
        # EC2 ended them: the group notices and replaces them.
        for group in self.autoscaling_groups.values():
            kept = [state for state in group.instance_states if state.instance_id not in instance_ids]
            if len(kept) != len(group.instance_states):
                group.instance_states = kept
                group.reconcile()  # type: ignore[attr-defined]

    def _managed(self, instance_id: str) -> tuple[Group, InstanceState]:
        for group in self.autoscaling_groups.values():
            for state in group.instance_states:
                if state.instance_id == instance_id:
                    return group, state  # type: ignore[return-value]
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


class GroupsResponse(AutoScalingResponse):
    """moto's handlers, with the parameters that it drops."""

    def delete_auto_scaling_group(self) -> ActionResult:
        backend: GroupsBackend = self.autoscaling_backend  # type: ignore[assignment]
        backend.remove(self._get_param("AutoScalingGroupName"), force=bool(self._get_bool_param("ForceDelete", False)))
        return EmptyResult()

    def put_scaling_policy(self) -> ActionResult:
        super().put_scaling_policy()
        policy: Any = self.autoscaling_backend.policies[self._get_param("PolicyName")]
        # moto forgets whether it is on, shows a configuration that nobody gave, and gives the ARN a name that no client
        # reads.
        policy.enabled = self._get_bool_param("Enabled", True)
        policy.predictive_scaling_configuration = policy.predictive_scaling_configuration or None
        return ActionResult({"PolicyARN": policy.arn})

    def put_lifecycle_hook(self) -> ActionResult:
        result = super().put_lifecycle_hook()
        name, group = self._get_param("LifecycleHookName"), self._get_param("AutoScalingGroupName")
        hook: LifecycleHook = self.autoscaling_backend.lifecycle_hooks[f"{group}_{name}"]
        # moto forgets whom the hook tells.
        for parameter in ("RoleARN", "NotificationTargetARN", "NotificationMetadata"):
            setattr(hook, parameter, self._get_param(parameter))
        return result


def replace_lost(backend: EC2Backend, instance_id: str) -> None:
    """An instance of EC2's is gone: its group, if it has one, replaces it."""
    autoscaling_backends[backend.account_id][backend.region_name].notify_terminate_instances([instance_id])


def install(context: Context) -> None:
    """Serve Auto Scaling."""
    Group.timers = context.timers
    Group.instance_seconds = context.instance_seconds
    models.FakeAutoScalingGroup = Group  # type: ignore[misc] # where moto's backend looks for its class
    keep_with(autoscaling_backends, GroupsBackend)
    serve_with("autoscaling", GroupsResponse, AutoScalingResponse)
    EcsBackend.on_idle = staticmethod(_drained)


def _drained(instance: ContainerInstance) -> None:
    for _, _, backend in autoscaling_backends.iter_backends():
        for group in list(backend.autoscaling_groups.values()):  # type: ignore[attr-defined]
            group.drained(instance.ec2_instance_id)


def shutdown() -> None:
    """The timers are stopped by their owner."""
