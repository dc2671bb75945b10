"""One Auto Scaling group, whose instances take time to come and to go, and drain in between.

In moto instances come and go at once and do nothing, and warm pools and hooks are only written down.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import InstanceState, LifecycleHook
from moto.ec2.models.instances import InstanceState as Ec2State
from moto.ecs.models import ecs_backends

from emulator import user_data
from emulator.autoscaling.activities import at, now
from emulator.autoscaling.base import BaseGroup
from emulator.autoscaling.capacity import ON_DEMAND, Refusal, refusal
from emulator.autoscaling.journal import Journal
from emulator.autoscaling.launching import COMING, RESOLVED, launch, places, subnets
from emulator.ecs.model import ContainerInstance
from emulator.faults import Faults
from emulator.instances import ecs_of, join_cluster, may_say
from emulator.timers import Timers

_GOING = frozenset({"Terminating", "Terminating:Wait", "Warmed:Terminating"})
_LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
_TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
# Managed draining holds an instance by a hook of its own on AWS.
_DRAINING = "ecs-managed-draining-termination-hook"
# From a warm pool an instance comes in this part of the time that a new one takes.
_WARM = 0.25
_LEAST_RETRY_SECONDS = 0.5


class Group(BaseGroup):
    """moto's group with instances that live."""

    timers: Timers
    faults: Faults
    instance_seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.status: str | None = None
        self.warm_pool = None
        self.pool = []
        self._initialised: set[str] = set()
        self._in_service_since: dict[str, dt.datetime] = {}
        # The hooks that hold an instance in a wait state, by its id: each wait is its own.
        self._holds: dict[str, set[str]] = {}
        self.journal = Journal(self)
        self._retrying = False
        super().__init__(*args, **kwargs)

    @property
    def warm_pool_size(self) -> int | None:
        """Say how many instances wait in the warm pool; None without one."""
        return len(self.pool) if self.warm_pool else None

    # --- what it is asked for

    def update(self, *args: Any, **given: Any) -> None:
        """UpdateAutoScalingGroup; what a call leaves out stays as it was, and moto would forget the policy."""
        least, most, desired = given.get("min_size"), given.get("max_size"), given.get("desired_capacity")
        if desired is None:
            # By botocore's words on MinSize and MaxSize; moto goes by the instances that there are.
            desired = self.desired_capacity or 0
            desired = max(desired, least if least is not None else desired)
            desired = min(desired, most if most is not None else desired)
        least, most = self._checked(least, most, desired)
        given["desired_capacity"] = None
        names = ("mixed_instances_policy", "launch_template", "launch_config_name")
        if self.mixed_instances_policy and not any(given.get(name) for name in names):
            kept = copy.deepcopy(self.mixed_instances_policy)
            # It has the template's name as well by now, and a call may say only one of both.
            kept["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
            given["mixed_instances_policy"] = kept
        # moto would set the capacity by itself.
        given["min_size"] = given["max_size"] = None
        super().update(*args, **given)
        self.min_size, self.max_size = least, most
        constraints = f"min: {least}, max: {most}, desired: {desired}"
        self.desire(desired, f"a user request update of AutoScalingGroup constraints to {constraints}")

    def _checked(self, least: int | None, most: int | None, desired: int) -> tuple[int, int]:
        least = self.min_size or 0 if least is None else least
        most = self.max_size or 0 if most is None else most
        check_bounds(least, most, desired)
        return least, most

    def set_desired_capacity(self, new_capacity: int | None) -> None:
        """Have another desired capacity; moto's constructor and its way to Standby call this."""
        why = "a user request"
        if not hasattr(self, "desired_capacity"):
            self.desired_capacity = 0
            why = "a user request created an AutoScalingGroup"
        self.desire(self.min_size or 0 if new_capacity is None else new_capacity, why)

    def desire(self, capacity: int, why: str) -> None:
        """Have another desired capacity, for a reason that the activities will say."""
        if capacity != self.desired_capacity:
            self.journal.explain(f"{why} changing the desired capacity from {self.desired_capacity} to {capacity}")
        self.desired_capacity = capacity
        self.reconcile()

    @property
    def size(self) -> int:
        """The capacity that is there or on its way."""
        return sum(self.weight(state) for state in self.instance_states if state.lifecycle_state in COMING)

    def suspended(self, process: str) -> bool:
        """Say whether a process, such as `Launch`, is suspended."""
        return any(entry["ProcessName"] == process for entry in self.suspended_processes)

    def reconcile(self) -> None:
        """Launch what is missing, end what is too much and not protected."""
        alive = [state for state in self.instance_states if state.lifecycle_state in COMING]
        missing = (self.desired_capacity or 0) - sum(map(self.weight, alive))
        if missing > 0 and not self.suspended("Launch") and not self.status:
            warm = [state for state in self.pool if state.lifecycle_state in {"Warmed:Stopped", "Warmed:Running"}]
            while missing > 0 and warm:
                missing -= self.weight(warm[0])
                self._take(warm.pop(0))
            self._launch_missing(missing)
        elif missing < 0 and not self.suspended("Terminate"):
            # Those that are not ready yet go first, then the oldest.
            free = [state for state in alive if not state.protected_from_scale_in]
            free.sort(key=lambda state: state.lifecycle_state == "InService")
            for state in free:
                # With weights, one that is more than what is too much stays.
                if self.weight(state) <= -missing:
                    missing += self.weight(state)
                    self.end(state)
        self.journal.explained()
        self._fill()

    def launch_now(
        self, capacity: int, where: Sequence[str], *, retry: bool
    ) -> tuple[list[InstanceState], list[Refusal]]:
        """LaunchInstances: launch so much in the given subnets, at once or not at all.

        Args:
            capacity: the instances, or what they weigh together
            where: subnets, in their order
            retry: whether what cannot be had is desired all the same, and asked for again later
        """
        launched: list[InstanceState] = []
        refusals: list[Refusal] = []
        before, got = self.desired_capacity or 0, 0
        while got < capacity and not refusals:
            state = self._ask(where, before + capacity, refusals)
            if state is not None:
                refusals.clear()
                launched.append(state)
                got += self.weight(state)
        self.desired_capacity = before + (max(got, capacity) if retry else got)
        self.reconcile()
        return launched, refusals

    # --- launching

    def replace_autoscaling_group_instances(self, count_needed: int, propagated_tags: dict[str, str]) -> None:
        """Refuse moto's way to launch, which nothing calls any more."""
        raise NotImplementedError("instances are launched by reconcile")

    def _launch_missing(self, missing: int) -> None:
        while missing > 0:
            refusals: list[Refusal] = []
            state = self._ask(subnets(self), self.desired_capacity or 0, refusals)
            if state is None:
                self._fail(refusals)
                return
            missing -= self.weight(state)

    def _ask(self, where: Sequence[str], desired: int, refusals: list[Refusal]) -> InstanceState | None:
        """One instance in the first place that has one; what the places say that have none goes to `refusals`."""
        for place in places(self, where, desired):
            code = self.faults.no_capacity(place.type, place.zone, place.market)
            if code is None:
                state = launch(self, place, "Pending")
                self.instance_states.append(state)
                self.journal.begin_launch(state, self.size, self.weight(state))
                self._start(state, self.instance_seconds)
                return state
            zones = [zone.name for zone in self.ec2_backend.describe_availability_zones()]
            refusals.append(refusal(code, place, zones))
        return None

    def _fail(self, refusals: Sequence[Refusal]) -> None:
        """Write down that there was no capacity, in each zone, and try again later, as Auto Scaling does."""
        self.journal.refused(refusals, self.size, mixed=self.configuration.mixed)
        if not self._retrying:
            self._retrying = True
            self.timers.after(max(self.instance_seconds, _LEAST_RETRY_SECONDS), self._retry)

    def _retry(self) -> None:
        self._retrying = False
        self.reconcile()

    def _start(self, state: InstanceState, seconds: float) -> None:
        # On AWS too an instance runs long before Windows and the agent are up.
        self.timers.after(seconds / 2, partial(self._running, state))
        self.timers.after(seconds, partial(self._user_data_done, state))

    def _running(self, state: InstanceState) -> None:
        """EC2 runs an instance: it goes on, unless a launch hook holds it."""
        if state.lifecycle_state not in {"Pending", "Warmed:Pending"}:
            return
        state.instance._state = Ec2State("running", 16)  # noqa: SLF001
        if not self._hold(state, _LAUNCHING):
            self._proceed(state)

    def _user_data_done(self, state: InstanceState) -> None:
        """An instance's user data has run; it may complete the hook that holds the instance."""
        if state.lifecycle_state in _GOING:
            return
        settings = user_data.parse(str(state.instance.user_data or ""))
        if settings.cluster is not None and self.faults.agent_failure():
            # It runs and counts, and nobody but its own script can say that it is of no use.
            if settings.reports and may_say(state.instance, self.arn, "SetInstanceHealth"):
                self.autoscaling_backend.set_health(state.instance_id, "Unhealthy", respect_grace=False)
            return
        self._initialised.add(state.instance_id)
        hook = settings.launch_hook
        if hook in self._holds.get(state.instance_id, ()):
            if may_say(state.instance, self.arn, "CompleteLifecycleAction"):
                self.complete(state.instance_id, str(hook), "CONTINUE")
        else:
            self._join(state)

    def _proceed(self, state: InstanceState) -> None:
        if state in self.instance_states:
            state.lifecycle_state = "InService"
            self._in_service_since[state.instance_id] = now()
            self.journal.reach(state, "Successful", 100)
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

    def in_service_since(self, state: InstanceState) -> dt.datetime | None:
        """When an instance came into service, if it did."""
        return self._in_service_since.get(state.instance_id)

    # --- the warm pool

    def put_warm_pool(self, *args: Any, **kwargs: Any) -> None:
        """PutWarmPool; Auto Scaling keeps no Spot instances in a pool, and none whose AMI a parameter names.

        Raises:
            ValidationError: the group launches such
        """
        if self.configuration.mixed and self.configuration.wholly != ON_DEMAND:
            raise ValidationError(
                "You can't add a warm pool to an Auto Scaling group that has a mixed instances policy with Spot "
                "Instances."
            )
        if self.image_id.startswith(RESOLVED):
            raise ValidationError(
                "You can't add a warm pool to an Auto Scaling group whose launch template specifies an AWS Systems "
                "Manager parameter instead of an AMI ID."
            )
        super().put_warm_pool(*args, **kwargs)
        self._fill()

    def delete_warm_pool(self) -> None:
        """End the pool and what waits in it."""
        self.warm_pool = None
        self._fill()

    def _take(self, state: InstanceState) -> None:
        """Out of the warm pool, into the group."""
        self.pool.remove(state)
        self.instance_states.append(state)
        state.lifecycle_state = "Pending"
        self.journal.begin_launch(state, self.size, self.weight(state))
        self.ec2_backend.start_instances([state.instance_id])
        self._start(state, self.instance_seconds * _WARM)

    def _fill(self) -> None:
        """Keep the warm pool at its size: what the group leaves of the bound, and at least the minimum."""
        size = 0
        if self.warm_pool and not self.status:
            bound = self.warm_pool.max_group_prepared_capacity
            bound = self.max_size if bound is None or bound < 0 else bound
            size = max(self.warm_pool.min_size, (bound or 0) - (self.desired_capacity or 0), 0)
        staying = [state for state in self.pool if state.lifecycle_state not in _GOING]
        for state in staying[size:]:
            self._terminate(state)
        for _ in range(size - len(staying)):
            place = places(self, subnets(self), self.desired_capacity or 0)[0]
            state = launch(self, place, "Warmed:Pending")
            self.pool.append(state)
            self._start(state, self.instance_seconds)

    # --- hooks

    def _hold(self, state: InstanceState, transition: str, *others: str) -> bool:
        """Let lifecycle hooks hold an instance; False when there are none."""
        backend = self.autoscaling_backend
        hooks = [
            hook for hook in backend.describe_lifecycle_hooks(self.name) if hook.lifecycle_transition == transition
        ]
        names = {hook.name for hook in hooks} | set(others)
        if not names:
            return False
        state.lifecycle_state += ":Wait"
        self.journal.reach(state, "MidLifecycleAction", 60)
        self._holds[state.instance_id] = names
        for hook in hooks:
            self.timers.after(hook.heartbeat_timeout, partial(self._timed_out, state, names, hook))
        return True

    def _timed_out(self, state: InstanceState, names: set[str], hook: LifecycleHook) -> None:
        if self._holds.get(state.instance_id) is names and hook.name in names:
            self.complete(state.instance_id, hook.name, hook.default_result)

    def complete(self, instance_id: str, hook: str, result: str) -> None:
        """Let an instance go on, or abandon it.

        Raises:
            ValidationError: nothing of that name holds it
        """
        state = self._find(instance_id)
        names = self._holds.get(instance_id, set())
        if state is None or hook not in names:
            raise ValidationError(f"No active Lifecycle Action found with instance ID {instance_id}")
        names.discard(hook)
        if names and result == "CONTINUE":
            return
        del self._holds[instance_id]
        if state.lifecycle_state == "Terminating:Wait":
            # Either result lets it end; abandoning skips the other hooks.
            self._terminate(state)
        elif result == "CONTINUE":
            self._proceed(state)
        else:
            self.journal.reach(
                state, "Cancelled", 100, f"Lifecycle action ({hook}) was abandoned: Lifecycle Action Abandoned"
            )
            self._begin_end(state, at("an instance was taken out of service in response to a launch failure."))
            self._terminate(state)
            self.reconcile()

    # --- ending

    def end(self, state: InstanceState, cause: str | None = None) -> None:
        """Take an instance out of service; with managed draining it goes when no ECS task is left on it.

        Without a cause it is one too many.
        """
        if state.lifecycle_state in _GOING:
            return
        self._holds.pop(state.instance_id, None)
        if cause is None:
            self.journal.begin_surplus(state, self.size, self.weight(state))
        else:
            self._begin_end(state, cause)
        registered = ecs_of(state.instance).instance_of(state.instance_id)
        draining = registered is not None and registered.tasks and self._managed_draining(registered)
        state.lifecycle_state = "Terminating"
        if not self._hold(state, _TERMINATING, *([_DRAINING] if draining else [])):
            self._terminate(state)
        elif registered is not None and draining:
            # A capacity provider's managed draining holds the instance by a lifecycle hook and drains it; standalone
            # ECS tasks end by themselves.
            ecs_of(state.instance).set_instance_state(registered, "DRAINING")

    def drained(self, instance_id: str) -> None:
        """No ECS task is left on an instance: it goes if that was waited for."""
        if _DRAINING in self._holds.get(instance_id, ()):
            self.complete(instance_id, _DRAINING, "CONTINUE")

    def delete_all(self) -> None:
        """End every instance without waiting, as ForceDelete does; the group goes with the last of them."""
        self.status = "Delete in progress"
        for state in [*self.instance_states, *self.pool]:
            self._begin_end(state, at("an instance was taken out of service in response to a user request."))
            self._terminate(state)

    def _begin_end(self, state: InstanceState, cause: str) -> None:
        if state.lifecycle_state not in _GOING:
            self.journal.begin_end(state, cause)

    def _terminate(self, state: InstanceState) -> None:
        self._holds.pop(state.instance_id, None)
        state.lifecycle_state = "Warmed:Terminating" if state in self.pool else "Terminating"
        self.ec2_backend.terminate_instances([state.instance_id])

    def ending(self, instance_id: str) -> None:
        """EC2 ends an instance: the group notices when it did not ask for that."""
        state = self._find(instance_id)
        if state is None or state.lifecycle_state in {"Terminating", "Warmed:Terminating"}:
            return
        self._holds.pop(instance_id, None)
        check = "an EC2 health check indicating it has been terminated or stopped"
        self._begin_end(state, at(f"an instance was taken out of service in response to {check}."))
        state.health_status = "Unhealthy"
        state.lifecycle_state = "Warmed:Terminating" if state in self.pool else "Terminating"
        self.reconcile()

    def ended(self, instance_id: str) -> None:
        """EC2 has ended an instance: nothing of it is left here."""
        state = self._find(instance_id)
        if state is None:
            return
        self.journal.reach(state, "Successful", 100)
        self.journal.forget(state)
        self._initialised.discard(instance_id)
        self._in_service_since.pop(instance_id, None)
        self.instance_states = [other for other in self.instance_states if other is not state]
        self.pool = [other for other in self.pool if other is not state]
        self._fill()

    def _find(self, instance_id: str) -> InstanceState | None:
        there = (state for state in (*self.instance_states, *self.pool) if state.instance_id == instance_id)
        return next(there, None)

    def _managed_draining(self, registered: ContainerInstance) -> bool:
        providers = ecs_backends[self.account_id][self.region].capacity_providers
        provider = providers.get(registered.capacity_provider or "")
        return provider is not None and provider.auto_scaling_group_provider.get("managedDraining") != "DISABLED"


def check_bounds(least: int, most: int, desired: int) -> None:
    """Hold a desired capacity to its bounds, in AWS's words.

    Raises:
        ValidationError: they do not fit
    """
    if least > most:
        raise ValidationError(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
    if not least <= desired <= most:
        raise ValidationError(
            f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}"
        )
