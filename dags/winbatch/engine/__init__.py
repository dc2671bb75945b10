"""The batch engine: a pure state machine that drives one stage of a job to its end. Events in, actions out.

It has no clock and no AWS in it. A *tick* is one call of `step`: what was seen goes in, what to do comes out;
`answered`, `paused`, `explained` and `settled` take the outcome. All it knows between ticks is in the ledger, and all
that decides what is done is in S3 and ECS, so any tick may be the first one of a new process, and two engines at once
do no harm:

* a shard is done when its result exists; workers claim shards themselves, by conditional writes;
* a RunTask call is written to the ledger before it is sent, and its client token follows from its number, so a call
  that was cut off is sent again and ECS answers with the same ECS tasks; a worker too many finds nothing to claim;
* how an attempt ended, and that the next may begin, are keys that depend on shard and attempt only.

`model` has what goes in and comes out, `tick` the order of a tick, `counting`, `ending`, `instances` and `workers` its
decisions, `outcomes` what came of them. Imports attempts, ledger, capacity and shares.
"""

from winbatch.engine.counting import unsettled
from winbatch.engine.instances import asks_why, demand_of
from winbatch.engine.model import (
    Action,
    Ask,
    Drain,
    Explain,
    Limits,
    Point,
    Put,
    Retire,
    Run,
    Seen,
    Settle,
    Step,
    Stop,
    Terminate,
)
from winbatch.engine.outcomes import answered, crowded, explained, paused, refused, settled, terminated, told
from winbatch.engine.tick import step
from winbatch.engine.workers import client_token, name_of, not_before, started_by

__all__ = [
    "Action",
    "Ask",
    "Drain",
    "Explain",
    "Limits",
    "Point",
    "Put",
    "Retire",
    "Run",
    "Seen",
    "Settle",
    "Step",
    "Stop",
    "Terminate",
    "answered",
    "asks_why",
    "client_token",
    "crowded",
    "demand_of",
    "explained",
    "name_of",
    "not_before",
    "paused",
    "refused",
    "settled",
    "started_by",
    "step",
    "terminated",
    "told",
    "unsettled",
]
