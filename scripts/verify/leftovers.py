"""What is left of the environment, asked of each service by name and by tag; and the foundation's own end.

The tags' list lags behind and does not know everything, so it is not enough to look there.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.aws import Aws
from scripts.core.console import Step
from scripts.environments import teardown
from scripts.environments.teardown import Target

# Of a key that nobody can use meanwhile, days: the least that AWS takes.
KEY_DAYS = 7
_GONE = frozenset({"NoSuchEntity", "NoSuchBucket", "NoSuchBucketPolicy", "404", "NotFoundException", "NotFound"})

Look = Callable[[Aws, str, str], Iterator[str]]


def left(aws: Aws, target: Target, bucket: str) -> list[str]:
    """Everything that is found of the environment, a line each; what cannot be looked at, too.

    Args:
        aws: the account.
        target: the environment.
        bucket: of its state.
    """
    found = [f"tagged: {arn}" for arn in teardown.left(aws, target)]
    for service, look in LOOKS.items():
        try:
            found += [f"{service}: {name}" for name in look(aws, target.name, target.environment)]
        except ClientError as error:
            found.append(f"{service}: cannot be looked at ({error.response['Error']['Code']})")
    if _there(aws.client("s3").head_bucket, Bucket=bucket):
        found.append(f"S3: {bucket}")
    return found


def remove_foundation(aws: Aws, name: str, bucket: str, step: Step) -> str:
    """Take away what `bootstrap` has made for good: roles, policies, the state with all its versions, its key.

    Terraform refuses to destroy these, and for other environments it should.

    Args:
        aws: the account, with the rights of who made them.
        name: the prefix of every name, `winbatch-verify`.
        bucket: of the state.
        step: shows how far it is.

    Returns:
        In words, what was there.
    """
    iam, s3, kms = (aws.client(service) for service in ("iam", "s3", "kms"))
    gone = 0
    for role in list(_roles(iam, f"{name}-", path="/deployment/")):
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=role, PolicyArn=attached["PolicyArn"])
        iam.delete_role(RoleName=role)
        gone += 1
    for arn in list(_policies(iam, f"{name}-", path="/deployment/")):
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=arn)
        gone += 1
    if _there(s3.head_bucket, Bucket=bucket):
        # Its policy keeps every version; who means it takes it away first.
        s3.delete_bucket_policy(Bucket=bucket)
        teardown.empty(aws, [bucket], [], step.update)
        s3.delete_bucket(Bucket=bucket)
        gone += 1
    alias = f"alias/{name}-tfstate"
    if _there(kms.describe_key, KeyId=alias):
        key = kms.describe_key(KeyId=alias)["KeyMetadata"]
        kms.delete_alias(AliasName=alias)
        if key["KeyState"] != "PendingDeletion":
            kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=KEY_DAYS)
        gone += 1
    return f"{gone} things; the key goes in {KEY_DAYS} days and costs nothing until then"


def _pages(aws: Aws, service: str, call: str, key: str, **arguments: Any) -> Iterator[Any]:
    for page in aws.client(service).get_paginator(call).paginate(**arguments):
        yield from page[key]


def _tagged(call: str, key: str, ident: str, *, states: Mapping[str, tuple[str, ...]] | None = None) -> Look:
    """A look at EC2 by the environment's tag."""

    def look(aws: Aws, _: str, environment: str) -> Iterator[str]:
        filters = [{"Name": "tag:environment", "Values": [environment]}, {"Name": "tag:root", "Values": ["winbatch"]}]
        filters += [{"Name": name, "Values": list(values)} for name, values in (states or {}).items()]
        client = aws.client("ec2")
        # NAT gateways have a parameter of another name.
        given = {"Filter" if call == "describe_nat_gateways" else "Filters": filters}
        if not client.can_paginate(call):
            yield from (str(entry[ident]) for entry in getattr(client, call)(**given)[key])
            return
        yield from (str(entry[ident]) for entry in _pages(aws, "ec2", call, key, **given))

    return look


