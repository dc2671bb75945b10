"""Lets what has come of a shard count once no word of a stop has come for a while.

Windows tells every process of a container of its end, in an order that is nobody's promise: a program may have answered
before the worker hears of it, with any exit code, 0 among them. Its item is not done then, and has not failed.
"""

import sys
import threading
from collections.abc import Callable

SECONDS = 1.0 if sys.platform == "win32" else 0.0
"""So long after a program's end the worker may hear of the stop that the program has answered."""


class Settling:
    """Outcomes that wait for the time in which word of a stop may come, while their slots go on."""

    def __init__(self, stopped: threading.Event, seconds: float, failed: Callable[[BaseException], None]) -> None:
        """Args: word of a stop, the time in which it may come, and who is told of what an outcome raises later."""
        self._stopped = stopped
        self._seconds = seconds
        self._failed = failed
        self._lock = threading.Lock()  # guards the next one
        self._waiting: list[threading.Thread] = []

    def settle(self, count: Callable[[], None]) -> None:
        """Call `count` when the time is over without a stop: in a thread of its own, or at once where none can come."""
        if not self._seconds:
            count()
            return
        thread = threading.Thread(target=self._wait, args=(count,), daemon=True)
        with self._lock:
            self._waiting = [*filter(threading.Thread.is_alive, self._waiting), thread]
            thread.start()

    def wait(self) -> None:
        """Wait until nothing waits any more."""
        with self._lock:
            waiting = self._waiting
        for thread in waiting:
            thread.join()

    def _wait(self, count: Callable[[], None]) -> None:
        if self._stopped.wait(self._seconds):
            return
        try:
            count()
        except BaseException as fault:  # noqa: BLE001 - it ends the worker
            self._failed(fault)
