"""What an apply that was cut off has made without Terraform's having noted it: found, so that Terraform imports it.

Who interrupts Terraform makes its provider give up the requests that are under way, and AWS may carry them out all the
same. A plan knows nothing of them: it creates them once more, which AWS refuses where a name must be unique, and which
makes a second one elsewhere. So what a plan would create is looked for, by its name or its tags. Only what carries this
environment's tags is taken over: whatever else has such a name is somebody else's.

Not looked for is what a second request only sets again (policies, rules of a bucket, alarms, objects, revisions).
Import ids are those of the provider's documentation, "Import" on each resource's page.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.aws import Aws, tagged

Values = Mapping[str, Any]
Find = Callable[[Aws, Values], Iterable[str]]

# What tells a resource of this root and environment from all others.
_OWN_TAGS = ("environment", "root")
_GONE = frozenset({"deleted", "deleting", "failed", "inactive", "pendingdeletion"})
# What takes AWS so long that it is not made anew only because nobody waited for its end.
LONG = frozenset({"aws_cloudformation_stack", "aws_mwaa_environment"})
_ABSENT = frozenset(
    {
        "403",  # a bucket of somebody else's, which S3 tells by the status alone
        "404",
        "NoSuchBucket",
        "NoSuchEntity",
        "NotFoundException",
        "RepositoryNotFoundException",
        "ResourceNotFoundException",
        "ValidationError",  # CloudFormation's word for no such stack
    }
)


# States of an MWAA environment (botocore, Environment.Status): those in which it can be used, an update that was undone
# included, and those in which there is none, or none that works. In the others it is on the way to one of them.
AIRFLOW_READY = frozenset({"AVAILABLE", "UPDATE_FAILED"})
AIRFLOW_GONE = frozenset({"CREATE_FAILED", "DELETED", "DELETING", "UNAVAILABLE"})


class NotYet(Exception):  # noqa: N818 - it names an outcome
    """Something is still being made, and cannot be imported before it is; `str` says what."""


class _NotKnown(Exception):  # noqa: N818 - it names an outcome
    """A planned value that only the apply will tell."""


class _Planned(dict[str, Any]):
    """A resource's planned values; Terraform leaves out what is not known yet."""

    def __missing__(self, name: str) -> Any:
        raise _NotKnown(name)


def unnoted(aws: Aws, plan: Mapping[str, Any]) -> dict[str, str]:
    """What a plan would create and is there: address to import id.

    Args:
        aws: the environment's.
        plan: its JSON, as `terraform show -json` gives it.

    Raises:
        NotYet: something of it is still being made.
    """
    noted = set(_ids(plan.get("prior_state", {}).get("values", {}).get("root_module", {})))
    found: dict[str, str] = {}
    for entry in plan.get("resource_changes", ()):
        find = FINDERS.get(entry["type"])
        if find is None or entry["change"]["actions"] != ["create"]:
            continue
        for name in _there(find, aws, _Planned(entry["change"]["after"])):
            if (entry["type"], name) not in noted:
                found[entry["address"]] = name
                noted.add((entry["type"], name))
                break
    return found


def whole(aws: Aws, kind: str, values: Values) -> bool:
    """Whether something that Terraform has noted without having seen its end is there, and ended well.

    Args:
        aws: the environment's.
        kind: the resource's type.
        values: as the state has them.

    Raises:
        NotYet: it is still being made.
    """
    return bool(_there(FINDERS[kind], aws, _Planned(values)))


def blocks(existing: Mapping[str, str], known: Collection[str] = ()) -> str:
    """Terraform's import blocks for what is there (address to id) and not known to the state (addresses)."""
    return "\n".join(
        f"import {{\n  to = {address}\n  id = {json.dumps(name)}\n}}\n"
        for address, name in existing.items()
        if address not in known
    )


