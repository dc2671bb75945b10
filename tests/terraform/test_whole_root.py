"""The whole root: every environment plans, in every partition, and with every option on it lives and leaves nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.core.settings import Settings
from scripts.environments import teardown
from scripts.images.linux import assemble, push
from scripts.terraform import imports, state

from .conftest import Emulator, Terraform
from .inventory import inventory
from .policed import check_policies

pytestmark = pytest.mark.slow
DIGESTS = {"ber": f"sha256:{'a' * 64}"}
STATE = "winbatch-local-tfstate"
TARGET = teardown.Target("winbatch-local", "local", "winbatch-local", "winbatch-local")
EVERY_OPTION = Path(__file__).parent / "every_option.tfvars"
PLANNED_OPTIONS = Path(__file__).parent / "planned_options.tfvars"
PARTITIONS = {"cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"}


def test_every_environment_and_partition_plans(terraform: Terraform):
    def planned(name: str, *values: str) -> Path:
        terraform.run("plan", "-input=false", "-lock=false", f"-out={name}.plan", *values, digests=DIGESTS)
        return terraform.shown(f"{name}.plan")

    plans = [planned(name, f"-var-file=environments/{name}.tfvars") for name in ("dev", "prod")]
    for region, partition in PARTITIONS.items():
        plan = planned(region, "-var-file=environments/local.tfvars", f"-var=region={region}")
        # A key's policy and many others name their account and their region, so some are known at plan.
        assert set(re.findall(r"arn:(aws[a-z-]*):", plan.read_text())) == {partition}
        plans.append(plan)
    check_policies(dict.fromkeys(plans))


def check_taken_over(terraform: Terraform, emulator: Emulator, values: list[str], there: dict[str, list[str]]) -> None:
    """The worst that an interrupted apply can leave: all is there and nothing is noted. It is found, and made once."""
    (key,) = (item["Key"] for item in emulator.client("s3").list_objects_v2(Bucket=STATE)["Contents"])
    emulator.client("s3").delete_object(Bucket=STATE, Key=key)
    existing: dict[str, str] = {}
    blocks = terraform.folder / "adopt.tf"
    while True:
        terraform.run("plan", "-input=false", "-out=found.plan", *values, digests=DIGESTS)
        plan = json.loads(terraform.shown("found.plan").read_text())
        found = imports.unnoted(emulator, plan)  # type: ignore[arg-type]  # its clients are all that is asked for
        if not found:
            break
        existing |= found
        blocks.write_text(imports.blocks(existing))
    blocks.unlink()
    left = {entry["type"] for entry in plan["resource_changes"] if entry["change"]["actions"] == ["create"]}
    assert left
    assert left.isdisjoint(imports.FINDERS)
    terraform.run("apply", "-input=false", "found.plan", digests=DIGESTS)
    terraform.run("plan", "-input=false", "-detailed-exitcode", *values, digests=DIGESTS)
    after = inventory(emulator)
    # A task definition gets another revision each time.
    assert len(after.pop("task definitions")) == 2 * len(there["task definitions"])
    assert after == {kind: things for kind, things in there.items() if kind != "task definitions"}


def test_every_option_is_applied_and_leaves_nothing(terraform: Terraform, emulator: Emulator):
    values = ["-var-file=environments/local.tfvars", f"-var-file={EVERY_OPTION}"]
    boundary = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    emulator.client("iam").create_policy(
        PolicyName="winbatch-local-boundary", Path="/deployment/", PolicyDocument=json.dumps(boundary)
    )
    before = inventory(emulator)
    terraform.run("apply", "-input=false", "-auto-approve", *values, digests=DIGESTS)
    there = inventory(emulator)
    terraform.run("plan", "-input=false", "-detailed-exitcode", "-out=after.plan", *values, digests=DIGESTS)
    planned = [*values, f"-var-file={PLANNED_OPTIONS}"]
    terraform.run("plan", "-input=false", "-lock=false", "-out=more.plan", *planned, digests=DIGESTS)
    below = {terraform.shown("after.plan"): "", terraform.shown("more.plan"): "module.image_builder[0]."}
    check_policies(below)
    many = {"ber": [f"a-dag-of-thirty-two-characters-{letter}" for letter in "abcdefghijklmnopqrst"]}
    refused = terraform.refusal(
        "plan", "-input=false", "-lock=false", *values, f"-var=workload_dags={json.dumps(many)}"
    )
    assert "Workload ber runs stages of 20 DAGs, and IAM takes no role policy above 10,240 characters" in refused
    check_taken_over(terraform, emulator, values, there)

    # A bucket with objects and a repository with images go too.
    outputs = terraform.outputs()
    assert state.outputs(emulator.client("s3"), Settings.load("local")) == outputs
    emulator.client("s3").put_object(Bucket=outputs["data_bucket"], Key="jobs/ber/x/job.json", Body=b"{}")
    push(emulator.client("ecr"), "winbatch-local/ber", assemble({"app/hello.txt": b"hello"}, {}))
    assert any("s3:::" in arn for arn in teardown.left(emulator, TARGET))
    teardown.drain(emulator, TARGET, print)
    # As `invoke down`: before Terraform, which may wait for what others left, and after it. What is in use is its own;
    # revisions stay for rollbacks, as long as the environment does.
    assert "task definition winbatch-local-ber:1" in teardown.sweep(emulator, TARGET)
    terraform.run("destroy", "-input=false", "-auto-approve", *values, digests=DIGESTS)
    teardown.sweep(emulator, TARGET)
    assert teardown.left(emulator, TARGET) == []
    assert inventory(emulator) == before
    # Else that nothing is left would say nothing.
    assert len({kind for kind in there if there[kind] != before.get(kind)}) > 15
