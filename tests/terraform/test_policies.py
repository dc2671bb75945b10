"""checkov's checks and our own: the root passes, and each own check tells good from bad."""

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

from scripts import setup
from scripts.settings import Settings

from .conftest import ROOT, clean_environ

EXAMPLES = Path(__file__).parent / "policy_examples"
pytestmark = pytest.mark.slow


def checkov(folder: Path, *arguments: str) -> dict[str, Any]:
    """checkov's report of a folder."""
    command = os.environ.get("WINBATCH_CHECKOV") or str(
        setup.checkov_folder(Settings.load("local")) / "bin" / "checkov"
    )
    if shutil.which(command) is None:
        pytest.fail(f"{command} is missing: call `invoke setup --tests`")
    done = subprocess.run(
        [command, "--framework", "terraform", "--output", "json", *arguments],
        cwd=folder,
        env=clean_environ() | {"PYTHONDONTWRITEBYTECODE": "1"},
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
    policies = ROOT / "terraform" / "policies"
    own = "CKV_WB_*"
    return checkov(
        EXAMPLES, "--directory", ".", "--external-checks-dir", str(policies), "--check", own, "--skip-download"
    )


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_root_passes(environment: str, tmp_path: Path):
    # As in the project's own run, but for `quiet`, which hides what passed.
    config = yaml.safe_load((ROOT / "terraform" / ".checkov.yaml").read_text()) | {"quiet": False}
    (tmp_path / "checkov.yaml").write_text(yaml.safe_dump(config))
    values = f"environments/{environment}.tfvars"
    report = checkov(ROOT / "terraform", "--config-file", str(tmp_path / "checkov.yaml"), "--var-file", values)
    assert [f"{check['check_id']} {check['resource']}" for check in report["results"]["failed_checks"]] == []
    # The own checks took part, and on the resources that they are for.
    passed = {check["check_id"] for check in report["results"]["passed_checks"]}
    assert {f"CKV_WB_{number}" for number in (1, 2, 3, 4, 6, 7)} <= passed


def test_every_exception_has_a_reason():
    skips = [
        (file.name, match)
        for file in (ROOT / "terraform").rglob("*.tf")
        for match in re.findall(r"checkov:skip=(\S*?)(?::(.*))?$", file.read_text(), re.MULTILINE)
    ]
    assert skips
    assert [name for name, (_, reason) in skips if len(reason.split()) < 4] == []


@pytest.mark.parametrize("check", [f"CKV_WB_{number}" for number in range(1, 8)], ids=lambda check: check.lower())
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
