"""What a group writes down about itself, in Auto Scaling's words: its guide's, and those that people report."""

from __future__ import annotations

from collections.abc import Sequence

from moto.autoscaling.models import InstanceState

from emulator.autoscaling.activities import Activity, at
from emulator.autoscaling.base import BaseGroup
from emulator.autoscaling.capacity import Refusal

_DIFFERENCE = "in response to a difference between desired and actual capacity"


class Journal:
    """A group's part of the region's scaling activities."""

    def __init__(self, group: BaseGroup) -> None:
        self._group = group
        # Why the desired capacity is what it is, until somebody came or went for it.
        self._why = ""
        # What an instance is in the middle of, by its id.
        self._current: dict[str, Activity] = {}

    def explain(self, why: str) -> None:
        """Give the reason for what comes next."""
        self._why += at(f"{why}.  ")

    def explained(self) -> None:
        """What comes next has another reason."""
        self._why = ""

    def begin_launch(self, state: InstanceState, size: int, weight: int) -> None:
        """An instance is launched that brings the group to a size."""
        cause = self._started(size - weight, size)
        self._begin(state, f"Launching a new EC2 instance: {state.instance_id}", cause, "PreInService", 30)

    def begin_end(self, state: InstanceState, cause: str) -> None:
        """An instance is taken out of service."""
        self.reach(state, "Cancelled", 100)
        self._begin(state, f"Terminating EC2 instance: {state.instance_id}", cause, "InProgress", 0)

    def begin_surplus(self, state: InstanceState, size: int, weight: int) -> None:
        """An instance is taken out of service because the group is too large."""
        taken = at(f"an instance was taken out of service {_DIFFERENCE}, shrinking the capacity from {size}")
        selected = at(f"instance {state.instance_id} was selected for termination.")
        self.begin_end(state, f"{self._why}{taken} to {size - weight}.  {selected}")

    def refused(self, refusals: Sequence[Refusal], size: int, *, mixed: bool) -> None:
        """There was no capacity: one activity a zone."""
        for zone in dict.fromkeys(entry.place.zone for entry in refusals):
            entry = next(entry for entry in refusals if entry.place.zone == zone)
            reason = entry.reason(mixed=mixed)
            description = f"Launching a new EC2 instance.  Status Reason: {reason}"
            activity = self._record(
                description, self._started(size, size + 1), entry.place.subnet, zone, "WaitingForInstanceId"
            )
            activity.reach("Failed", 100, reason)

    def reach(self, state: InstanceState, status: str, progress: int, message: str | None = None) -> None:
        """An instance has come so far."""
        if activity := self._current.get(state.instance_id):
            activity.reach(status, progress, message)

    def current(self, state: InstanceState) -> Activity:
        """What an instance is in the middle of."""
        return self._current[state.instance_id]

    def forget(self, state: InstanceState) -> None:
        """Nothing will happen to an instance any more."""
        self._current.pop(state.instance_id, None)

    def _started(self, before: int, after: int) -> str:
        started = f"an instance was started {_DIFFERENCE}, increasing the capacity from {before} to {after}."
        return f"{self._why}{at(started)}"

    def _begin(self, state: InstanceState, description: str, cause: str, status: str, progress: int) -> None:
        activity = self._record(description, cause, state.instance.subnet_id, str(state.availability_zone), status)
        activity.progress = progress
        self._current[state.instance_id] = activity

    def _record(self, description: str, cause: str, subnet: str | None, zone: str, status: str) -> Activity:
        return self._group.autoscaling_backend.activities.begin(
            group=self._group.name,
            group_arn=self._group.arn,
            description=description,
            cause=cause,
            subnet=subnet,
            zone=zone,
            status=status,
        )
