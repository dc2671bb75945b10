"""The emulator's own state as identity decisions read it: names, tags, and the policies of resources.

Lookups only: what moto keeps in dictionaries is read without a lock, so that a decision never waits for another call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.ec2.models import ec2_backends
from moto.ecr.models import ecr_backends
from moto.ecs.models import ecs_backends
from moto.iam.models import Role, iam_backends
from moto.kms.models import Key, kms_backends
from moto.logs.models import logs_backends
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from emulator.identity.documents import Document, compiled, merged
from emulator.identity.mapping.world import BucketKey, LaunchTemplate, TaskDefinition

_KMS = "aws:kms"


class State:
    """An account of the emulator. It is what `emulator.identity.mapping.world.World` describes."""

    def __init__(self, account: str, partition: str) -> None:
        self.account = account
        self.partition = partition
        self._made: set[str] = set()
        self._roles: dict[str, Role] = {}

    # --- IAM

    def role(self, name_or_arn: str) -> Role | None:
        """A role by name or ARN."""
        name = name_or_arn.rpartition("/")[2]
        roles = iam_backends[self.account][self.partition].roles
        known = self._roles.get(name)
        # moto has roles by their ids: one that was found by its name is the one as long as it is there.
        if known is not None and roles.get(known.id) is known:
            return known
        for role in list(roles.values()):
            if role.name == name:
                self._roles[name] = role
                return role
        return None

    def roles(self) -> list[Role]:
        """All roles."""
        return list(iam_backends[self.account][self.partition].roles.values())

    def role_arn(self, name: str) -> str | None:
        """Give the ARN of a role."""
        role = self.role(name)
        return role.arn if role else None

    def role_boundary(self, name: str) -> str | None:
        """Give the ARN of a role's permissions boundary."""
        role = self.role(name)
        return role.permissions_boundary_arn if role else None

    def instance_profile(self, name: str) -> str | None:
        """Give the ARN of an instance profile."""
        profiles = list(iam_backends[self.account][self.partition].instance_profiles.values())
        return next((profile.arn for profile in profiles if profile.name == name), None)

    def policy_arn(self, name: str) -> str | None:
        """Give the ARN of a managed policy."""
        policies = list(iam_backends[self.account][self.partition].managed_policies.values())
        return next((policy.arn for policy in policies if policy.name == name), None)

    def policy_text(self, arn: str) -> str | None:
        """A managed policy's default version."""
        policy = iam_backends[self.account][self.partition].managed_policies.get(arn)
        if policy is None:
            return None
        for version in policy.versions:
            if version.version_id == policy.default_version_id:
                return str(version.document)
        return None

    def roles_of_profile(self, name_or_arn: str) -> tuple[str, ...]:
        """Give the ARNs of an instance profile's roles."""
        wanted = name_or_arn.rpartition("/")[2]
        profiles = list(iam_backends[self.account][self.partition].instance_profiles.values())
        return tuple(role.arn for profile in profiles if profile.name == wanted for role in profile.roles)

    def has_service_role(self, service: str) -> bool:
        """Say whether a service has its service-linked role: made by itself, or by IAM's call."""
        return service in self._made or any(f"/aws-service-role/{service}/" in role.arn for role in self.roles())

    def make_service_role(self, service: str) -> None:
        """Note that a service has made its own role."""
        self._made.add(service)

    # --- KMS

    def key_arn(self, region: str, name: str) -> str | None:
        """Give the ARN of a key, by its id, its alias or its ARN."""
        key = self._key(region, name)
        return key.arn if key else None

    def key_aliases(self, key_arn: str) -> tuple[str, ...]:
        """Give the names of a key's aliases."""
        key = self._key(key_arn.split(":")[3], key_arn)
        return tuple(key.aliases) if key else ()

    def _key(self, region: str, name: str) -> Key | None:
        keys = kms_backends[self.account][region].keys
        if "alias/" in name:
            alias = name[name.index("alias/") :]
            return next((key for key in list(keys.values()) if alias in key.aliases), None)
        return keys.get(name.rpartition("/")[2])

    # --- what runs

    def group_arn(self, region: str, name: str) -> str | None:
        """Give the ARN of an Auto Scaling group."""
        group = autoscaling_backends[self.account][region].autoscaling_groups.get(name)
        return group.arn if group else None

    def group_of_instance(self, region: str, instance: str) -> str | None:
        """Give the name of the group that an instance is in, in service or in its warm pool."""
        for group in list(autoscaling_backends[self.account][region].autoscaling_groups.values()):
            if any(state.instance_id == instance for state in (*group.instance_states, *getattr(group, "pool", ()))):
                return str(group.name)
        return None

    def policy_group(self, region: str, policy: str) -> str | None:
        """Give the name of the Auto Scaling group that a scaling policy, by name or ARN, belongs to."""
        for found in list(autoscaling_backends[self.account][region].policies.values()):
            if policy in {found.name, found.arn}:
                return str(found.auto_scaling_group_name)
        return None

    def launch_template(self, region: str, name_or_id: str) -> LaunchTemplate | None:
        """Give a launch template as its latest version is."""
        backend = ec2_backends[self.account][region]
        template_id = backend.launch_template_name_to_ids.get(name_or_id, name_or_id)
        template = backend.launch_templates.get(template_id)
        if template is None:
            return None
        data = template.latest_version().data
        profile = data.get("IamInstanceProfile") or {}
        return LaunchTemplate(
            template.id, profile.get("Arn") or profile.get("Name"), tags=bool(data.get("TagSpecifications"))
        )

    def task_definition(self, region: str, name: str) -> TaskDefinition | None:
        """Give a task definition; a name without a revision means the newest."""
        family, _, revision = name.rpartition("/")[2].partition(":")
        revisions = ecs_backends[self.account][region].task_definitions.get(family, {})
        number = int(revision) if revision.isdigit() else max(revisions, default=0)
        definition = revisions.get(number)
        if definition is None:
            return None
        roles = (getattr(definition, name, None) for name in ("task_role_arn", "execution_role_arn"))
        return TaskDefinition(definition.arn, tuple(role for role in roles if role))

    def associated(self, region: str, association: str) -> tuple[str, ...]:
        """Give the ids of what an association joins: a route table and its subnet, or an Elastic IP address."""
        backend = ec2_backends[self.account][region]
        for table in list(backend.route_tables.values()):
            if association in table.all_associations_ids:
                return tuple(filter(None, (table.id, table._associations.get(association))))  # noqa: SLF001
        for address in list(backend.addresses):
            if address.association_id == association:
                return (str(address.allocation_id),)
        return ()

    def secret_arn(self, region: str, name: str) -> str | None:
        """Give the ARN of a secret."""
        secrets = secretsmanager_backends[self.account][region].secrets
        return str(secrets[name].arn) if name in secrets else None

    # --- S3

    def bucket(self, name: str) -> FakeBucket | None:
        """A bucket."""
        return s3_backends[self.account][self.partition].buckets.get(name)

    def bucket_key(self, bucket: str) -> BucketKey | None:
        """Say by which key of KMS a bucket encrypts what comes into it; None for AWS's own key, too."""
        found = self.bucket(bucket)
        rule = (found.encryption or {}).get("Rule") if found else None
        default = (rule or {}).get("ApplyServerSideEncryptionByDefault") or {}
        if not str(default.get("SSEAlgorithm", "")).startswith(_KMS):
            return None
        assert found is not None
        return self._encrypting(found, default.get("KMSMasterKeyID"), (rule or {}).get("BucketKeyEnabled"))

    def object_key(self, bucket: str, key: str, version: str | None) -> BucketKey | None:
        """Say by which key of KMS an object is encrypted; None for AWS's own key, too."""
        found, stored = self.bucket(bucket), self._object(bucket, key, version)
        if found is None or stored is None or not str(stored.encryption or "").startswith(_KMS):
            return None
        return self._encrypting(found, stored.kms_key_id, stored.bucket_key_enabled)

    def has_object(self, bucket: str, key: str, version: str | None) -> bool:
        """Say whether an object is there; True, too, where there is no such bucket."""
        return self.bucket(bucket) is None or self._object(bucket, key, version) is not None

    def _encrypting(self, bucket: FakeBucket, key: str | None, of_bucket: object) -> BucketKey | None:
        # Without a name it is AWS's own key, which anybody in the account may use through S3.
        arn = self.key_arn(bucket.region_name, key) if key else None
        return BucketKey(arn, str(of_bucket).lower() == "true") if arn else None

    def _object(self, bucket: str, key: str, version: str | None) -> FakeKey | None:
        found = self.bucket(bucket)
        if found is None:
            return None
        # Of a key's versions the last is the newest.
        for stored in reversed(found.keys.getlist(key, [])):
            if version is None or str(stored.version_id) == version:
                return stored if isinstance(stored, FakeKey) else None
        return None

    # --- what belongs to a resource

    def policy(self, arn: str) -> tuple[Document | None, bool]:
        """A resource's own policy, and whether nobody may anything without a word of it."""
        _, _, service, region, _, rest = arn.split(":", 5)
        text: str | None = None
        if service == "s3":
            bucket = self.bucket(rest.partition("/")[0])
            text = bucket.policy.decode() if bucket is not None and bucket.policy else None
        elif service == "kms" and rest.startswith("key/"):
            key = self._key(region, rest)
            return (compiled(key.policy, "key"), True) if key else (None, False)
        elif service == "sns":
            topic = sns_backends[self.account][region].topics.get(arn)
            text = topic.policy if topic else None
        elif service == "sqs":
            queue = sqs_backends[self.account][region].queues.get(rest)
            text = queue.policy if queue else None
        elif service == "ecr":
            repository = ecr_backends[self.account][region].repositories.get(rest.removeprefix("repository/"))
            text = repository.policy if repository else None
        elif service == "secretsmanager":
            secrets = secretsmanager_backends[self.account][region].secrets
            text = getattr(secrets[arn], "policy", None) if arn in secrets else None
        elif service == "logs":
            policies = list(logs_backends[self.account][region].resource_policies.values())
            texts = (one.policy_document for one in policies)
            return (merged(*(compiled(one, "logs") for one in texts)) if policies else None), False
        return (compiled(text, service) if text else None), False

    def tags(self, arn: str) -> Mapping[str, str]:
        """The tags of a resource; none where it is not there yet."""
        _, _, service, region, _, rest = arn.split(":", 5)
        finder = _TAGS.get(service)
        return finder(self, arn, region, rest) if finder and "*" not in rest else {}

    def _tags_of_ec2(self, _: str, region: str, rest: str) -> Mapping[str, str]:
        return dict(ec2_backends[self.account][region].tags.get(rest.rpartition("/")[2], {}))

    def _tags_of_iam(self, arn: str, _: str, rest: str) -> Mapping[str, str]:
        role = self.role(arn) if rest.startswith("role/") else None
        return _listed(role.tags) if role else {}

    def _tags_of_kms(self, _: str, region: str, rest: str) -> Mapping[str, str]:
        found: dict[str, str] = kms_backends[self.account][region].tagger.get_tag_dict_for_resource(
            rest.removeprefix("key/")
        )
        return found

    def _tags_of_ecs(self, _: str, region: str, rest: str) -> Mapping[str, str]:
        backend: Any = ecs_backends[self.account][region]
        kind, _, name = rest.partition("/")
        last = name.rpartition("/")[2]
        family, _, revision = name.partition(":")
        there: Any = {
            "cluster": backend.clusters,
            "capacity-provider": backend.capacity_providers,
            "task-definition": backend.task_definitions.get(family, {}),
            "task": getattr(backend, "ecs_tasks", {}),
        }.get(kind, {})
        there = there.get(int(revision) if revision.isdigit() else last)
        return _listed(getattr(there, "tags", None) or [])

    def _tags_of_autoscaling(self, arn: str, region: str, _: str) -> Mapping[str, str]:
        group = autoscaling_backends[self.account][region].autoscaling_groups.get(arn.rpartition("/")[2])
        return _listed(group.tags) if group else {}

    def _tags_of_ecr(self, arn: str, region: str, _: str) -> Mapping[str, str]:
        found: dict[str, str] = ecr_backends[self.account][region].tagger.get_tag_dict_for_resource(arn)
        return found

    def _tags_of_sns(self, arn: str, region: str, _: str) -> Mapping[str, str]:
        topic = sns_backends[self.account][region].topics.get(arn)
        return dict(topic._tags) if topic else {}  # noqa: SLF001

    def _tags_of_sqs(self, _: str, region: str, rest: str) -> Mapping[str, str]:
        queue = sqs_backends[self.account][region].queues.get(rest)
        return dict(queue.tags) if queue else {}

    def _tags_of_logs(self, arn: str, region: str, _: str) -> Mapping[str, str]:
        group = arn.partition(":log-stream:")[0]
        found: dict[str, str] = logs_backends[self.account][region].tagger.get_tag_dict_for_resource(group)
        return found

    def _tags_of_cloudwatch(self, arn: str, region: str, _: str) -> Mapping[str, str]:
        # A dashboard has no region.
        found: dict[str, str] = (
            cloudwatch_backends[self.account][region].tagger.get_tag_dict_for_resource(arn) if region else {}
        )
        return found

    def _tags_of_s3(self, arn: str, _: str, rest: str) -> Mapping[str, str]:
        if "/" in rest:
            return {}
        found: dict[str, str] = s3_backends[self.account][self.partition].tagger.get_tag_dict_for_resource(arn)
        return found


_TAGS = {
    "autoscaling": State._tags_of_autoscaling,  # noqa: SLF001 - its own table
    "cloudwatch": State._tags_of_cloudwatch,  # noqa: SLF001
    "ec2": State._tags_of_ec2,  # noqa: SLF001
    "ecr": State._tags_of_ecr,  # noqa: SLF001
    "ecs": State._tags_of_ecs,  # noqa: SLF001
    "iam": State._tags_of_iam,  # noqa: SLF001
    "kms": State._tags_of_kms,  # noqa: SLF001
    "logs": State._tags_of_logs,  # noqa: SLF001
    "s3": State._tags_of_s3,  # noqa: SLF001
    "sns": State._tags_of_sns,  # noqa: SLF001
    "sqs": State._tags_of_sqs,  # noqa: SLF001
}


def _listed(tags: Any) -> Mapping[str, str]:
    """Tags as a mapping, in whichever of their forms moto keeps them."""
    if isinstance(tags, Mapping):
        return {str(key): value["Value"] if isinstance(value, Mapping) else str(value) for key, value in tags.items()}
    return {str(tag.get("Key", tag.get("key"))): str(tag.get("Value", tag.get("value", ""))) for tag in tags or ()}
