"""Working off a shard: its items one after the other, their files, then the result."""

import importlib
import json
import logging
import mimetypes
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from winbatch import results, template
from winbatch.errors import JobError, StorageError, WorkerError
from winbatch.results import ItemResult
from winbatch.stage import ClaimMark, Stage
from winbatch.working import failures, logs
from winbatch.working.claims import Claims
from winbatch.working.failures import ItemError
from winbatch.working.inputs import fetch_outputs, fold_results, read_account, read_failures, read_results
from winbatch.working.manifest import Item, Manifest
from winbatch.working.partials import Progress
from winbatch.working.programs import Stopped
from winbatch.working.store import Store
from winbatch.workload import Context

type Run = Callable[[Mapping[str, Any], Context], Mapping[str, Any]]

_SUMMARY_LENGTH = 200

_log = logging.getLogger(__name__)


def load_run(name: str) -> Run:
    """The workload's function, from `module:function`.

    Raises:
        WorkerError: there is no such module or function, or its module fails while it is imported.
    """
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise WorkerError(
            f"the stage's code {name!r} cannot be imported: {type(error).__name__}: {error};"
            " the image does not hold this stage's workload, or is broken"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise WorkerError(f"the stage's code {name!r}: module {module_name} has no function {function_name!r}")
    return cast("Run", function)


class ShardRunner:
    """Runs a stage's shards, in any number of threads."""

    def __init__(
        self,
        *,
        store: Store,
        stage: Stage,
        manifest: Manifest,
        claims: Claims,
        run: Run,
        folder: Path,
    ) -> None:
        """Args name the worker's parts; `folder` is for items' output folders, which are removed once uploaded."""
        self._store = store
        self._stage = stage
        self._manifest = manifest
        self._claims = claims
        self._run = run
        self._folder = folder
        self._content_types = mimetypes.MimeTypes()
        self._lock = threading.Lock()
        self._open: dict[ClaimMark, Progress] = {}
        self._stopped = False

    def work(self, mark: ClaimMark) -> None:
        """Work off a claimed shard: its result is in S3 afterwards, or its failures and what is finished of it.

        Raises:
            WinbatchError: the worker's surroundings are at fault, not the shard.
        """
        items = self._manifest.shard(mark.shard)
        progress = Progress(self._store, self._stage, mark, items)
        if progress.finished:
            _log.info("shard %d: %d of %d items are finished already", mark.shard, len(progress.finished), len(items))
        with self._lock:
            self._open[mark] = progress
        failed: list[ItemError] = []
        for item in items:
            if self._stopped:
                return
            if item.item in progress.finished:
                continue
            with logs.item(item=item.item, shard=mark.shard, attempt=mark.attempt) as log:
                started = time.monotonic()
                try:
                    values = self._run_item(item, self._folder / f"{item.item}-{mark.attempt}", log)
                except Stopped:
                    return
                except ItemError as error:
                    logs.say(**log.fields, seconds=_since(started), error=str(error))
                    failed.append(error)
                    continue
                logs.say(**log.fields, seconds=_since(started), values=_summary(values))
            progress.add(ItemResult(item.item, item.params, values))
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

    def _run_item(self, item: Item, folder: Path, log: logs.ItemLog) -> Mapping[str, Any]:
        context = Context(
            item=item.item,
            job=self._stage.job,
            earlier=tuple(self._stage.inputs),
            folder=folder,
            read_results=lambda name: read_results(self._store, self._stage, name),
            read_failures=lambda name: read_failures(self._store, self._stage, name),
            read_account=lambda name: read_account(self._store, self._stage, name),
            fold_results=lambda name, leaf, combine: fold_results(self._store, self._stage, name, leaf, combine),
        )
        try:
            self._fetch(item, context)
            # As whoever reads them will see them, so that a retry that begins with them writes the same bytes.
            values: dict[str, Any] = json.loads(json.dumps(dict(self._run(item.params, context)), allow_nan=False))
        except (StorageError, Stopped):
            raise  # S3 is the worker's affair, whoever asked it
        except (Exception, SystemExit) as error:
            raise ItemError(item.item, error, log.last_lines()) from error
        else:
            self._upload(folder / "outputs", self._stage.outputs_of(item.item))
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # it may never have been made
        return values

    def _fetch(self, item: Item, context: Context) -> None:
        """Fetch what the item needs into its inputs folder.

        Raises:
            JobError: an object is not there, or the item of the earlier stage has failed.
            StorageError: S3 refuses.
        """
        if self._stage.source:
            fetch_outputs(self._store, self._stage, item.item, context.inputs)
        for name, key in self._stage.fetch.items():
            values = {**item.params, "item": item.item, "job": self._stage.job}
            self._store.download(template.fill(key, values), context.inputs / name)

    def _upload(self, folder: Path, prefix: str) -> None:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content_type = self._content_types.guess_type(path.name)[0] or "application/octet-stream"
            key = prefix + path.relative_to(folder).as_posix()
            self._store.upload(path, key, content_type=content_type)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _summary(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that fit a log line: numbers and short texts as they are, of the rest only how much there is."""
    return {
        name: f"<{type(value).__name__} of {len(value)}>"
        if isinstance(value, dict | list | tuple) or (isinstance(value, str) and len(value) > _SUMMARY_LENGTH)
        else value
        for name, value in values.items()
    }
