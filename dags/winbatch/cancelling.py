"""A cancellation by a mark in S3, for DAG runs whose ids are too long for MWAA's API to be told of them.

The mark is of one start of the DAG run: clearing the run starts it again, and then the mark says nothing any more.
"""

import json
from typing import Any, Protocol

from winbatch import keys
from winbatch.errors import JobError
from winbatch.parsing import MALFORMED
from winbatch.starts import Start
from winbatch.times import format_time

WORDS = "cancelled by invoke cancel"


class Ports(Protocol):
    """Reads and writes objects of the data bucket; `winbatch.ports.Ports` does."""

    def get(self, key: str) -> Any:
        """Give an object; None where there is none."""

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """Write an object."""


def cancel(ports: Ports, dag: str, job: str, start: Start) -> None:
    """Leave the mark."""
    body = {"begun": start.begun, "start": format_time(start.at) if start.at else None}
    ports.put(keys.cancel_key(dag, job), json.dumps(body).encode())


def cancelled(ports: Ports, dag: str, job: str, start: Start) -> bool:
    """Say whether this start of a DAG run is cancelled, for the run itself.

    The mark of a run that was queued becomes that of the start which it has now.
    """
    there = ports.get(keys.cancel_key(dag, job))
    if there is None or not applies(there.body, start):
        return False
    cancel(ports, dag, job, start)
    return True


def applies(mark: bytes, start: Start) -> bool:
    """Say whether a mark is of this start; that of a run that was still queued is of the one that follows."""
    try:
        said = json.loads(mark)
        return bool(
            said["begun"] == start.begun and said["start"] in (None, format_time(start.at) if start.at else None)
        )
    except MALFORMED as error:
        raise JobError(f"not a word of a cancel ({error!r}): {mark[:100]!r}; cancel again: invoke cancel") from error
