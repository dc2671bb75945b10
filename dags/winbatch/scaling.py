"""The Auto Scaling group of a deployment: asks for instances, lets them go, and reads why some stay away.

Where the group allows it, instances are asked for by LaunchInstances, which says within seconds what it refuses. They
are shared evenly over the zones in the order of `deployment.json`; what a zone has not is asked of the ones after it,
and what the last has not the group goes on trying by itself. Of the types On-Demand takes the first that there is, in
the order of the environment's `instance_types`; for Spot the group's strategy chooses.
"""

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from winbatch.capacity import Group
from winbatch.deployment import Cluster
from winbatch.errors import ClusterError
from winbatch.throttling import throttled

log = logging.getLogger(__name__)

# botocore's LifecycleState, without what follows a colon: whether an instance is on its way out of the group. Those of
# a warm pool ("Warmed:…") are no part of it.
LEAVING: Mapping[str, bool] = {
    "Pending": False,
    "Quarantined": False,
    "InService": False,
    "EnteringStandby": False,
    "Standby": False,
    "ReplacingRootVolume": False,
    "RootVolumeReplaced": False,
    "Warmed": False,
    "Terminating": True,
    "Terminated": True,
    "Detaching": True,
    "Detached": True,
}
# botocore's ScalingActivityStatusCode of activities that did not come to what they were for.
FAILED = frozenset({"Failed", "Cancelled"})

# At most so many instances a call (botocore, LaunchInstances, RequestedCapacity).
_LAUNCH = 100
# Looked at of the group's last activities: each instance that could not be launched is one.
_ACTIVITIES = 20
# Answers of Auto Scaling that mean: the group is at something else, ask again.
BUSY = frozenset({"ResourceContention", "ScalingActivityInProgress"})