def _ids(module: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Kind and id of all that a module's state knows."""
    for resource in module.get("resources", ()):
        if resource["mode"] == "managed":
            yield resource["type"], str(resource["values"].get("id"))
    for child in module.get("child_modules", ()):
        yield from _ids(child)


def _there(find: Find, aws: Aws, values: Values) -> list[str]:
    try:
        return list(find(aws, values))
    except _NotKnown:
        # It comes from a resource that has to be made first, so this one cannot be there.
        return []
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return []
        raise


def _gone(state: str) -> bool:
    """Whether something is on its way out; services write one word in different ways."""
    return state.lower() in _GONE


def _ours(values: Values, tags: Iterable[Mapping[str, str]]) -> bool:
    carried = {tag.get("Key", tag.get("key")): tag.get("Value", tag.get("value")) for tag in tags}
    return all(carried.get(key) == value for key, value in _own_tags(values).items())


def _own_tags(values: Values) -> dict[str, str]:
    """The tags that a planned resource is known by; its name is one where it has such a tag."""
    tags: Mapping[str, str] = values["tags_all"]
    return {key: tags[key] for key in _OWN_TAGS} | {key: tags[key] for key in ("Name",) if key in tags}


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _in_ec2(call: str, answer: str, key: str, *, filters: str = "Filters") -> Find:
    """A finder for what EC2 lists, by the tags."""

    def find(aws: Aws, values: Values) -> Iterable[str]:
        asked = [{"Name": f"tag:{name}", "Values": [value]} for name, value in _own_tags(values).items()]
        for thing in getattr(aws.client("ec2"), call)(**{filters: asked})[answer]:
            if not _gone(thing.get("State", "")) and _ours(values, thing["Tags"]):
                yield thing[key]

    return find


def _launch_template(aws: Aws, values: Values) -> Iterable[str]:
    asked = [{"Name": "launch-template-name", "Values": [values["name"]]}]
    for template in aws.client("ec2").describe_launch_templates(Filters=asked)["LaunchTemplates"]:
        if _ours(values, template.get("Tags", ())):
            yield template["LaunchTemplateId"]


def _rule(*, egress: bool) -> Find:
    def find(aws: Aws, values: Values) -> Iterable[str]:
        asked = [{"Name": "group-id", "Values": [values["security_group_id"]]}]
        for rule in aws.client("ec2").describe_security_group_rules(Filters=asked)["SecurityGroupRules"]:
            if rule["IsEgress"] is egress and _ours(values, rule.get("Tags", ())):
                yield rule["SecurityGroupRuleId"]

    return find


def _route(aws: Aws, values: Values) -> Iterable[str]:
    table, target = values["route_table_id"], values["destination_cidr_block"]
    (found,) = aws.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    if any(route.get("DestinationCidrBlock") == target for route in found["Routes"]):
        yield f"{table}_{target}"


def _route_table_association(aws: Aws, values: Values) -> Iterable[str]:
    table, subnet = values["route_table_id"], values["subnet_id"]
    (found,) = aws.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    if any(association.get("SubnetId") == subnet for association in found["Associations"]):
        yield f"{subnet}/{table}"


def _role(aws: Aws, values: Values) -> Iterable[str]:
    role = aws.client("iam").get_role(RoleName=values["name"])["Role"]
    if _ours(values, role.get("Tags", ())):
        yield role["RoleName"]


def _instance_profile(aws: Aws, values: Values) -> Iterable[str]:
    profile = aws.client("iam").get_instance_profile(InstanceProfileName=values["name"])["InstanceProfile"]
    if _ours(values, profile.get("Tags", ())):
        yield profile["InstanceProfileName"]


def _bucket(aws: Aws, values: Values) -> Iterable[str]:
    s3, bucket = aws.client("s3"), values["bucket"]
    account = aws.client("sts").get_caller_identity()["Account"]
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    try:
        ours = _ours(values, s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchTagSet":
            raise
        # A bucket gets its tags by a second request; one of this name with nothing in it is nobody's loss.
        ours = not s3.list_objects_v2(Bucket=bucket, MaxKeys=1).get("KeyCount")
    if ours:
        yield bucket


def _key(aws: Aws, values: Values) -> Iterable[str]:
    kms = aws.client("kms")
    for arn in tagged(aws, _own_tags(values), "kms:key"):
        key = kms.describe_key(KeyId=arn)["KeyMetadata"]
        if key["Description"] == values["description"] and not _gone(key["KeyState"]):
            yield key["KeyId"]


def _alias(aws: Aws, values: Values) -> Iterable[str]:
    """An alias has no tags; it is ours when its key is."""
    key = aws.client("kms").describe_key(KeyId=values["name"])["KeyMetadata"]
    if values["target_key_id"] in {key["KeyId"], key["Arn"]}:
        yield values["name"]


def _log_group(aws: Aws, values: Values) -> Iterable[str]:
    logs = aws.client("logs")
    for group in logs.describe_log_groups(logGroupNamePrefix=values["name"])["logGroups"]:
        if group["logGroupName"] == values["name"]:
            arn = group["arn"].removesuffix(":*")
            if _ours(values, _as_list(logs.list_tags_for_resource(resourceArn=arn)["tags"])):
                yield values["name"]


def _repository(aws: Aws, values: Values) -> Iterable[str]:
    ecr = aws.client("ecr")
    (repository,) = ecr.describe_repositories(repositoryNames=[values["name"]])["repositories"]
    if _ours(values, ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]):
        yield repository["repositoryName"]


def _cluster(aws: Aws, values: Values) -> Iterable[str]:
    found = aws.client("ecs").describe_clusters(clusters=[values["name"]], include=["TAGS"])["clusters"]
    for cluster in found:
        if not _gone(cluster["status"]) and _ours(values, cluster["tags"]):
            yield cluster["clusterName"]


def _capacity_provider(aws: Aws, values: Values) -> Iterable[str]:
    found = aws.client("ecs").describe_capacity_providers(capacityProviders=[values["name"]], include=["TAGS"])
    for provider in found["capacityProviders"]:
        if not _gone(provider["status"]) and _ours(values, provider["tags"]):
            yield provider["name"]


def _scaling_group(aws: Aws, values: Values) -> Iterable[str]:
    name = values["name"]
    planned = {"tags_all": {tag["key"]: tag["value"] for tag in values["tag"]}}
    found = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    for group in found["AutoScalingGroups"]:
        if _ours(planned, group["Tags"]):
            yield name


def _airflow(aws: Aws, values: Values) -> Iterable[str]:
    found = aws.client("mwaa").get_environment(Name=values["name"])["Environment"]
    if _ours(values, _as_list(found.get("Tags", {}))):
        if found["Status"] in AIRFLOW_GONE:
            return
        # A state that we do not know may be any: to be waited for is the safe side.
        if found["Status"] not in AIRFLOW_READY:
            raise NotYet(f"Airflow's environment {found['Name']} is being made or changed ({found['Status']})")
        yield found["Name"]


def _stack(aws: Aws, values: Values) -> Iterable[str]:
    (stack,) = aws.client("cloudformation").describe_stacks(StackName=values["name"])["Stacks"]
    if _ours(values, stack["Tags"]):
        if stack["StackStatus"] in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"}:
            raise NotYet(f"stack {stack['StackName']} is being made")
        if stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            yield stack["StackName"]


def _budget(aws: Aws, values: Values) -> Iterable[str]:
    budgets, name = aws.client("budgets"), values["name"]
    account = aws.client("sts").get_caller_identity()["Account"]
    budgets.describe_budget(AccountId=account, BudgetName=name)
    arn = f"arn:{budgets.meta.partition}:budgets::{account}:budget/{name}"
    if _ours(values, budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]):
        yield f"{account}:{name}"


