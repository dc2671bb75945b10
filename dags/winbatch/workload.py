"""What a workload's code sees of the system: the `Context` that its function is called with.

A workload's function is `run(params: Mapping[str, Any], context: Context) -> Mapping[str, Any]`. It runs in the main
thread of a process that runs nothing but items, one after the other; beside it run others, one a core. What it returns
must be JSON, and the same for the same item however often it runs. An exception fails the item, with the lines that it
logged last (`logging`, `print`), and so does the end of the process.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winbatch.results import ItemFailure, ItemResult

if TYPE_CHECKING:  # an item that asks for it loads it
    from winbatch.account import Account

type Fold = Callable[[str, Callable[[Iterator[ItemResult]], Any], Callable[[Any, Any], Any]], Any]


class Context:
    """What belongs to the item at hand.

    Attributes:
        item: its number.
        job: id of the job.
        earlier: the stages whose results may be read.
    """

    def __init__(
        self,
        *,
        item: int,
        job: str,
        earlier: Sequence[str] = (),
        folder: Path,
        read_results: Callable[[str], Iterator[ItemResult]],
        read_failures: Callable[[str], Sequence[ItemFailure]],
        read_account: "Callable[[str], Account] | None" = None,
        fold_results: Fold | None = None,
    ) -> None:
        """Called by whoever runs items.

        Args:
            item: its number.
            job: id of the job.
            earlier: the stages whose results may be read.
            folder: where the item's folders are to be, each made when it is first asked for.
            read_results: what `results` calls.
            read_failures: what `failures` calls.
            read_account: what `account` calls; without it nothing is known of a stage but its results.
            fold_results: what `fold` calls; without it, one leaf takes all results.
        """
        self.item = item
        self.job = job
        self.earlier = tuple(earlier)
        self._folder = folder
        self._read_results = read_results
        self._read_failures = read_failures
        self._read_account = read_account
        self._fold_results = fold_results

    @functools.cached_property
    def outputs(self) -> Path:
        """An empty folder of the item's own.

        Its files are uploaded below the stage's outputs prefix, by their path in it, before the result is written. All
        items of a stage share that prefix, and names that differ between items are theirs to choose; but if another
        stage works on what each item left (`from`), each has a prefix of its own.
        """
        return self._made("outputs")

    @functools.cached_property
    def inputs(self) -> Path:
        """The folder that holds what the stage fetches for the item (`fetch`, `from`); empty if that is nothing."""
        return self._made("inputs")

    @functools.cached_property
    def work(self) -> Path:
        """An empty folder of the item's own, for what nobody is to keep."""
        return self._made("work")

    def _made(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def results(self, stage: str) -> Iterator[ItemResult]:
        """The item results of an earlier stage, in order, each exactly once, without the items that failed for good.

        Raises:
            JobError: the stage is no input of this one, or one of its items has no result, or two, and has not failed.
            StorageError: S3 refuses.
        """
        return self._read_results(stage)

    def failures(self, stage: str) -> Sequence[ItemFailure]:
        """The items of an earlier stage that failed for good, in order: those that `results` leaves out.

        Raises:
            JobError: the stage is no input of this one, or its ledger cannot be read.
            StorageError: S3 refuses.
        """
        return self._read_failures(stage)

    def fold[T](self, stage: str, leaf: Callable[[Iterator[ItemResult]], T], combine: Callable[[T, T], T]) -> T:
        """Merge the item results of an earlier stage: of a large one, ranges of shards by a process each, then these.

        Args:
            stage: its name.
            leaf: merges results as `results` gives them. It and what it returns must be what pickle takes.
            combine: merges two neighbours. It must not matter where the ranges end.

        Raises:
            JobError: as `results`.
            StorageError: S3 refuses.
        """
        if self._fold_results is None:
            return leaf(self.results(stage))
        merged: T = self._fold_results(stage, leaf, combine)
        return merged

    def account(self, stage: str) -> "Account | None":
        """What an earlier stage took; None where nobody kept account.

        Raises:
            JobError: the stage is no input of this one, or its ledger cannot be read.
            StorageError: S3 refuses.
        """
        return None if self._read_account is None else self._read_account(stage)
