"""One provider lock file for everyone: with and without a network, on each platform that people use."""

from __future__ import annotations

import re

from .conftest import ROOT


def test_hashes_of_archives_and_of_unpacked_folders():
    text = (ROOT / "terraform" / ".terraform.lock.hcl").read_text()
    hashes = re.findall(r'"(h1|zh):([^"]+)"', text)
    # `zh` stands for the archives of all the registry's platforms, `h1` for a mirror's unpacked folders.
    # One archive is the manifest, which is unpacked nowhere.
    assert sum(kind == "zh" for kind, _ in hashes) == 15
    assert sum(kind == "h1" for kind, _ in hashes) == 14
    assert ("h1", "edXOJWE4ORX8Fm+dpVpICzMZJat4AX0VRCAy/xkcOc0=") in hashes


def test_constraints_are_those_of_every_module():
    roots = [ROOT / "terraform", ROOT / "terraform" / "bootstrap"]
    files = [*(root / "versions.tf" for root in roots), *(ROOT / "terraform" / "modules").glob("*/versions.tf")]
    constraints = {
        (*re.findall(r'required_version = "([^"]+)"', text), *re.findall(r'version = "(>= 5[^"]+)"', text))
        for text in (file.read_text() for file in files)
    }
    assert len(files) == 2 + sum(1 for folder in (ROOT / "terraform" / "modules").iterdir() if folder.is_dir())
    assert constraints == {(">= 1.11", ">= 5.100, < 7.0")}


def test_no_partition_is_hard_coded_and_no_environment_is_asked_for():
    sources = [file for file in (ROOT / "terraform").rglob("*.tf") if not {".terraform", "tests"} & set(file.parts)]
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in sources
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if "arn:aws" in line or re.search(r"var\.environment\s*(==|!=)", line)
    ]
    assert len(sources) > 20
    assert found == []
