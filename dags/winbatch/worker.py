"""The worker: what an ECS task of any workload runs (`python -m winbatch.worker`).

It claims shards of one stage until none can be claimed, and exits 0, also when items failed: their failures are in S3.
Environment, objects and exit codes are the contract of docs/architecture.md, "An ECS task is a worker".
"""

import dataclasses
import datetime as dt
import gc
import logging
import os
import queue
import secrets
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, Self, get_args
from urllib.parse import urlsplit

from winbatch.errors import WinbatchError, WorkerError
from winbatch.stage import Stage
from winbatch.working import files, folders, logs, stopping
from winbatch.working.claims import Claims
from winbatch.working.manifest import Manifest
from winbatch.working.owner import owner
from winbatch.working.programs import Programs, Stopped
from winbatch.working.shards import RunItem, ShardRunner
from winbatch.working.slots import METHOD, Method, Slots
from winbatch.working.store import Store

EXIT_BUG = 1
EXIT_SURROUNDINGS = 3
EXIT_STOPPED = 143

# Windows ends a container 5 s after it was told to stop, whatever its stopTimeout says (moby/moby#25982,
# microsoft/Windows-Containers#16), and may spend a part of them on telling others first. What is finished is saved and
# claims are released at once, all of them side by side, while programs are asked to end; those that do not are ended
# after `trees.STOP_GRACE`. What is not done after these seconds is left: claims are released by the engine then, and
# folders go with the container.
_STOP_SECONDS = 2.8
_CLAIM_PATIENCE = 1.0

