"""What a worker says: JSON lines, which carry the number of the item that they are about.

A line an item goes to standard output when the item ends; what is logged in between, and what an item's code prints,
goes to standard error. Processes that run items hand over what they say (`Upward`, `hear`), so that the worker alone
writes, and each line is whole. The item at hand is a context variable: each slot's thread has its own.
"""

import collections
import contextlib
import contextvars
import datetime as dt
import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

_KEPT = 40
_NOISY = ("botocore", "boto3", "s3transfer", "urllib3", "numba", "matplotlib", "PIL")
_KEPT_LENGTH = 1000
_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# Longer lines are cut: a program that writes no newlines must not fill memory.
_LINE_LENGTH = 8000

_saying = threading.Lock()


class ItemLog:
    """The item at hand: what marks its log lines, and the last of them, for its report if it fails."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self._kept: collections.deque[str] = collections.deque(maxlen=_KEPT)

    def keep(self, line: str) -> None:
        """Keep the beginning of a line; of all lines only the last ones stay."""
        self._kept.append(line[:_KEPT_LENGTH])

    def last_lines(self) -> list[str]:
        """Give the lines that are kept, oldest first."""
        return list(self._kept)


_current: contextvars.ContextVar[ItemLog | None] = contextvars.ContextVar("item", default=None)


@contextlib.contextmanager
def item(**fields: Any) -> Iterator[ItemLog]:
    """Mark what is logged meanwhile with `fields`, and keep the last lines."""
    log = ItemLog(fields)
    token = _current.set(log)
    try:
        yield log
    finally:
        _current.reset(token)


def set_up() -> None:
    """Send logging to standard error as JSON lines. What is written is UTF-8, with the same ends of lines anywhere."""
    # Elsewhere it is so by itself.
    for output in (sys.stdout, sys.stderr) if sys.platform == "win32" else ():
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_JsonLines())
    last = _LastLines()
    last.setFormatter(logging.Formatter(_PLAIN))
    _configure(stream, last)


def say(**fields: Any) -> None:
    """One JSON line on standard output, whole also when several threads say something."""
    with _saying:
        sys.stdout.write(_line(dt.datetime.now(dt.UTC), fields))
        sys.stdout.flush()


def hear(said: Mapping[str, Any]) -> None:
    """Log what a process that runs items has logged or printed; `said` is what `Upward` sent."""
    record = logging.LogRecord(said["logger"], said["level"], "", 0, said["message"], None, None)
    record.created = said["created"]
    record.msecs = said["created"] % 1 * 1000
    record.exc_text = said["traceback"]
    logging.getLogger().handle(record)


class Upward:
    """In a process that runs items: what is logged and printed is handed over instead of written."""

    def __init__(self, send: Callable[[Mapping[str, Any]], None]) -> None:
        """Send each line by `send`, from now on."""
        self._raw = sys.stdout, sys.stderr
        self._printed = _Printed(sys.stdout, send), _Printed(sys.stderr, send)
        sys.stdout, sys.stderr = self._printed
        _configure(_Sent(send))

    def end_lines(self) -> None:
        """Send what was printed without an end of its line."""
        for stream in self._printed:
            stream.end_line()

    def give_back(self) -> None:
        """Write again: for a process that has nobody to send to."""
        sys.stdout, sys.stderr = self._raw
        set_up()


def _configure(*handlers: logging.Handler) -> None:
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


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
        if record.exc_info or record.exc_text:
            fields["traceback"] = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        return _line(dt.datetime.fromtimestamp(record.created, dt.UTC), fields).rstrip("\n")


class _LastLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        current = _current.get()
        if current is not None:
            for line in self.format(record).splitlines():
                current.keep(line)


class _Sent(logging.Handler):
    def __init__(self, send: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._send = send
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
            traceback = self._formatter.formatException(record.exc_info) if record.exc_info else None
        except Exception:  # noqa: BLE001 - as every handler: what cannot be said harms nobody
            self.handleError(record)
            return
        self._send(_said(record.name, record.levelno, record.created, message, traceback))


class _Printed(io.TextIOBase):
    """Standard output or error: what code prints becomes log lines."""

    def __init__(self, stream: TextIO, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._stream = stream
        self._send = send
        self._lock = threading.Lock()
        self._open_line = ""

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._open_line = (self._open_line + text).split("\n")
            self._open_line = self._open_line[:_LINE_LENGTH]
        for line in lines:
            self._say(line)
        return len(text)

    def end_line(self) -> None:
        with self._lock:
            line, self._open_line = self._open_line, ""
        if line:
            self._say(line)

    def _say(self, line: str) -> None:
        now = dt.datetime.now(dt.UTC).timestamp()
        self._send(_said("print", logging.INFO, now, line[:_LINE_LENGTH], None))

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # there it may be None
        return self._stream.encoding

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def buffer(self) -> Any:
        """For those who write bytes; these pass through."""
        return self._stream.buffer


def _said(logger: str, level: int, created: float, message: str, traceback: str | None) -> dict[str, Any]:
    return {"logger": logger, "level": level, "created": created, "message": message, "traceback": traceback}
