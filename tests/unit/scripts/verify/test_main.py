"""Roles, records, leftovers, and what is said before anything is made."""

import json
import os
import signal
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from scripts.checks.report import Phase
from scripts.core.console import Step as Shown
from scripts.core.errors import OperatorError, PreflightError
from scripts.core.settings import Settings
from scripts.environments.teardown import Target
from scripts.verify import checks, leftovers, main, roles
from scripts.verify.sequence import Note, Outcome

REGION = "eu-central-1"
TARGET = Target("winbatch-verify", "verify", "winbatch-verify", "winbatch-verify")
BUCKET = "winbatch-dev-tfstate-verify"
TAGS = [{"Key": "environment", "Value": "verify"}, {"Key": "root", "Value": "winbatch"}]


class Aws:
    def client(self, service):
        return boto3.client(service, REGION, aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def aws(monkeypatch):
    # moto has no MWAA.
    monkeypatch.delitem(leftovers.LOOKS, "MWAA")
    with mock_aws():
        yield Aws()


def test_nothing_is_left_where_nothing_was(aws):
    assert leftovers.left(aws, TARGET, BUCKET) == []


def test_what_cannot_be_looked_at_is_not_taken_for_nothing(aws, monkeypatch):
    def refused(*_):
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListRoles")

    monkeypatch.setitem(leftovers.LOOKS, "IAM", refused)
    assert leftovers.left(aws, TARGET, BUCKET) == ["IAM: cannot be looked at (AccessDenied)"]


def test_what_is_left_is_found_by_name_and_by_tag(aws):
    ec2, iam = aws.client("ec2"), aws.client("iam")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24", TagSpecifications=[{"ResourceType": "vpc", "Tags": TAGS}])
    aws.client("logs").create_log_group(logGroupName="/winbatch/verify/ber")
    aws.client("ecs").create_cluster(clusterName="winbatch-verify")
    iam.create_role(RoleName="winbatch-verify-task", AssumeRolePolicyDocument="{}")
    # Another environment's are nobody's business here.
    iam.create_role(RoleName="winbatch-dev-task", AssumeRolePolicyDocument="{}")
    aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    found = leftovers.left(aws, TARGET, BUCKET)
    for line in (
        f"networks: {vpc['Vpc']['VpcId']}",
        "logs: /winbatch/verify/ber",
        f"ECS: arn:aws:ecs:{REGION}:123456789012:cluster/winbatch-verify",
        "IAM: winbatch-verify-task",
        f"S3: {BUCKET}",
    ):
        assert line in found
    assert not [line for line in found if "dev-task" in line]


def test_the_foundation_goes_with_all_that_it_keeps(aws):
    s3, iam, kms = (aws.client(name) for name in ("s3", "iam", "kms"))
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=BUCKET, Key="winbatch.tfstate", Body=body)
    keep = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{BUCKET}"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [keep]}))
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/winbatch-verify-tfstate", TargetKeyId=key)
    look = {"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [look]})
    arn = iam.create_policy(PolicyName="winbatch-verify-read", Path="/deployment/", PolicyDocument=document)["Policy"][
        "Arn"
    ]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    iam.create_role(RoleName="winbatch-verify-plan", Path="/deployment/", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="winbatch-verify-plan", PolicyArn=arn)

    said = leftovers.remove_foundation(aws, "winbatch-verify", BUCKET, Shown("x"))

    assert said.startswith("4 things")
    assert leftovers.left(aws, TARGET, BUCKET) == []
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    # Cut off and called again.
    assert leftovers.remove_foundation(aws, "winbatch-verify", BUCKET, Shown("x")).startswith("0 things")


def test_a_role_is_played_and_left_again(aws):
    role = aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    sts = aws.client("sts")

    def cut_off():
        with roles.acting(sts, role):
            assert "AWS_PROFILE" not in os.environ
            assert boto3.client("sts", REGION).get_caller_identity()["Arn"].endswith(":assumed-role/r/verify-aws")
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_PROFILE", "mine")
        patch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        with pytest.raises(KeyboardInterrupt):
            cut_off()
        assert os.environ["AWS_PROFILE"] == "mine"
        assert "AWS_ACCESS_KEY_ID" not in os.environ


def test_a_caller_is_named_as_a_condition_names_him(aws):
    iam = aws.client("iam")
    path = "/aws-reserved/sso.amazonaws.com/"
    iam.create_role(RoleName="AWSReservedSSO_Admin_1", Path=path, AssumeRolePolicyDocument="{}")
    sso = SimpleNamespace(
        get_caller_identity=lambda: {"Arn": "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_1/ann"}
    )
    assert roles.principal(sso, iam) == f"arn:aws:iam::123456789012:role{path}AWSReservedSSO_Admin_1"
    user = SimpleNamespace(get_caller_identity=lambda: {"Arn": "arn:aws:iam::123456789012:user/ann"})
    assert roles.principal(user, iam) == "arn:aws:iam::123456789012:user/ann"


def test_a_test_with_parameters_agrees_when_all_of_them_do():
    def phase(test, outcome, when="call"):
        return Phase(test=test, phase=when, outcome=outcome, seconds=0.1)

    assert checks.outcomes(
        [
            phase("t.py::a[1]", "passed", "setup"),
            phase("t.py::a[1]", "passed"),
            phase("t.py::a[2]", "failed"),
            phase("t.py::a[3]", "passed"),
            phase("t.py::b", "passed"),
            phase("t.py::c", "skipped", "setup"),
            phase("t.py::d", "failed", "setup"),
        ]
    ) == {"t.py::a": "failed", "t.py::b": "passed", "t.py::d": "failed"}


@pytest.fixture
def settings(tmp_path):
    of = Settings.load("dev", environ={"WINBATCH_STATE": str(tmp_path / "state")})
    made = main.VerifySettings.beside(of)
    made.state.mkdir(parents=True)
    made.write()
    return made


def test_a_record_says_what_was_asked_and_nothing_of_the_account(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    root = tmp_path / "checkout"
    (root / "terraform").mkdir(parents=True)
    (root / "terraform" / "environments").symlink_to(settings.root / "terraform" / "environments")
    moved = main.dataclasses.replace(settings, root=root)
    outcome = Outcome(ok=True, detail="1 tests", seconds=2.0, tests={"tests/contract/test_s3.py::test_x": "passed"})
    note = Note(
        moved.state / "verify.json", "2026-01-01T00:00:00+00:00", {"contract": outcome}, {"roles": {"plan": "arn"}}
    )
    file = main.write_record(moved, note)
    assert file.parent == root / "build" / "parity", "what the emulator says of itself is no record of AWS"
    record = json.loads(file.read_text())
    assert record["tests"] == outcome.tests
    assert record["steps"]["contract"] == {"ok": True, "detail": "1 tests", "seconds": 2.0}
    assert "arn" not in file.read_text()
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert main.write_record(moved, note).parent == root / "docs" / "parity"


def test_what_it_makes_and_costs_is_said_first(settings):
    note = Note(settings.state / "verify.json", "", {"up": Outcome(ok=True, detail="")})
    said = [part for part in main.announcement(settings, "123456789012", note) if isinstance(part, str)]
    assert "account 123456789012" in said[0]
    assert any("done: up" in line for line in said)
    assert any("NAT gateway" in line for line in said)


def test_a_checkout_that_cannot_be_named_is_refused():
    with pytest.raises(PreflightError, match="a; b"):
        main.refuse(["a", "b"])
    main.refuse([])


def test_where_nobody_can_say_that_instances_go_that_is_said(settings, monkeypatch):
    note = Note(settings.state / "x", "", facts={"roles": {}})

    def expired(*_):
        raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "DescribeAutoScalingGroups")

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr(main.teardown, "scale_in", expired)
    monkeypatch.setattr(main, "Workspace", expired)
    with pytest.raises(OperatorError, match=r"winbatch-verify may still run .*ExpiredToken.*log in and call again"):
        main.Verification(settings, note).make_safe()
    # Before anything is made there is nothing to stop.
    main.Verification(settings, Note(settings.state / "x", "")).make_safe()


def test_what_must_not_be_cut_off_is_not():
    with main.uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_each_step_has_a_name_of_its_own_and_the_end_comes_last(settings):
    steps = main.Verification(settings, Note(settings.state / "x", "")).steps()
    assert len({step.name for step in steps}) == len(steps)
    ends = [step.ends for step in steps]
    assert ends == sorted(ends)
    assert all(step.do.__doc__ or step.checks for step in steps)
