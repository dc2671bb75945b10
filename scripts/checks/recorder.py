"""A plugin of pytest that notes how long each test and its set-up took, line by line: what is killed has noted so far.

It is loaded by the checks alone: `python -m pytest -p scripts.checks.recorder`.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scripts.checks import report as records


class Recorder:
    """Appends a line for each phase of each test."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append a line: the test, its phase, its outcome, its seconds, and figures that it noted."""
        entry: dict[str, Any] = {
            "test": report.nodeid,
            "phase": report.when,
            "outcome": report.outcome,
            "seconds": round(report.duration, 3),
        }
        if report.when == "call" and report.user_properties:
            entry["figures"] = dict(report.user_properties)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Record in the process that hears of every test: of pytest-xdist's, that is the one without a `workerinput`."""
    if records.VARIABLE in os.environ and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(os.environ[records.VARIABLE])), "winbatch-recorder")
