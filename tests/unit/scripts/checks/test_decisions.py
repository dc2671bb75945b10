"""The index of decisions names each record once, by its own first line."""

import re

from scripts.core.settings import ROOT

FOLDER = ROOT / "docs" / "decisions"
LINE = re.compile(r"- \[(\d{4})\]\((\d{4}-[a-z0-9-]+\.md)\) (.+?)(?: \(replaced .*\))?")


def test_the_index_names_each_record_once_by_its_title():
    lines = [line for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("- ")]
    found = {}
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, line
        number, name, title = match.groups()
        assert name.startswith(number)
        assert name not in found, name
        found[name] = f"# {number}: {title}"
    assert found == {path.name: path.read_text().splitlines()[0] for path in FOLDER.glob("0*.md")}
