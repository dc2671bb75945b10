"""Every call has a caller, and IAM decides: refusals, keys, roles that are handed over, and what nobody may."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from .world import ACCOUNT, REGION

TRUST = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    found = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return found | ({"Condition": condition} if condition else {})


@pytest.fixture
def actor(endpoint: str, client: Callable[..., Any], unique: str) -> Callable[..., Callable[[str], Any]]:
    """Clients in the name of a role with these statements."""

    def make(*statements: Any, boundary: str | None = None, session: str | None = None) -> Callable[[str], Any]:
        bound = {"PermissionsBoundary": boundary} if boundary else {}
        role = client("iam").create_role(RoleName=unique, AssumeRolePolicyDocument=policy(TRUST), **bound)["Role"]
        if statements:
            client("iam").put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=policy(*statements))
        given = {"Policy": session} if session else {}
        keys = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session", **given)["Credentials"]
        return lambda service: signed(
            endpoint, service, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
        )

    return make


def signed(endpoint: str, service: str, key: str, secret: str = "x", token: str | None = None) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, inject_host_prefix=False),
    )


def refused(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    """Code and words of a refusal."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error.get("Message", "")


@pytest.fixture
def bucket(client: Callable[..., Any], unique: str) -> str:
    client("s3").create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": REGION})
    return unique


@pytest.fixture
def key(client: Callable[..., Any]) -> str:
    arn: str = client("kms").create_key()["KeyMetadata"]["Arn"]
    return arn


def encrypt(client: Callable[..., Any], bucket: str, key: str) -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
    client("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("autoscaling", "describe_auto_scaling_groups", "InvalidClientTokenId"),
        ("ec2", "describe_vpcs", "AuthFailure"),
        ("ecs", "list_clusters", "UnrecognizedClientException"),
    ],
)
@pytest.mark.aws(
    does="An access key that nobody has is refused, in each protocol's own words",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html",
    sure="documented",
)
def test_a_key_that_nobody_has(endpoint, service, call, code):
    assert refused(getattr(signed(endpoint, service, "AKIAIOSFODNN7EXAMPLE"), call))[0] == code


@pytest.mark.aws(
    does="A request without a signature is refused",
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
    sure="documented",
)
def test_nobody_is_anonymous(endpoint, bucket):
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
    anonymous = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, config=config)
    assert refused(anonymous.list_objects_v2, Bucket=bucket)[0] == "AccessDenied"


