"""What is there of what a plan would create: AWS by moto, and by its answers where moto does not know a service."""

import functools
import json
import re
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from scripts.core.settings import ROOT
from scripts.terraform import imports

REGION = "eu-central-1"
ACCOUNT = "123456789012"
TAGS = {"environment": "dev", "root": "winbatch"}
THEIRS = {"environment": "prod", "root": "winbatch"}

# What a second request only sets again, or answers with what is there.
SET_AGAIN = {
    "aws_autoscaling_lifecycle_hook",
    "aws_autoscaling_policy",
    "aws_cloudwatch_dashboard",
    "aws_cloudwatch_metric_alarm",
    "aws_default_security_group",
    "aws_ecr_lifecycle_policy",
    "aws_ecs_cluster_capacity_providers",
    "aws_ecs_task_definition",
    "aws_iam_role_policy",
    "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_logging",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
    "aws_s3_object",
    "aws_sns_topic",
    "aws_sns_topic_policy",
    "aws_sns_topic_subscription",
}


@functools.cache
def client(service):
    return boto3.client(service, REGION, aws_access_key_id="x", aws_secret_access_key="x")


AWS = SimpleNamespace(client=client)


@pytest.fixture(autouse=True)
def no_images(monkeypatch):
    """Without its thousand images: each of moto's EC2s reads them anew."""
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")


@pytest.fixture
def aws():
    with mock_aws():
        yield AWS


def pairs(tags, key="Key", value="Value"):
    return [{key: name, value: text} for name, text in tags.items()]


def in_ec2(kind, tags):
    return [{"ResourceType": kind, "Tags": pairs(tags)}]


def vpc(aws):
    return aws.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]


def subnet(aws):
    return aws.client("ec2").create_subnet(VpcId=vpc(aws), CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]


def group(aws, tags=None):
    more = {"TagSpecifications": in_ec2("security-group", tags)} if tags else {}
    made = aws.client("ec2").create_security_group(GroupName="g", Description="g", VpcId=vpc(aws), **more)
    return made["GroupId"]


# Makers: each makes a thing with tags, and gives the values by which a plan knows it and the id of its import.


def make_role(aws, tags):
    aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}", Tags=pairs(tags))
    return {"name": "r"}, "r"


def make_instance_profile(aws, tags):
    aws.client("iam").create_instance_profile(InstanceProfileName="p", Tags=pairs(tags))
    return {"name": "p"}, "p"


def make_bucket(aws, tags):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_tagging(Bucket="bucket", Tagging={"TagSet": pairs(tags)})
    return {"bucket": "bucket"}, "bucket"


def make_key(aws, tags):
    kms = aws.client("kms")
    # A key for something else has another description.
    kms.create_key(Description="another", Tags=pairs(tags, "TagKey", "TagValue"))
    made = kms.create_key(Description="stores", Tags=pairs(tags, "TagKey", "TagValue"))
    return {"description": "stores"}, made["KeyMetadata"]["KeyId"]


def make_log_group(aws, tags):
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="/g", tags=tags)
    logs.create_log_group(logGroupName="/g/longer", tags=tags)
    return {"name": "/g"}, "/g"


def make_repository(aws, tags):
    aws.client("ecr").create_repository(repositoryName="winbatch-dev/ber", tags=pairs(tags))
    return {"name": "winbatch-dev/ber"}, "winbatch-dev/ber"


def make_cluster(aws, tags):
    aws.client("ecs").create_cluster(clusterName="c", tags=pairs(tags, "key", "value"))
    return {"name": "c"}, "c"


def make_scaling_group(aws, tags):
    scaling = aws.client("autoscaling")
    scaling.create_launch_configuration(LaunchConfigurationName="l", ImageId="ami-12345678", InstanceType="t3.small")
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="g",
        LaunchConfigurationName="l",
        MinSize=0,
        MaxSize=0,
        AvailabilityZones=[f"{REGION}a"],
        Tags=pairs(tags),
    )
    return {"name": "g", "tag": pairs(TAGS, "key", "value")}, "g"


