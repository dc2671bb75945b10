"""What a run that was cut off leaves, and how the next one mends it: S3 by moto, Terraform by a script."""

import json
import stat
from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from scripts import converging
from scripts.console import Steps
from scripts.errors import OperatorError, StateLockedError, TerraformError
from scripts.settings import Settings
from scripts.terraform import Terraform

BUCKET = "winbatch-dev-tfstate"
LOCK = "winbatch.tfstate.tflock"


@pytest.fixture
def world(tmp_path):
    """A workspace of environment dev whose Terraform is a shell script; `world.script(text)` says what it does."""
    folder = tmp_path / "root" / "terraform" / "environments"
    folder.mkdir(parents=True)
    (folder / "dev.tfvars").write_text("")
    (folder / "dev.s3.tfbackend").write_text(
        f'bucket = "{BUCKET}"\nkey = "winbatch.tfstate"\nregion = "eu-central-1"\n'
    )
    settings = Settings.load("dev", environ={"WINBATCH_STATE": str(tmp_path / "state")}, root=tmp_path / "root")
    (settings.state / "terraform").mkdir(parents=True)
    command = tmp_path / "terraform"
    with mock_aws():
        s3 = boto3.client("s3", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

        def script(text):
            command.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "calls"}\n{text}\n')
            command.chmod(command.stat().st_mode | stat.S_IXUSR)

        script("")
        yield SimpleNamespace(
            settings=settings,
            aws=SimpleNamespace(client=lambda service: s3),
            terraform=Terraform(command, settings.terraform_root, {"PATH": "/usr/bin:/bin"}),
            init=lambda: False,
            s3=s3,
            script=script,
            calls=lambda: (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else "",
        )


def locked(world, lock_id="1-2"):
    body = {"ID": lock_id, "Who": "ann@laptop", "Created": "2026-11-24 19:00", "Operation": "OperationTypeApply"}
    world.s3.put_object(Bucket=BUCKET, Key=LOCK, Body=json.dumps(body))


def failing(world, summary, *, leaves_state):
    """A Terraform that begins, fails, and perhaps cannot write its state."""
    events = [
        {"type": "apply_start", "hook": {"resource": {"addr": "a.b"}, "action": "create"}},
        {"type": "diagnostic", "diagnostic": {"severity": "error", "summary": summary}},
    ]
    (world.settings.state / "events").write_text("".join(json.dumps(event) + "\n" for event in events))
    leave = "echo '{}' > errored.tfstate" if leaves_state else ":"
    world.script(f"cat {world.settings.state / 'events'}; {leave}; exit 1")


def apply(world):
    converging.apply(world, world.settings.state / "plan", Steps(), "")


def test_somebody_elses_lock_is_named_before_terraform_is_started(world):
    locked(world)
    line = r"of dev is locked by ann@laptop since 2026-11-24 19:00 .*invoke unlock --env dev --id 1-2"
    with pytest.raises(StateLockedError, match=line):
        converging.prepare(world, Steps())
    assert world.calls() == ""


def test_credentials_that_expire_in_an_apply_cost_nothing_but_a_second_call(world):
    locked(world)
    failing(world, "creating X: ExpiredToken: the security token is expired", leaves_state=True)
    with pytest.raises(OperatorError, match=r"expired in the middle of the apply; .* log in again, and call again"):
        apply(world)
    # What Terraform could not write, and the lock that it could not give back, are put right by the next call.
    assert not (world.settings.terraform_root / "errored.tfstate").exists()
    assert (world.settings.state / "errored.tfstate").read_text() == "{}\n"
    world.script("")
    converging.prepare(world, Steps())
    calls = world.calls().splitlines()
    assert "force-unlock" in calls[-2]
    assert "1-2" in calls[-2]
    assert "state push" in calls[-1]
    assert not (world.settings.state / "errored.tfstate").exists()


def test_a_lock_that_changed_hands_since_is_not_taken_away(world):
    locked(world)
    failing(world, "creating X: ExpiredToken", leaves_state=False)
    with pytest.raises(OperatorError):
        apply(world)
    locked(world, "9-9")
    with pytest.raises(StateLockedError, match="--id 9-9"):
        converging.prepare(world, Steps())


def test_a_state_that_cannot_be_pushed_any_more_is_kept_and_named(world):
    (world.settings.state / "errored.tfstate").write_text("{}")
    world.script("echo 'Error: cannot import state with lineage' >&2; exit 1")
    with pytest.raises(OperatorError, match=r"errored\.tfstate holds what an interrupted run had made.*lineage"):
        converging.prepare(world, Steps())
    assert (world.settings.state / "errored.tfstate").exists()


def test_any_other_failure_stays_terraforms_own(world):
    failing(world, "creating X: AccessDenied", leaves_state=False)
    with pytest.raises(TerraformError, match=r"terraform apply failed with exit code 1: creating X: AccessDenied"):
        apply(world)


def test_after_an_apply_that_succeeded_no_lock_is_taken_for_ours(world):
    locked(world)
    event = {"type": "apply_start", "hook": {"resource": {"addr": "a.b"}, "action": "create"}}
    (world.settings.state / "events").write_text(json.dumps(event) + "\n")
    world.script(f"cat {world.settings.state / 'events'}")
    apply(world)
    with pytest.raises(StateLockedError):
        converging.prepare(world, Steps())


def test_the_local_state_is_nobody_elses(world):
    locked(world)
    world.settings = replace(world.settings, environment="local")
    folder = world.settings.terraform_root / "environments"
    (folder / "local.s3.tfbackend").write_text((folder / "dev.s3.tfbackend").read_text())
    (world.settings.state / "terraform").mkdir(parents=True)
    converging.prepare(world, Steps())
    assert "force-unlock" in world.calls()