# Of one file that is fetched or uploaded, parts go side by side.
_TRANSFERS = 16

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Settings:
    """A worker's environment.

    Attributes:
        bucket: of the stage's objects.
        stage_key: of its stage.json.
        slots: shards worked on at once.
        region: AWS region; None leaves it to boto3.
        method: how processes that run items are started.
    """

    bucket: str
    stage_key: str
    slots: int
    region: str | None
    method: Method = METHOD

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read `WINBATCH_STAGE`, `WINBATCH_SLOTS`, `AWS_REGION` and `WINBATCH_START_METHOD`.

        Raises:
            WorkerError: one is missing or malformed.
        """
        address = environment.get("WINBATCH_STAGE", "")
        parts = urlsplit(address)
        key = parts.path.removeprefix("/")
        if parts.scheme != "s3" or not parts.netloc or not key:
            raise WorkerError(f"WINBATCH_STAGE is {address!r}; s3://bucket/key of a stage.json is expected")
        slots = environment.get("WINBATCH_SLOTS", "1")
        if not slots.isascii() or not slots.isdecimal() or int(slots) < 1:
            raise WorkerError(f"WINBATCH_SLOTS is {slots!r}; a whole number of at least 1 is expected")
        method = environment.get("WINBATCH_START_METHOD", METHOD)
        methods = {name: name for name in get_args(Method) if name in {METHOD, "spawn"}}
        if method not in methods:
            raise WorkerError(f"WINBATCH_START_METHOD is {method!r}; here it can be {' or '.join(methods)}")
        return cls(parts.netloc, key, int(slots), environment.get("AWS_REGION") or None, methods[method])


@dataclasses.dataclass(frozen=True)
class _SlotEnded:
    """A slot found nothing left to claim, or its surroundings failed it."""

    fault: BaseException | None = None


@dataclasses.dataclass(frozen=True)
class _Told:
    """The process was told to stop."""

    by: str


class Worker:
    """One worker on one stage."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Read all that the work needs, before anything is claimed.

        Raises:
            Stopped: it was told to stop meanwhile.
            WinbatchError: the environment, S3, the stage or the workload's code is at fault.
        """
        self._slots = settings.slots
        self._events: queue.SimpleQueue[_SlotEnded | _Told] = queue.SimpleQueue()
        self._processes = Slots(settings.method, self._told)
        self._programs = Programs()
        self._deadline: float | None = None
        store = Store.connect(settings.bucket, region=settings.region, connections=settings.slots + _TRANSFERS)
        stage = Stage.from_json(store.get(settings.stage_key), where=store.where(settings.stage_key))
        self._stage = stage
        self._command: RunItem | None = None
        if stage.command:
            self._processes.stop()
            self._command = _command(stage, store, self._programs)
        else:
            self._processes.tell(stage, bucket=settings.bucket, region=settings.region)
        # Short, for many programs take 260 characters of a path and no more, on Windows.
        self._folder = Path(tempfile.gettempdir()) / f"wb-{secrets.token_hex(4)}"
        self._claims = Claims(store, stage, owner(environment), lambda: dt.datetime.now(dt.UTC))
        self._runner = ShardRunner(
            store=store,
            stage=stage,
            manifest=Manifest(store, stage),
            claims=self._claims,
            folder=self._folder,
            failed=lambda fault: self._events.put(_SlotEnded(fault)),
        )
        if not stage.command:
            self._processes.check()

    def tell(self, by: str) -> None:
        """Leave word that the worker is to stop; safe in a signal handler."""
        self._events.put(_Told(by))

    def _told(self, by: str) -> None:
        """Stop as well, now that a slot's process was told to; nothing is claimed for that slot any more."""
        self._claims.close()
        self.tell(by)

    def work(self) -> int:
        """Work until nothing is left, or until told to stop. Returns the exit code; threads may still wait for S3."""
        what = self._stage.run or " ".join(self._stage.command)
        _log.info("%s: %d shards, %d slots", what, self._stage.shards, self._slots)
        for slot in range(self._slots):
            threading.Thread(target=self._slot, name=f"slot-{slot}", daemon=True).start()
        try:
            return self._wait()
        finally:
            discarding = threading.Thread(target=folders.discard, args=(files.long(self._folder),), daemon=True)
            discarding.start()
            discarding.join(self._left())

    def _slot(self) -> None:
        slot = self._processes.open()
        try:
            while (mark := self._claims.take()) is not None:
                self._runner.work(mark, self._command or slot.run)
            slot.close()
            self._runner.settle()
        except BaseException as fault:  # noqa: BLE001 - the main thread tells it, and ends the worker
            self._events.put(_SlotEnded(fault))
        else:
            self._events.put(_SlotEnded())

    def _wait(self) -> int:
        working = self._slots
        while working:
            match self._next_event():
                case _SlotEnded(fault=None):
                    working -= 1
                case _SlotEnded(fault=BaseException() as fault):
                    return self._give_up(f"the worker failed: {_one_line(fault)}", _report(fault))
                case _Told(by=by):
                    return self._give_up(f"the worker was told to stop ({by})", EXIT_STOPPED)
        return 0

    def _next_event(self) -> _SlotEnded | _Told:
        while True:
            try:
                # Python runs signal handlers between two waits only, on Windows.
                return self._events.get(timeout=0.5)
            except queue.Empty:
                continue

    def _give_up(self, reason: str, code: int) -> int:
        """Keep what is finished, and let others have the rest, within the time that this worker is left."""
        self._deadline = time.monotonic() + _STOP_SECONDS
        self._claims.close()
        self._runner.stop()
        endings = [threading.Thread(target=end, daemon=True) for end in (self._programs.stop, self._processes.stop)]
        for ending in endings:
            ending.start()
        thread = threading.Thread(
            target=self._claims.release_all,
            args=(reason,),
            kwargs={"patience": _CLAIM_PATIENCE, "save": self._runner.save},
            daemon=True,
        )
        thread.start()
        thread.join(self._left())
        for ending in endings:
            ending.join(self._left())
        if thread.is_alive():
            _log.error("claims not released within %g s; the engine will release them", _STOP_SECONDS)
        return code

    def _left(self) -> float | None:
        """Seconds until this worker must have ended; None while it need not end."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())


def _command(stage: Stage, store: Store, programs: Programs) -> RunItem:
    # Loaded by the stages that have one.
    from winbatch.working.command import Command  # noqa: PLC0415
    from winbatch.working.items import execute  # noqa: PLC0415

    command = Command(stage, programs)
    return lambda item, folder: execute(command, stage, item, folder, lambda: store)


def main() -> int:
    """Run a worker in this process's environment. Returns its exit code."""
    logs.set_up()
    gc.disable()  # what a start makes, stays: to look for garbage in it takes a tenth of the start
    try:
        worker = Worker(Settings.from_environment(os.environ), os.environ)
    except WinbatchError as error:
        return _report(error)
    except Stopped:
        return EXIT_STOPPED
    finally:
        gc.enable()
    gc.freeze()
    stopping.on_stop(worker.tell)
    return worker.work()


def _report(fault: BaseException) -> int:
    """Say what went wrong, in one line if it is a known kind, and choose the exit code."""
    if isinstance(fault, WinbatchError):
        _write_error(f"winbatch.worker: {_one_line(fault)}")
        return EXIT_SURROUNDINGS
    _write_error("".join(traceback.format_exception(fault)) + f"winbatch.worker: a defect: {_one_line(fault)}")
    return EXIT_BUG


def _one_line(error: BaseException) -> str:
    text = str(error) if isinstance(error, WinbatchError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _write_error(text: str) -> None:
    sys.stderr.write(text + "\n")


def _leave(code: int) -> NoReturn:
    """End the process now: a slot that still waits for S3 could hold up a regular exit."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
