"""Makes verbs: invoke tasks whose errors become one line and an exit code in one place; words that many share."""

import functools
import inspect
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, Self

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

from scripts.core import errors, given
from scripts.core.console import OutputClosed, console
from scripts.core.settings import Settings

INTERRUPTED = 130
# As of a program that SIGPIPE ended.
OUTPUT_CLOSED = 141
DRIFTED = 2
ENV = "environment: a name of terraform/environments; default: WINBATCH_ENV, else local"
JSON = "one JSON object on standard output, for a program"
JSON_AT_END = "end with one JSON object on standard output"


class Whole(int):
    """A number of the command line: invoke makes one of the word that it finds, by the type of an option's default."""

    def __new__(cls, word: str | int) -> Self:
        """Read a word, or end the command with one line that says what is expected."""
        try:
            number = int(word)
        except ValueError:
            number = -1
        if not 0 <= number < 2**31:
            raise Exit(f"error: {errors.shown(repr(word))}: a whole number from 0 to {2**31 - 1} is expected", 1)
        return super().__new__(cls, number)


NO_NUMBER = Whole(0)


def command(group: str = "", **options: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """Make an invoke task whose errors are one line on standard error and an exit code.

    Args:
        group: the collection that it is in; empty: none.
        options: of invoke's task.
    """

    def decorate(body: Callable[..., None]) -> Task[Any]:
        name = str(options.get("name") or body.__name__.replace("_", "-"))

        @functools.wraps(body)
        def run(context: Context, *args: Any, **kwargs: Any) -> None:
            if "--help" in kwargs.values():
                # invoke takes whatever stands where a positional argument is due for its value.
                verb = f"{group}.{name}" if group else name
                os.execv(sys.executable, [sys.executable, "-m", "invoke", "--help", verb])  # noqa: S606 - not through a shell, which is the point
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _interrupt)
            try:
                for each in options.get("iterable", ()):
                    given.refuse_dangling(sys.argv, f"--{each}")
                body(context, *args, **kwargs)
            except Exit:
                raise
            except OutputClosed:
                raise Exit(code=OUTPUT_CLOSED) from None
            except BaseException as error:
                environment = kwargs.get("env") or os.environ.get("WINBATCH_ENV") or "local"
                if os.environ.get("WINBATCH_DEBUG") or logging.getLogger().isEnabledFor(logging.DEBUG):
                    traceback.print_exc()
                text = errors.line(error, environment=environment, verb=body.__name__)
                if text is None:
                    text = f"a defect: {type(error).__name__}: {error} (WINBATCH_DEBUG=1 shows where)"
                code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
                raise Exit("error: " + "\n".join(map(errors.shown, errors.lines(error, text))), code) from error

        made: Task[Any] = task(run, **{**options, "name": name})  # type: ignore[assignment]  # invoke's stubs say Callable
        return made

    return decorate


def renamed(old: str, new: str, made: Task[Any]) -> Task[Any]:
    """Make a verb that was called otherwise work for one release more, under its old name.

    Args:
        old: its name until now.
        new: its name, with its collection.
        made: the verb.
    """

    def body(context: Context, *args: Any, **kwargs: Any) -> None:
        say_new_name(old, new)
        made.body(context, *args, **kwargs)

    body.__doc__ = f"Call {new}, which was called so before 0.2.0."
    body.__signature__ = inspect.signature(made.body)  # type: ignore[attr-defined]  # where invoke reads a verb's options
    again: Task[Any] = task(  # type: ignore[assignment]  # invoke's stubs say Callable
        body, name=old, help=dict(made.help), iterable=made.iterable
    )
    return again


def say_new_name(old: str, new: str) -> None:
    """Say what a verb or an option is called now that was called otherwise before 0.2.0."""
    console.print(f"{old} is called {new} now: invoke {new}", style="yellow")


def env_option(settings: Settings) -> str:
    """Give the option that names an environment; the local one needs none."""
    return "" if settings.local else f" --env {settings.environment}"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
