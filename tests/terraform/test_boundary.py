"""The boundary of the pipeline's roles keeps up with the roles that the root makes, read from the source."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

from .conftest import ROOT

MODULES = ROOT / "terraform" / "modules"
ACTION = re.compile(r'"([a-z0-9-]+:[A-Z][A-Za-z]+\*?)"')


def role_files() -> list[Path]:
    """The files that a role stands in, which are those of its policy too."""
    return [file for file in sorted(MODULES.rglob("*.tf")) if 'resource "aws_iam_role" ' in file.read_text()]


def test_every_role_carries_the_boundary():
    roles = {
        (file.parent.name, name): body
        for file in role_files()
        for name, body in re.findall(
            r'^resource "aws_iam_role" "(\w+)" \{$(.*?)^\}$', file.read_text(), re.MULTILINE | re.DOTALL
        )
    }
    assert len(roles) >= 5
    assert [
        role for role, body in roles.items() if "permissions_boundary = var.permissions_boundary_arn" not in body
    ] == []


def test_the_boundary_allows_what_the_roles_ask_for():
    boundary = set(ACTION.findall((ROOT / "terraform" / "bootstrap" / "boundary.tf").read_text()))
    boundary |= {f"{service}:*" for service in ("ec2messages", "ssmmessages")}
    sources = [re.sub(r"^ *variable = .*$", "", file.read_text(), flags=re.MULTILINE) for file in role_files()]
    # A trust policy's action is its caller's.
    asked = {action for source in sources for action in ACTION.findall(source)} - {"sts:AssumeRole"}
    assert len(asked) > 40
    missing = {action for action in asked if not any(fnmatchcase(action, allowed) for allowed in boundary)}
    assert missing == set()
