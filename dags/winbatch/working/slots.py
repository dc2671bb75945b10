"""The processes that run the items of a stage, one a slot, as the worker sees them.

A process of its own lets an item use a core for itself, whatever it holds of the interpreter, and die without harm to
others. How one is started is its method: `spawn`, a new interpreter, works everywhere; `fork` makes it a copy of one
that has imported the code already (`winbatch.working.template`), which on Linux saves that time for all but the first.
"""

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from winbatch.errors import StorageError, WorkerError
from winbatch.stage import Stage
from winbatch.working import logs
from winbatch.working.failures import ItemError
from winbatch.working.limits import Limits, Watch, Watcher
from winbatch.working.manifest import Item
from winbatch.working.partials import Done
from winbatch.working.programs import Stopped
from winbatch.working.trees import GRACE, STOP_GRACE, Tree

Method = Literal["fork", "spawn"]

METHOD: Method = "fork" if sys.platform == "linux" else "spawn"

# Items' text is UTF-8 by default, also where the image does not say so.
_PYTHON = (sys.executable, "-X", "utf8", "-m")

# Whether a process that is to end is asked at first.
_ASKS = sys.platform != "win32"

_log = logging.getLogger(__name__)


class _Process(Protocol):
    """A process of a slot, with its pipes."""

    requests: IO[bytes]
    answers: IO[bytes]

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None when it has not ended by then, or nobody knows it."""

    def ask(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


class _Starter(Protocol):
    """How a slot's process is started."""

    def tell(self, order: bytes, run: str) -> None:
        """What is to be run is known."""

    def start(self) -> _Process:
        """A process, or one that was started ahead.

        Raises:
            WorkerError: none can be had.
        """

    def stop(self) -> None:
        """End what was started ahead, by force."""


class _Gone(Exception):  # noqa: N818 - it is no error of ours
    """The process has ended, or closed its pipe."""


class Slots:
    """The processes of a stage's slots."""

    def __init__(self, method: Method = METHOD, told: Callable[[str], None] = lambda _by: None) -> None:
        """Begin to start the first at once: what is to be run is told later, as S3 takes a while to say it.

        Args:
            method: how processes are started.
            told: called in a slot's thread when a process was told to stop, with what told it: so is the worker, then.
        """
        self._told = told
        self._starter: _Starter = _starter(method)
        self._order = b""
        self._watcher = Watcher(Limits())
        self._lock = threading.Lock()
        self._running: set[_Process] = set()
        self._ready: list[_Process] = []
        self._stopped = False

    def tell(self, stage: Stage, *, bucket: str, region: str | None) -> None:
        """Say what is to be run; its code is imported from now on."""
        order = {"stage": stage.to_json(), "bucket": bucket, "region": region}
        self._order = json.dumps(order).encode() + b"\n"
        self._watcher = Watcher(Limits.of(stage))
        self._starter.tell(self._order, stage.run)

    def check(self) -> None:
        """Wait until the first process can run items.

        Raises:
            Stopped: it was told to stop.
            WorkerError: it cannot; the line says why.
        """
        self._ready.append(self._start())

    def open(self) -> "Slot":
        """A slot, for one thread."""
        return Slot(self)

    def get(self) -> _Process:
        """A process that can run items.

        Raises:
            Stopped: `stop` was called.
            WorkerError: it cannot; the line says why.
        """
        with self._lock:
            if self._stopped:
                raise Stopped
            if self._ready:
                return self._ready.pop()
        return self._start()

    def _start(self) -> _Process:
        try:
            process = self._starter.start()
        except OSError as error:
            raise WorkerError(f"no process can be started for the stage's code: {error}") from error
        with self._lock:
            self._running.add(process)
            stopped = self._stopped
        if stopped:
            process.kill()
        try:
            while (message := self.receive(process)).keys() == {"said"}:
                logs.hear(message["said"])
        except _Gone:
            code = self.end(process)
            if self._stopped:
                raise Stopped from None
            how = ItemError.of_process(code).error.removeprefix("the item's process ")
            raise WorkerError(f"the process that imports the stage's code {how} while it did") from None
        if "fault" in message:
            self.end(process)
            raise WorkerError(message["fault"])
        return process

    def receive(self, process: _Process) -> dict[str, Any]:
        """A message of a process.

        Raises:
            Stopped: it was told to stop.
            _Gone: it has ended.
        """
        message = receive(process.answers)
        match message:
            case {"told": str(by)}:
                self._told(by)
                raise Stopped
        return message

    def watch(self, process: _Process, folder: Path) -> contextlib.AbstractContextManager[Watch]:
        """Watch a process while it runs an item, and end it when that goes over a limit."""
        return self._watcher.watch(process, folder)

    def end(self, process: _Process) -> int | None:
        """End a process, by force if it does not by itself. Returns its exit code, as far as it is known."""
        with contextlib.suppress(OSError):
            process.requests.close()
        code = process.wait(GRACE)
        process.kill()  # what it has left behind, too
        if code is None:
            code = process.wait(GRACE)
        with self._lock:
            known = process in self._running
            self._running.discard(process)
        if known:
            process.close()
        return code

    def stop(self) -> None:
        """Start nothing any more, and end what runs: at first by asking, after some seconds by force.

        On Windows by force at once: it has told these processes itself, and may not let them be asked (in a container
        GenerateConsoleCtrlEvent fails with ERROR_INVALID_FUNCTION, docker/for-win#3173).
        """
        with self._lock:
            self._stopped = True
            running = list(self._running)
            unused, self._ready = self._ready, []
        for process in running:
            if _ASKS and process not in unused:
                process.ask()
            else:
                process.kill()  # what is unused has no item
        deadline = time.monotonic() + STOP_GRACE
        for process in running:
            process.wait(max(0.0, deadline - time.monotonic()))
            process.kill()
        for process in unused:
            self.end(process)
        self._starter.stop()

    @property
    def stopped(self) -> bool:
        """Say whether the processes have been told to end."""
        return self._stopped