class Scaling:
    """The Auto Scaling group of a cluster."""

    def __init__(self, client: Any, cluster: Cluster) -> None:
        """Use a client of boto3's service `autoscaling`."""
        self._client = client
        self._cluster = cluster
        self._name = cluster.auto_scaling_group

    def group(self) -> Group:
        """The group as it is now.

        Raises:
            ClusterError: there is none.
        """
        described = self._describe()
        leaving = frozenset(
            instance["InstanceId"] for instance in described["Instances"] if leaves(instance["LifecycleState"])
        )
        return Group(int(described["DesiredCapacity"]), leaving)

    def ask(self, instances: int) -> str:
        """Have the group have so many instances.

        Returns:
            What AWS refuses of that, in one line; empty: nothing, or nobody knows yet.
        """
        described = self._describe()
        missing = instances - int(described["DesiredCapacity"])
        if missing <= 0:
            self._set(instances)
            return ""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        if self._launches(described):
            try:
                return self._launch(missing, self._subnets(described))
            except ClientError as error:
                # What it has launched so far counts for the desired capacity, too.
                log.warning("LaunchInstances is not to be had, so the group's desired capacity is set: %s", error)
        try:
            self._set(instances)
        except ClientError as error:
            if _code(error) not in BUSY:
                raise
            # The engine asks again.
            return _message(error)
        return ""

    def terminate(self, ec2_id: str) -> bool:
        """Terminate an instance and lower the desired capacity by one; whether nothing is left to ask for."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            self._client.terminate_instance_in_auto_scaling_group(
                InstanceId=ec2_id, ShouldDecrementDesiredCapacity=True
            )
        except ClientError as error:
            if _code(error) in BUSY or throttled(_message(error), _code(error)):
                log.info("%s is not terminated yet: %s", ec2_id, error)
                return False
            # It is gone already, or the group may not become smaller.
            if _code(error) != "ValidationError":
                raise
            log.info("%s: %s", ec2_id, error)
        return True

    def why_short(self, since: dt.datetime) -> str:
        """Read what the group says of instances that it could not launch since then: one line, empty for nothing."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            activities = self._client.describe_scaling_activities(
                AutoScalingGroupName=self._name, MaxRecords=_ACTIVITIES
            )["Activities"]
        except ClientError as error:
            # It only explains.
            return f"the Auto Scaling group's activities cannot be read: {error}"
        # The newest comes first; one that is still under way says nothing yet, and one that went well ends it.
        ended = (activity for activity in activities if activity.get("EndTime") and activity["StartTime"] >= since)
        last = next(ended, None)
        if last is None or last["StatusCode"] not in FAILED:
            return ""
        return " ".join(str(last.get("StatusMessage") or last.get("Description", "")).split())

    def _launches(self, described: Mapping[str, Any]) -> bool:
        """Say whether LaunchInstances works for the group, and this boto3 knows it.

        It takes groups of a launch template that are wholly On-Demand or wholly Spot, and none with a warm pool (Auto
        Scaling user guide, "Launch instances synchronously"). The boto3 of MWAA's Airflow 3.0.6 is older than it.
        """
        policy = described.get("MixedInstancesPolicy")
        distribution = policy.get("InstancesDistribution", {}) if policy else {}
        spot_only = (distribution.get("OnDemandBaseCapacity") or 0) == 0
        percentage = distribution.get("OnDemandPercentageAboveBaseCapacity", 100)
        overrides = policy["LaunchTemplate"].get("Overrides", ()) if policy else ()
        return (
            hasattr(self._client, "launch_instances")
            and bool(policy or described.get("LaunchTemplate"))
            and not described.get("WarmPoolConfiguration")
            and (percentage == 100 or (percentage == 0 and spot_only))  # noqa: PLR2004 - per cent
            and not any(override.get("WeightedCapacity") for override in overrides)
        )

    def _subnets(self, described: Mapping[str, Any]) -> list[str]:
        known = [subnet for subnet in described.get("VPCZoneIdentifier", "").split(",") if subnet]
        return sorted(known, key=lambda subnet: (*self._cluster.subnets, subnet).index(subnet))

    def _launch(self, missing: int, subnets: Sequence[str]) -> str:
        """Launch instances, zone by zone; what was refused."""
        refusals: list[str] = []
        for left, subnet in zip(range(len(subnets), 0, -1), subnets, strict=True):
            share = -(-missing // left)
            while share > 0:
                count = min(share, _LAUNCH)
                answer = self._client.launch_instances(
                    AutoScalingGroupName=self._name,
                    RequestedCapacity=count,
                    SubnetIds=[subnet],
                    RetryStrategy="none" if left > 1 else "retry-with-group-configuration",
                )
                launched = sum(len(some["InstanceIds"]) for some in answer.get("Instances", ()))
                refusals += [_refusal(error) for error in answer.get("Errors", ())]
                missing -= launched
                share -= count
            if missing <= 0:
                break
        return "; ".join(dict.fromkeys(refusals)) if missing > 0 else ""

    def _set(self, instances: int) -> None:
        self._client.set_desired_capacity(
            AutoScalingGroupName=self._name, DesiredCapacity=instances, HonorCooldown=False
        )

    def _describe(self) -> dict[str, Any]:
        groups = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[self._name])["AutoScalingGroups"]
        if not groups:
            raise ClusterError(f"there is no Auto Scaling group {self._name}; apply the environment again: invoke up")
        group: dict[str, Any] = groups[0]
        return group


def leaves(lifecycle_state: str) -> bool:
    """Say whether an instance is on its way out; one in a state that we do not know stays."""
    state = lifecycle_state.partition(":")[0]
    if state not in LEAVING:
        log.warning("unknown lifecycle state %s", lifecycle_state)
    return LEAVING.get(state, False)


def _refusal(error: Mapping[str, Any]) -> str:
    where = " in ".join(error[name] for name in ("InstanceType", "AvailabilityZone") if error.get(name))
    return f"{error.get('ErrorCode', '?')} ({where}): {error.get('ErrorMessage', '')}"


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _message(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))
