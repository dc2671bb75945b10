"""What happens later: instances boot, groups replace what they lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Timer

from emulator import locks

log = logging.getLogger(__name__)


class Timers:
    """Runs actions after a while, under the control lock, unless the emulator stops first."""

    def __init__(self) -> None:
        self._pending: set[Timer] = set()
        self._stopped = False

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` in `seconds`."""

        def run() -> None:
            with locks.CONTROL:
                self._pending.discard(timer)
                if self._stopped:
                    return
                try:
                    action()
                except Exception:
                    log.exception("what was to happen after %s s failed", seconds)

        timer = Timer(seconds, run)
        timer.daemon = True
        with locks.CONTROL:
            if not self._stopped:
                self._pending.add(timer)
                timer.start()

    def stop(self) -> None:
        """Forget everything that has not happened yet."""
        with locks.CONTROL:
            self._stopped = True
            for timer in self._pending:
                timer.cancel()
            self._pending.clear()
