"""verify-windows.ps1: PowerShell by its grammar, and Python inside of it, which runs under Wine in tests/windows."""

import ast
import re

import pytest

from tests.powershell import broken, nodes
from tests.verify_windows import CHECKS, SCRIPT, STOPPING

TEXT = SCRIPT.read_text(encoding="utf-8")


def test_it_is_powershell_of_windows_own_version():
    """Windows PowerShell 5.1, which Server Core has, takes no `?:`, `??` and `&&`, and reads ASCII without a mark."""
    assert broken(TEXT) == []
    assert TEXT.isascii()
    assert not {"?", "??", "&&", "||"} & {node.type for node in nodes(TEXT)}


@pytest.mark.parametrize("code", [check.code for check in CHECKS] + [STOPPING], ids=lambda code: code[:20])
def test_what_it_runs_is_python(code):
    ast.parse(code)


def test_what_it_expects_are_expressions_and_names_are_its_own():
    assert all(re.compile(check.expected) for check in CHECKS)
    assert len({check.name for check in CHECKS}) == len(CHECKS) == TEXT.count("    @{ Name = ")
