"""What the operator sees: everything on standard error, so that standard output is for programs.

A step is a line with its outcome and time. On a terminal its progress is shown in place; elsewhere it is a line now and
then, so that a log tells where it is.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.status import Status

# Between two lines of one step's progress where there is no terminal, s.
QUIET = 10.0

console = Console(stderr=True, highlight=False)


def emit(data: Any) -> None:
    """One JSON document on standard output, for a program."""
    sys.stdout.write(json.dumps(data, indent=2, sort_keys=True) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line on standard output, where it is what was asked for."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


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
