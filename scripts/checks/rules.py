"""A plugin of pytest that writes down the rules of AWS that tests are marked with, as soon as the tests are collected.

It is loaded by `scripts.checks.parity` alone: `python -m pytest --collect-only -p scripts.checks.rules`.
"""

import json
import os
from pathlib import Path

import pytest

from scripts.checks import parity


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write each rule once, in the order of the tests; a test with parameters is one test.

    Raises:
        pytest.UsageError: a mark does not say what it must.
    """
    found: dict[str, dict[str, str]] = {}
    for item in session.items:
        test = item.nodeid.partition("[")[0]
        # The nearest mark comes first; above a test, the first one is the farthest.
        for mark in reversed(list(item.iter_markers("aws"))):
            if mark.args or not {"does", "source", "sure"} <= mark.kwargs.keys() <= {
                "does",
                "source",
                "sure",
                "service",
            }:
                raise pytest.UsageError(
                    f"{test}: pytest.mark.aws takes does=, source= and sure=, and may name a service="
                )
            entry = {"test": test, **mark.kwargs}
            found.setdefault(json.dumps(entry, sort_keys=True), entry)
    Path(os.environ[parity.VARIABLE]).write_text(json.dumps(list(found.values())), encoding="utf-8")
