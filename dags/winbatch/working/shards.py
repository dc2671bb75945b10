"""Working off a shard: its items one after the other, their files, then the result."""

import importlib
import json
import mimetypes
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from winbatch import results
from winbatch.errors import StorageError, WorkerError
from winbatch.results import ItemResult
from winbatch.stage import ClaimMark, Stage
from winbatch.working import logs
from winbatch.working.claims import Claims
from winbatch.working.inputs import read_results
from winbatch.working.manifest import Item, Manifest
from winbatch.working.store import Store
from winbatch.workload import Context

type Run = Callable[[Mapping[str, Any], Context], Mapping[str, Any]]

_ERROR_LENGTH = 1000
_TRACEBACK_LINES = 20
_SUMMARY_LENGTH = 200


class ItemError(Exception):
    """An item's code raised, or returned what cannot be kept.

    Attributes:
        failure: `item`, `error`, `exit_code` (of a program that it ran; None for Python) and `log`, the last lines.
    """

    def __init__(self, failure: Mapping[str, Any]) -> None:
        super().__init__(failure["error"])
        self.failure = failure


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
        last_lines: logs.LastLines,
    ) -> None:
        """Args name the worker's parts; `folder` is for items' output folders, which are removed once uploaded."""
        self._store = store
        self._stage = stage
        self._manifest = manifest
        self._claims = claims
        self._run = run
        self._folder = folder
        self._last_lines = last_lines
        self._content_types = mimetypes.MimeTypes()

    def work(self, mark: ClaimMark) -> None:
        """Work off a claimed shard: its result is in S3 afterwards, or its failure.

        Raises:
            WinbatchError: the worker's surroundings are at fault, not the shard.
        """
        done: list[ItemResult] = []
        for item in self._manifest.shard(mark.shard):
            started = time.monotonic()
            told = {"item": item.item, "shard": mark.shard, "attempt": mark.attempt}
            try:
                values = self._run_item(item, self._folder / f"{item.item}-{mark.attempt}")
            except ItemError as failed:
                logs.say(**told, seconds=_since(started), error=failed.failure["error"])
                self._claims.fail(mark, failed.failure)
                return
            logs.say(**told, seconds=_since(started), values=_summary(values))
            done.append(ItemResult(item.item, item.params, values))
        body = results.encode(self._stage, mark.shard, done)
        key = self._stage.result_key(mark.shard)
        if not self._store.put_new(key, body) and self._store.find(key) != body:
            # The first one stands, so that whoever has read it stays right.
            logs.say(shard=mark.shard, warning=f"{key} is there with other values: the workload is not deterministic")
        self._claims.done(mark)

    def _run_item(self, item: Item, folder: Path) -> Mapping[str, Any]:
        self._last_lines.start()
        context = Context(
            item=item.item,
            job=self._stage.job,
            folder=folder,
            read_results=lambda name: read_results(self._store, self._stage, name),
        )
        try:
            values = dict(self._run(item.params, context))
            json.dumps(values, allow_nan=False)
        except StorageError:
            raise  # S3 is the worker's affair, whoever asked it
        except (Exception, SystemExit) as error:
            raise ItemError(self._failure(item, error)) from error
        else:
            self._upload(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # it may never have been made
        return values

    def _upload(self, folder: Path) -> None:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content_type = self._content_types.guess_type(path.name)[0] or "application/octet-stream"
            key = self._stage.outputs + path.relative_to(folder).as_posix()
            self._store.upload(path, key, content_type=content_type)

    def _failure(self, item: Item, error: BaseException) -> dict[str, Any]:
        trace = "".join(traceback.format_exception(error)).splitlines()
        return {
            "item": item.item,
            "error": " ".join(f"{type(error).__name__}: {error}".split())[:_ERROR_LENGTH],
            "exit_code": _exit_code(error),
            "log": self._last_lines.lines() + trace[-_TRACEBACK_LINES:],
        }


def _exit_code(error: BaseException) -> int | None:
    match error:
        case subprocess.CalledProcessError(returncode=code):
            return code
        case SystemExit(code=int(code)):
            return code
    return None


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
