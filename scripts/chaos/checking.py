"""Judges a job by what lies in S3 and what is told of it: a sentence for each thing that does not hold. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scripts.chaos.schedule import NOWHERE
from winbatch import results
from winbatch.errors import JobError
from winbatch.ledger import Ledger
from winbatch.stage import Stage

# What a problem is about: an item that is lost or counted twice; what was left; what people are told; a job or a verb
# that does not end, or not as it should.
About = Literal["items", "left", "told", "ends"]


@dataclass(frozen=True)
class Problem:
    """Something that did not hold."""

    about: About
    sentence: str


@dataclass(frozen=True)
class Found:
    """A stage as S3 has it.

    Attributes:
        stage: it.
        ledger: what is told of it.
        results: by shard.
        partials: of the shards that have no result, by key.
    """

    stage: Stage
    ledger: Ledger | None
    results: Mapping[int, bytes]
    partials: Mapping[str, bytes] = field(default_factory=dict)

    def counted(self) -> dict[int, int]:
        """Say how often each item counts.

        Raises:
            JobError: something is no result.
        """
        counts: dict[int, int] = {}
        for shard, body in self.results.items():
            for item in results.decode(body, self.stage, shard):
                counts[item.item] = counts.get(item.item, 0) + 1
        # Whoever reads the stage's results takes an item that two attempts have finished once.
        finished = set()
        for key, body in self.partials.items():
            shard = int(key.removeprefix(self.stage.partials).partition("/")[0])
            finished |= {item.item for item in results.decode_partial(body, self.stage, shard, where=key)}
        for number in finished:
            counts[number] = counts.get(number, 0) + 1
        return counts


def ill(conf: Mapping[str, Any], stage: str) -> set[int]:
    """Say which items of a stage fail whatever is done, by the job's parameters."""
    fails = stage == "work" and conf.get("cure") == NOWHERE
    return {int(conf["ill"])} if fails else set()


def problems(run: str, state: str, found: Sequence[Found], conf: Mapping[str, Any], *, final: bool) -> list[Problem]:
    """Judge a job whose DAG run has ended.

    Args:
        run: its id.
        state: that people are told.
        found: its stages.
        conf: its parameters.
        final: it must be whole: nothing went wrong since it was begun for the last time.
    """
    problems = [problem for each in found for problem in _of_stage(run, state, each, conf)]
    whole = all(each.ledger and each.ledger.state == "succeeded" for each in found) and bool(found)
    if whole != (state == "succeeded"):
        problems.append(Problem("told", f"{run} is told to be {state}, and its stages are {_states(found)}"))
    if final:
        must_fail = {item for each in found for item in ill(conf, each.stage.stage)}
        named = {failure.item for each in found if each.ledger for failure in each.ledger.failures}
        if state != ("failed" if must_fail else "succeeded") or must_fail - named:
            problems.append(Problem("ends", f"{run} ended {state} when nothing went wrong any more; {_states(found)}"))
    return problems


def _states(found: Sequence[Found]) -> str:
    return ", ".join(
        f"{each.stage.stage} {each.ledger.state} ({each.ledger.reason})" if each.ledger else f"{each.stage.stage} none"
        for each in found
    )


def _of_stage(run: str, state: str, found: Found, conf: Mapping[str, Any]) -> Iterator[Problem]:
    stage, ledger, where = found.stage, found.ledger, f"{run}, stage {found.stage.stage}"
    try:
        counted = found.counted()
    except JobError as error:
        yield Problem("items", f"{where}: {error}")
        return
    for item in sorted(item for item, count in counted.items() if count > 1):
        yield Problem("items", f"{where}: item {item} counts twice")
    for item in sorted(ill(conf, stage.stage) & counted.keys()):
        yield Problem("items", f"{where}: item {item} counts, and cannot have been done")
    if ledger is None:
        return
    if not ledger.finished:
        yield Problem("told", f"{where} is told to be {ledger.state}, and its run has ended {state}")
        return
    failed = {failure.item for failure in ledger.failures}
    for item in sorted(failed & counted.keys()):
        yield Problem("items", f"{where}: item {item} counts, and is told to have failed")
    if ledger.state == "succeeded":
        for item in sorted(set(range(stage.items)) - counted.keys() - failed):
            yield Problem("items", f"{where} succeeded, and item {item} has no result")
    # A worker that is told to stop may still write what it has finished.
    if ledger.items_done > len(counted) or (ledger.state == "succeeded" and ledger.items_done < len(counted)):
        yield Problem("told", f"{where}: {ledger.items_done} items are told to be done, and {len(counted)} are")
    if ledger.items_failed != len(failed):
        yield Problem("told", f"{where}: {ledger.items_failed} items are told to have failed, and {len(failed)} named")


@dataclass
class Kept:
    """Sees that a result that is there stays as it is."""

    seen: dict[str, str] = field(default_factory=dict)

    def look(self, prefix: str, etags: Mapping[str, str]) -> list[Problem]:
        """Look at all results below a prefix.

        Args:
            prefix: of a stage's results.
            etags: of what is there, by key.
        """
        found = []
        for key, etag in self.seen.items():
            if key.startswith(prefix) and etags.get(key) != etag:
                what = "was written over with something else" if key in etags else "is gone"
                found.append(Problem("items", f"result {key} {what}"))
        self.seen = {key: etag for key, etag in self.seen.items() if not key.startswith(prefix)} | dict(etags)
        return found
