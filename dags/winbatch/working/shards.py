"""Working off a shard: its items one after the other, their files, then the result."""

import functools
import logging
import mimetypes
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from winbatch import results, template
from winbatch.errors import JobError, WorkerError
from winbatch.stage import ClaimMark, Stage
from winbatch.storage import LARGEST
from winbatch.working import failures, files, folders, logs, outputs, settling
from winbatch.working.claims import Claims
from winbatch.working.failures import Failed, ItemError
from winbatch.working.manifest import Item, Manifest
from winbatch.working.partials import Done, Progress
from winbatch.working.programs import Stopped
from winbatch.working.settling import Settling
from winbatch.working.store import Store

# So long after a program that seems to have ended with its host the worker may be told to stop, in seconds.
_HOST_SECONDS = 5.0

type RunItem = Callable[[Item, Path], Done]

# What the disk must have room for, in bytes, if the next item is to be worked on. An item beside it that has filled the
# disk is ended within a few seconds.
_ROOM = 1 << 16
_ROOM_PAUSES = (1.0, 3.0, 6.0)

_log = logging.getLogger(__name__)


class Objects(Protocol):
    """What fetching needs of the store."""

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file, and make the folders above it."""


def fetch(objects: Objects, stage: Stage, item: Item, folder: Path) -> None:
    """Fetch what a stage's `fetch` names into the item's inputs folder.

    Raises:
        JobError: there is no such object, or the disk has no room for it.
        StorageError: S3 refuses.
    """
    for name, key in stage.fetch.items():
        values = {**item.params, "item": item.item, "job": stage.job}
        objects.download(template.fill(key, values), folder / name)


class ShardRunner:
    """Runs a stage's shards, in any number of threads."""

    def __init__(
        self,
        *,
        store: Store,
        stage: Stage,
        manifest: Manifest,
        claims: Claims,
        folder: Path,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Take the worker's parts.

        Args:
            store: where everything lies.
            stage: what is worked on.
            manifest: its items.
            claims: the worker's.
            folder: for items' folders, which are removed when an item has ended.
            failed: called with what keeps the outcome of a shard from S3 after `work` has returned.
        """
        self._store = store
        self._stage = stage
        self._manifest = manifest
        self._claims = claims
        self._folder = folder
        self._content_types = mimetypes.MimeTypes()
        self._lock = threading.Lock()
        self._open: dict[ClaimMark, Progress] = {}
        self._stopped = threading.Event()
        self._settling = Settling(self._stopped, settling.SECONDS, failed)

    def work(self, mark: ClaimMark, run: RunItem) -> None:
        """Work off a claimed shard: its result is in S3 soon, or its failures and what is finished of it.

        Args:
            mark: the claim.
            run: runs an item with its folder, in which its inputs lie and its outputs are found.

        Raises:
            WinbatchError: the worker's surroundings are at fault, not the shard.
        """
        items = self._manifest.shard(mark.shard)
        progress = Progress(self._store, self._stage, mark, items)
        if progress.finished:
            _log.info("shard %d: %d of %d items are finished already", mark.shard, len(progress.finished), len(items))
        with self._lock:
            self._open[mark] = progress
        failed: list[Failed] = []
        for item in items:
            if self._stopped.is_set():
                return
            if item.item in progress.finished:
                continue
            with logs.item(item=item.item, shard=mark.shard, attempt=mark.attempt) as log:
                started = time.monotonic()
                try:
                    done = self._run_item(run, mark, item)
                except Stopped:
                    return
                except ItemError as error:
                    if failures.says_host_ends(error.exit_code) and self._stopped.wait(_HOST_SECONDS):
                        return
                    logs.say(**log.fields, seconds=_since(started), error=str(error))
                    failed.append(Failed(item.item, error, log.last_lines()))
                    continue
                logs.say(**log.fields, seconds=_since(started), values=done.summary)
            progress.add(item.item, done)
        self._settling.settle(functools.partial(self._count, mark, progress, failed))

    def _count(self, mark: ClaimMark, progress: Progress, failed: Sequence[Failed]) -> None:
        body = b"" if failed else progress.result
        if len(body) > LARGEST:
            told = ItemError(
                f"the result of its shard has {len(body):,} bytes, and no more than {LARGEST:,} are read:"
                " put fewer items into a shard (shard_items), or leave such values in a file"
            )
            failed = [Failed(item, told, ()) for item in self._stage.shard_lines(mark.shard)]
        if failed:
            progress.save(settled=True)
            kind, described = failures.describe(failed)
            self._claims.fail(mark, kind, described)
        else:
            self._write(mark.shard, body)
            self._claims.done(mark)
        with self._lock:
            del self._open[mark]

    def settle(self) -> None:
        """Wait until all that came of shards is in S3."""
        self._settling.wait()

    def stop(self) -> None:
        """Begin no item any more."""
        self._stopped.set()

    def save(self, mark: ClaimMark) -> None:
        """Keep what is finished of a shard that is being worked on.

        Raises:
            StorageError: S3 refuses.
        """
        with self._lock:
            progress = self._open.get(mark)
        if progress is not None:
            progress.save()

    def _write(self, shard: int, body: bytes) -> None:
        """Write a result. The first one stands, so that whoever has read it stays right, unless nobody can read it."""
        key = self._stage.result_key(shard)
        while not self._store.put_new(key, body):
            there = self._store.find_version(key)
            if there is None:
                continue
            try:
                results.decode(there.body, self._stage, shard)
            except JobError as error:
                _log.warning("written over: %s", error)
                if self._store.replace(key, body, etag=there.etag):
                    return
                continue
            if there.body != body:
                logs.say(shard=shard, warning=f"{key} is there with other values: the workload is not deterministic")
            return

    def _run_item(self, run: RunItem, mark: ClaimMark, item: Item) -> Done:
        """Run an item, with its files.

        Whose fault it is when that fails shows by whether the worker can go on with the next item.

        Raises:
            ItemError: the item failed.
            Stopped: the worker was told to stop.
            WinbatchError: the worker's surroundings are at fault.
        """
        folder = self._folder / f"{item.item}-{mark.attempt}"
        own = files.long(folder)
        try:
            try:
                self._fetch(item, own / "inputs")
                done = run(item, folder)
                self._upload(own / "outputs", self._stage.outputs_of(item.item))
            finally:
                folders.discard(own)
        except (Stopped, WorkerError):
            raise
        except ItemError:
            self._check_disk()
            raise
        except Exception as error:
            self._check_disk()
            self._store.find(self._stage.claim_key(mark))
            raise ItemError.of(error) from error
        return done

    def _check_disk(self) -> None:
        """See that the next item's files can be written.

        Raises:
            WorkerError: they cannot.
        """
        probe = self._folder / f"probe-{threading.get_ident()}"
        for pause in (*_ROOM_PAUSES, None):
            try:
                self._folder.mkdir(exist_ok=True)
                probe.write_bytes(bytes(_ROOM))
                probe.unlink()
            except OSError as error:
                if pause is None:
                    raise WorkerError(
                        f"{self._folder}: {error}; the disk of the worker's instance is full or broken"
                    ) from error
                time.sleep(pause)
            else:
                return

    def _fetch(self, item: Item, folder: Path) -> None:
        """Fetch what the item needs into its inputs folder."""
        if self._stage.source:
            # Half of what the worker loads, for the few stages that need it.
            from winbatch.working.inputs import fetch_outputs  # noqa: PLC0415

            fetch_outputs(self._store, self._stage, item.item, folder)
        fetch(self._store, self._stage, item, folder)

    def _upload(self, folder: Path, prefix: str) -> None:
        for output in outputs.find(folder):
            content_type = self._content_types.guess_type(output.name)[0] or "application/octet-stream"
            outputs.upload(self._store, output, prefix + output.name, content_type)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
