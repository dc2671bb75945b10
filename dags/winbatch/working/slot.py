"""The process that runs a slot's items, one after the other: `python -m winbatch.working.slot`.

Standard input and output are its pipes from and to the worker (`winbatch.working.slots`), a JSON line a message. The
first says what is to be run, each other is an item. When the worker closes its end, the process ends after the item at
hand; what goes on until then is ended by the worker, or by its guard (`winbatch.working.trees`). It makes no request to
S3 unless an item asks for an earlier stage.
"""

import dataclasses
import functools
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from winbatch.errors import StorageError, WorkerError
from winbatch.stage import Stage
from winbatch.working import items, logs, stopping
from winbatch.working.failures import ItemError
from winbatch.working.manifest import Item
from winbatch.working.partials import Done
from winbatch.working.store import Store

_CONNECTIONS = 32

_EXIT_STOPPED = 143


class _Worker:
    """The worker, as its slot's process sees it."""

    def __init__(self) -> None:
        """Take standard input and output for messages; from now on, what is written there goes to standard error."""
        self._process = os.getpid()
        self._requests = open(os.dup(0), "rb")  # noqa: SIM115, PTH123 - until the end
        self._answers = open(os.dup(1), "wb")  # noqa: SIM115, PTH123
        self._lock = threading.Lock()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def next(self) -> bytes:
        """The next message; without one the process ends, whatever threads an item has left."""
        line = self._requests.readline()
        if not line:
            os._exit(0)
        return line

    def say(self, said: Mapping[str, object]) -> None:
        """Hand a log line over."""
        self.send({"said": said})

    def send(self, message: Mapping[str, object], encoded: bytes | None = None) -> None:
        """Send a message, and what belongs to it as a line of its own."""
        line = json.dumps(message, default=str).encode() + b"\n"
        try:
            with self._lock:
                self._answers.write(line if encoded is None else b"".join((line, encoded, b"\n")))
                self._answers.flush()
        except OSError:
            os._exit(1)  # nobody is there to tell

    def forget(self) -> None:
        """In a process that an item's code has forked: it has no part in the messages."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (self._requests, self._answers):
            os.dup2(nothing, stream.fileno(), inheritable=False)
        os.close(nothing)

    def leave(self, by: str) -> None:
        """End this process, which was told to stop, after word to the worker, which may not have been."""
        self.send({"told": by})
        os._exit(_EXIT_STOPPED)

    def check_process(self) -> None:
        """End a process that an item's code has forked, and that came back here instead of ending."""
        if os.getpid() != self._process:
            os._exit(1)


def main() -> NoReturn:
    """Run what the worker sends, until it closes its end."""
    worker = _Worker()
    stopping.on_shutdown(worker.leave)
    upward = logs.Upward(worker.say)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=worker.forget)
        os.register_at_fork(after_in_child=upward.give_back)
    order = json.loads(worker.next())
    stage = Stage.from_json(order["stage"], where="the worker's order")
    try:
        run = items.load_run(stage.run)
    except WorkerError as error:
        worker.send({"fault": str(error)})
        os._exit(1)
    worker.check_process()
    connect = functools.cache(
        functools.partial(Store.connect, order["bucket"], region=order["region"], connections=_CONNECTIONS)
    )
    worker.send({"ready": os.getpid()})
    while True:
        _run(worker, upward, functools.partial(_execute, run, stage, connect), worker.next())


def _execute(run: items.Run, stage: Stage, connect: Callable[[], Store], request: Mapping[str, object]) -> Done:
    item = Item(request["item"], request["params"])  # type: ignore[arg-type]  # the worker has checked them
    return items.execute(run, stage, item, Path(str(request["folder"])), connect)


def _run(worker: _Worker, upward: logs.Upward, execute: Callable[[Mapping[str, object]], Done], request: bytes) -> None:
    message: Mapping[str, object]
    encoded = None
    try:
        done = execute(json.loads(request))
        message, encoded = {"done": done.summary}, done.encoded
    except ItemError as error:
        message = {"failed": dataclasses.asdict(error)}
    except StorageError as error:
        message = {"storage": str(error)}
    worker.check_process()
    upward.end_lines()
    worker.send(message, encoded)


if __name__ == "__main__":
    main()