def _in_image_builder(kind: str) -> Find:
    """A finder by the ARN, which has the resource's name, and the version of what has one."""

    def find(aws: Aws, values: Values) -> Iterable[str]:
        name = f":{kind}/{values['name'].lower()}"
        if values.get("version"):
            name += f"/{values['version']}"
        for arn in tagged(aws, _own_tags(values), "imagebuilder"):
            if arn.endswith(name) or f"{name}/" in arn:
                yield arn

    return find


def _in_resolver(kind: str) -> Find:
    def find(aws: Aws, values: Values) -> Iterable[str]:
        for arn in tagged(aws, _own_tags(values), "route53resolver"):
            if f":{kind}/" in arn:
                yield arn.rpartition("/")[2]

    return find


def _resolver_rule_association(aws: Aws, values: Values) -> Iterable[str]:
    asked = [
        {"Name": "ResolverRuleId", "Values": [values["resolver_rule_id"]]},
        {"Name": "VPCId", "Values": [values["vpc_id"]]},
    ]
    found = aws.client("route53resolver").list_resolver_rule_associations(Filters=asked)
    for association in found["ResolverRuleAssociations"]:
        if not _gone(association["Status"]):
            yield association["Id"]


FINDERS: Mapping[str, Find] = {
    "aws_autoscaling_group": _scaling_group,
    "aws_budgets_budget": _budget,
    "aws_cloudformation_stack": _stack,
    "aws_cloudwatch_log_group": _log_group,
    "aws_ecr_repository": _repository,
    "aws_ecs_capacity_provider": _capacity_provider,
    "aws_ecs_cluster": _cluster,
    "aws_eip": _in_ec2("describe_addresses", "Addresses", "AllocationId"),
    "aws_flow_log": _in_ec2("describe_flow_logs", "FlowLogs", "FlowLogId", filters="Filter"),
    "aws_iam_instance_profile": _instance_profile,
    "aws_iam_role": _role,
    "aws_imagebuilder_component": _in_image_builder("component"),
    "aws_imagebuilder_distribution_configuration": _in_image_builder("distribution-configuration"),
    "aws_imagebuilder_image_pipeline": _in_image_builder("image-pipeline"),
    "aws_imagebuilder_image_recipe": _in_image_builder("image-recipe"),
    "aws_imagebuilder_infrastructure_configuration": _in_image_builder("infrastructure-configuration"),
    "aws_internet_gateway": _in_ec2("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "aws_kms_alias": _alias,
    "aws_kms_key": _key,
    "aws_launch_template": _launch_template,
    "aws_mwaa_environment": _airflow,
    "aws_nat_gateway": _in_ec2("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    "aws_route": _route,
    "aws_route53_resolver_endpoint": _in_resolver("resolver-endpoint"),
    "aws_route53_resolver_rule": _in_resolver("resolver-rule"),
    "aws_route53_resolver_rule_association": _resolver_rule_association,
    "aws_route_table": _in_ec2("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws_route_table_association": _route_table_association,
    "aws_s3_bucket": _bucket,
    "aws_security_group": _in_ec2("describe_security_groups", "SecurityGroups", "GroupId"),
    "aws_subnet": _in_ec2("describe_subnets", "Subnets", "SubnetId"),
    "aws_vpc": _in_ec2("describe_vpcs", "Vpcs", "VpcId"),
    "aws_vpc_endpoint": _in_ec2("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "aws_vpc_security_group_egress_rule": _rule(egress=True),
    "aws_vpc_security_group_ingress_rule": _rule(egress=False),
}
