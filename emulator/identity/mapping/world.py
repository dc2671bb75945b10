"""What a mapping asks of the state of the account: names to ARNs, and what belongs to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.identity.mapping import names

Keys = dict[str, str | tuple[str, ...]]


class World(Protocol):
    """An account as it is while a call is decided. What is not there is None, or empty."""

    def role_arn(self, name: str) -> str | None:
        """Give the ARN of a role."""

    def role_boundary(self, name: str) -> str | None:
        """Give the ARN of a role's permissions boundary."""

    def instance_profile(self, name: str) -> str | None:
        """Give the ARN of an instance profile."""

    def policy_arn(self, name: str) -> str | None:
        """Give the ARN of a managed policy."""

    def roles_of_profile(self, name_or_arn: str) -> tuple[str, ...]:
        """Give the ARNs of an instance profile's roles."""

    def key_arn(self, region: str, name: str) -> str | None:
        """Give the ARN of a key, by its id, its alias or its ARN."""

    def group_arn(self, region: str, name: str) -> str | None:
        """Give the ARN of an Auto Scaling group."""

    def group_of_instance(self, region: str, instance: str) -> str | None:
        """Give the name of the Auto Scaling group that an instance is in."""

    def policy_group(self, region: str, policy: str) -> str | None:
        """Give the name of the Auto Scaling group that a scaling policy, by name or ARN, belongs to."""

    def launch_template(self, region: str, name_or_id: str) -> LaunchTemplate | None:
        """Give a launch template as its latest version is."""

    def task_definition(self, region: str, name: str) -> TaskDefinition | None:
        """Give a task definition; a name without a revision means the newest."""

    def associated(self, region: str, association: str) -> tuple[str, ...]:
        """Give the ids of what an association joins: a route table and its subnet, or an Elastic IP address."""

    def secret_arn(self, region: str, name: str) -> str | None:
        """Give the ARN of a secret."""

    def bucket_key(self, bucket: str) -> BucketKey | None:
        """Say by which key of KMS a bucket encrypts what comes into it."""

    def object_key(self, bucket: str, key: str, version: str | None) -> BucketKey | None:
        """Say by which key of KMS an object is encrypted; without a version the newest."""

    def has_object(self, bucket: str, key: str, version: str | None) -> bool:
        """Say whether an object is there; without a version the newest."""

    def has_service_role(self, service: str) -> bool:
        """Say whether a service, such as `ecs.amazonaws.com`, has its service-linked role."""


@dataclass(frozen=True)
class BucketKey:
    """How something in S3 is encrypted by KMS: by which key, and whether one call serves the whole bucket."""

    arn: str
    of_bucket: bool


@dataclass(frozen=True)
class LaunchTemplate:
    """What of a launch template matters to who may use it."""

    id: str
    profile: str | None
    tags: bool


@dataclass(frozen=True)
class TaskDefinition:
    """What of a task definition matters to who may run it."""

    arn: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Need:
    """One action on one resource that a call takes.

    Attributes:
        action: such as `ecs:RunTask`
        type: the resource's type in the reference; None for an action that knows none
        resource: its ARN, or `*`
        keys: condition keys of the call, in lower case
    """

    action: str
    type: str | None
    resource: str
    keys: Keys


@dataclass(frozen=True)
class Place:
    """Where a call is decided."""

    partition: str
    region: str
    account: str

    def all_of(self, service: str, kind: str) -> str:
        """The ARN that stands for what does not exist yet, or for all of a type."""
        return names.every(service, kind, partition=self.partition, region=self.region, account=self.account)

    def arn_of(self, service: str, kind: str, name: str) -> str:
        """The ARN of what has this name."""
        return names.made(service, kind, name, {}, partition=self.partition, region=self.region, account=self.account)


@dataclass(frozen=True)
class Asked:
    """A call on its way to what it needs.

    Attributes:
        prefix: IAM's name of the service
        operation: the API's name of the operation
        parameters: as botocore's model has them
        place: where it is decided
        world: the account as it is
    """

    prefix: str
    operation: str
    parameters: Mapping[str, Any]
    place: Place
    world: World
