"""The whole root: every environment plans, in every partition, and with every option on it lives and leaves nothing."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts import takedown

from .conftest import Emulator, Terraform
from .inventory import inventory
from .policed import check_policies

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DIGESTS = {"ber": f"sha256:{'a' * 64}"}
EVERY_OPTION = Path(__file__).parent / "every_option.tfvars"
PLANNED_OPTIONS = Path(__file__).parent / "planned_options.tfvars"
PARTITIONS = {"cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"}


def test_every_environment_and_partition_plans(terraform: Terraform):
    def planned(name: str, *values: str) -> Path:
        terraform.run("plan", "-input=false", "-lock=false", f"-out={name}.plan", *values, digests=DIGESTS)
        return terraform.shown(f"{name}.plan")

    def environment(name: str) -> None:
        check_policies(planned(name, f"-var-file=environments/{name}.tfvars"), rendered_below=None)

    def partition(region: str) -> None:
        text = planned(region, "-var-file=environments/local.tfvars", f"-var=region={region}").read_text()
        found = set(re.findall(r"arn:(aws[a-z-]*):", text))
        # A key's policy and many others name their account and their region, so some are known at plan.
        assert found == {PARTITIONS[region]}, found

    with ThreadPoolExecutor(2) as pool:
        plans = [pool.submit(environment, name) for name in ("local", "dev", "prod")]
        plans += [pool.submit(partition, region) for region in PARTITIONS]
        for plan in plans:
            plan.result()


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
    check_policies(terraform.shown("after.plan"))
    planned = [*values, f"-var-file={PLANNED_OPTIONS}"]
    terraform.run("plan", "-input=false", "-lock=false", "-out=more.plan", *planned, digests=DIGESTS)
    check_policies(terraform.shown("more.plan"), rendered_below="module.image_builder[0].")
    terraform.run("destroy", "-input=false", "-auto-approve", *values, digests=DIGESTS)
    # Revisions stay for rollbacks, as long as the environment does.
    takedown.sweep(emulator, takedown.Target("winbatch-local", "local", "winbatch-local", "winbatch-local"))
    assert inventory(emulator) == before
    # Else that nothing is left would say nothing.
    assert len({kind for kind in there if there[kind] != before.get(kind)}) > 15
