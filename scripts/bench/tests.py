"""Take over what the last whole `make test` took, as it noted in `build/tests.json`: nothing is run here."""

import json
from pathlib import Path
from typing import Any

from scripts.bench.figures import Figure
from scripts.checks import report
from scripts.core.errors import BenchError

# On two cores, s.
BOUNDS = {"fast": 240.0, "total": 1080.0}


def measure(file: Path) -> tuple[list[Figure], dict[str, Any]]:
    """The figures of the last whole run.

    Args:
        file: that it wrote.

    Returns:
        Figures, and the slowest tests and set-ups with the commit and the machine that they are of.

    Raises:
        BenchError: there was no whole run, or another version of this code wrote its file.
    """
    if not file.is_file():
        raise BenchError(f"{file} is missing: make test writes it")
    found = json.loads(file.read_text(encoding="utf-8"))
    if found["schema"] != report.SCHEMA or not {"fast", "slow", "total"} <= found["seconds"].keys():
        raise BenchError(f"{file} is not of a whole run of this make test: run it again")
    figures = [
        Figure(
            name=f"tests.{name}_seconds",
            values=[found["seconds"][name]],
            unit="s",
            bound=BOUNDS.get(name),
            compared_with=f"make test of {found['machine']['at']}, commit {found['machine']['commit']}",
        )
        for name in ("fast", "slow", "total")
    ]
    return figures, found
