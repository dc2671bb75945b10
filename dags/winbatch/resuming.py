"""A job that has ended is taken up again: what rests on items that were missing is run anew, all else stays."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from winbatch import attempts, driver
from winbatch.errors import JobError
from winbatch.keys import ledger_key
from winbatch.ledger import Ledger
from winbatch.ports import Ports as TickPorts
from winbatch.stage import Stage
from winbatch.storage import Conflict


class Ports(TickPorts, Protocol):
    """What reopening a stage needs beside a tick."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; raises StorageError when one of them is there still."""


def stale(stages: Sequence[tuple[Stage, Ledger | None]]) -> list[Stage]:
    """Name the stages that have begun and read, straight or by others, what a stage that lacks items has left."""
    lacking: set[str] = set()
    found = []
    for stage, ledger in stages:
        if lacking & set(stage.inputs):
            lacking.add(stage.stage)
            if ledger is not None:
                found.append(stage)
        elif ledger is None or ledger.state != "succeeded" or ledger.items_failed:
            lacking.add(stage.stage)
    return found


def reopen(ports: Ports, stage: Stage) -> None:
    """Let a stage of a job that has ended be run anew: its results are gone afterwards, its claims may be made again.

    The ledger comes last, so that after an interruption this can be called again. It is kept, for it knows which
    client tokens are used up.

    Raises:
        JobError: somebody else writes the ledger at this moment.
        StorageError: an object cannot be deleted.
    """
    key = ledger_key(stage)
    stored = ports.get(key)
    if stored is None:
        return
    ledger = Ledger.from_json(stored.body, where=key)
    for prefix in (stage.results, stage.partials):
        ports.delete([entry.key for entry in ports.listing(prefix)])
    marks = (stage.parse_claim_key(entry.key) for entry in ports.listing(stage.claims))
    for mark in attempts.reopening(mark for mark in marks if mark is not None):
        driver.put_mark(ports, stage, mark, "what it reads is being completed")
    now = ports.now()
    again = ledger.again(now)
    again = dataclasses.replace(again, done=0, items_done=0, items_failed=0, shards_failed=0, samples=((now, 0),))
    try:
        ports.put(key, again.to_json().encode(), etag=stored.etag)
    except Conflict as error:
        raise JobError(f"{key} was written by somebody else meanwhile; look at the job, and call again") from error
