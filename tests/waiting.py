"""Waiting for what must come, on however busy a machine: only a test that fails waits until the end."""

import time
from collections.abc import Callable
from typing import Any

# How long anything may take on a machine that does much else, s. No test judges a duration by it.
PATIENCE = 300.0
# Between two looks, s.
_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE, *, alive: Any = None) -> Any:
    """The first true value of `condition`.

    Args:
        condition: looked at more and more seldom.
        seconds: after which it fails, with the last value.
        alive: a process that must not end meanwhile; what it said, the failure says.
    """
    deadline = time.monotonic() + seconds
    pause = _PAUSE
    while not (value := condition()):
        assert alive is None or alive.poll() is None, alive.communicate()
        assert time.monotonic() < deadline, f"still {value!r} after {seconds:.0f} s"
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.2)
    return value


def wait_until_empty(look: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until nothing is left; what still is, the failure says."""
    deadline = time.monotonic() + seconds
    while left := look():
        assert time.monotonic() < deadline, f"still {left!r} after {seconds:.0f} s"
        time.sleep(_LONGEST_PAUSE)
