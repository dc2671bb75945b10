"""Auto Scaling groups whose instances take time to come, join ECS clusters, and drain before they go."""

from __future__ import annotations

import copy
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

from emulator import user_data
from emulator.context import Context
from emulator.ecs.backend import EcsBackend
from emulator.ecs.model import ContainerInstance
from emulator.instances import ecs_of, join_cluster
from emulator.patching import OwnUrls, keep_with, serve_with
from emulator.timers import Timers

log = logging.getLogger(__name__)

_SSM = "resolve:ssm:"
_COMING = frozenset({"Pending", "Pending:Wait", "InService"})
_LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
# From a warm pool an instance comes in this part of the time that a new one takes.
_WARM = 0.25
_ALL = 100


class Group(FakeAutoScalingGroup):
    """In moto instances come and go at once and do nothing, and warm pools and hooks are only written down."""

    timers: Timers
    instance_seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._deleted = False
        self.warm_pool = None
        self.pool: list[InstanceState] = []
        self._initialised: set[str] = set()
        # What holds an instance in a wait state, by its id: each wait is its own.
        self._waits: dict[str, object] = {}
        super().__init__(*args, **kwargs)

    @property
    def warm_pool_size(self) -> int | None:
        return len(self.pool) if self.warm_pool else None

    def update(self, *args: Any, **given: Any) -> None:
        """UpdateAutoScalingGroup; what a call leaves out stays as it was, and moto would forget the policy."""
        names = ("mixed_instances_policy", "launch_template", "launch_config_name")
        if self.mixed_instances_policy and not any(given.get(name) for name in names):
            kept = copy.deepcopy(self.mixed_instances_policy)
            # It has the template's name as well by now, and a call may say only one of both.
            kept["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
            given["mixed_instances_policy"] = kept
        super().update(*args, **given)

    def set_desired_capacity(self, new_capacity: int | None) -> None:
        self.desired_capacity = self.min_size if new_capacity is None else new_capacity
        self.reconcile()

    def reconcile(self) -> None:
        """Launch what is missing, end what is too much and not protected."""
        alive = [state for state in self.instance_states if state.lifecycle_state in _COMING]
        missing = (self.desired_capacity or 0) - len(alive)
        suspended = {process["ProcessName"] for process in self.suspended_processes}
        if missing > 0 and "Launch" not in suspended and not self._deleted:
            warm = [state for state in self.pool if "Pending" not in state.lifecycle_state][:missing]
            for state in warm:
                self._take(state)
            self.replace_autoscaling_group_instances(missing - len(warm), self.get_propagated_tags())
        elif missing < 0 and "Terminate" not in suspended:
            # Those that are not ready yet go first, then the oldest.
            free = [state for state in alive if not state.protected_from_scale_in]
            free.sort(key=lambda state: state.lifecycle_state == "InService")
            for state in free[:-missing]:
                self.end(state)
        self._fill()

    def replace_autoscaling_group_instances(self, count_needed: int, propagated_tags: dict[str, str]) -> None:
        for _ in range(count_needed):
            state = self._launch(propagated_tags, "Pending")
            self.instance_states.append(state)
            self._start(state, self.instance_seconds)

    def put_warm_pool(self, *args: Any, **kwargs: Any) -> None:
        """PutWarmPool; Auto Scaling keeps no Spot instances in a pool.

        Raises:
            ValidationError: the group launches some
        """
        distribution = (self.mixed_instances_policy or {}).get("InstancesDistribution") or {}
        if distribution.get("OnDemandPercentageAboveBaseCapacity") not in {None, _ALL, str(_ALL)}:
            raise ValidationError(
                "You can't add a warm pool to an Auto Scaling group that has a mixed instances policy with Spot "
                "Instances."
            )
        super().put_warm_pool(*args, **kwargs)
        self._fill()

    def delete_warm_pool(self) -> None:
        """End the pool and what waits in it."""
        self.warm_pool = None
        self._fill()

    def complete(self, instance_id: str, hook: str, result: str) -> None:
        """Let an instance go on, or abandon it.

        Raises:
            ValidationError: nothing holds it
        """
        waiting = (
            state
            for state in (*self.instance_states, *self.pool)
            if state.instance_id == instance_id and "Pending:Wait" in state.lifecycle_state
        )
        state = next(waiting, None)
        if state is None or hook not in [known.name for known in self._launch_hooks()]:
            raise ValidationError(f"No active Lifecycle Action found with instance ID {instance_id}")
        self._waits.pop(instance_id, None)
        if result == "CONTINUE":
            self._proceed(state)
        else:
            self._drop(state)
            self.reconcile()

    def _launch(self, tags: dict[str, str], lifecycle_state: str) -> InstanceState:
        # moto puts all into the first subnet and knows neither overrides nor the launch template's version.
        subnets = (self.vpc_zone_identifier or "").split(",")
        there = [*self.instance_states, *self.pool]
        subnet = min(subnets, key=lambda wanted: sum(state.instance.subnet_id == wanted for state in there))
        template = self.ec2_launch_template
        reservation = self.ec2_backend.run_instances(
            self._resolved_image(),
            1,
            self.user_data,
            [] if template else self.security_groups,
            instance_type=self._instance_type(),
            is_instance_type_default=False,
            tags={"instance": {**tags, ASG_NAME_TAG: self.name}},
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
        return InstanceState(
            instance,
            lifecycle_state=lifecycle_state,
            protected_from_scale_in=self.new_instances_protected_from_scale_in,
        )

    def _take(self, state: InstanceState) -> None:
        """Out of the warm pool, into the group."""
        self.pool.remove(state)
        self.instance_states.append(state)
        state.lifecycle_state = "Pending"
        self.ec2_backend.start_instances([state.instance_id])
        self._start(state, self.instance_seconds * _WARM)

    def _fill(self) -> None:
        """Keep the warm pool at its size: what the group leaves of the bound, and at least the minimum."""
        size = 0
        if self.warm_pool and not self._deleted:
            bound = self.warm_pool.max_group_prepared_capacity
            bound = self.max_size if bound is None or bound < 0 else bound
            size = max(self.warm_pool.min_size, (bound or 0) - (self.desired_capacity or 0), 0)
        for state in self.pool[size:]:
            self._drop(state)
        for _ in range(size - len(self.pool)):
            state = self._launch(self.get_propagated_tags(), "Warmed:Pending")
            self.pool.append(state)
            self._start(state, self.instance_seconds)

    def _start(self, state: InstanceState, seconds: float) -> None:
        # On AWS too an instance runs long before Windows and the agent are up.
        self.timers.after(seconds / 2, partial(self._running, state))
        self.timers.after(seconds, partial(self._user_data_done, state))

    def _launch_hooks(self) -> list[LifecycleHook]:
        hooks = autoscaling_backends[self.account_id][self.region].describe_lifecycle_hooks(self.name)
        return [hook for hook in hooks if hook.lifecycle_transition == _LAUNCHING]

    def _running(self, state: InstanceState) -> None:
        """EC2 runs an instance: it goes on, unless a launch hook holds it."""
        if state.lifecycle_state not in {"Pending", "Warmed:Pending"}:
            return
        hooks = self._launch_hooks()
        if not hooks:
            self._proceed(state)
            return
        state.lifecycle_state += ":Wait"
        wait = self._waits[state.instance_id] = object()
        self.timers.after(hooks[0].heartbeat_timeout, partial(self._timed_out, state, wait, hooks[0]))

    def _timed_out(self, state: InstanceState, wait: object, hook: LifecycleHook) -> None:
        if self._waits.get(state.instance_id) is wait:
            self.complete(state.instance_id, hook.name, hook.default_result)

    def _user_data_done(self, state: InstanceState) -> None:
        """An instance's user data has run; it may complete the hook that holds the instance."""
        if state not in self.instance_states and state not in self.pool:
            return
        self._initialised.add(state.instance_id)
        hook = user_data.parse(str(state.instance.user_data or "")).launch_hook
        if "Pending:Wait" in state.lifecycle_state and hook in [known.name for known in self._launch_hooks()]:
            self.complete(state.instance_id, str(hook), "CONTINUE")
        else:
            self._join(state)

    def _proceed(self, state: InstanceState) -> None:
        if state in self.instance_states:
            state.lifecycle_state = "InService"
            self._join(state)
        elif self.warm_pool:
            state.lifecycle_state = f"Warmed:{self.warm_pool.pool_state}"
            self._initialised.discard(state.instance_id)
            if self.warm_pool.pool_state != "Running":
                self.ec2_backend.stop_instances([state.instance_id])

    def _join(self, state: InstanceState) -> None:
        # An agent that checks for warm pools joins when its instance is in service, and not before.
        if state.lifecycle_state == "InService" and state.instance_id in self._initialised:
            join_cluster(state.instance, self.arn)

    def _drop(self, state: InstanceState) -> None:
        """End an instance without draining it."""
        self._waits.pop(state.instance_id, None)
        self.instance_states = [other for other in self.instance_states if other is not state]
        self.pool = [other for other in self.pool if other is not state]
        state.lifecycle_state = "Terminating"
        self.ec2_backend.terminate_instances([state.instance_id])

    def end(self, state: InstanceState) -> None:
        """Terminate an instance; with managed draining only when no ECS task is left on it."""
        registered = ecs_of(state.instance).instance_of(state.instance_id)
        if registered is not None and registered.tasks and self._managed_draining(registered):
            # A capacity provider's managed draining holds the instance by a lifecycle hook and drains it; standalone
            # ECS tasks end by themselves.
            state.lifecycle_state = "Terminating:Wait"
            ecs_of(state.instance).set_instance_state(registered, "DRAINING")
            return
        self._drop(state)

    def drained(self, instance_id: str) -> None:
        """No ECS task is left on an instance: it goes if that was waited for."""
        for state in self.instance_states:
            if state.instance_id == instance_id and state.lifecycle_state == "Terminating:Wait":
                self.end(state)
                return

    def delete_all(self) -> None:
        """End every instance without waiting, as ForceDelete does."""
        self._deleted = True
        for state in [*self.instance_states, *self.pool]:
            self._drop(state)

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
            pooled = [state for state in group.pool if state.instance_id not in instance_ids]  # type: ignore[attr-defined]
            if len(kept) + len(pooled) != len(group.instance_states) + len(group.pool):  # type: ignore[attr-defined]
                group.instance_states, group.pool = kept, pooled  # type: ignore[attr-defined]
                group.reconcile()  # type: ignore[attr-defined]

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

    def complete_lifecycle_action(self) -> ActionResult:
        backend: GroupsBackend = self.autoscaling_backend  # type: ignore[assignment]
        backend.complete_lifecycle_action(
            self._get_param("AutoScalingGroupName"),
            self._get_param("LifecycleHookName"),
            self._get_param("InstanceId"),
            self._get_param("LifecycleActionResult"),
        )
        return EmptyResult()

    def describe_warm_pool(self) -> ActionResult:
        backend: GroupsBackend = self.autoscaling_backend  # type: ignore[assignment]
        group = backend.group(self._get_param("AutoScalingGroupName"))
        return ActionResult({"WarmPoolConfiguration": group.warm_pool, "Instances": group.pool})

    def delete_warm_pool(self) -> ActionResult:
        backend: GroupsBackend = self.autoscaling_backend  # type: ignore[assignment]
        force = bool(self._get_bool_param("ForceDelete", False))
        backend.remove_warm_pool(self._get_param("AutoScalingGroupName"), force=force)
        return EmptyResult()


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