def make_capacity_provider(aws, tags):
    make_scaling_group(aws, tags)
    (found,) = aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    provider = {"autoScalingGroupArn": found["AutoScalingGroupARN"]}
    made = {"autoScalingGroupProvider": provider, "tags": pairs(tags, "key", "value")}
    aws.client("ecs").create_capacity_provider(name="p", **made)
    return {"name": "p"}, "p"


def make_launch_template(aws, tags):
    made = aws.client("ec2").create_launch_template(
        LaunchTemplateName="t",
        LaunchTemplateData={"InstanceType": "t3.small"},
        TagSpecifications=in_ec2("launch-template", tags),
    )
    return {"name": "t"}, made["LaunchTemplate"]["LaunchTemplateId"]


def make_vpc(aws, tags):
    vpc(aws)
    made = aws.client("ec2").create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=in_ec2("vpc", tags))
    return {}, made["Vpc"]["VpcId"]


def make_subnet(aws, tags):
    made = aws.client("ec2").create_subnet(
        VpcId=vpc(aws), CidrBlock="10.0.0.0/24", TagSpecifications=in_ec2("subnet", tags)
    )
    return {}, made["Subnet"]["SubnetId"]


def make_security_group(aws, tags):
    return {}, group(aws, tags)


def make_internet_gateway(aws, tags):
    made = aws.client("ec2").create_internet_gateway(TagSpecifications=in_ec2("internet-gateway", tags))
    return {}, made["InternetGateway"]["InternetGatewayId"]


def make_address(aws, tags):
    made = aws.client("ec2").allocate_address(Domain="vpc", TagSpecifications=in_ec2("elastic-ip", tags))
    return {}, made["AllocationId"]


def make_nat_gateway(aws, tags):
    ec2 = aws.client("ec2")

    def make():
        made = ec2.create_nat_gateway(
            SubnetId=subnet(aws),
            AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"],
            TagSpecifications=in_ec2("natgateway", tags),
        )
        return made["NatGateway"]["NatGatewayId"]

    # AWS shows one that is gone for an hour.
    ec2.delete_nat_gateway(NatGatewayId=make())
    return {}, make()


def make_route_table(aws, tags):
    made = aws.client("ec2").create_route_table(VpcId=vpc(aws), TagSpecifications=in_ec2("route-table", tags))
    return {}, made["RouteTable"]["RouteTableId"]


def make_endpoint(aws, tags):
    made = aws.client("ec2").create_vpc_endpoint(
        VpcId=vpc(aws),
        ServiceName=f"com.amazonaws.{REGION}.s3",
        VpcEndpointType="Gateway",
        TagSpecifications=in_ec2("vpc-endpoint", tags),
    )
    return {}, made["VpcEndpoint"]["VpcEndpointId"]


def make_flow_log(aws, tags):
    aws.client("s3").create_bucket(Bucket="flow", CreateBucketConfiguration={"LocationConstraint": REGION})
    made = aws.client("ec2").create_flow_logs(
        ResourceIds=[vpc(aws)],
        ResourceType="VPC",
        TrafficType="ALL",
        LogDestinationType="s3",
        LogDestination="arn:aws:s3:::flow",
        TagSpecifications=in_ec2("vpc-flow-log", tags),
    )
    return {}, made["FlowLogIds"][0]


