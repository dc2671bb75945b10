"""What a run of the tests took: `build/tests.json`, from what the recorder noted. Pure but for `read` and `write`."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = 1
FILE = "tests.json"
FIGURES = "figures.json"
# Names the file in which the recorder notes.
VARIABLE = "WINBATCH_TEST_RECORD"
# So many of the slowest are named.
NAMED = 10


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase of a test.

    Attributes:
        test: its id.
        phase: setup, call or teardown.
        outcome: passed, failed or skipped.
        seconds: how long it took.
        figures: that the test has measured, by name (pytest's `record_property`).
    """

    test: str
    phase: str
    outcome: str
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)


def read(file: Path) -> list[Phase]:
    """The phases that were noted; a line that was cut off counts as none."""
    if not file.is_file():
        return []
    whole = [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return [Phase(**json.loads(line)) for line in whole]


def figures(phases: Iterable[Phase]) -> dict[str, dict[str, float]]:
    """What tests that passed have measured: by the figure's name, and by test."""
    found: dict[str, dict[str, float]] = {}
    for entry in phases:
        for name, value in entry.figures.items() if entry.outcome == "passed" else ():
            found.setdefault(name, {})[entry.test] = value
    return found


def outcomes(phases: Iterable[Phase]) -> Counter[str]:
    """How many tests passed, failed and were skipped; one that fails in two phases counts once."""
    worst: dict[str, str] = {}
    for entry in phases:
        if entry.phase == "call" or entry.outcome != "passed":
            worst[entry.test] = "failed" if "failed" in {entry.outcome, worst.get(entry.test)} else entry.outcome
    return Counter(worst.values())


def summary(
    phases: Mapping[str, Iterable[Phase]], seconds: Mapping[str, float], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The report.

    Args:
        phases: of the fast tests and of each group of slow ones, by its name.
        seconds: that each part of the run took: static, fast, slow, total and each group.
        facts: of the run: machine and commit.
    """
    every = [entry for some in phases.values() for entry in some]
    return {
        "schema": SCHEMA,
        **facts,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "outcomes": {name: dict(outcomes(some)) for name, some in phases.items()},
        "slowest_tests": _slowest(every, "call"),
        "slowest_set_ups": _slowest(every, "setup"),
    }


def _slowest(phases: Iterable[Phase], phase: str) -> list[dict[str, Any]]:
    some = sorted((entry for entry in phases if entry.phase == phase), key=lambda entry: -entry.seconds)[:NAMED]
    return [{"test": entry.test, "seconds": entry.seconds} for entry in some]


def write(file: Path, report: Mapping[str, Any]) -> None:
    """Write the report."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
