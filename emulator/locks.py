"""The locks that make moto safe under a threaded server.

moto's backends are plain dictionaries that nothing guards. Handlers of the control plane run one at a time under
`CONTROL`; whatever changes a backend from a thread of the emulator's own takes it too. S3 has a lock of its own,
because its conditional writes must be atomic and its load is another. Services that wait inside a call (SQS long
polling, MWAA's calls into Airflow, which call back) run under neither.

Order: `CONTROL` before `S3`, never the other way round.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from threading import RLock

CONTROL = RLock()
S3 = RLock()

_UNLOCKED = frozenset({"sqs", "airflow", "mwaa"})


def of(service: str) -> AbstractContextManager[object]:
    """The lock under which a request to the service with this signing name runs."""
    if service == "s3":
        return S3
    if service in _UNLOCKED:
        return nullcontext()
    return CONTROL
