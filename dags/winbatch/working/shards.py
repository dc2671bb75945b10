"""Working off a shard: its items one after the other, their files, then the result."""

import logging
import mimetypes
import threading
import time
from collections.abc import Callable
from pathlib import Path

from winbatch import filenames, results, template
from winbatch.errors import JobError, StorageError
from winbatch.stage import ClaimMark, Stage
from winbatch.working import failures, folders, logs
from winbatch.working.claims import Claims
from winbatch.working.failures import Failed, ItemError
from winbatch.working.manifest import Item, Manifest
from winbatch.working.partials import Done, Progress
from winbatch.working.programs import Stopped
from winbatch.working.store import Store

type RunItem = Callable[[Item, Path], Done]

_log = logging.getLogger(__name__)


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
    ) -> None:
        """Args name the worker's parts; `folder` is for items' folders, which are removed when an item has ended."""
        self._store = store
        self._stage = stage
        self._manifest = manifest
        self._claims = claims
        self._folder = folder
        self._content_types = mimetypes.MimeTypes()
        self._lock = threading.Lock()
        self._open: dict[ClaimMark, Progress] = {}
        self._stopped = False

    def work(self, mark: ClaimMark, run: RunItem) -> None:
        """Work off a claimed shard: its result is in S3 afterwards, or its failures and what is finished of it.

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
            if self._stopped:
                return
            if item.item in progress.finished:
                continue
            with logs.item(item=item.item, shard=mark.shard, attempt=mark.attempt) as log:
                started = time.monotonic()
                try:
                    done = self._run_item(run, item, self._folder / f"{item.item}-{mark.attempt}")
                except Stopped:
                    return
                except ItemError as error:
                    logs.say(**log.fields, seconds=_since(started), error=str(error))
                    failed.append(Failed(item.item, error, log.last_lines()))
                    continue
                logs.say(**log.fields, seconds=_since(started), values=done.summary)
            progress.add(item.item, done)
        if failed:
            progress.save()
            kind, described = failures.describe(failed)
            self._claims.fail(mark, kind, described)
        else:
            self._write(mark.shard, progress.result)
            self._claims.done(mark)
        with self._lock:
            del self._open[mark]

    def stop(self) -> None:
        """Begin no item any more."""
        self._stopped = True

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
                results.decode(there[0], self._stage, shard)
            except JobError as error:
                _log.warning("written over: %s", error)
                if self._store.replace(key, body, etag=there[1]):
                    return
                continue
            if there[0] != body:
                logs.say(shard=shard, warning=f"{key} is there with other values: the workload is not deterministic")
            return

    def _run_item(self, run: RunItem, item: Item, folder: Path) -> Done:
        try:
            self._fetch(item, folder / "inputs")
            done = run(item, folder)
            self._upload(folder / "outputs", self._stage.outputs_of(item.item))
        finally:
            try:
                folders.remove(folder)
            except OSError as error:
                _log.warning("the item's folder stays, and takes room on the disk: %s", error)
        return done

    def _fetch(self, item: Item, folder: Path) -> None:
        """Fetch what the item needs into its inputs folder.

        Raises:
            ItemError: an object is not there, or the item of the earlier stage has failed.
            StorageError: S3 refuses.
        """
        try:
            if self._stage.source:
                # Half of what the worker loads, for the few stages that need it.
                from winbatch.working.inputs import fetch_outputs  # noqa: PLC0415

                fetch_outputs(self._store, self._stage, item.item, folder)
            for name, key in self._stage.fetch.items():
                values = {**item.params, "item": item.item, "job": self._stage.job}
                self._store.download(template.fill(key, values), folder / name)
        except StorageError:
            raise
        except Exception as error:
            raise ItemError.of(error) from error

    def _upload(self, folder: Path, prefix: str) -> None:
        """Upload what the item has left.

        Raises:
            ItemError: a file has a name that Windows cannot have, so that it could not be fetched there.
            StorageError: S3 refuses.
        """
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        for name, said in filenames.problems(path.relative_to(folder).as_posix() for path in paths).items():
            raise ItemError(f"its file {name!r} cannot be kept: {said}; let the program call it otherwise")
        for path in paths:
            content_type = self._content_types.guess_type(path.name)[0] or "application/octet-stream"
            key = prefix + path.relative_to(folder).as_posix()
            self._store.upload(path, key, content_type=content_type)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
