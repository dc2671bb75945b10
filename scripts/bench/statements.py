"""Take over how many statements of the roles the last `make test ONLY=roles` has proven: nothing is run here."""

import json
from pathlib import Path

from scripts.bench.figures import Figure
from scripts.core.errors import BenchError

NAME = "aws.statements_proven"
PROVEN = 0.95


def measure(file: Path) -> list[Figure]:
    """The share of statements without which some call would have been decided otherwise, an environment a value.

    Args:
        file: that the tests wrote.

    Raises:
        BenchError: they have not run to their end.
    """
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    values = list(found.get("figures", {}).get(NAME, {}).values())
    if not values:
        raise BenchError(f"{file} has no {NAME}: make test ONLY=roles writes it")
    words = f"make test of {found['machine']['at']}, commit {found['machine']['commit']}"
    return [Figure(name=NAME, values=values, bound=PROVEN, sense="at least", compared_with=words)]
