"""What a run that was cut off leaves, and how the next one mends it: S3 by moto, Terraform by a script."""

import contextlib
import json
import re
import shutil
import stat
from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID

from scripts.core.console import Steps
from scripts.core.errors import OperatorError, StateLockedError, TerraformError
from scripts.core.settings import Settings
from scripts.terraform import imports, plan_and_apply, state
from scripts.terraform.cli import Terraform

BUCKET = "winbatch-dev-tfstate"
MADE = "winbatch-dev-data"
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
        others = {"sts": SimpleNamespace(get_caller_identity=lambda: {"Account": ACCOUNT_ID})}

        @contextlib.contextmanager
        def copied_root():
            folder = settings.state / "terraform" / "root"
            folder.mkdir()
            yield Terraform(command, folder, {"PATH": "/usr/bin:/bin"}), folder
            shutil.rmtree(folder)

        yield SimpleNamespace(
            settings=settings,
            aws=SimpleNamespace(client=lambda service: others.get(service, s3)),
            terraform=Terraform(command, settings.terraform_root, {"PATH": "/usr/bin:/bin"}),
            others=others,
            copied_root=copied_root,
            var_files=[],
            init=lambda: False,
            s3=s3,
            script=script,
            calls=lambda: (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else "",
        )


def locked(world, lock_id="1-2"):
    body = {"ID": lock_id, "Who": "ann@laptop", "Created": "2026-11-24 19:00", "Operation": "OperationTypeApply"}
    world.s3.put_object(Bucket=BUCKET, Key=LOCK, Body=json.dumps(body))


def planning(world, *shown):
    """A Terraform whose plans are these, one after the other, when they are shown."""
    count = world.settings.state / "count"
    count.unlink(missing_ok=True)
    for number, plan in enumerate(shown, 1):
        (world.settings.state / f"shown-{number}").write_text(json.dumps(plan))
    world.script(
        f"""case "$1" in
plan)
    n=$(cat {count} 2>/dev/null || echo 0)
    echo $((n + 1)) > {count}
    cat adopt.tf >> {count}.blocks 2>/dev/null
    exit 2;;
show) cat {world.settings.state}/shown-$(cat {count});;
esac"""
    )


def creating():
    """A plan's JSON that makes a bucket."""
    after = {"bucket": MADE, "tags_all": {"environment": "dev", "root": "winbatch"}}
    change = {"actions": ["create"], "before": None, "after": after}
    entry = {"address": "aws_s3_bucket.a", "mode": "managed", "type": "aws_s3_bucket", "change": change}
    return {"resource_changes": [entry]}


def importing():
    """The same plan's, once it knows that the bucket is there."""
    plan = creating()
    plan["resource_changes"][0]["change"] |= {"actions": ["no-op"], "importing": {"id": MADE}}
    return plan


def make_bucket(world):
    world.s3.create_bucket(Bucket=MADE, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})


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
    plan_and_apply.apply(world, world.settings.state / "plan", Steps(), "")


def test_somebody_elses_lock_is_named_before_terraform_is_started(world):
    locked(world)
    line = r"of dev is locked by ann@laptop since 2026-11-24 19:00 .*invoke unlock --env dev --id 1-2"
    with pytest.raises(StateLockedError, match=line):
        plan_and_apply.prepare(world, Steps())
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
    plan_and_apply.prepare(world, Steps())
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
        plan_and_apply.prepare(world, Steps())


def test_a_state_that_cannot_be_pushed_any_more_is_kept_and_named(world):
    (world.settings.state / "errored.tfstate").write_text("{}")
    world.script("echo 'Error: cannot import state with lineage' >&2; exit 1")
    with pytest.raises(OperatorError, match=r"errored\.tfstate holds what an interrupted run had made.*lineage"):
        plan_and_apply.prepare(world, Steps())
    assert (world.settings.state / "errored.tfstate").exists()


def test_a_plan_after_an_apply_that_ended_well_is_taken_as_it_is(world):
    make_bucket(world)
    planning(world, creating())
    assert plan_and_apply.plan(world, Steps()).summary.actions == {"create": 1}


