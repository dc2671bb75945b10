"""What AWS asks of the pipeline's roles beside what their policies seem to say; each was once missing in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.emulated import emulating

from .world import ACCOUNT, REGION

EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
MARKED = {"StringEquals": {"aws:ResourceTag/environment": "dev"}}
TAGS = [{"Key": "environment", "Value": "dev"}]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator that refuses."""
    with emulating(tmp_path_factory.mktemp("roles"), "--no-airflow", "--identity", "enforce") as emulator:
        yield emulator.endpoint


def connect(endpoint: str, service: str, key: str, secret: str, token: str | None = None) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
    )


@pytest.fixture
def admin(endpoint: str) -> Callable[[str], Any]:
    return lambda service: connect(endpoint, service, "local", "local")


@pytest.fixture
def role(endpoint: str, admin: Callable[[str], Any]) -> Callable[..., Callable[[str], Any]]:
    """Clients in the name of a role with these statements."""

    def make(*statements: dict[str, Any]) -> Callable[[str], Any]:
        name = f"r-{uuid4().hex[:12]}"
        trust = allow("sts:AssumeRole") | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
        del trust["Resource"]
        made = admin("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]
        admin("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
        keys = admin("sts").assume_role(RoleArn=made["Arn"], RoleSessionName="session")["Credentials"]
        secrets = keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
        return lambda service: connect(endpoint, service, *secrets)

    return make


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(*actions: str, on: Any = "*", when: dict[str, Any] | None = None) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": on}
    return statement | ({"Condition": when} if when else {})


def refused(call: Callable[..., Any], **parameters: Any) -> str:
    """What a call that its caller may not make is answered with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert error["Code"] in {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
    return str(error["Message"])


@pytest.mark.aws(
    does="A rule of a security group is a resource of its own: it has the tags of the request, and not its group's.",
    source="Service authorization reference, Amazon EC2, AuthorizeSecurityGroupIngress",
    sure="documented",
)
def test_a_rule_is_a_resource_beside_its_group(admin, role):
    vpc = admin("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    tags = [{"ResourceType": "security-group", "Tags": TAGS}]
    group = admin("ec2").create_security_group(GroupName="g", Description="g", VpcId=vpc, TagSpecifications=tags)
    rule = {
        "GroupId": group["GroupId"],
        "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}],
        "TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": TAGS}],
    }
    by_tag = (
        allow("ec2:AuthorizeSecurityGroupIngress", on=f"{EC2}:*/*", when=MARKED),
        allow("ec2:CreateTags", when={"Null": {"ec2:CreateAction": "false"}}),
    )
    said = refused(role(*by_tag)("ec2").authorize_security_group_ingress, **rule)
    assert "security-group-rule/" in said
    made = allow(
        "ec2:AuthorizeSecurityGroupIngress",
        on=f"{EC2}:security-group-rule/*",
        when={"StringEquals": {"aws:RequestTag/environment": "dev"}},
    )
    role(*by_tag, made)("ec2").authorize_security_group_ingress(**rule)


@pytest.mark.aws(
    does="Who makes a repository with a customer's key may create and retire grants on it, and describe it.",
    source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html",
    sure="documented",
)
def test_a_repository_with_a_key_takes_the_grants_end(admin, role):
    key = admin("kms").create_key()["KeyMetadata"]["Arn"]
    given = {"repositoryName": "keyed", "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": key}}
    some = (allow("ecr:*"), allow("kms:CreateGrant", "kms:DescribeKey", on=key))
    assert "kms:RetireGrant" in refused(role(*some)("ecr").create_repository, **given)
    role(*some, allow("kms:RetireGrant", on=key))("ecr").create_repository(**given)


@pytest.mark.aws(
    does="MWAA never stands in aws:CalledVia, and asks its caller for ec2:CreateNetworkInterface all the same.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/access-policies.html",
    sure="documented",
)
def test_mwaa_makes_interfaces_in_its_callers_name(role):
    called = {"ForAnyValue:StringEquals": {"aws:CalledVia": "airflow.amazonaws.com"}}
    rest = allow(
        "airflow:*", "iam:*", "kms:*", "s3:*", "logs:*", "ec2:Describe*", "ec2:CreateVpcEndpoint", "ec2:CreateTags"
    )
    airflow = role(rest, allow("ec2:CreateNetworkInterface", when=called))("mwaa")
    said = refused(
        airflow.create_environment,
        Name="wb",
        DagS3Path="dags",
        ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/x",
        NetworkConfiguration={"SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"]},
        SourceBucketArn="arn:aws:s3:::x",
    )
    assert "ec2:CreateNetworkInterface" in said


@pytest.mark.aws(
    does="An interface endpoint with private names takes route53:AssociateVPCWithHostedZone.",
    source="Service authorization reference, Amazon EC2, CreateVpcEndpoint, dependent actions",
    sure="documented",
)
def test_an_endpoints_private_names_are_a_zone(admin, role):
    vpc = admin("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = admin("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    given = {
        "VpcId": vpc,
        "ServiceName": f"com.amazonaws.{REGION}.ecs",
        "VpcEndpointType": "Interface",
        "PrivateDnsEnabled": True,
        "SubnetIds": [subnet],
    }
    some = allow("ec2:*")
    assert "route53:AssociateVPCWithHostedZone" in refused(role(some)("ec2").create_vpc_endpoint, **given)
    role(some, allow("route53:AssociateVPCWithHostedZone"))("ec2").create_vpc_endpoint(**given)


@pytest.mark.aws(
    does="SNS knows a subscription as no resource: who looks at one, or ends it, is allowed to on everything.",
    source="https://github.com/KensioSoftware/yulin/issues/662",
    sure="reported",
)
def test_a_subscription_is_no_resource(admin, role):
    topic = admin("sns").create_topic(Name="alarms")["TopicArn"]
    made = admin("sns").subscribe(
        TopicArn=topic, Protocol="email", Endpoint="a@example.com", ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    named = allow("sns:GetSubscriptionAttributes", on=f"{topic}*")
    assert "sns:GetSubscriptionAttributes" in refused(
        role(named)("sns").get_subscription_attributes, SubscriptionArn=made
    )
    role(allow("sns:GetSubscriptionAttributes"))("sns").get_subscription_attributes(SubscriptionArn=made)


@pytest.mark.aws(
    does="Tasks listed by their cluster are asked for on everything, with the cluster as a condition key.",
    source="https://github.com/cdklabs/construct-hub/issues/1207",
    sure="reported",
)
def test_tasks_are_listed_by_a_condition(admin, role):
    cluster = admin("ecs").create_cluster(clusterName="c")["cluster"]["clusterArn"]
    assert "ecs:ListTasks" in refused(role(allow("ecs:ListTasks", on=cluster))("ecs").list_tasks, cluster="c")
    by_condition = allow("ecs:ListTasks", when={"ArnEquals": {"ecs:cluster": cluster}})
    assert role(by_condition)("ecs").list_tasks(cluster="c")["taskArns"] == []


@pytest.mark.aws(
    does="Who initialises Terraform's S3 backend lists workspaces, by the prefix env:/.",
    source="https://developer.hashicorp.com/terraform/language/backend/s3#permissions-required",
    sure="documented",
)
def test_a_prefix_bounds_a_listing(admin, role):
    admin("s3").create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": REGION})
    listing = allow(
        "s3:ListBucket", on="arn:aws:s3:::states", when={"StringLike": {"s3:prefix": ["env:/", "a.tfstate*"]}}
    )
    s3 = role(listing)("s3")
    for prefix in ("env:/", "a.tfstate", "a.tfstate.tflock"):
        s3.list_objects_v2(Bucket="states", Prefix=prefix)
    assert "s3:ListBucket" in refused(s3.list_objects_v2, Bucket="states", Prefix="bootstrap")
