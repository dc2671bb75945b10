"""Who writes a ledger, or the board, has read it; and what has ended stays so."""

from collections.abc import Callable

from simulation.s3 import Bucket
from winbatch import shares
from winbatch.ledger import Ledger


class NothingWrittenOver:
    """Who writes what others write, too, has read what he writes over."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems

    def wrote(self, key: str, read: str | None, there: str | None) -> None:
        """Look at a write: of a key whose writer has read one version, and where another one was."""
        if there not in {read, None} and (key == shares.KEY or key.endswith("/ledger.json")):
            self._problems.append(f"{key} was written over by somebody who had not read it")


class StaysEnded:
    """A stage that was cancelled or has failed is begun again by a later round of its run, or by who resumes, only."""

    def __init__(self, bucket: Bucket, problems: list[str], round_of: Callable[[str], int]) -> None:
        """Watch the bucket; `round_of` gives how often the run of a ledger's key has begun."""
        self._problems, self._round_of, self._bucket = problems, round_of, bucket
        self._ended: dict[str, int] = {}
        bucket.watchers.append(self._wrote)

    def _wrote(self, key: str, _before: bytes | None, after: bytes) -> None:
        if not key.endswith("/ledger.json"):
            return
        # A teardown that is not killed yet may end in a later round what its own round had begun.
        by = self._bucket.round
        ledger, this = Ledger.from_json(after, where=key), self._round_of(key) if by is None else by
        if ledger.state in {"cancelled", "failed"}:
            self._ended[key] = this
        elif by is None:
            # Who resumes reopens a stage before the round begins that goes on with it.
            self._ended.pop(key, None)
        elif self._ended.pop(key, this - 1) >= this:
            self._problems.append(f"{key} is {ledger.state} again in the round that it ended in")