class Slot:
    """A slot of the worker: its items run one after the other in a process, or in the next one when that has died."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._process: _Process | None = None

    def run(self, item: Item, folder: Path) -> Done:
        """Run an item. What it says meanwhile is logged in this thread.

        Raises:
            ItemError: it failed, or its process has ended or was ended for going over a limit.
            StorageError: S3 refused what it asked for.
            Stopped: the worker was told to stop.
            WorkerError: no process can be started.
        """
        request = json.dumps({"item": item.item, "params": item.params, "folder": str(folder)}).encode() + b"\n"
        process = self._request(request)
        try:
            with self._slots.watch(process, folder) as watch:
                done = self._answer(process, watch)
            if not watch.problem:
                return done
        except _Gone:
            pass
        except (ItemError, StorageError):
            if not watch.problem:
                raise
        self._process = None
        code = self._slots.end(process)
        if self._slots.stopped:
            raise Stopped
        raise ItemError(f"the item's process {watch.problem}") if watch.problem else ItemError.of_process(code)

    def _answer(self, process: _Process, watch: Watch) -> Done:
        while True:
            match self._slots.receive(process):
                case {"said": said}:
                    if watch.heard(said["message"] + (said["traceback"] or "")):
                        logs.hear(said)
                case {"done": summary}:
                    return Done(_line(process.answers), summary)
                case {"failed": data}:
                    raise ItemError(**data)
                case {"storage": text}:
                    raise StorageError(text)

    def _request(self, request: bytes) -> _Process:
        """Hand the request to the process, or to a new one when it has died since the last item: that one's doing."""
        while True:
            if self._process is None:
                self._process = self._slots.get()
            try:
                self._process.requests.write(request)
                self._process.requests.flush()
            except OSError:
                how = ItemError.of_process(self._slots.end(self._process))
                _log.warning("%s after an item before this one; another one runs this", how)
                self._process = None
            else:
                return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._slots.end(self._process)
            self._process = None


def receive(answers: IO[bytes]) -> dict[str, Any]:
    """A message of a slot's process."""
    try:
        message: dict[str, Any] = json.loads(_line(answers))
    except ValueError as error:
        raise _Gone from error  # an item's code has written into the pipe: what comes next is anybody's guess
    return message


def _line(answers: IO[bytes]) -> bytes:
    line = answers.readline()
    if not line.endswith(b"\n"):
        raise _Gone
    return line[:-1]


def _discard(tree: Tree) -> None:
    tree.kill()
    tree.process.wait()
    tree.close()


