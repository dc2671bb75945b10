"""One item of a stage, tried on this machine: `python -m winbatch.trial`, as `invoke try` starts it.

It is a worker with one item: what the item gets, what runs it and what is looked at afterwards is the worker's own
code. But nothing is claimed or uploaded, and the item's folders stay. The first line of standard input is the order;
when standard input ends before the item, the item is ended.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winbatch.errors import StorageError, WinbatchError, WorkerError
from winbatch.stage import Stage
from winbatch.working import logs, outputs, shards
from winbatch.working.bucket_folder import BucketFolder
from winbatch.working.failures import ItemError
from winbatch.working.manifest import Item
from winbatch.working.partials import Done
from winbatch.working.programs import Programs, Stopped
from winbatch.working.slots import METHOD, Slots
from winbatch.working.store import Store

EXIT_FAILED = 2
EXIT_SURROUNDINGS = 3
EXIT_STOPPED = 143

_CONNECTIONS = 16

type Objects = Store | BucketFolder


class Trial:
    """One item at work.

    Its order is an object:

    - `stage`: a stage.json, of which no key needs to be there but those that the item reads;
    - `item`: as the manifest has it, `{"item": 3, "params": {…}}`;
    - `folder`: where the item's folders are to be;
    - `record`: the file for what came of it: `values` and `files`, or `error`, `exit_code` and `trace`;
    - `bucket` and `region`, or `objects`, a folder instead of them; without either there is nothing to read.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        """Read an order.

        Raises:
            WinbatchError: it is none, or S3 cannot be reached.
        """
        self._stage = Stage.from_json(json.dumps(order["stage"]), where="the order")
        self._item = Item(order["item"]["item"], order["item"]["params"])
        self._folder = Path(order["folder"])
        self._record = Path(order["record"])
        self._bucket, self._region = str(order.get("bucket", "")), order.get("region")
        self._objects: Objects | None = None
        if self._bucket:
            self._objects = Store.connect(self._bucket, region=self._region, connections=_CONNECTIONS)
        elif "objects" in order:
            self._objects = BucketFolder(Path(order["objects"]))
        self._programs = Programs()
        self._slots = None if self._stage.command else Slots(METHOD)

    def stop(self) -> None:
        """End the item, as a worker that is told to stop does."""
        self._programs.stop()
        if self._slots is not None:
            self._slots.stop()

    def run(self) -> int:
        """Run the item and leave the record. Returns the exit code.

        Raises:
            WinbatchError: the surroundings are at fault, not the item.
        """
        item = self._item.item
        with logs.item(item=item, shard=self._stage.shard_of(item), attempt=0) as log:
            started = time.monotonic()
            try:
                done = self._run()
                left = outputs.find(self._folder / "outputs")
            except Stopped:
                return EXIT_STOPPED
            except (StorageError, WorkerError):
                raise
            except Exception as error:  # noqa: BLE001 - as in a worker, it is the item's
                failed = error if isinstance(error, ItemError) else ItemError.of(error)
                logs.say(**log.fields, seconds=_since(started), error=str(failed))
                self._write(error=failed.error, exit_code=failed.exit_code, trace=list(failed.trace))
                return EXIT_FAILED
            finally:
                if self._slots is not None:
                    self._slots.stop()
            logs.say(**log.fields, seconds=_since(started), values=done.summary)
        files = [{"name": output.name, "size": output.size} for output in left]
        self._write(values=json.loads(done.encoded)["values"], files=files)
        return 0

    def _run(self) -> Done:
        if self._stage.source:
            from winbatch.working.inputs import fetch_outputs  # noqa: PLC0415 - as in a worker

            assert isinstance(self._objects, Store), "a stage that goes on with files of another is tried in a job"
            fetch_outputs(self._objects, self._stage, self._item.item, self._folder / "inputs")
        if self._stage.fetch:
            assert self._objects is not None, "the order says where its objects are"
            shards.fetch(self._objects, self._stage, self._item, self._folder / "inputs")
        if self._slots is not None:
            self._slots.tell(self._stage, bucket=self._bucket, region=self._region)
            self._slots.check()
            return self._slots.open().run(self._item, self._folder)
        from winbatch.working.command import Command  # noqa: PLC0415 - as in a worker
        from winbatch.working.items import execute  # noqa: PLC0415

        command = Command(self._stage, self._programs)
        return execute(command, self._stage, self._item, self._folder, _nothing)

    def _write(self, **record: object) -> None:
        self._record.write_text(json.dumps(record, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def main() -> int:
    """Run the order on standard input. Returns the exit code."""
    logs.set_up()
    # Unbuffered, so that the thread below holds no lock of Python's when the process ends.
    with open(0, "rb", buffering=0, closefd=False) as orders:
        order = orders.readline()
    try:
        trial = Trial(json.loads(order))
        threading.Thread(target=_stop_at_end, args=(trial,), daemon=True).start()
        return trial.run()
    except WinbatchError as error:
        sys.stderr.write(f"winbatch.trial: {' '.join(str(error).split())}\n")
        return EXIT_SURROUNDINGS


def _stop_at_end(trial: Trial) -> None:
    while os.read(0, 1):
        pass
    trial.stop()


def _nothing() -> Store:
    raise AssertionError("a command asks for no earlier stage")


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.exit(code)
