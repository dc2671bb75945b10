"""`invoke bootstrap` with real Terraform against the emulator: once, twice, cut off, and with a pipeline."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.checks import provider
from scripts.core.settings import ROOT, Settings
from scripts.environments import foundation
from scripts.terraform.workspace import terraform_environ
from scripts.tools import emulator as sessions
from scripts.tools import providers

from .conftest import REGION, Emulator, clean_environ

ACCOUNT = "123456789012"
BUCKET = "winbatch-local-tfstate"
pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The local environment in the test's emulator, with a state folder of the test's own."""
    port = int(emulator.endpoint.rpartition(":")[2])
    session = sessions.Session(os.getpid(), 0.0, port)
    monkeypatch.setattr(sessions, "require", lambda _: session)
    environ = {"WINBATCH_STATE": str(tmp_path / "state"), "WINBATCH_CACHE": str(Settings.load("local").cache)}
    found = Settings.load("local", environ=environ, root=ROOT)
    reached = terraform_environ(
        clean_environ(),
        config=providers.config_file(found),
        data=found.state,
        region=REGION,
        endpoint_url=emulator.endpoint,
    )
    with provider.kept(provider.for_tests(), reached, tmp_path) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield found


def test_life_of_a_foundation(settings: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    s3, iam = emulator.client("s3"), emulator.client("iam")

    # Cut off after the apply, before the state is moved: it lies in a file, and the next call goes on from it.
    with monkeypatch.context() as patch:
        patch.setattr(foundation._Root, "move", interrupted)
        with pytest.raises(KeyboardInterrupt):
            foundation.lay(settings, repository="acme/winbatch")
    assert (settings.state / "bootstrap" / "terraform.tfstate").is_file()
    assert objects(s3) == []
    # A call that does not name the repository keeps it; there is nothing left to do.
    laid = foundation.lay(settings)
    assert (laid.changes, laid.account) == (0, ACCOUNT)
    assert laid.backend | {"kms_key_arn": ""} == {
        "bucket": BUCKET,
        "key": "winbatch.tfstate",
        "kms_key_arn": "",
        "region": REGION,
    }
    assert laid.github is not None
    check_roles(iam, laid.github)
    # Nothing stays on the machine.
    assert objects(s3) == ["bootstrap.tfstate"]
    assert not list(settings.state.rglob("*tfstate*"))
    check_bucket(s3, laid.backend["kms_key_arn"])

    # All is lost but what AWS has: it is found by name, and nothing is made twice.
    s3.delete_object(Bucket=BUCKET, Key="bootstrap.tfstate")
    again = foundation.lay(settings, repository="acme/winbatch")
    assert (again.backend, again.github) == (laid.backend, laid.github)
    assert len(iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]) == 1
    # The provider may be another environment's: it is used and not taken over.
    state = json.loads(s3.get_object(Bucket=BUCKET, Key="bootstrap.tfstate")["Body"].read())
    assert "aws_iam_openid_connect_provider" not in {resource["type"] for resource in state["resources"]}
    # The state is in the bucket, and says what there is.
    assert foundation.lay(settings).changes == 0


def interrupted(_: Any) -> None:
    raise KeyboardInterrupt


def objects(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def check_bucket(s3: Any, key: str) -> None:
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == key
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    head = s3.head_object(Bucket=BUCKET, Key="bootstrap.tfstate")
    # The policy holds: no version goes, no other key is used.
    with pytest.raises(s3.exceptions.ClientError, match="Denied"):
        s3.delete_object(Bucket=BUCKET, Key="bootstrap.tfstate", VersionId=head["VersionId"])
    with pytest.raises(s3.exceptions.ClientError, match="Denied"):
        s3.put_object(Bucket=BUCKET, Key="winbatch.tfstate", Body=b"{}", ServerSideEncryption="AES256")


def check_roles(iam: Any, github: Mapping[str, Any]) -> None:
    subjects = {
        "apply": "repo:acme/winbatch:environment:local",
        "plan": "repo:acme/winbatch:environment:local-plan",
    }
    assert set(github["roles"]) == set(subjects)
    for purpose, subject in subjects.items():
        role = iam.get_role(RoleName=f"winbatch-local-{purpose}")["Role"]
        assert (
            role["Arn"]
            == github["roles"][purpose]
            == f"arn:aws:iam::{ACCOUNT}:role/deployment/winbatch-local-{purpose}"
        )
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Condition"] == {
            "StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": subject,
            }
        }
        for attached in iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]:
            check_policy(iam, attached["PolicyArn"])
    check_policy(iam, f"arn:aws:iam::{ACCOUNT}:policy/{github['permissions_boundary']}")


def check_policy(iam: Any, arn: str) -> None:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    # IAM counts what is not white space.
    size = len(json.dumps(document, separators=(",", ":")))
    assert size <= 6144, f"{arn}: {size} characters"
