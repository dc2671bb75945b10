"""Shows the operator what was asked for on standard output, how it goes and what went wrong on standard error.

A step is a line with its outcome and time. On a terminal its progress is shown in place; elsewhere it is a line now and
then, so that a log tells where it is.
"""

import errno
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table

# Between two lines of one step's progress where there is no terminal, s.
QUIET = 10.0


class OutputClosed(Exception):  # noqa: N818 - it names a state
    """Nobody reads standard output any more, as with `| head`: nothing is left to do for it."""


console = Console(stderr=True, highlight=False)
# Of a table where no terminal says how wide it is: nothing of it is left out.
_WIDE = 200


class _Output(io.FileIO):
    """A standard stream that loses what nobody reads: what a command is at does not end with who looks at it."""

    unread = False

    def write(self, data: Any) -> int:
        try:
            return len(data) if self.unread else super().write(data)
        except OSError as error:
            self.unread = True
            # A shell that was itself started with a closed stream may leave its script there, which takes nothing.
            if error.errno not in {errno.EPIPE, errno.EBADF}:
                raise
            return len(data)


def prepare_streams() -> None:
    """Make the standard streams of this process take whatever is written to them.

    One that was closed (`>&-`) takes and loses it; it is open from here on, lest the next file that is opened takes its
    number and what is written. A character that the terminal's encoding lacks is written as its code.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        elif name == "stdin" or stream is not getattr(sys, f"__{name}__") or isinstance(_raw(stream), _Output):
            continue
        raw = io.FileIO(number, closefd=False) if name == "stdin" else _Output(number, "w", closefd=False)
        buffer = io.BufferedReader(raw) if name == "stdin" else io.BufferedWriter(raw)
        made = io.TextIOWrapper(
            buffer, getattr(stream, "encoding", "utf-8"), "backslashreplace", line_buffering=name == "stderr"
        )
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)


def _raw(stream: Any) -> Any:
    # Without buffers (PYTHONUNBUFFERED) there is nothing between.
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def emit(data: Any) -> None:
    """One JSON document on standard output, for a program.

    Raises:
        OutputClosed: nobody reads it.
    """
    say(json.dumps(data, indent=2, sort_keys=True))


def say(text: str) -> None:
    """A line on standard output, where it is what was asked for.

    Raises:
        OutputClosed: nobody reads it.
    """
    sys.stdout.write(text + "\n")
    _see_that_it_is_read()


def show(*parts: Any, soft_wrap: bool = False) -> None:
    """Print text or tables on standard output, where they are what was asked for; words in brackets stay as they are.

    Raises:
        OutputClosed: nobody reads it.
    """
    _output().print(*parts, sep="\n", markup=False, soft_wrap=soft_wrap)
    _see_that_it_is_read()


def shown_width() -> int:
    """Say how many columns standard output has."""
    return _output().width


def _output() -> Console:
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(highlight=False, width=width)


def plain_table(*columns: str) -> Table:
    """Make a table with a line below its head and nothing else around."""
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", caption_justify="left")


def _see_that_it_is_read() -> None:
    sys.stdout.flush()
    if getattr(_raw(sys.stdout), "unread", False):
        raise OutputClosed


@dataclass
class Step:
    """A step under way.

    Attributes:
        title: what it does.
        detail: what came of it, shown at its end.
    """

    title: str
    detail: str = ""
    _status: Status | None = None
    _shown: float = field(default_factory=time.monotonic)

    def update(self, text: str) -> None:
        """Show how far it is."""
        if self._status is not None:
            self._status.update(f"{self.title}: {text}")
        elif time.monotonic() - self._shown >= QUIET:
            self._shown = time.monotonic()
            console.print(f"  {self.title}: {text}", markup=False, soft_wrap=True)


@dataclass
class Steps:
    """The steps of one command, with the seconds that each took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Run a step; its line appears when it ends, and says so when it fails."""
        started = time.monotonic()
        if console.is_terminal:
            with console.status(title) as status:
                step = Step(title, _status=status)
                yield from self._run(step, started)
        else:
            yield from self._run(Step(title), started)

    def _run(self, step: Step, started: float) -> Iterator[Step]:
        try:
            yield step
        except BaseException:
            console.print(f"✗ {step.title}  [dim]{time.monotonic() - started:.1f} s[/dim]", style="red")
            raise
        took = time.monotonic() - started
        self.seconds[step.title] = round(took, 1)
        done(step.title, step.detail, took)


def done(title: str, detail: str, seconds: float) -> None:
    """Say that something has ended well, and what came of it."""
    shown = f": {detail}" if detail else ""
    console.print(f"[green]✓[/green] {title}{shown}  [dim]{seconds:.1f} s[/dim]", soft_wrap=True)
