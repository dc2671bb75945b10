"""The Python inside of scripts/windows/verify-windows.ps1."""

import re
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "windows" / "verify-windows.ps1"

_CHECK = re.compile(
    r"@\{ Name = '(?P<name>[^']*)'; "
    r"""Expected = ('(?P<single>[^']*)'|"(?P<double>([^"]|"")*)"); """
    r"Code = @'\n(?P<code>.*?)\n'@ \}",
    re.DOTALL,
)


@dataclass(frozen=True)
class Check:
    """A check in a container: what is expected is an expression for the whole of what the code prints."""

    name: str
    expected: str
    code: str


def _checks(text: str) -> list[Check]:
    return [
        Check(found["name"], found["single"] or (found["double"] or "").replace('""', '"'), found["code"])
        for found in _CHECK.finditer(text)
    ]


CHECKS = _checks(SCRIPT.read_text(encoding="utf-8"))
STOPPING = SCRIPT.read_text(encoding="utf-8").partition("$stopping = @'\n")[2].partition("\n'@")[0]
