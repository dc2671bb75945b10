"""What a container instance's agents do by the role of its instance profile.

Source: ECS Developer Guide, "Amazon ECS container instance IAM role"; Systems Manager User Guide, "ssmmessages API
operations".
"""

from __future__ import annotations

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models.instances import Instance

from emulator.identity.gate import Acting, Identity

_AGENT = ("ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState")
_REPORTS = ("ecs:SubmitAttachmentStateChanges", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange")
_SESSIONS = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)


class NoRoleError(Exception):
    """An instance has no role, so its agents have no credentials. The words are those of AWS's SDK for Go."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"NoCredentialProviders: no valid providers in chain: {instance_id} has no instance profile")


class HostRole:
    """An instance's role at work."""

    def __init__(self, identity: Identity, instance: Instance, group_arn: str | None) -> None:
        backend = instance.ec2_backend
        self._region = backend.region_name
        self._base = f"arn:{identity.state.partition}:{{}}:{self._region}:{backend.account_id}"
        self._instance = instance
        self._group_arn = group_arn
        self.arn = self._role(identity)
        self._acting: Acting | None = identity.acting(self.arn, instance.id) if self.arn else None

    def _role(self, identity: Identity) -> str | None:
        name = (self._group_arn or "").rpartition("/")[2]
        group = autoscaling_backends[self._instance.ec2_backend.account_id][self._region].autoscaling_groups.get(name)
        template = group.ec2_launch_template if group is not None else None
        found = identity.state.launch_template(self._region, template.id) if template is not None else None
        if found is None or found.profile is None:
            return None
        return next(iter(identity.state.roles_of_profile(found.profile)), None)

    def join(self, cluster: str) -> None:
        """See that its agents may report, and that ECS's may join a cluster.

        Raises:
            Refused: they may not
            NoRoleError: it has none
        """
        cluster_arn = f"{self._base.format('ecs')}:cluster/{cluster}"
        self._require(
            "ssm:UpdateInstanceInformation", f"{self._base.format('ec2')}:instance/{self._instance.id}", "instance"
        )
        for action in _SESSIONS:
            self._require(action, "*", None)
        self._require("ecs:DiscoverPollEndpoint", "*", None)
        self._require("ecs:RegisterContainerInstance", cluster_arn, "cluster")

    def work(self, cluster: str, container_instance: str) -> None:
        """See that ECS's agent may work for a cluster that it has joined.

        Raises:
            Refused: it may not
        """
        cluster_arn = f"{self._base.format('ecs')}:cluster/{cluster}"
        for action in _AGENT:
            self._require(action, container_instance, "container-instance", ecs_cluster=cluster_arn)
        for action in _REPORTS:
            self._require(action, cluster_arn, "cluster")

    def tell(self, action: str) -> None:
        """See that it may tell its group something, such as that it is ready.

        Raises:
            Refused: it may not
            NoRoleError: it has none
        """
        if self._group_arn is not None:
            self._require(f"autoscaling:{action}", self._group_arn, "autoScalingGroup")

    def _require(self, action: str, resource: str, kind: str | None, **keys: str) -> None:
        if self._acting is None:
            raise NoRoleError(self._instance.id)
        self._acting.require(action, resource, kind, self._region, **keys)
