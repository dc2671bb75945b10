"""Every variable says what it takes, and each of its rules is broken in a native test of its module."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import botocore.session
import pytest

from .conftest import ROOT

TERRAFORM = ROOT / "terraform"
FOLDERS = sorted({file.parent for file in TERRAFORM.rglob("variables*.tf") if ".terraform" not in file.parts})
# Switches have no wrong value; these have none that a rule of their own would tell.
WITHOUT_A_RULE = {
    ".": {
        "image_builder": "modules/image_builder has a rule for each field",
        "observability": "modules/observability has a rule for each field",
        "storage": "modules/storage has a rule for each field",
    },
    "modules/cluster": {"tags": "free text; the root has rules"},
    "modules/image_builder": {"tags": "free text; the root has rules"},
}


def blocks(text: str, head: str) -> list[tuple[str, str]]:
    """Name and body of each block at the left edge."""
    return re.findall(rf'^{head} "(\w+)" \{{$(.*?)^\}}$', text, re.MULTILINE | re.DOTALL)


def rules(folder: Path) -> Counter[str]:
    """How many validations each variable has; switches are left out."""
    text = "\n".join(file.read_text() for file in sorted(folder.glob("variables*.tf")))
    found = Counter[str]()
    for name, body in blocks(text, "variable"):
        if not re.search(r"^  type\s*= bool$", body, re.MULTILINE):
            found[name] = body.count("\n  validation {")
    return found


def broken(folder: Path) -> Counter[str]:
    """How many runs of the native tests expect each variable to be refused."""
    module = "" if folder == TERRAFORM else f"./{folder.relative_to(TERRAFORM)}"
    found = Counter[str]()
    for file in (TERRAFORM / "tests").glob("*.tftest.hcl"):
        for _, body in blocks(file.read_text(), "run"):
            source = re.search(r'^    source = "(.+)"$', body, re.MULTILINE)
            if (source[1] if source else "") == module and (
                expected := re.search(r"expect_failures = \[(.*?)\]", body, re.DOTALL)
            ):
                found.update(set(re.findall(r"\bvar\.(\w+)", expected[1])))
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(TERRAFORM)))
def test_each_variable_has_a_rule(folder: Path):
    found = rules(folder)
    assert found
    excepted = WITHOUT_A_RULE.get(str(folder.relative_to(TERRAFORM)), {})
    assert {name for name, count in found.items() if count == 0} == set(excepted)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(TERRAFORM)))
def test_each_rule_is_broken_by_a_run(folder: Path):
    found, tried = rules(folder), broken(folder)
    assert found.total() > 0
    assert {name: (count, tried[name]) for name, count in found.items() if tried[name] < count} == {}


def test_what_a_rule_says_is_a_sentence():
    for folder in FOLDERS:
        for file in folder.glob("*.tf"):
            for message in re.findall(r'^\s+error_message = "(.*)"$', file.read_text(), re.MULTILINE):
                assert len(message) > 20, f"{file}: {message}"
                assert message.endswith((".", ")")) or "${" in message[-20:], f"{file}: {message}"


def test_every_region_that_botocore_knows_is_taken():
    """Also those of partitions of their own, such as `eusc-de-east-1`; names that are no region's are not."""
    session = botocore.session.Session()
    partitions = session.get_component("data_loader").load_data("partitions")["partitions"]
    regions = {region for partition in partitions for region in partition["regions"] if not region.endswith("-global")}
    assert {"eusc-de-east-1", "us-isob-east-1", "cn-northwest-1", "us-gov-west-1", "eu-central-1"} <= regions
    patterns = Counter(
        pattern
        for folder in FOLDERS
        for file in folder.glob("variables*.tf")
        for pattern in re.findall(r'can\(regex\("(.+?)", var\.region\)\)', file.read_text())
    )
    assert patterns
    for pattern in patterns:
        assert [region for region in sorted(regions) if not re.search(pattern, region)] == []
        for wrong in ("", "eu-central", "EU-CENTRAL-1", "eu-central-1a", "eu_central_1", "eu-central-1 ", "Frankfurt"):
            assert not re.search(pattern, wrong), wrong
