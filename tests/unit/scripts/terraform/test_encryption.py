import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from scripts.core.errors import PlanRefused
from scripts.terraform import encryption

CONTEXT = {"environment": "prod", "purpose": "plan"}


@pytest.fixture(scope="module")
def kms():
    with mock_aws():
        client = boto3.client("kms", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        client.create_alias(AliasName="alias/state", TargetKeyId=client.create_key()["KeyMetadata"]["KeyId"])
        yield client


@given(content=st.binary(max_size=4096))
@settings(max_examples=25)
def test_what_is_sealed_can_be_opened_and_not_read(kms, content):
    made = encryption.seal(kms, "alias/state", content, CONTEXT)
    assert encryption.sealed(made)
    assert encryption.unseal(kms, made, CONTEXT) == content
    assert len(content) < 32 or content not in made


@given(data=st.data())
@settings(max_examples=40)
def test_no_byte_can_be_changed(kms, data):
    made = encryption.seal(kms, "alias/state", b"every value in the clear", CONTEXT)
    at = data.draw(st.integers(len(encryption.MAGIC), len(made) - 1))
    changed = made[:at] + bytes([made[at] ^ data.draw(st.integers(1, 255))]) + made[at + 1 :]
    with pytest.raises(PlanRefused):
        encryption.unseal(kms, changed, CONTEXT)


def test_a_plan_of_one_environment_is_none_of_another(kms):
    made = encryption.seal(kms, "alias/state", b"plan", CONTEXT)
    with pytest.raises(PlanRefused, match="prod"):
        encryption.unseal(kms, made, {**CONTEXT, "environment": "dev"})
    with pytest.raises(PlanRefused):
        encryption.unseal(kms, made[: len(made) // 2], CONTEXT)


def test_what_was_never_sealed_is_told_apart():
    assert not encryption.sealed(b"PK\x03\x04")