def test_what_an_interrupted_apply_has_made_becomes_part_of_the_next_plan(world):
    failing(world, "creating X: context canceled", leaves_state=False)
    with pytest.raises(TerraformError):
        apply(world)
    make_bucket(world)
    planning(world, creating(), importing())
    planned = plan_and_apply.plan(world, Steps())
    assert planned.summary.actions == {"import": 1}
    # It was planned in a copy of the root, of which nothing stays.
    blocks = f'import {{\n  to = aws_s3_bucket.a\n  id = "{MADE}"\n}}\n'
    assert (world.settings.state / "count.blocks").read_text() == blocks
    assert not (world.settings.terraform_root / "adopt.tf").exists()
    assert not (world.settings.state / "terraform" / "root").exists()
    world.script("")
    plan_and_apply.apply(world, planned.file, Steps(), "")
    assert not state.begun(world.s3, world.settings)


def test_what_an_interrupted_apply_has_made_is_noted_before_a_destroy(world):
    make_bucket(world)
    planning(world, creating(), importing())
    plan_and_apply.note_made(world, Steps())
    assert world.calls() == ""
    state.note_begun(world.s3, world.settings)
    plan_and_apply.note_made(world, Steps())
    # Nothing but that is planned the second time, and applied.
    assert [line.split()[0] for line in world.calls().splitlines()] == ["plan", "show", "plan", "show", "apply"]
    assert re.findall(r"-target=\S+", world.calls()) == ["-target=aws_s3_bucket.a"]


def test_what_aws_is_still_making_is_waited_for(world, monkeypatch):
    state.note_begun(world.s3, world.settings)
    planning(world, creating())
    answers = iter([imports.NotYet("A is being made"), {}])

    def unnoted(aws, plan):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(imports, "unnoted", unnoted)
    monkeypatch.setattr(plan_and_apply, "LOOK_SECONDS", 0.01)
    assert plan_and_apply.plan(world, Steps()).summary.actions == {"create": 1}
    planning(world, creating())
    answers = iter([imports.NotYet("A is being made")])
    monkeypatch.setattr(plan_and_apply, "MAKING_SECONDS", -1.0)
    with pytest.raises(OperatorError, match=r"A is being made still, after .* minutes: call again"):
        plan_and_apply.plan(world, Steps())


def tainted(world, status):
    """A state whose Airflow environment was not seen to end, as AWS has it with this status; its role, too."""
    kinds = {"aws_mwaa_environment": "a", "aws_iam_role": "r"}
    tags = {"environment": "dev", "root": "winbatch"}
    resources = [
        {
            "module": "module.airflow",
            "type": kind,
            "name": "it",
            "instances": [
                {"index_key": "x", "status": "tainted", "attributes": {"name": name, "tags_all": tags}},
                {"index_key": "y", "attributes": {}},
            ],
        }
        for kind, name in kinds.items()
    ]
    world.s3.put_object(Bucket=BUCKET, Key="winbatch.tfstate", Body=json.dumps({"resources": resources}))
    found = {"Environment": {"Name": "a", "Status": status, "Tags": tags}}
    world.others["mwaa"] = SimpleNamespace(get_environment=lambda **_: found)


@pytest.mark.parametrize(("status", "kept"), [("AVAILABLE", True), ("CREATE_FAILED", False)])
def test_what_ended_well_after_an_interrupted_apply_is_not_made_anew(world, status, kept):
    tainted(world, status)
    plan_and_apply.keep_whole(world, Steps())
    assert world.calls() == ""
    state.note_begun(world.s3, world.settings)
    plan_and_apply.keep_whole(world, Steps())
    untainted = [line.split()[-1] for line in world.calls().splitlines() if line.startswith("untaint ")]
    assert untainted == (['module.airflow.aws_mwaa_environment.it["x"]'] if kept else [])


@pytest.mark.parametrize("problem", ["EntityAlreadyExists: role R", "the rule already exists", "DuplicateRecord"])
def test_what_is_there_and_not_ours_is_told_with_the_way_on(world, problem):
    failing(world, f"creating X: {problem}", leaves_state=False)
    with pytest.raises(OperatorError, match=rf"{problem}: made by somebody else, or .* call invoke up, or invoke plan"):
        apply(world)


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
        plan_and_apply.prepare(world, Steps())


def test_the_local_state_is_nobody_elses(world):
    locked(world)
    world.settings = replace(world.settings, environment="local")
    folder = world.settings.terraform_root / "environments"
    (folder / "local.s3.tfbackend").write_text((folder / "dev.s3.tfbackend").read_text())
    (world.settings.state / "terraform").mkdir(parents=True)
    plan_and_apply.prepare(world, Steps())
    assert "force-unlock" in world.calls()