@pytest.mark.parametrize(
    ("service", "call", "parameters", "code", "words"),
    [
        (
            "ecs",
            "describe_clusters",
            {"clusters": ["c"]},
            "AccessDeniedException",
            (
                "{user} is not authorized to perform: ecs:DescribeClusters on resource: "
                f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/c "
                "because no identity-based policy allows the ecs:DescribeClusters action"
            ),
        ),
        (
            "ec2",
            "describe_vpcs",
            {},
            "UnauthorizedOperation",
            (
                "You are not authorized to perform this operation. {user} is not authorized to perform: "
                "ec2:DescribeVpcs on resource: * because no identity-based policy allows the ec2:DescribeVpcs action"
            ),
        ),
        (
            "s3",
            "list_objects_v2",
            {"Bucket": "b"},
            "AccessDenied",
            (
                '{user} is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::b" '
                "because no identity-based policy allows the s3:ListBucket action"
            ),
        ),
        (
            "autoscaling",
            "set_desired_capacity",
            {"AutoScalingGroupName": "g", "DesiredCapacity": 1},
            "AccessDenied",
            (
                "{user} is not authorized to perform: autoscaling:SetDesiredCapacity on resource: "
                f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/g "
                "because no identity-based policy allows the autoscaling:SetDesiredCapacity action"
            ),
        ),
        (
            "mwaa",
            "get_environment",
            {"Name": "e"},
            "AccessDeniedException",
            (
                "{user} is not authorized to perform: airflow:GetEnvironment on resource: "
                f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment/e "
                "because no identity-based policy allows the airflow:GetEnvironment action"
            ),
        ),
    ],
)
@pytest.mark.aws(
    does="A refusal names who, what, on which resource and which kind of policy was missing",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html",
    sure="documented",
)
def test_who_has_no_policy_is_told_so(actor, unique, service, call, parameters, code, words):
    said = refused(getattr(actor()(service), call), **parameters)
    assert said == (code, words.format(user=f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{unique}/session"))


@pytest.mark.aws(
    does="Without s3:ListBucket a missing object is Access Denied; with it for a prefix of the key, it is NoSuchKey",
    source="https://github.com/ceph/ceph/pull/68577",
    sure="reported",
)
def test_a_missing_object_is_seen_only_by_who_may_list(actor, client, bucket):
    arn = f"arn:aws:s3:::{bucket}"
    listed = allow("s3:ListBucket", resource=arn, StringLike={"s3:prefix": "jobs/*"})
    s3 = actor(allow("s3:GetObject", resource=f"{arn}/*"), listed)("s3")
    assert refused(s3.get_object, Bucket=bucket, Key="jobs/none")[0] == "NoSuchKey"
    code, words = refused(s3.get_object, Bucket=bucket, Key="others/none")
    assert code == "AccessDenied"
    assert "s3:ListBucket" in words


@pytest.mark.aws(
    does="What a role may is bound to the prefixes that its policy names",
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-policy-language-overview.html",
    sure="documented",
)
def test_a_worker_writes_below_its_prefix_only(actor, bucket):
    s3 = actor(allow("s3:PutObject", "s3:GetObject", resource=f"arn:aws:s3:::{bucket}/jobs/*"))("s3")
    s3.put_object(Bucket=bucket, Key="jobs/a", Body=b"1")
    assert refused(s3.put_object, Bucket=bucket, Key="other/a", Body=b"1")[0] == "AccessDenied"
    assert refused(s3.get_object, Bucket=bucket, Key="other/a")[0] == "AccessDenied"


@pytest.mark.aws(
    does="Writing to a bucket that a KMS key encrypts takes kms:GenerateDataKey, reading it kms:Decrypt, through S3",
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html",
    sure="documented",
)
def test_an_encrypted_object_takes_its_key(actor, client, bucket, key):
    encrypt(client, bucket, key)
    client("s3").put_object(Bucket=bucket, Key="k", Body=b"1")
    objects = allow("s3:GetObject", "s3:PutObject", resource=f"arn:aws:s3:::{bucket}/*")
    via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    s3 = actor(objects, allow("kms:Decrypt", resource=key, **via))("s3")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    code, words = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"2")
    assert code == "AccessDenied"
    assert f"is not authorized to perform: kms:GenerateDataKey on resource: {key} because no identity" in words


@pytest.mark.aws(
    does="A key whose policy does not admit the account is nobody's, whatever IAM allows",
    source="https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html",
    sure="documented",
)
def test_iam_counts_for_nothing_at_a_key_that_does_not_admit_the_account(client, key):
    alone = policy(
        {"Effect": "Allow", "Principal": {"Service": "logs.amazonaws.com"}, "Action": "kms:*", "Resource": "*"}
    )
    client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=alone)
    code, words = refused(client("kms").encrypt, KeyId=key, Plaintext=b"1")
    assert code == "AccessDeniedException"
    assert words.endswith("because no resource-based policy allows the kms:Encrypt action")


@pytest.mark.aws(
    does="Who hands a role to a service needs iam:PassRole on it, for that service",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html",
    sure="documented",
)
def test_a_role_is_handed_over_by_who_may(actor, client, unique):
    role = f"arn:aws:iam::{ACCOUNT}:role/{unique}"
    passing = allow("iam:PassRole", resource=role, StringEquals={"iam:PassedToService": "ecs-tasks.amazonaws.com"})
    ecs = actor(allow("ecs:RegisterTaskDefinition"), passing)("ecs")
    definition = {"family": unique, "containerDefinitions": [{"name": "c", "image": "i", "memory": 1}]}
    ecs.register_task_definition(**definition, taskRoleArn=role)
    code, words = refused(ecs.register_task_definition, **definition, taskRoleArn=f"{role}-other")
    assert code == "AccessDeniedException"
    assert f"iam:PassRole on resource: {role}-other" in words


@pytest.mark.aws(
    does="Who tags what he makes needs the action that tags, with its conditions",
    source="https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html",
    sure="documented",
)
def test_tags_on_what_is_made_take_an_action_of_their_own(actor):
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "environment", "Value": "x"}]}]
    ec2 = actor(allow("ec2:CreateVpc"))("ec2")
    ec2.create_vpc(CidrBlock="10.1.0.0/16")
    code, words = refused(ec2.create_vpc, CidrBlock="10.1.0.0/16", TagSpecifications=tags)
    assert code == "UnauthorizedOperation"
    assert f"ec2:CreateTags on resource: arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/*" in words


@pytest.mark.aws(
    does="A condition on a key that the action does not know never matches",
    source="https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html",
    sure="documented",
)
def test_a_key_that_the_action_does_not_know_is_as_if_it_were_absent(actor):
    ecs = actor(
        allow("ecs:DescribeClusters", StringEquals={"ecs:cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/c"})
    )
    assert refused(ecs("ecs").describe_clusters, clusters=["c"])[0] == "AccessDeniedException"


