"""What a mapping asks of the state of the account: names to ARNs, and what belongs to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.identity.mapping import names

Keys = dict[str, str | tuple[str, ...]]


class World(Protocol):
    """An account as it is while a call is decided. What is not there is None, or empty."""

    def role_arn(self, name: str) -> str | None: ...
    def role_boundary(self, name: str) -> str | None: ...
    def instance_profile(self, name: str) -> str | None: ...
    def policy_arn(self, name: str) -> str | None: ...
    def roles_of_profile(self, name_or_arn: str) -> tuple[str, ...]: ...
    def key_arn(self, region: str, name: str) -> str | None: ...
    def group_arn(self, region: str, name: str) -> str | None: ...
    def group_of_instance(self, region: str, instance: str) -> str | None: ...
    def policy_group(self, region: str, policy: str) -> str | None: ...
    def launch_template(self, region: str, name_or_id: str) -> LaunchTemplate | None: ...
    def task_definition(self, region: str, name: str) -> TaskDefinition | None: ...
    def associated(self, region: str, association: str) -> tuple[str, ...]: ...
    def secret_arn(self, region: str, name: str) -> str | None: ...
    def bucket_key(self, bucket: str) -> BucketKey | None: ...
    def object_key(self, bucket: str, key: str, version: str | None) -> BucketKey | None: ...
    def has_object(self, bucket: str, key: str, version: str | None) -> bool: ...
    def has_service_role(self, service: str) -> bool: ...


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
