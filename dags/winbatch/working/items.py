"""Running one item: the workload's function with its context, and what it returned as it stands in the result."""

import copy
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from winbatch import results
from winbatch.errors import JobError, StorageError, WorkerError
from winbatch.results import ItemFailure, ItemResult
from winbatch.stage import Stage
from winbatch.working.failures import ItemError
from winbatch.working.manifest import Item
from winbatch.working.partials import Done
from winbatch.working.programs import Stopped
from winbatch.working.store import Store
from winbatch.workload import Context

if TYPE_CHECKING:
    from winbatch.account import Account

type Run = Callable[[Mapping[str, Any], Context], Mapping[str, Any]]

_SUMMARY_LENGTH = 200

# Of values that are none, so many are named.
_NAMED = 5


def load_run(name: str) -> Run:
    """The workload's function, from `module:function`.

    Raises:
        WorkerError: there is no such module or function, or its module fails while it is imported.
    """
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise WorkerError(
            f"the stage's code {name!r} cannot be imported: {type(error).__name__}: {error};"
            " the image does not hold this stage's workload, or is broken"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise WorkerError(f"the stage's code {name!r}: module {module_name} has no function {function_name!r}")
    return cast("Run", function)


def execute(run: Run, stage: Stage, item: Item, folder: Path, connect: Callable[[], Store]) -> Done:
    """Run an item in this process.

    Args:
        run: the workload's function, or a command in its place.
        stage: the item's.
        item: what to run.
        folder: where the item's folders are, or are made.
        connect: gives the store, if the item asks for an earlier stage.

    Raises:
        ItemError: its code raised, or returned what is no JSON.
        StorageError: S3 refuses; whose fault that is shows by whether the worker can go on.
        Stopped: the worker was told to stop.
    """
    earlier = _Earlier(stage, connect)
    context = Context(
        item=item.item,
        job=stage.job,
        earlier=tuple(stage.inputs),
        folder=folder,
        read_results=earlier.results,
        read_failures=earlier.failures,
        read_account=earlier.account,
        fold_results=earlier.fold,
    )
    try:
        # What it does to its params stays with it.
        values = _values(run(copy.deepcopy(item.params), context), item.item)
        encoded = results.encode_item(ItemResult(item.item, item.params, values))
    except (StorageError, Stopped):
        raise
    except BaseException as error:
        raise ItemError.of(error) from error
    return Done(encoded, _summary(values))


def _values(returned: object, item: int) -> dict[str, Any]:
    """Values as whoever reads them will see them, so that a retry that begins with them writes the same bytes.

    Raises:
        JobError: they are none.
    """
    if not isinstance(returned, Mapping):
        raise JobError(f"item {item} came to {type(returned).__name__}; an object (a dict) of values is expected")
    values: dict[str, Any] = {}
    try:
        values = json.loads(json.dumps(dict(returned), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        bad = [repr(name) for name, value in returned.items() if not _is_json(value)]
        raise JobError(
            f"the values of item {item} are no JSON: {', '.join(bad[:_NAMED])}: {error};"
            " values are finite numbers, texts, true, false, null, and lists and objects of these"
        ) from error
    return values


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


class _Earlier:
    """What an item may ask of the stages before its own. What that needs is loaded when it does."""

    def __init__(self, stage: Stage, connect: Callable[[], Store]) -> None:
        self._stage = stage
        self._connect = connect

    def results(self, name: str) -> Iterator[ItemResult]:
        from winbatch.working.inputs import read_results  # noqa: PLC0415

        return read_results(self._connect(), self._stage, name)

    def failures(self, name: str) -> Sequence[ItemFailure]:
        from winbatch.working.inputs import read_failures  # noqa: PLC0415

        return read_failures(self._connect(), self._stage, name)

    def account(self, name: str) -> "Account":
        from winbatch.working.inputs import read_account  # noqa: PLC0415

        return read_account(self._connect(), self._stage, name)

    def fold[T](self, name: str, leaf: Callable[[Iterator[ItemResult]], T], combine: Callable[[T, T], T]) -> T:
        from winbatch.working.inputs import fold_results  # noqa: PLC0415

        return fold_results(self._connect(), self._stage, name, leaf, combine)


def _summary(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that fit a log line: numbers and short texts as they are, of the rest only how much there is."""
    return {
        name: f"<{type(value).__name__} of {len(value)}>"
        if isinstance(value, dict | list | tuple) or (isinstance(value, str) and len(value) > _SUMMARY_LENGTH)
        else value
        for name, value in values.items()
    }
