"""Every statement can match the calls that it is there for, by AWS's own reference, and policies fit into IAM."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.checks import provider
from scripts.core.settings import Settings
from scripts.tools import terraform_command

from . import authorization
from .authorization import Statement
from .conftest import LEFT_OUT, ROOT, clean_environ, cli_config

Documents = Mapping[str, Sequence[Statement]]
# Which documents a role has; the apply role also has what the key's policy says (modules/storage/kms.tf).
ROLES = {
    "airflow": ("module.airflow.components", "module.airflow.dags"),
    "apply": ("compute", "identity", "lock", "network", "options", "platform", "read", "state"),
    "build": ("module.image_builder[0].build",),
    "execution": ("module.cluster.execution",),
    "flow": ("module.network.flow[0]",),
    "instance": ("module.cluster.instance",),
    "plan": ("lock", "read"),
    "task": ("module.cluster.task",),
    "workload": ('module.cluster.workload["ber"]',),
}
MANAGED = ("compute", "identity", "lock", "network", "options", "platform", "read", "state", "boundary")
RESOURCES = (
    "bucket",
    "key",
    "module.network.s3",
    "module.observability.topic",
    *(f'module.storage.bucket["{purpose}"]' for purpose in ("dags", "data", "logs")),
    "module.storage.key",
)
# What a managed policy, a role's own policies together and a trust policy may hold, with a tenth to spare: characters.
MANAGED_SIZE, INLINE_SIZE, TRUST_SIZE = 5500, 9200, 1800


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Statement]]:
    """Every policy document of both roots, by address, with every option on and a mocked provider."""
    folder = tmp_path_factory.mktemp("roles")
    root = folder / "terraform"
    shutil.copytree(ROOT / "terraform", root, ignore=LEFT_OUT)
    shutil.copytree(ROOT / "terraform" / "tests" / "mocks", root / "tests" / "mocks")
    shutil.copy(Path(__file__).with_name("roles.tftest.hcl"), root / "tests")
    # Terraform's test takes down what it made, mocked as it is.
    for file in (root / "bootstrap").glob("*.tf"):
        file.write_text(file.read_text().replace("prevent_destroy = true", "prevent_destroy = false"))
    binary = str(terraform_command.find_terraform(Settings.load("local")))
    environ = clean_environ() | {"TF_CLI_CONFIG_FILE": str(cli_config(folder)), "TF_IN_AUTOMATION": "1"}
    subprocess.run(
        [binary, "init", "-backend=false", "-input=false", "-lockfile=readonly"],
        cwd=root,
        env=environ,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    with provider.kept(provider.for_tests(), environ, folder) as variables:
        done = subprocess.run(
            [binary, "test", "-json", "-verbose"],
            cwd=root,
            env=environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, [message for message in messages if message["@level"] == "error"]
    states = [message["test_state"]["root_module"] for message in messages if "test_state" in message]
    return {
        resource["address"].replace("data.aws_iam_policy_document.", ""): [
            Statement.read(block) for block in resource["values"]["statement"] or ()
        ]
        for state in states
        for resource in resources(state)
        if resource["type"] == "aws_iam_policy_document"
    }


def resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from resources(child)


def of_role(documents: Documents, role: str) -> list[Statement]:
    return [statement for name in ROLES[role] for statement in documents[name]]


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_every_statement_of_a_role_can_match(documents: Documents, role: str):
    of_key = [one for one in documents["module.storage.key"] if one.sid == "PipelineKeepsKey"]
    assert of_key
    assert list(authorization.problems(of_role(documents, role), of_key if role == "apply" else ())) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boundary", *RESOURCES])
def test_every_statement_of_a_bound_or_a_resource_can_match(documents: Documents, name: str):
    found = [problem for statement in documents[name] for problem in authorization.of_statement(statement)]
    assert found == []


@pytest.mark.slow
def test_policies_fit(documents: Documents):
    sizes = {name: authorization.length(documents[name]) for name in MANAGED}
    # The plan's policy is part of the apply role's.
    sizes["state"] += sizes["lock"]
    assert {name: size for name, size in sizes.items() if size > MANAGED_SIZE} == {}
    own = set(ROLES) - {"apply", "plan"}
    assert [role for role in own if authorization.length(of_role(documents, role)) > INLINE_SIZE] == []
    trust = {name: authorization.length(some) for name, some in documents.items() if "trust" in name}
    assert len(trust) > 5
    assert max(trust.values()) < TRUST_SIZE


@pytest.mark.slow
def test_every_document_was_looked_at(documents: Documents):
    looked_at = {name for names in ROLES.values() for name in names} | set(MANAGED) | set(RESOURCES)
    # The union of two that are looked at.
    looked_at |= {"module.airflow.airflow"}
    assert {name for name in documents if not re.search(r"trust(\[|$)", name)} == looked_at


def allow(*actions: str, on: str = "*", when: Mapping[tuple[str, str], str] | None = None) -> Statement:
    conditions = tuple((test, key, (value,)) for (test, key), value in (when or {}).items())
    return Statement("One", allows=True, actions=actions, resources=(on,), conditions=conditions)


EC2 = "arn:aws:ec2:eu-central-1:123456789012"
MARKED = {("StringEquals", "aws:ResourceTag/environment"): "dev"}
# Statements as somebody might write them, and what is wrong with them.
EXAMPLES: dict[str, tuple[Statement, str | None]] = {
    "no such action": (allow("s3:GetObjekt"), "there is no action s3:GetObjekt"),
    "wildcard of nothing": (allow("s3:Fetch*"), "there is no action s3:Fetch*"),
    "another resource": (
        allow("s3:GetObject", on="arn:aws:s3:::bucket"),
        "One: s3:GetObject has no such resources, or not these conditions on them",
    ),
    "bucket by its objects": (
        allow("s3:ListBucket", on="arn:aws:s3:::bucket/*"),
        "s3:ListBucket has no such resources, or not these conditions on them",
    ),
    "objects": (allow("s3:GetObject", on="arn:aws:s3:::bucket/*"), None),
    "rule by its group's tags": (
        allow("ec2:AuthorizeSecurityGroupEgress", on=f"{EC2}:*/*", when=MARKED),
        "ec2:AuthorizeSecurityGroupEgress on security-group-rule: a call has no aws:ResourceTag/environment",
    ),
    "repository without the grant's end": (
        allow("ecr:*", "kms:CreateGrant", "kms:DescribeKey"),
        "ecr:CreateRepository needs kms:RetireGrant, too",
    ),
    "called by Airflow": (
        allow(
            "ec2:CreateNetworkInterface", when={("ForAnyValue:StringEquals", "aws:CalledVia"): "airflow.amazonaws.com"}
        ),
        "One: no call has airflow.amazonaws.com in aws:CalledVia",
    ),
    "endpoint without its zone": (
        allow("ec2:CreateVpcEndpoint", "ec2:CreateTags", "ec2:Describe*"),
        "ec2:CreateVpcEndpoint needs route53:AssociateVPCWithHostedZone, too",
    ),
    "subscription by its topic": (
        allow("sns:Unsubscribe", on="arn:aws:sns:eu-central-1:123456789012:winbatch-dev-*"),
        "One: sns:Unsubscribe has no such resources, or not these conditions on them",
    ),
    "tasks by their cluster": (
        allow("ecs:ListTasks", on="arn:aws:ecs:eu-central-1:123456789012:cluster/winbatch-dev"),
        "One: ecs:ListTasks has no such resources, or not these conditions on them",
    ),
    "tasks by condition": (
        allow("ecs:ListTasks", when={("ArnEquals", "ecs:cluster"): "arn:aws:ecs:eu-central-1:123456789012:cluster/x"}),
        None,
    ),
    "key that another action has": (
        allow("sns:Publish", when={("StringEquals", "sns:Protocol"): "https"}),
        "One: sns:Publish has no such resources, or not these conditions on them",
    ),
    "key if it is there": (allow("sns:Publish", when={("StringEqualsIfExists", "sns:Protocol"): "https"}), None),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_can_never_match_is_seen(name: str):
    statement, problem = EXAMPLES[name]
    found = list(authorization.problems([statement]))
    assert any(problem in one for one in found) if problem else found == []


@pytest.mark.parametrize(
    ("pattern", "template", "meet"),
    [
        ("*", "arn:${Partition}:s3:::${BucketName}", True),
        ("arn:aws:s3:::a*", "arn:${Partition}:s3:::${BucketName}", True),
        ("arn:aws:s3:::a/*", "arn:${Partition}:s3:::${BucketName}", False),
        ("arn:aws:s3:::a/*", "arn:${Partition}:s3:::${BucketName}/${ObjectName}", True),
        ("arn:aws:ecs:r:1:cluster/a", "arn:${Partition}:ecs:${Region}:${Account}:task/${ClusterName}/${TaskId}", False),
        ("arn:aws:ecs:r:1:task/a/*", "arn:${Partition}:ecs:${Region}:${Account}:task/${ClusterName}/${TaskId}", True),
        ("arn:aws:ec2:r:1:*/*", "arn:${Partition}:ec2:${Region}:${Account}:subnet/${SubnetId}", True),
    ],
)
def test_arns_of_a_pattern_and_of_a_type(pattern: str, template: str, meet: bool):
    assert authorization.meets(pattern, template) is meet
