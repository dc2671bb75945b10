"""Each of our own checks, and the analyser, tells good from bad, in source and plan."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.core.settings import Settings
from scripts.terraform import policy_findings
from scripts.terraform.policy_findings import RenderedPolicy
from scripts.tools import checkov

from .conftest import ROOT, clean_environ

EXAMPLES = Path(__file__).parent / "policy_examples"
pytestmark = pytest.mark.slow


def checked(folder: Path, *arguments: str) -> dict[str, Any]:
    """checkov's report of a folder."""
    command = os.environ.get("WINBATCH_CHECKOV") or str(checkov.folder(Settings.load("local")) / "bin" / "checkov")
    if shutil.which(command) is None:
        pytest.fail(f"{command} is missing: call `invoke setup --tests`")
    done = subprocess.run(
        [command, "--framework", "terraform", "--output", "json", *arguments],
        cwd=folder,
        env=clean_environ() | policy_findings.SOURCE_ENVIRONMENT | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0, report
    return report


@pytest.fixture(scope="module")
def own_checks() -> dict[str, Any]:
    own_folder = ROOT / "terraform" / "policies"
    own = "CKV_WB_*"
    return checked(
        EXAMPLES, "--directory", ".", "--external-checks-dir", str(own_folder), "--check", own, "--skip-download"
    )


@pytest.mark.parametrize("check", [f"CKV_WB_{number}" for number in range(1, 12)], ids=lambda check: check.lower())
def test_own_check_tells_good_from_bad(own_checks: dict[str, Any], check: str):
    outcome = {
        kind: {
            found["resource"].split(".")[-1]
            for found in own_checks["results"][f"{kind}_checks"]
            if found["check_id"] == check
        }
        for kind in ("passed", "failed")
    }
    named = set(
        re.findall(r'^(?:resource|data) "\S+" "(\w+)"', (EXAMPLES / f"{check.lower()}.tf").read_text(), re.MULTILINE)
    )
    assert {name for name in named if name.startswith("bad")} == outcome["failed"] & named
    assert {name for name in named if name.startswith("good")} <= outcome["passed"]
    assert len(named) >= 2


@pytest.fixture(scope="module")
def found_in_plan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What the checks find in a plan of all examples: resources' names by check."""
    examples = yaml.safe_load((EXAMPLES / "plans.yaml").read_text())
    # Two plans, of every other check each: what is wrong is found in each of several.
    folder = tmp_path_factory.mktemp("plans")
    checks = list(examples)
    files = [
        write_plan(folder / f"{part}.json", {check: examples[check] for check in checks[part::2]}) for part in (0, 1)
    ]
    found: dict[str, set[str]] = {}
    for finding in policy_findings.findings(files, Settings.load("local")):
        found.setdefault(finding.check.lower(), set()).add(finding.resource.split(".", 1)[1])
    return found


def write_plan(file: Path, examples: dict[str, Any]) -> Path:
    resources, changes = [], []
    for check, named in examples.items():
        for address, values in named.items():
            kind, name = address.split(".")
            unknown = values.pop("__unknown__", [])
            resource = {"address": f"{kind}.{check}_{name}", "mode": "managed", "type": kind, "name": f"{check}_{name}"}
            encoded = {key: json.dumps(value) if "policy" in key else value for key, value in values.items()}
            resources.append(resource | {"values": encoded})
            change = {"actions": ["create"], "before": None, "after": encoded}
            changes.append(resource | {"change": change | {"after_unknown": dict.fromkeys(unknown, True)}})
    plan = {"planned_values": {"root_module": {"resources": resources}}, "resource_changes": changes}
    file.write_text(json.dumps(plan | {"format_version": "1.2", "terraform_version": "1.11.4"}), encoding="utf-8")
    return file


@pytest.mark.parametrize("check", [f"ckv_wb_{number}" for number in range(1, 12)])
def test_own_check_tells_good_from_bad_in_a_plan(found_in_plan: dict[str, set[str]], check: str):
    examples = yaml.safe_load((EXAMPLES / "plans.yaml").read_text())[check]
    names = {address.split(".")[1] for address in examples}
    assert any(name.startswith("good") for name in names)
    bad = {f"{check}_{name}" for name in names if name.startswith("bad")}
    assert bad
    assert {name for name in found_in_plan[check] if name.startswith(f"{check}_")} == bad


TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
OBJECTS = "arn:aws:s3:::bucket/jobs/*"


# Whose policy a statement is in, the statement, and what is wrong with it.
STATEMENTS: dict[str, tuple[policy_findings.Kind, dict[str, Any], str | None]] = {
    "trust": ("trust", TRUST, None),
    "identity": ("identity", {"Action": "s3:GetObject", "Resource": OBJECTS}, None),
    # The one that is known and needed.
    "login": ("identity", {"Action": "ecr:GetAuthorizationToken", "Resource": "*"}, None),
    # Newer than the analyser's own list.
    "newer": (
        "identity",
        {
            "Action": "autoscaling:LaunchInstances",
            "Resource": "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/x",
        },
        None,
    ),
    "misspelt": ("identity", {"Action": "s3:GetObjekt", "Resource": OBJECTS}, "UNKNOWN_ACTION"),
    "mismatch": ("identity", {"Action": "s3:ListBucket", "Resource": OBJECTS}, "RESOURCE_MISMATCH"),
    "all_objects": ("identity", {"Action": "s3:GetObject", "Resource": "*"}, "DataExfiltration"),
    "all_roles": ("identity", {"Action": "iam:PutRolePolicy", "Resource": "*"}, "ResourceExposure"),
    "condition": (
        "resource",
        {
            "Action": "kms:DescribeKey",
            "Condition": {"StringEquals": {"s3:prefix": "x"}},
            "Principal": "*",
            "Resource": "*",
        },
        "UNKNOWN_CONDITION_FOR_ACTION",
    ),
}


@pytest.fixture(scope="module")
def analysed() -> dict[str, set[str]]:
    """What the analyser says of all statements at once: issues by name."""
    given = []
    for name, (kind, statement, _) in STATEMENTS.items():
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Sid": "One"} | statement]}
        given.append(RenderedPolicy(name, kind, json.dumps(document)))
    found: dict[str, set[str]] = {name: set() for name in STATEMENTS}
    for finding in policy_findings.analysed(given, Settings.load("local")):
        found[finding.resource].add(finding.check)
    return found


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_analyser_tells_good_from_bad(analysed: dict[str, set[str]], name: str):
    issue = STATEMENTS[name][2]
    assert issue in analysed[name] if issue else analysed[name] == set()