@pytest.mark.aws(
    does="What a resource's tags allow holds for what has them",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html",
    sure="documented",
)
def test_tags_decide(actor, client):
    ec2 = client("ec2")
    marked, other = (ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"] for _ in range(2))
    ec2.create_tags(Resources=[marked], Tags=[{"Key": "environment", "Value": "dev"}])
    mine = actor(allow("ec2:DeleteVpc", StringEquals={"aws:ResourceTag/environment": "dev"}))("ec2")
    assert refused(mine.delete_vpc, VpcId=other)[0] == "UnauthorizedOperation"
    mine.delete_vpc(VpcId=marked)


@pytest.mark.aws(
    does="A permissions boundary bounds what a role's policies allow",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
    sure="documented",
)
def test_a_boundary_bounds(actor, client, unique, bucket):
    bound = client("iam").create_policy(PolicyName=unique, PolicyDocument=policy(allow("ecs:*")))["Policy"]["Arn"]
    s3 = actor(allow("*"), boundary=bound)("s3")
    code, words = refused(s3.list_objects_v2, Bucket=bucket)
    assert code == "AccessDenied"
    assert words.endswith("because no permissions boundary allows the s3:ListBucket action")


@pytest.mark.aws(
    does="A session policy bounds its session",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html",
    sure="documented",
)
def test_a_session_policy_bounds(actor, bucket):
    s3 = actor(allow("*"), session=policy(allow("s3:GetObject")))("s3")
    assert refused(s3.list_objects_v2, Bucket=bucket)[1].endswith(
        "because no session policy allows the s3:ListBucket action"
    )


@pytest.mark.aws(
    does="A bucket's policy denies whoever it names, the administrator as well",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html",
    sure="documented",
)
def test_a_bucket_s_policy_denies_everybody(client, bucket):
    nothing = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    client("s3").put_bucket_policy(Bucket=bucket, Policy=policy(nothing))
    code, words = refused(client("s3").put_object, Bucket=bucket, Key="k", Body=b"1")
    assert code == "AccessDenied"
    assert words.endswith("with an explicit deny in a resource-based policy")


@pytest.mark.aws(
    does="A role is assumed by whom its trust policy names, and by nobody else",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html",
    sure="documented",
)
def test_trust_decides_who_assumes(client, unique):
    services = {**TRUST, "Principal": {"Service": "ecs-tasks.amazonaws.com"}}
    role = client("iam").create_role(RoleName=unique, AssumeRolePolicyDocument=policy(services))["Role"]["Arn"]
    code, words = refused(client("sts").assume_role, RoleArn=role, RoleSessionName="session")
    assert code == "AccessDenied"
    assert f"sts:AssumeRole on resource: {role}" in words


@pytest.mark.aws(
    does="A web identity assumes a role whose trust names its provider, audience and subject",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html",
    sure="documented",
)
def test_a_job_of_github_assumes_the_role_that_is_for_it(client, unique):
    issuer = "token.actions.githubusercontent.com"
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{issuer}:sub": "repo:a/b:environment:dev"}},
    }
    role = client("iam").create_role(RoleName=unique, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]

    def token(subject: str) -> str:
        claims = json.dumps({"iss": f"https://{issuer}", "aud": "sts.amazonaws.com", "sub": subject}).encode()
        return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.x"

    asked = {"RoleArn": role, "RoleSessionName": "session"}
    assume = client("sts").assume_role_with_web_identity
    assert assume(**asked, WebIdentityToken=token("repo:a/b:environment:dev"))["Credentials"]["AccessKeyId"]
    assert refused(assume, **asked, WebIdentityToken=token("repo:c/d:environment:dev"))[0] == "AccessDenied"


@pytest.mark.aws(
    does="Of many objects those are deleted that may be, and each of the others is named",
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html",
    sure="documented",
)
def test_of_many_deletions_some_are_refused(actor, client, bucket):
    for name in ("jobs/a", "others/a"):
        client("s3").put_object(Bucket=bucket, Key=name, Body=b"1")
    s3 = actor(allow("s3:DeleteObject", resource=f"arn:aws:s3:::{bucket}/jobs/*"))("s3")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "jobs/a"}, {"Key": "others/a"}]})
    assert [entry["Key"] for entry in answer["Deleted"]] == ["jobs/a"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [("others/a", "AccessDenied")]


def of_service(service, *actions, **condition):
    found = {"Effect": "Allow", "Principal": {"Service": service}, "Action": [*actions], "Resource": "*"}
    return found | ({"Condition": condition} if condition else {})


@pytest.mark.aws(
    does="A log group's key is used by CloudWatch Logs in its own name, with the group as the encryption context.",
    source="https://github.com/hashicorp/terraform-provider-aws/issues/29282",
    sure="reported",
)
def test_a_log_group_is_encrypted_by_a_key_that_lets_the_service(client, key, unique):
    logs, kms = client("logs"), client("kms")
    code, words = refused(logs.create_log_group, logGroupName=unique, kmsKeyId=key)
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{unique}"
    assert code == "AccessDeniedException"
    assert words == f"The specified KMS key does not exist or is not allowed to be used with Arn '{arn}'"
    own = {"Effect": "Allow", "Principal": TRUST["Principal"], "Action": "kms:*", "Resource": "*"}
    actions = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*")
    context = {"StringLike": {"kms:EncryptionContext:aws:logs:arn": arn}}
    service = f"logs.{REGION}.amazonaws.com"
    statements = (own, of_service(service, *actions, **context), of_service(service, "kms:DescribeKey"))
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(*statements))
    logs.create_log_group(logGroupName=unique, kmsKeyId=key)


