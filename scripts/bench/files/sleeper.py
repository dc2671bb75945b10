"""The workload of `make bench`: an item sleeps, so that orchestration is what is measured."""

import time
from collections.abc import Mapping
from typing import Any

from winbatch.workload import Context


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - the contract's signature
    """Sleep `seconds`."""
    seconds = float(params["seconds"])
    time.sleep(seconds)
    return {"slept": seconds}
