"""What calls need: actions, resources and condition keys, from their parameters and the reference."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from emulator.calls import Call
from emulator.identity import mapping, reference
from emulator.identity.mapping.world import BucketKey, LaunchTemplate, Place, TaskDefinition

ACCOUNT, REGION = "123456789012", "eu-central-1"
HERE = f"{REGION}:{ACCOUNT}"
KEY = f"arn:aws:kms:{HERE}:key/k"
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
# An account with a bit of everything.
WORLD = SimpleNamespace(
    role_arn=lambda name: f"{ROLE}/path/{name}" if name == "there" else None,
    role_boundary=lambda _: f"arn:aws:iam::{ACCOUNT}:policy/bound",
    instance_profile=lambda _: None,
    policy_arn=lambda _: None,
    roles_of_profile=lambda _: (f"{ROLE}/host",),
    key_arn=lambda _, name: KEY if name.rpartition("/")[2] in {"k", "a"} else None,
    group_arn=lambda _, name: f"arn:aws:autoscaling:{HERE}:autoScalingGroup:1-2:autoScalingGroupName/{name}",
    group_of_instance=lambda _, instance: "g" if instance == "i-1" else None,
    policy_group=lambda *_: "g",
    launch_template=lambda *_: LaunchTemplate("lt-1", "profile", tags=True),
    task_definition=lambda *_: TaskDefinition(f"arn:aws:ecs:{HERE}:task-definition/t:3", (f"{ROLE}/task",)),
    associated=lambda *_: ("rtb-00000001",),
    secret_arn=lambda *_: None,
    bucket_key=lambda bucket: BucketKey(KEY, of_bucket=True) if bucket == "sealed" else None,
    object_key=lambda bucket, *_: BucketKey(KEY, of_bucket=False) if bucket == "sealed" else None,
    has_service_role=lambda _: False,
)


def needs(service, operation, **parameters):
    call = Call(service, operation, parameters, "k", REGION, "json", service)
    return mapping.needs(call, Place("aws", REGION, ACCOUNT), WORLD)


def ec2(kind):
    return f"arn:aws:ec2:{HERE}:{kind}"


# A call, and what it needs: action and resource.
CALLS = [
    ("sts", "GetCallerIdentity", {}, []),
    ("sts", "AssumeRole", {"RoleArn": f"{ROLE}/r"}, [("sts:AssumeRole", f"{ROLE}/r")]),
    ("ecs", "ListClusters", {}, [("ecs:ListClusters", "*")]),
    ("ecs", "ListTasks", {"cluster": "c"}, [("ecs:ListTasks", "*")]),
    ("ecs", "DescribeClusters", {"clusters": ["c"]}, [("ecs:DescribeClusters", f"arn:aws:ecs:{HERE}:cluster/c")]),
    (
        "ecs",
        "DescribeTasks",
        {"cluster": f"arn:aws:ecs:{HERE}:cluster/c", "tasks": ["7", f"arn:aws:ecs:{HERE}:task/c/8"]},
        [("ecs:DescribeTasks", f"arn:aws:ecs:{HERE}:task/c/7"), ("ecs:DescribeTasks", f"arn:aws:ecs:{HERE}:task/c/8")],
    ),
    (
        "ecs",
        "RunTask",
        {"cluster": "c", "taskDefinition": "t", "tags": [{"key": "a", "value": "b"}]},
        [
            ("ecs:RunTask", f"arn:aws:ecs:{HERE}:task-definition/t:3"),
            ("ecs:TagResource", f"arn:aws:ecs:{HERE}:task/c/*"),
            ("iam:PassRole", f"{ROLE}/task"),
        ],
    ),
    (
        "ecs",
        "RunTask",
        {"cluster": "c", "taskDefinition": "t", "propagateTags": "TASK_DEFINITION"},
        [
            ("ecs:RunTask", f"arn:aws:ecs:{HERE}:task-definition/t:3"),
            ("ecs:TagResource", f"arn:aws:ecs:{HERE}:task/c/*"),
            ("iam:PassRole", f"{ROLE}/task"),
        ],
    ),
    (
        "ecs",
        "RegisterTaskDefinition",
        {"family": "f", "taskRoleArn": f"{ROLE}/task"},
        [("ecs:RegisterTaskDefinition", f"arn:aws:ecs:{HERE}:task-definition/f:*"), ("iam:PassRole", f"{ROLE}/task")],
    ),
    (
        "ecs",
        "CreateCluster",
        {"clusterName": "c"},
        [
            ("ecs:CreateCluster", f"arn:aws:ecs:{HERE}:cluster/c"),
            ("iam:CreateServiceLinkedRole", f"{ROLE}/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"),
        ],
    ),
    ("ec2", "DescribeVpcs", {}, [("ec2:DescribeVpcs", "*")]),
    ("ec2", "DeleteVpc", {"VpcId": "vpc-00000001"}, [("ec2:DeleteVpc", ec2("vpc/vpc-00000001"))]),
    (
        "ec2",
        "CreateSubnet",
        {
            "VpcId": "vpc-00000001",
            "TagSpecifications": [{"ResourceType": "subnet", "Tags": [{"Key": "a", "Value": "b"}]}],
        },
        [
            ("ec2:CreateSubnet", ec2("vpc/vpc-00000001")),
            ("ec2:CreateSubnet", ec2("subnet/*")),
            ("ec2:CreateTags", ec2("subnet/*")),
        ],
    ),
    (
        "ec2",
        "DisassociateRouteTable",
        {"AssociationId": "rtbassoc-00000001"},
        [("ec2:DisassociateRouteTable", ec2("route-table/rtb-00000001"))],
    ),
    # A rule counts for itself only when it gets tags (fact 1).
    (
        "ec2",
        "AuthorizeSecurityGroupIngress",
        {"GroupId": "sg-00000001"},
        [("ec2:AuthorizeSecurityGroupIngress", ec2("security-group/sg-00000001"))],
    ),
    (
        "ec2",
        "AuthorizeSecurityGroupIngress",
        {
            "GroupId": "sg-00000001",
            "TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": [{"Key": "a", "Value": "b"}]}],
        },
        [
            ("ec2:AuthorizeSecurityGroupIngress", ec2("security-group/sg-00000001")),
            ("ec2:AuthorizeSecurityGroupIngress", ec2("security-group-rule/*")),
            ("ec2:CreateTags", ec2("security-group-rule/*")),
        ],
    ),
    (
        "ec2",
        "CreateVpcEndpoint",
        {"VpcId": "vpc-00000001", "VpcEndpointType": "Interface"},
        [
            ("ec2:CreateVpcEndpoint", ec2("vpc/vpc-00000001")),
            ("ec2:CreateVpcEndpoint", ec2("vpc-endpoint/*")),
            ("route53:AssociateVPCWithHostedZone", "arn:aws:route53:::hostedzone/*"),
        ],
    ),
    (
        "autoscaling",
        "SetDesiredCapacity",
        {"AutoScalingGroupName": "g", "DesiredCapacity": 1},
        [("autoscaling:SetDesiredCapacity", WORLD.group_arn(REGION, "g"))],
    ),
    (
        "autoscaling",
        "TerminateInstanceInAutoScalingGroup",
        {"InstanceId": "i-1"},
        [("autoscaling:TerminateInstanceInAutoScalingGroup", WORLD.group_arn(REGION, "g"))],
    ),
    (
        "autoscaling",
        "LaunchInstances",
        {"AutoScalingGroupName": "g", "RequestedCapacity": 1},
        [
            ("autoscaling:LaunchInstances", WORLD.group_arn(REGION, "g")),
            *(("ec2:CreateFleet", ec2(f"{kind}/*")) for kind in ("fleet", "instance", "launch-template", "subnet")),
        ],
    ),
    ("autoscaling", "DescribeAutoScalingGroups", {}, [("autoscaling:DescribeAutoScalingGroups", "*")]),
    ("s3", "ListBuckets", {}, [("s3:ListAllMyBuckets", "*")]),
    ("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "p"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
    ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, [("s3:GetObject", "arn:aws:s3:::b/k")]),
    (
        "s3",
        "GetObject",
        {"Bucket": "sealed", "Key": "k"},
        [("s3:GetObject", "arn:aws:s3:::sealed/k"), ("kms:Decrypt", KEY)],
    ),
    ("s3", "GetObject", {"Bucket": "b", "Key": "k", "VersionId": "1"}, [("s3:GetObjectVersion", "arn:aws:s3:::b/k")]),
    (
        "s3",
        "PutObject",
        {"Bucket": "sealed", "Key": "k"},
        [("s3:PutObject", "arn:aws:s3:::sealed/k"), ("kms:GenerateDataKey", KEY)],
    ),
    (
        "s3",
        "PutObject",
        {"Bucket": "sealed", "Key": "k", "ServerSideEncryption": "AES256"},
        [("s3:PutObject", "arn:aws:s3:::sealed/k")],
    ),
    (
        "s3",
        "CopyObject",
        {"Bucket": "b", "Key": "k", "CopySource": "sealed/a%20b"},
        [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::sealed/a b"), ("kms:Decrypt", KEY)],
    ),
    (
        "s3",
        "DeleteObjects",
        {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}, {"Key": "v", "VersionId": "1"}]}},
        [("s3:DeleteObject", "arn:aws:s3:::b/k"), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/v")],
    ),
    ("s3", "PutPublicAccessBlock", {"Bucket": "b"}, [("s3:PutBucketPublicAccessBlock", "arn:aws:s3:::b")]),
    ("kms", "DescribeKey", {"KeyId": "alias/a"}, [("kms:DescribeKey", KEY)]),
    ("kms", "Decrypt", {"CiphertextBlob": "ay4uLg=="}, [("kms:Decrypt", f"arn:aws:kms:{HERE}:key/k...")]),
    (
        "kms",
        "CreateAlias",
        {"AliasName": "alias/n", "TargetKeyId": "k"},
        [("kms:CreateAlias", KEY), ("kms:CreateAlias", f"arn:aws:kms:{HERE}:alias/n")],
    ),
    ("iam", "GetRole", {"RoleName": "there"}, [("iam:GetRole", f"{ROLE}/path/there")]),
    ("iam", "CreateRole", {"RoleName": "n", "Path": "/a/"}, [("iam:CreateRole", f"{ROLE}/a/n")]),
    (
        "logs",
        "PutLogEvents",
        {"logGroupName": "/w", "logStreamName": "s"},
        [("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:/w:log-stream:s")],
    ),
    (
        "logs",
        "TagResource",
        {"resourceArn": f"arn:aws:logs:{HERE}:log-group:/w", "tags": {"a": "b"}},
        [("logs:TagResource", f"arn:aws:logs:{HERE}:log-group:/w")],
    ),
    (
        "ssm",
        "GetParameter",
        {"Name": "/aws/service/x"},
        [("ssm:GetParameter", f"arn:aws:ssm:{REGION}::parameter/aws/service/x")],
    ),
    ("ssm", "GetParameter", {"Name": "/x"}, [("ssm:GetParameter", f"arn:aws:ssm:{HERE}:parameter/x")]),
    (
        "sns",
        "GetSubscriptionAttributes",
        {"SubscriptionArn": f"arn:aws:sns:{HERE}:t:1"},
        [("sns:GetSubscriptionAttributes", "*")],
    ),
    ("sqs", "SendMessage", {"QueueUrl": "http://x/1/q"}, [("sqs:SendMessage", f"arn:aws:sqs:{HERE}:q")]),
    ("ecr", "GetAuthorizationToken", {}, [("ecr:GetAuthorizationToken", "*")]),
    ("mwaa", "GetEnvironment", {"Name": "e"}, [("airflow:GetEnvironment", f"arn:aws:airflow:{HERE}:environment/e")]),
    ("mwaa", "InvokeRestApi", {"Name": "e"}, [("airflow:InvokeRestApi", f"arn:aws:airflow:{HERE}:role/e/Admin")]),
    (
        "budgets",
        "DescribeBudget",
        {"BudgetName": "b"},
        [("budgets:ViewBudget", f"arn:aws:budgets::{ACCOUNT}:budget/b")],
    ),
    (
        "cloudwatch",
        "PutDashboard",
        {"DashboardName": "d"},
        [("cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/d")],
    ),
    ("resourcegroupstaggingapi", "GetResources", {}, [("tag:GetResources", "*")]),
]


@pytest.mark.parametrize(("service", "operation", "parameters", "expected"), CALLS)
def test_what_a_call_needs(service, operation, parameters, expected):
    found = [(need.action, need.resource) for need in needs(service, operation, **parameters)]
    assert sorted(found) == sorted(expected)


def test_who_makes_a_group_could_start_its_instances():
    template = {"LaunchTemplateId": "lt-1", "Version": "1"}
    found = needs("autoscaling", "CreateAutoScalingGroup", AutoScalingGroupName="g", LaunchTemplate=template)
    assert {need.action for need in found} == {
        "autoscaling:CreateAutoScalingGroup",
        "ec2:CreateTags",
        "ec2:RunInstances",
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
    }
    (passed,) = (need for need in found if need.action == "iam:PassRole")
    assert (passed.resource, passed.keys) == (f"{ROLE}/host", {"iam:passedtoservice": "ec2.amazonaws.com"})


@pytest.mark.parametrize(
    ("service", "operation"), [("ecs", "TeachInstances"), ("ecs", "StopTask"), ("iam", "UpdateLoginProfile")]
)
def test_a_call_of_which_nobody_knows_what_it_needs_is_an_error(service, operation):
    with pytest.raises(mapping.UnmappedCallError):
        needs(service, operation)


def test_an_action_knows_the_keys_of_the_reference():
    keys = {"aws:requesttag/a": "1", "aws:resourcetag/a": "1", "aws:requestedregion": REGION, "ecs:cluster": "c"}
    rule = reference.lawful("ec2:AuthorizeSecurityGroupIngress", "security-group-rule").of(keys)
    assert set(rule) == {"aws:requesttag/a", "aws:requestedregion"}
    group = reference.lawful("ec2:AuthorizeSecurityGroupIngress", "security-group").of(keys)
    assert set(group) == {"aws:resourcetag/a", "aws:requestedregion"}
    assert "ecs:cluster" in reference.lawful("ecs:RunTask", "task-definition").of(keys)


def test_keys_of_a_call():
    (run,) = needs("ecs", "RunTask", cluster="c", taskDefinition="t")[:1]
    assert run.keys["ecs:cluster"] == f"arn:aws:ecs:{HERE}:cluster/c"
    (listed,) = needs("s3", "ListObjectsV2", Bucket="b", Prefix="p", MaxKeys=3)
    assert listed.keys == {"s3:prefix": "p", "s3:max-keys": "3"}
    read = needs("s3", "GetObject", Bucket="sealed", Key="k")[1]
    assert read.keys["kms:viaservice"] == f"s3.{REGION}.amazonaws.com"
    assert read.keys["kms:encryptioncontext:aws:s3:arn"] == "arn:aws:s3:::sealed/k"
    written = needs("s3", "PutObject", Bucket="sealed", Key="k")[1]
    assert written.keys["kms:encryptioncontext:aws:s3:arn"] == "arn:aws:s3:::sealed"
    (attached,) = needs("iam", "AttachRolePolicy", RoleName="there", PolicyArn="arn:p")[:1]
    assert attached.keys == {"iam:policyarn": "arn:p", "iam:permissionsboundary": WORLD.role_boundary("there")}
