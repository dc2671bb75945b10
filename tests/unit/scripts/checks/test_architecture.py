"""docs/architecture.md names the rooms of scripts that there are, and places where changes are made that there are."""

import re
import tomllib

from scripts.core.settings import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = {path.parent.name for path in (ROOT / "scripts").glob("*/__init__.py")}


def section(heading):
    return PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_each_room_has_a_paragraph():
    assert set(re.findall(r"\*\*(\w+)\*\*", section("The rooms of scripts"))) == ROOMS


def test_each_room_has_its_place_in_the_order_of_imports():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (rooms,) = (contract for contract in contracts if contract.get("containers") == ["scripts"])
    assert {name for layer in rooms["layers"] for name in layer.split(" | ")} == ROOMS | {"bootstrap"}
    assert rooms["exhaustive"]


def test_where_a_change_is_made_there_is_something():
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|$", section("To change X, go to Y"), re.MULTILINE)
    places = re.findall(
        r"`([\w.-]+(?:/[^`]*)?)`", " ".join(row for row in rows if not row.startswith(("go to", "---")))
    )
    files = [place for place in places if "/" in place and "<" not in place]
    assert len(rows) > 20
    assert [place for place in files if not (ROOT / place).exists()] == []
