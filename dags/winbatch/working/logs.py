"""What a worker says: a JSON line an item on standard output, log lines on standard error, the last of them kept."""

import collections
import datetime as dt
import json
import logging
import sys
import threading
from typing import Any

_KEPT = 40
_NOISY = ("botocore", "boto3", "s3transfer", "urllib3", "numba", "matplotlib", "PIL")


class LastLines(logging.Handler):
    """Keeps the last lines that each thread logged, for the report of an item that fails in it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines().extend(self.format(record).splitlines())

    def start(self) -> None:
        """Forget what the calling thread logged before."""
        self._lines().clear()

    def lines(self) -> list[str]:
        """What the calling thread logged last."""
        return list(self._lines())

    def _lines(self) -> collections.deque[str]:
        if not hasattr(self._kept, "lines"):
            self._kept.lines = collections.deque(maxlen=_KEPT)
        lines: collections.deque[str] = self._kept.lines
        return lines


def set_up() -> LastLines:
    """Send logging to standard error and keep each thread's last lines."""
    last = LastLines()
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    stream = logging.StreamHandler(sys.stderr)
    for handler in (stream, last):
        handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[stream, last], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return last


def say(**fields: Any) -> None:
    """One JSON line on standard output, whole also when several threads say something."""
    line = {"ts": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"), **fields}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()
