"""The whole root: every environment plans, in every partition."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import Terraform
from .policed import check_policies

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
DIGESTS = {"ber": f"sha256:{'a' * 64}"}
PARTITIONS = {"cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"}


def test_every_environment_and_partition_plans(terraform: Terraform):
    def planned(name: str, *values: str) -> Path:
        terraform.run("plan", "-input=false", "-lock=false", f"-out={name}.plan", *values, digests=DIGESTS)
        return terraform.shown(f"{name}.plan")

    def environment(name: str) -> None:
        check_policies(planned(name, f"-var-file=environments/{name}.tfvars"), all_known=False)

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