@pytest.mark.aws(
    does="An alarm reaches an encrypted topic when topic and key let CloudWatch, for that alarm.",
    source="https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html",
    sure="documented",
)
def test_an_alarm_tells_a_topic_that_lets_it(client, key, unique):
    kms, sns, sqs, cloudwatch = (client(service) for service in ("kms", "sns", "sqs", "cloudwatch"))
    topic = sns.create_topic(Name=unique, Attributes={"KmsMasterKeyId": key})["TopicArn"]
    queue = sqs.create_queue(QueueName=unique)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    cloudwatch.put_metric_alarm(
        AlarmName=unique, AlarmActions=[topic], MetricName="m", Namespace="n", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip

    def told() -> int:
        for state in ("OK", "ALARM"):
            cloudwatch.set_alarm_state(AlarmName=unique, StateValue=state, StateReason="a drill")
        return len(sqs.receive_message(QueueUrl=queue).get("Messages", ()))

    alarm = {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{unique}"}}
    publish = of_service("cloudwatch.amazonaws.com", "sns:Publish", **alarm)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy(publish))
    assert told() == 0
    own = {"Effect": "Allow", "Principal": TRUST["Principal"], "Action": "kms:*", "Resource": "*"}
    service = of_service("cloudwatch.amazonaws.com", "kms:Decrypt", "kms:GenerateDataKey*", **alarm)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(own, service))
    assert told() == 1


@pytest.mark.aws(
    does="A flow log whose role may not write has the status FAILED and says Access error.",
    source="https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-troubleshooting.html",
    sure="documented",
)
def test_a_flow_log_is_delivered_by_a_role_that_may_write(client, unique):
    ec2, iam = client("ec2"), client("iam")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    client("logs").create_log_group(logGroupName=unique)
    trust = policy({**TRUST, "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}})
    role = iam.create_role(RoleName=unique, AssumeRolePolicyDocument=trust)["Role"]["Arn"]

    def delivered() -> tuple[str, str | None]:
        made = ec2.create_flow_logs(
            ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL",
            LogDestination=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{unique}",
            DeliverLogsPermissionArn=role,
        )  # fmt: skip
        (flow,) = ec2.describe_flow_logs(FlowLogIds=made["FlowLogIds"])["FlowLogs"]
        ec2.delete_flow_logs(FlowLogIds=made["FlowLogIds"])
        return flow["DeliverLogsStatus"], flow.get("DeliverLogsErrorMessage")

    assert delivered() == ("FAILED", "Access error")
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{unique}:*"
    writing = allow("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents", resource=arn)
    iam.put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=policy(writing))
    assert delivered() == ("SUCCESS", None)


def test_the_page_says_which_statement_was_for_what(endpoint, actor, bucket, unique):
    listing = {"Sid": "List", **allow("s3:ListBucket", resource=f"arn:aws:s3:::{bucket}")}
    s3 = actor(listing, {"Sid": "Unneeded", **allow("sqs:*")})("s3")
    s3.list_objects_v2(Bucket=bucket)
    refused(s3.put_object, Bucket=bucket, Key="k", Body=b"1")
    with urlopen(f"{endpoint}/_emulator/identity") as answer:
        role = json.load(answer)["roles"][unique]
    assert role["used"] == {"p#List": {"s3:ListBucket": 1}}
    assert (role["unused"], role["unproven"]) == (["p#Unneeded"], ["p#Unneeded"])
    (found,) = role["refused"]
    assert (found["action"], found["resource"], found["count"]) == ("s3:PutObject", f"arn:aws:s3:::{bucket}/k", 1)


def test_observing_refuses_nothing_and_forgets_when_asked(own_emulator):
    emulator = own_emulator("--identity", "observe")
    signed(emulator.endpoint, "ecs", "AKIAIOSFODNN7EXAMPLE").list_clusters()
    signed(emulator.endpoint, "ecs", "local").list_clusters()
    page = f"{emulator.endpoint}/_emulator/identity"
    with urlopen(Request(page, method="DELETE")) as answer:
        before = json.load(answer)
    assert before["roles"]["administrator"]["used"] == {"AdministratorAccess#Everything": {"ecs:ListClusters": 1}}
    with urlopen(page) as answer:
        assert json.load(answer) == {"mode": "observe", "roles": {}}