def _instances(aws: Aws, name: str, environment: str) -> Iterator[str]:
    del name
    filters = [
        {"Name": "tag:environment", "Values": [environment]},
        {"Name": "tag:root", "Values": ["winbatch"]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    for reservation in _pages(aws, "ec2", "describe_instances", "Reservations", Filters=filters):
        yield from (str(instance["InstanceId"]) for instance in reservation["Instances"])


def _groups(aws: Aws, name: str, _: str) -> Iterator[str]:
    for group in _pages(aws, "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups"):
        if group["AutoScalingGroupName"].startswith(name):
            yield str(group["AutoScalingGroupName"])


def _clusters(aws: Aws, name: str, _: str) -> Iterator[str]:
    for arn in _pages(aws, "ecs", "list_clusters", "clusterArns"):
        if arn.rpartition("/")[2].startswith(name):
            yield str(arn)


def _environments(aws: Aws, name: str, _: str) -> Iterator[str]:
    yield from (one for one in _pages(aws, "mwaa", "list_environments", "Environments") if one.startswith(name))


def _repositories(aws: Aws, name: str, _: str) -> Iterator[str]:
    for repository in _pages(aws, "ecr", "describe_repositories", "repositories"):
        if repository["repositoryName"].startswith(name):
            yield str(repository["repositoryName"])


def _buckets(aws: Aws, name: str, _: str) -> Iterator[str]:
    for bucket in aws.client("s3").list_buckets()["Buckets"]:
        if bucket["Name"].startswith(f"{name}-"):
            yield str(bucket["Name"])


def _log_groups(aws: Aws, name: str, environment: str) -> Iterator[str]:
    for prefix in (f"airflow-{name}-", f"/winbatch/{environment}/", f"/aws/ecs/containerinsights/{name}/"):
        for group in _pages(aws, "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
            yield str(group["logGroupName"])


def _alarms(aws: Aws, name: str, _: str) -> Iterator[str]:
    for alarm in _pages(aws, "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{name}-"):
        yield str(alarm["AlarmName"])


def _dashboards(aws: Aws, name: str, _: str) -> Iterator[str]:
    for board in _pages(aws, "cloudwatch", "list_dashboards", "DashboardEntries", DashboardNamePrefix=name):
        yield str(board["DashboardName"])


def _topics(aws: Aws, name: str, _: str) -> Iterator[str]:
    for topic in _pages(aws, "sns", "list_topics", "Topics"):
        if topic["TopicArn"].rpartition(":")[2].startswith(f"{name}-"):
            yield str(topic["TopicArn"])


def _identities(aws: Aws, name: str, _: str) -> Iterator[str]:
    iam = aws.client("iam")
    yield from _roles(iam, f"{name}-")
    yield from _policies(iam, f"{name}-")
    for profile in iam.get_paginator("list_instance_profiles").paginate():
        for one in profile["InstanceProfiles"]:
            if one["InstanceProfileName"].startswith(f"{name}-"):
                yield str(one["InstanceProfileName"])


def _aliases(aws: Aws, name: str, _: str) -> Iterator[str]:
    for alias in _pages(aws, "kms", "list_aliases", "Aliases"):
        if alias["AliasName"].startswith(f"alias/{name}"):
            yield str(alias["AliasName"])


LOOKS: Mapping[str, Look] = {
    "EC2 instances": _instances,
    "EC2 Auto Scaling": _groups,
    "volumes": _tagged("describe_volumes", "Volumes", "VolumeId"),
    "NAT gateways": _tagged(
        "describe_nat_gateways", "NatGateways", "NatGatewayId", states={"state": ("pending", "available", "deleting")}
    ),
    "public addresses": _tagged("describe_addresses", "Addresses", "AllocationId"),
    "endpoints": _tagged(
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        states={"vpc-endpoint-state": ("pending", "available")},
    ),
    "launch templates": _tagged("describe_launch_templates", "LaunchTemplates", "LaunchTemplateName"),
    "networks": _tagged("describe_vpcs", "Vpcs", "VpcId"),
    "ECS": _clusters,
    "MWAA": _environments,
    "ECR": _repositories,
    "S3": _buckets,
    "logs": _log_groups,
    "alarms": _alarms,
    "dashboards": _dashboards,
    "SNS": _topics,
    "IAM": _identities,
    "KMS": _aliases,
}


def _roles(iam: Any, prefix: str, path: str = "/") -> Iterator[str]:
    for page in iam.get_paginator("list_roles").paginate(PathPrefix=path):
        yield from (str(role["RoleName"]) for role in page["Roles"] if role["RoleName"].startswith(prefix))


def _policies(iam: Any, prefix: str, path: str = "/") -> Iterator[str]:
    for page in iam.get_paginator("list_policies").paginate(Scope="Local", PathPrefix=path):
        yield from (str(policy["Arn"]) for policy in page["Policies"] if policy["PolicyName"].startswith(prefix))


def _there(call: Callable[..., Any], **arguments: str) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return False
        raise
    return True