def make_rules(aws, tags):
    """Both rules of a group that leads to itself, which have the same name."""
    ec2, here = aws.client("ec2"), group(aws)
    rule = {
        "GroupId": here,
        "IpPermissions": [
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        ],
        "TagSpecifications": in_ec2("security-group-rule", tags),
    }
    rules = [
        call(**rule)["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        for call in (ec2.authorize_security_group_ingress, ec2.authorize_security_group_egress)
    ]
    return {"security_group_id": here}, rules


def make_ingress_rule(aws, tags):
    values, rules = make_rules(aws, tags)
    return values, rules[0]


def make_egress_rule(aws, tags):
    values, rules = make_rules(aws, tags)
    return values, rules[1]


def make_stack(aws, tags):
    body = json.dumps({"Resources": {"t": {"Type": "AWS::SNS::Topic"}}})
    aws.client("cloudformation").create_stack(StackName="s", TemplateBody=body, Tags=pairs(tags))
    return {"name": "s"}, "s"


def make_resolver_endpoint(aws, tags):
    made = aws.client("route53resolver").create_resolver_endpoint(
        CreatorRequestId="1",
        SecurityGroupIds=[group(aws)],
        Direction="OUTBOUND",
        IpAddresses=[{"SubnetId": subnet(aws)}, {"SubnetId": subnet(aws)}],
        Tags=pairs(tags),
    )
    return {}, made["ResolverEndpoint"]["Id"]


MAKERS = {
    "aws_autoscaling_group": make_scaling_group,
    "aws_cloudformation_stack": make_stack,
    "aws_cloudwatch_log_group": make_log_group,
    "aws_ecr_repository": make_repository,
    "aws_ecs_capacity_provider": make_capacity_provider,
    "aws_ecs_cluster": make_cluster,
    "aws_eip": make_address,
    "aws_flow_log": make_flow_log,
    "aws_iam_instance_profile": make_instance_profile,
    "aws_iam_role": make_role,
    "aws_internet_gateway": make_internet_gateway,
    "aws_kms_key": make_key,
    "aws_launch_template": make_launch_template,
    "aws_nat_gateway": make_nat_gateway,
    "aws_route_table": make_route_table,
    "aws_s3_bucket": make_bucket,
    "aws_security_group": make_security_group,
    "aws_subnet": make_subnet,
    "aws_vpc": make_vpc,
    "aws_vpc_endpoint": make_endpoint,
    "aws_vpc_security_group_egress_rule": make_egress_rule,
    "aws_vpc_security_group_ingress_rule": make_ingress_rule,
}


def plan_of(kind, values, *, actions=("create",), noted=()):
    """A plan's JSON that does something to one resource, over a state that knows ids of that kind."""
    after = {"tags_all": TAGS, **values}
    resources = [{"mode": "managed", "type": kind, "values": {"id": name}} for name in noted]
    return {
        "resource_changes": [{"type": kind, "address": "it", "change": {"actions": list(actions), "after": after}}],
        "prior_state": {"values": {"root_module": {"child_modules": [{"resources": resources}]}}},
    }


@pytest.mark.parametrize("kind", MAKERS)
def test_what_carries_our_tags_is_found(kind):
    with mock_aws():
        values, name = MAKERS[kind](AWS, TAGS)
        assert imports.unnoted(AWS, plan_of(kind, values)) == {"it": name}
        # What the state has is not there a second time, and what is not created needs nothing.
        assert imports.unnoted(AWS, plan_of(kind, values, noted=[name])) == {}
        assert imports.unnoted(AWS, plan_of(kind, values, actions=["delete", "create"])) == {}
    with mock_aws():
        assert imports.unnoted(AWS, plan_of(kind, values)) == {}
        values, _ = MAKERS[kind](AWS, THEIRS)
        assert imports.unnoted(AWS, plan_of(kind, values)) == {}


def test_a_name_tells_two_of_a_kind_apart(aws):
    first = make_subnet(aws, {**TAGS, "Name": "a"})[1]
    second = make_subnet(aws, {**TAGS, "Name": "b"})[1]
    plan = plan_of("aws_subnet", {"tags_all": {**TAGS, "Name": "b"}})
    assert imports.unnoted(aws, plan) == {"it": second}
    assert first != second


def test_one_thing_is_taken_over_once(aws):
    first, second = (make_address(aws, TAGS)[1] for _ in range(2))
    plan = plan_of("aws_eip", {})
    plan["resource_changes"] += [{**plan["resource_changes"][0], "address": name} for name in ("that", "more")]
    found = imports.unnoted(aws, plan)
    assert sorted(found.values()) == sorted([first, second])
    assert list(found) == ["it", "that"]


def test_what_waits_for_something_that_is_not_made_cannot_be_there(aws):
    # Terraform leaves out what only the apply will tell.
    assert imports.unnoted(aws, plan_of("aws_vpc_security_group_egress_rule", {})) == {}


def test_names_of_other_kinds_do_not_count(aws):
    make_role(aws, TAGS)
    plan = plan_of("aws_iam_role", {"name": "r"})
    plan["prior_state"]["values"]["root_module"] = {
        "resources": [{"mode": "managed", "type": "aws_iam_instance_profile", "values": {"id": "r"}}]
    }
    assert imports.unnoted(aws, plan) == {"it": "r"}


def test_a_bucket_that_has_no_tags_yet_is_ours_while_it_is_empty(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    plan = plan_of("aws_s3_bucket", {"bucket": "bucket"})
    assert imports.unnoted(aws, plan) == {"it": "bucket"}
    s3.put_object(Bucket="bucket", Key="a", Body=b"1")
    assert imports.unnoted(aws, plan) == {}


def test_a_key_on_its_way_out_is_left_alone(aws):
    values, name = make_key(aws, TAGS)
    aws.client("kms").schedule_key_deletion(KeyId=name, PendingWindowInDays=7)
    assert imports.unnoted(aws, plan_of("aws_kms_key", values)) == {}


def test_an_alias_is_ours_when_its_key_is(aws):
    kms = aws.client("kms")
    ours, theirs = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    kms.create_alias(AliasName="alias/a", TargetKeyId=ours)
    values = {"name": "alias/a", "target_key_id": ours}
    assert imports.unnoted(aws, plan_of("aws_kms_alias", values)) == {"it": "alias/a"}
    assert imports.unnoted(aws, plan_of("aws_kms_alias", {**values, "target_key_id": theirs})) == {}
    assert imports.unnoted(aws, plan_of("aws_kms_alias", {**values, "name": "alias/b"})) == {}


def test_routes_and_associations_are_found_in_their_table(aws):
    ec2 = aws.client("ec2")
    here = vpc(aws)
    table = ec2.create_route_table(VpcId=here)["RouteTable"]["RouteTableId"]
    place = ec2.create_subnet(VpcId=here, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    route = {"route_table_id": table, "destination_cidr_block": "0.0.0.0/0"}
    association = {"route_table_id": table, "subnet_id": place}
    assert imports.unnoted(aws, plan_of("aws_route", route)) == {}
    assert imports.unnoted(aws, plan_of("aws_route_table_association", association)) == {}
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=here)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=place)
    assert imports.unnoted(aws, plan_of("aws_route", route)) == {"it": f"{table}_0.0.0.0/0"}
    assert imports.unnoted(aws, plan_of("aws_route_table_association", association)) == {"it": f"{place}/{table}"}


def test_a_resolvers_rule_is_found_with_its_association(aws):
    resolver = aws.client("route53resolver")
    values, endpoint = make_resolver_endpoint(aws, TAGS)
    answers = tagged([f"arn:aws:route53resolver:{REGION}:{ACCOUNT}:resolver-endpoint/{endpoint}"], aws)
    assert imports.unnoted(answers, plan_of("aws_route53_resolver_endpoint", values)) == {"it": endpoint}
    rule = resolver.create_resolver_rule(
        CreatorRequestId="2",
        RuleType="FORWARD",
        DomainName="corp.example",
        TargetIps=[{"Ip": "10.0.0.2", "Port": 53}],
        ResolverEndpointId=endpoint,
    )["ResolverRule"]["Id"]
    answers = tagged([f"arn:aws:route53resolver:{REGION}:{ACCOUNT}:resolver-rule/{rule}"], aws)
    assert imports.unnoted(answers, plan_of("aws_route53_resolver_rule", {})) == {"it": rule}
    assert imports.unnoted(answers, plan_of("aws_route53_resolver_endpoint", {})) == {}
    here = vpc(aws)
    association = {"resolver_rule_id": rule, "vpc_id": here}
    assert imports.unnoted(aws, plan_of("aws_route53_resolver_rule_association", association)) == {}
    made = resolver.associate_resolver_rule(ResolverRuleId=rule, VPCId=here)["ResolverRuleAssociation"]["Id"]
    assert imports.unnoted(aws, plan_of("aws_route53_resolver_rule_association", association)) == {"it": made}


@pytest.mark.parametrize(
    ("kind", "values", "resource"),
    [
        ("component", {"name": "winbatch-dev-images", "version": "1.0.0"}, "component/winbatch-dev-images/1.0.0/1"),
        ("image_recipe", {"name": "Winbatch-dev", "version": "1.0.0"}, "image-recipe/winbatch-dev/1.0.0"),
        ("image_pipeline", {"name": "winbatch-dev"}, "image-pipeline/winbatch-dev"),
        ("infrastructure_configuration", {"name": "winbatch-dev"}, "infrastructure-configuration/winbatch-dev"),
        ("distribution_configuration", {"name": "winbatch-dev"}, "distribution-configuration/winbatch-dev"),
    ],
)
def test_image_builders_arns_have_name_and_version(kind, values, resource):
    arn = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:{resource}"
    others = [arn.replace("dev", "dev-more"), f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image/winbatch-dev/1.0.0/1"]
    plan = plan_of(f"aws_imagebuilder_{kind}", values)
    assert imports.unnoted(tagged([*others, arn]), plan) == {"it": arn}
    assert imports.unnoted(tagged(others), plan) == {}


def tagged(arns, aws=None):
    """AWS, whose list of what carries tags is this."""
    page = {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}
    asked = SimpleNamespace(get_paginator=lambda call: SimpleNamespace(paginate=lambda **_: [page]))
    return SimpleNamespace(
        client=lambda service: asked if service == "resourcegroupstaggingapi" else aws.client(service)
    )


def answering(**answers):
    """AWS, of which every service answers calls with these."""
    calls = {name: lambda answer=answer, **_: answer for name, answer in answers.items()}
    return SimpleNamespace(client=lambda service: SimpleNamespace(meta=SimpleNamespace(partition="aws"), **calls))


def test_a_budget_is_named_with_its_account():
    def aws(tags):
        return answering(
            get_caller_identity={"Account": ACCOUNT},
            describe_budget={"Budget": {}},
            list_tags_for_resource={"ResourceTags": pairs(tags)},
        )

    plan = plan_of("aws_budgets_budget", {"name": "winbatch-dev"})
    assert imports.unnoted(aws(TAGS), plan) == {"it": f"{ACCOUNT}:winbatch-dev"}
    assert imports.unnoted(aws(THEIRS), plan) == {}


@pytest.mark.parametrize(
    ("status", "tags", "found"),
    [("AVAILABLE", TAGS, {"it": "a"}), ("AVAILABLE", THEIRS, {}), ("DELETING", TAGS, {}), ("CREATE_FAILED", TAGS, {})],
)
def test_airflow_is_taken_over_when_it_is_there(status, tags, found):
    aws = answering(get_environment={"Environment": {"Name": "a", "Status": status, "Tags": tags}})
    assert imports.unnoted(aws, plan_of("aws_mwaa_environment", {"name": "a"})) == found
    assert imports.whole(aws, "aws_mwaa_environment", {"name": "a", "tags_all": TAGS}) is bool(found)


def test_what_is_still_being_made_is_waited_for():
    aws = answering(get_environment={"Environment": {"Name": "a", "Status": "CREATING", "Tags": TAGS}})
    with pytest.raises(imports.NotYet, match="Airflow's environment a is being made"):
        imports.unnoted(aws, plan_of("aws_mwaa_environment", {"name": "a"}))
    stack = {"StackName": "s", "StackStatus": "CREATE_IN_PROGRESS", "Tags": pairs(TAGS)}
    with pytest.raises(imports.NotYet, match="stack s is being made"):
        imports.unnoted(
            answering(describe_stacks={"Stacks": [stack]}), plan_of("aws_cloudformation_stack", {"name": "s"})
        )


def test_every_kind_that_the_root_makes_is_looked_for_or_set_again():
    made = {
        kind
        for file in (ROOT / "terraform").rglob("*.tf")
        if "bootstrap" not in file.parts and ".terraform" not in file.parts
        for kind in re.findall(r'^resource "(\w+)"', file.read_text(), re.MULTILINE)
    }
    assert made == set(imports.FINDERS) | SET_AGAIN
    assert set(imports.FINDERS) & SET_AGAIN == set()


def test_blocks_say_what_becomes_what():
    existing = {"aws_s3_bucket.state": "b", 'aws_iam_role.r["a"]': 'n"'}
    assert imports.blocks(existing, list(existing)) == ""
    assert imports.blocks(existing, ["aws_s3_bucket.state"]) == (
        'import {\n  to = aws_iam_role.r["a"]\n  id = "n\\""\n}\n'
    )
