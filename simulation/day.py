"""A day of jobs in a simulated world, by the hour: what the product keeps, and what its ticks ask of S3."""

import dataclasses
from collections.abc import Sequence
from typing import Self

from simulation.faults import Faults
from simulation.scenario import JobPlan, Scenario
from simulation.world import World
from winbatch import shares

HOUR = 3600.0
HOURS = 24
# What goes wrong in an everyday day.
FAULTS = Faults(
    crash=0.0005, unavailable=0.005, held_up=0.002, host_lost_an_hour=0.3, worker_dies_an_hour=12.0, item_fails=0.02
)
# Items of 0.5 to 200 s on three slots, each an ECS task of its own that dies now and then.
LONG = JobPlan(dag="one", begins=0.0, points=3, number=0, max_instances=1, max_failed_items=10_000, shard_items=1)
ITEMS_AN_HOUR = 120  # of each point: somewhat more than three slots do
SHORT = JobPlan(dag="two", begins=0.0, points=2, number=20, max_instances=2, max_failed_items=5, shard_items=1)


@dataclasses.dataclass
class Hour:
    """What one hour held at most, or came to.

    Attributes:
        ledger: the largest ledger that was written, in bytes.
        board: the largest board, in bytes.
        tick: the largest record of a tick, in bytes.
        ticks: that were made.
        calls: of S3 by engines, workers and people.
    """

    ledger: int = 0
    board: int = 0
    tick: int = 0
    ticks: int = 0
    calls: int = 0

    @property
    def calls_a_tick(self) -> float:
        """Give the calls of S3 per tick of the hour."""
        return self.calls / max(1, self.ticks)

    @classmethod
    def most(cls, hours: Sequence[Self]) -> Self:
        """Give what the largest of some hours held, and what all of them came to."""
        return cls(
            *(max(getattr(hour, name) for hour in hours) for name in ("ledger", "board", "tick")),
            *(sum(getattr(hour, name) for hour in hours) for name in ("ticks", "calls")),
        )


def scenario(hours: int = HOURS, seed: int = 1) -> Scenario:
    """A job that takes so many hours, and one more every hour."""
    long = dataclasses.replace(LONG, number=ITEMS_AN_HOUR * hours)
    short = (dataclasses.replace(SHORT, begins=600 + HOUR * number) for number in range(hours))
    return Scenario(
        seed=seed,
        instances=4,
        cpu=1024,
        item_seconds=200.0,
        fault_seconds=hours * HOUR,
        faults=FAULTS,
        jobs=(long, *short),
    )


def live(hours: int = HOURS, seed: int = 1) -> tuple[list[Hour], tuple[str, ...]]:
    """Let a day pass, or some of its hours.

    Returns:
        Its hours, and what did not hold.
    """
    world = World(scenario(hours, seed))
    passed = [Hour()]
    counted = 0

    def wrote(key: str, _before: bytes | None, after: bytes) -> None:
        nonlocal counted
        while len(passed) <= world.clock.seconds // HOUR:
            passed.append(Hour())
        hour, calls = passed[-1], world.bucket.calls.total()
        hour.calls, counted = hour.calls + calls - counted, calls
        if key.endswith("/ledger.json"):
            hour.ledger = max(hour.ledger, len(after))
        elif key == shares.KEY:
            hour.board = max(hour.board, len(after))
        elif "/ticks/" in key:
            hour.ticks, hour.tick = hour.ticks + 1, max(hour.tick, len(after))

    world.bucket.watchers.append(wrote)
    return passed, world.live().problems