class _Spawned:
    """A new interpreter."""

    def __init__(self) -> None:
        words = [*_PYTHON, "winbatch.working.slot"]
        self.tree = Tree(words, stdin=subprocess.PIPE, stderr=None)
        assert self.tree.process.stdin is not None
        self.requests: IO[bytes] = self.tree.process.stdin
        self.answers = self.tree.output
        self.ask = self.tree.ask
        self.kill = self.tree.kill
        self.close = self.tree.close

    def wait(self, seconds: float) -> int | None:
        try:
            return self.tree.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


class _Spawn:
    """Starts each process as a new interpreter."""

    def __init__(self) -> None:
        self._ahead: _Spawned | None = _Spawned()
        self._order = b""

    def tell(self, order: bytes, run: str) -> None:  # noqa: ARG002 - the order says it
        self._order = order
        assert self._ahead is not None
        self._send(self._ahead)

    def start(self) -> _Process:
        process, self._ahead = self._ahead, None
        if process is None:
            process = _Spawned()
            self._send(process)
        return process

    def stop(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            _discard(ahead.tree)

    def _send(self, process: _Spawned) -> None:
        with contextlib.suppress(OSError):  # it has ended; whoever waits for its answer notices
            process.requests.write(self._order)
            process.requests.flush()


def _spawn(method: Method) -> _Starter:
    assert method == "spawn", f"this system starts processes by spawn, not by {method}"
    return _Spawn()


if sys.platform == "win32":
    _starter: Callable[[Method], _Starter] = _spawn
else:
    import socket

    from winbatch.working.trees import Group

    class _Forked(Group):
        """A copy of the template."""

        def __init__(self, control: socket.socket, order: bytes) -> None:
            requests, ours = os.pipe()
            theirs, answers = os.pipe()
            self._told, told = os.pipe()
            self.requests: IO[bytes] = open(ours, "wb")  # noqa: SIM115, PTH123
            self.answers: IO[bytes] = open(theirs, "rb")  # noqa: SIM115, PTH123
            try:
                socket.send_fds(control, [b"x"], [requests, answers, told])
            except OSError:
                pass  # it is gone, and tells no number
            finally:
                for number in (requests, answers, told):
                    os.close(number)
            self._lines = b""
            self._code: int | None = None
            self._waiting = threading.Lock()
            pid = self._number(None)
            if pid is None:
                self._close_pipes()
                raise WorkerError(_NO_TEMPLATE)
            super().__init__(pid)
            with contextlib.suppress(OSError):  # as for a new interpreter
                self.requests.write(order)
                self.requests.flush()

        def wait(self, seconds: float) -> int | None:
            with self._waiting:
                if self._code is None and not self.answers.closed:
                    self._code = self._number(seconds)
                return self._code

        def _number(self, seconds: float | None) -> int | None:
            """The next number that the template tells; None at the end, or when the time is over."""
            deadline = None if seconds is None else time.monotonic() + seconds
            while b"\n" not in self._lines:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready, _, _ = select.select([self._told], [], [], left)
                if not ready or not (chunk := os.read(self._told, 64)):
                    return None
                self._lines += chunk
            line, _, self._lines = self._lines.partition(b"\n")
            return int(line)

        def close(self) -> None:
            self._close_pipes()
            super().close()

        def _close_pipes(self) -> None:
            self.requests.close()
            with self._waiting:
                self.answers.close()
                os.close(self._told)

    class _Fork:
        """Starts each process as a copy of the template."""

        def __init__(self) -> None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                words = [*_PYTHON, "winbatch.working.template"]
                self._tree = Tree(words, stdin=theirs.fileno(), stderr=None)
            self._order = b""

        def tell(self, order: bytes, run: str) -> None:
            self._order = order
            with contextlib.suppress(OSError):  # it has ended; whoever starts a process notices
                self._control.send(run.encode())

        def start(self) -> _Process:
            return _Forked(self._control, self._order)

        def stop(self) -> None:
            self._control.close()
            _discard(self._tree)

    _NO_TEMPLATE = "the process that has imported the stage's code is gone: its import ended it, or something else did"

    def _starter(method: Method) -> _Starter:
        return _Fork() if method == "fork" else _spawn(method)
