"""Starts of processes that Windows cannot make just now."""

import time
from collections.abc import Callable, Sequence

# ERROR_INTERNAL_ERROR, which Wine says now and then on a busy machine, and ERROR_NO_SYSTEM_RESOURCES ("System Error
# Codes (1300-1699)", learn.microsoft.com): the same call succeeds a moment later.
MOMENTARY = frozenset({1359, 1450})
PAUSES = (0.2, 1.0)
"""Seconds until it is tried again, each time."""


def patiently[T](start: Callable[[], T], pauses: Sequence[float] = PAUSES) -> T:
    """Start a process, again where Windows had no resources for it.

    Args:
        start: makes the process.
        pauses: s, before each further try.

    Raises:
        OSError: it cannot be started.
    """
    for pause in pauses:
        try:
            return start()
        except OSError as error:
            if getattr(error, "winerror", None) not in MOMENTARY:
                raise
            time.sleep(pause)
    return start()
