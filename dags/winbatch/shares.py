"""Fair shares: what each of several jobs on one cluster may use of it.

Stages at work say in one object how many instances they could use. All read the same object and come to the same
shares, so none of them has to ask another; one that says nothing for a while is taken for gone. A job whose next stage
has not begun yet keeps its place by a reservation, which that stage takes over.
"""

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Self

from winbatch.errors import JobError
from winbatch.parsing import MALFORMED
from winbatch.stage import SCHEMA, load_object
from winbatch.times import format_time, parse_time

KEY = "jobs/shares.json"
EXPIRY = dt.timedelta(minutes=10)
# A demand that has not changed is said again so often.
REFRESH = dt.timedelta(minutes=2)
# Where the name of a stage has the stage; no stage is called so.
_COMING = "+"


@dataclasses.dataclass(frozen=True)
class Demand:
    """What a stage could use: `instances`, in parts of one; said `at`."""

    instances: float
    at: dt.datetime


def reservation(dag: str, job: str) -> str:
    """The name under which a job keeps its place before its first stage, and between two."""
    return f"{dag}/{job}/{_COMING}"


def is_of(name: str, dag: str, job: str) -> bool:
    """Say whether a name on the board is a job's."""
    return name.rpartition("/")[0] == f"{dag}/{job}"


def _reservation_of(me: str) -> str:
    return f"{me.rpartition('/')[0]}/{_COMING}"


@dataclasses.dataclass(frozen=True)
class Board:
    """Everybody's demand, by stage."""

    demands: Mapping[str, Demand] = dataclasses.field(default_factory=dict)

    def others(self, me: str, now: dt.datetime) -> dict[str, float]:
        """Give what other stages want that have been heard of lately, and what is kept for other jobs."""
        return {
            name: demand.instances
            for name, demand in self.demands.items()
            if name not in (me, _reservation_of(me)) and now - demand.at < EXPIRY and demand.instances > 0
        }

    def stale(self, me: str, instances: float, now: dt.datetime) -> bool:
        """Whether the board says something else of me than this."""
        known = self.demands.get(me)
        if instances > 0 and _reservation_of(me) in self.demands:
            return True
        if known is None:
            return instances > 0
        return not math.isclose(known.instances, instances) or (instances > 0 and now - known.at > REFRESH)

    def told(self, me: str, instances: float, now: dt.datetime, *, after: float = 0.0) -> Self:
        """The board with my demand on it (0: without me), and without those that are gone.

        Args:
            me: a stage.
            instances: its demand; a stage at work needs its job's reservation no longer.
            now: the time.
            after: what is to be reserved for the job in the place of a stage that was on the board.
        """
        kept = {name: demand for name, demand in self.demands.items() if name != me and now - demand.at < EXPIRY}
        mine = {}
        if instances > 0:
            kept.pop(_reservation_of(me), None)
            mine = {me: Demand(instances, now)}
        elif after > 0 and me in self.demands:
            mine = {_reservation_of(me): Demand(after, now)}
        return dataclasses.replace(self, demands={**kept, **mine})

    def reserved(self, dag: str, job: str, instances: float, now: dt.datetime) -> Self:
        """The board with a job's reservation on it."""
        return dataclasses.replace(self, demands={**self.demands, reservation(dag, job): Demand(instances, now)})

    def without(self, dag: str, job: str) -> Self:
        """The board without all that is a job's."""
        kept = {name: demand for name, demand in self.demands.items() if not is_of(name, dag, job)}
        return dataclasses.replace(self, demands=kept)

    def to_json(self) -> str:
        """Write it as the object in S3 has it."""
        demands = {
            name: {"instances": demand.instances, "at": format_time(demand.at)} for name, demand in self.demands.items()
        }
        return json.dumps({"schema": SCHEMA, "demands": demands}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """Read the board.

        Raises:
            JobError: it does not parse, is of another schema or lacks a field.
        """
        data = load_object(text, where=where)
        try:
            return cls(
                {
                    name: Demand(float(entry["instances"]), parse_time(entry["at"]))
                    for name, entry in data.get("demands", {}).items()
                }
            )
        except MALFORMED as error:
            raise JobError(
                f"{where}: not a board of this release ({error!r}); delete it: stages tell it anew"
            ) from error


def fair(capacity: float, demands: Mapping[str, float]) -> dict[str, float]:
    """Max-min fair shares: nobody gets more than wanted, and what small demands leave is shared evenly by the others.

    Args:
        capacity: instances there can be.
        demands: instances wanted, by stage.
    """
    shares: dict[str, float] = {}
    left = capacity
    for rank, name in enumerate(sorted(demands, key=lambda name: (demands[name], name))):
        shares[name] = min(demands[name], left / (len(demands) - rank))
        left -= shares[name]
    return shares
