"""What a worker says: JSON lines, which carry the number of the item that they are about.

A line an item goes to standard output when the item ends; what is logged in between, and what an item's code prints,
goes to standard error. The item at hand is a context variable: threads that an item's code starts do not have it,
unless they are started with a copy of the context, as `asyncio` does.
"""

import collections
import contextlib
import contextvars
import datetime as dt
import io
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

_KEPT = 40
_NOISY = ("botocore", "boto3", "s3transfer", "urllib3", "numba", "matplotlib", "PIL")
_KEPT_LENGTH = 1000
_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# Longer lines are cut: a program that writes no newlines must not fill memory.
_LINE_LENGTH = 8000

_printed = logging.getLogger("print")


class ItemLog:
    """The item at hand: what marks its log lines, and the last of them, for its report if it fails."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.open_line = ""
        self._kept: collections.deque[str] = collections.deque(maxlen=_KEPT)

    def keep(self, line: str) -> None:
        self._kept.append(line[:_KEPT_LENGTH])

    def last_lines(self) -> list[str]:
        return list(self._kept)


_current: contextvars.ContextVar[ItemLog | None] = contextvars.ContextVar("item", default=None)


@contextlib.contextmanager
def item(**fields: Any) -> Iterator[ItemLog]:
    """Mark what is logged and printed meanwhile with `fields`, and keep the last lines."""
    log = ItemLog(fields)
    token = _current.set(log)
    try:
        yield log
    finally:
        if log.open_line:
            _printed.info("%s", log.open_line)
        _current.reset(token)


def set_up() -> None:
    """Send logging to standard error as JSON lines, and what items print there too."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_JsonLines())
    last = _LastLines()
    last.setFormatter(logging.Formatter(_PLAIN))
    logging.basicConfig(level=logging.INFO, handlers=[stream, last], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.stdout = _Printed(sys.stdout)
    sys.stderr = _Printed(sys.stderr)


def say(**fields: Any) -> None:
    """One JSON line on standard output, whole also when several threads say something."""
    stream = sys.stdout.stream if isinstance(sys.stdout, _Printed) else sys.stdout
    stream.write(_line(dt.datetime.now(dt.UTC), fields))
    stream.flush()


def _line(moment: dt.datetime, fields: Mapping[str, Any]) -> str:
    return json.dumps({"ts": moment.isoformat(timespec="milliseconds"), **fields}, default=str) + "\n"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        current = _current.get()
        fields = {
            **(current.fields if current else {}),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _line(dt.datetime.fromtimestamp(record.created, dt.UTC), fields).rstrip("\n")


class _LastLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        current = _current.get()
        if current is not None:
            for line in self.format(record).splitlines():
                current.keep(line)


class _Printed(io.TextIOBase):
    """Standard output or error: what an item's code prints becomes log lines of the item, the rest passes through."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        current = _current.get()
        if current is None:
            return self.stream.write(text)
        *lines, current.open_line = (current.open_line + text).split("\n")
        for line in lines:
            _printed.info("%s", line[:_LINE_LENGTH])
        current.open_line = current.open_line[:_LINE_LENGTH]
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # there it may be None
        return self.stream.encoding

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def buffer(self) -> Any:
        """For those who write bytes; these pass through."""
        return self.stream.buffer
