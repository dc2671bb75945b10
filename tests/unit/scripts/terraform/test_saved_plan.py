import dataclasses
import io
import json
import shutil
import stat
import zipfile
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from scripts.core.errors import PlanRefused
from scripts.core.settings import ROOT, Settings
from scripts.terraform import encryption, saved_plan, state
from scripts.terraform.state import StateId

BUCKET = "winbatch-dev-tfstate"


@pytest.fixture
def s3():
    with mock_aws():
        client = boto3.client("s3", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


@pytest.fixture
def kms():
    with mock_aws():
        client = boto3.client("kms", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        client.create_alias(
            AliasName="alias/winbatch-dev-tfstate", TargetKeyId=client.create_key()["KeyMetadata"]["KeyId"]
        )
        yield client


@pytest.fixture
def dev(tmp_path):
    """A checkout of the Terraform root, without git, as environment dev."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "terraform", root / "terraform", ignore=shutil.ignore_patterns(".terraform", "*.tfstate"))
    return Settings.load("dev", environ={"WINBATCH_STATE": str(tmp_path / "state")}, root=root)


@pytest.fixture
def terraforms(tmp_path):
    """A plan as Terraform writes it, made against serial 7."""
    file = tmp_path / "plan"
    with zipfile.ZipFile(file, "w") as target:
        target.writestr("tfplan", b"secret")
        target.writestr("tfstate", json.dumps({"version": 4, "serial": 7, "lineage": "l"}))
    return file


@pytest.mark.parametrize("sealed", [False, True])
def test_a_saved_plan_is_read_again_as_it_was(dev, terraforms, kms, tmp_path, sealed):
    file = tmp_path / "new" / "dev.plan"
    packed = saved_plan.pack(terraforms, dev, {"changes": 1}, {"ber": "sha256:1"})
    if sealed:
        packed = encryption.seal(kms, dev.state_key_alias, packed, saved_plan.purpose(dev))
    saved_plan.save(file, packed)
    assert (b"tfplan" in file.read_bytes()) != sealed
    found = saved_plan.load(file, kms, dev)
    assert found.content == terraforms.read_bytes()
    assert found.bound.state == StateId("l", 7)
    assert (found.summary, found.images) == ({"changes": 1}, {"ber": "sha256:1"})
    assert saved_plan.refusal(found.bound, saved_plan.here(dev, StateId("l", 7))) is None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environment": "prod"}, "one of environment dev, not of prod"),
        ({"commit": "b" * 40}, "was made of commit aaaaaaaaaaaa, and bbbbbbbbbbbb is checked out"),
        ({"sources": "2"}, "files below terraform/ differ"),
        ({"lineage": "m"}, "against another state"),
        ({"serial": 8}, "stale: it was made against the state's serial 7, which is at 8 now"),
    ],
)
def test_a_plan_holds_for_its_environment_commit_files_and_state_alone(change, words):
    bound = saved_plan.Bound(environment="dev", commit="a" * 40, sources="1", lineage="l", serial=7)
    refusal = saved_plan.refusal(bound, dataclasses.replace(bound, **change))
    assert words in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("built", "words"),
    [
        ({"ber": "sha256:1"}, None),
        (
            {"ber": "sha256:2"},
            "names image sha256:1 of workload ber, and of the same commit this machine builds sha256:2",
        ),
        ({}, "this machine builds none: make the plan here: invoke plan --env dev"),
        ({"ber": "sha256:1", "more": "sha256:3"}, "names image none of workload more"),
    ],
)
def test_a_plan_holds_for_the_images_that_it_names_alone(built, words):
    bound = saved_plan.Bound(environment="dev", commit="a" * 40, sources="1", lineage="l", serial=7)
    saved = saved_plan.SavedPlan(bound, "", {}, {"ber": "sha256:1"}, b"")
    if words is None:
        saved_plan.require_images(saved, built)
    else:
        with pytest.raises(PlanRefused, match=words):
            saved_plan.require_images(saved, built)


@pytest.mark.parametrize("name", ["environments/dev.tfvars", "main.tf", "modules/airflow/requirements.txt"])
def test_whatever_terraform_reads_is_part_of_what_a_plan_is_bound_to(dev, name):
    before = saved_plan.sources(dev)
    (dev.terraform_root / "environments" / "prod.tfvars").write_text("other")
    (dev.terraform_root / "README.md").write_text("other")
    assert saved_plan.sources(dev) == before
    with (dev.terraform_root / name).open("a") as file:
        file.write("\n")
    assert saved_plan.sources(dev) != before


def test_what_is_no_saved_plan_is_refused_in_a_line(dev, terraforms, kms, tmp_path):
    other = tmp_path / "other"
    for spoil, words in [
        (lambda packed: b"no zip", "is no plan that invoke plan --out has saved"),
        (lambda packed: terraforms.read_bytes(), "is no plan that invoke plan --out has saved"),
        (lambda packed: tampered(packed, "plan", b"x"), "is not the one that was saved"),
        (lambda packed: tampered(packed, "manifest.json", b'{"schema": 9}'), "its schema is 9"),
    ]:
        other.write_bytes(spoil(saved_plan.pack(terraforms, dev, {}, {})))
        with pytest.raises(PlanRefused, match=words):
            saved_plan.load(other, kms, dev)
    with pytest.raises(PlanRefused, match=r"nowhere is not there: make the plan"):
        saved_plan.load(Path("nowhere"), kms, dev)


def tampered(packed, name, content):
    """The same zip with another member of that name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.namelist():
            target.writestr(member, content if member == name else source.read(member))
    return buffer.getvalue()


def test_the_state_and_its_lock_are_read_without_terraform(dev, s3):
    assert state.identity(s3, dev) == StateId()
    assert state.lock(s3, dev) is None
    assert state.outputs(s3, dev) == {}
    outputs = {"a": {"value": {"b": [1]}, "type": "x"}, "c": {"value": None, "sensitive": True}}
    document = {"serial": 3, "lineage": "l", "outputs": outputs}
    s3.put_object(Bucket=BUCKET, Key="winbatch.tfstate", Body=json.dumps(document))
    assert state.identity(s3, dev) == StateId("l", 3)
    assert state.outputs(s3, dev) == {"a": {"b": [1]}, "c": None}
    lock = {"ID": "1-2", "Who": "me@there", "Created": "2026-11-24T19:00:00Z", "Operation": "OperationTypeApply"}
    s3.put_object(Bucket=BUCKET, Key="winbatch.tfstate.tflock", Body=json.dumps(lock))
    line = str(state.lock(s3, dev).error("dev"))
    assert "locked by me@there since 2026-11-24T19:00:00Z (OperationTypeApply)" in line
    assert line.endswith("invoke unlock --env dev --id 1-2")


def test_a_plan_that_was_applied_is_known(dev, s3):
    assert state.applied(s3, dev) is None
    s3.put_object(Bucket=BUCKET, Key="winbatch.tfstate", Body=json.dumps({"serial": 8, "lineage": "l"}))
    state.note_applied(s3, dev, "digest")
    assert state.applied(s3, dev) == ("digest", 8)
