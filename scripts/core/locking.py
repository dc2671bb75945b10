"""One command at a time changes an environment."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from scripts.core import given
from scripts.core.errors import PreflightError
from scripts.core.settings import Settings


class Busy(PreflightError):  # noqa: N818 - it names a state
    """Another command holds the lock.

    Attributes:
        pid: the process that took it.
    """

    def __init__(self, verb: str, pid: int) -> None:
        super().__init__(f"invoke {verb} (process {pid}) is at work on this environment: wait for it, or stop it first")
        self.pid = pid


@contextmanager
def only_one(settings: Settings, verb: str) -> Iterator[int]:
    """Hold the environment's lock; gives its file descriptor, which Terraform inherits.

    A Terraform command that goes on after we were killed thus keeps the lock until it ends.

    Raises:
        Busy: somebody else holds it.
    """
    name = hashlib.sha256(str(settings.state).encode()).hexdigest()[:16]
    path = settings.cache / "locks" / f"{settings.environment}-{name}"
    given.folder("WINBATCH_CACHE", path.parent)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(file) from None
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "verb": verb}))
        file.flush()
        yield file.fileno()


def _busy(file: IO[str]) -> Busy:
    file.seek(0)
    try:
        holder = json.loads(file.read())
    except ValueError:
        # Between taking the lock and writing who took it.
        holder = {"pid": 0, "verb": "up"}
    return Busy(holder["verb"], holder["pid"])
