"""One stage in a small, quick world of the simulation, and its engine's bounds."""

import datetime as dt
from itertools import pairwise

import pytest

from simulation.cloud import Hardware
from simulation.ports import Killed
from simulation.stages import StageWorld, make_limits, make_stage, make_workload
from simulation.throttles import TokenBucket
from winbatch import driver, engine

WORKLOAD = make_workload()
# Each takes two ECS tasks of the workload.
HARDWARE = Hardware(cpu=2048, windows="WINDOWS_SERVER_2022_CORE", boot=(3.0, 3.0), start=(2.0, 2.0), stop=(0.0, 0.0))


class World(StageWorld):
    def __init__(self, stage=None, limits=None, *, faults=None, work=None, seed=1):
        self.stage, self.limits = stage or make_stage(), limits or make_limits()
        super().__init__(
            seed,
            [self.stage],
            most=self.limits.cluster_instances,
            slots=self.limits.slots,
            faults=faults,
            hardware=HARDWARE,
            work=work,
        )

    @property
    def executions(self):
        return self.attempts_at(self.stage)

    @property
    def objects(self):
        return {entry.key: self.bucket.get(entry.key).body for entry in self.bucket.listing("")}

    def keys(self, prefix):
        return [entry.key for entry in self.bucket.listing(prefix)]

    def live(self, stage=None):
        mine = {None, engine.started_by(stage)} if stage else {None}
        return [task for task in self.cloud.live_tasks if stage is None or task.started_by in mine]

    def tick(self, **changes):
        return driver.tick(self, self.stage, WORKLOAD, self.limits, **changes)

    def tick_for(self, ticks, seconds=2):
        """Tick so often, with pauses between."""
        for _ in range(ticks):
            self.tick()
            self.pass_time(seconds)

    def ledgers(self):
        """Tick to the end; the ledger of each tick."""
        while True:
            ledger, wait = self.tick()
            yield ledger
            if ledger.finished:
                return
            self.pass_time(wait)


def drive(world, *, drivers=1, ticks=4000, attempt=1, start=None):
    """Tick until the stage is finished; a crash loses everything but S3 and ECS."""
    for _ in range(ticks):
        wait = engine.tick.POLL_SOON
        for _ in range(drivers):
            try:
                ledger, wait = world.tick(attempt=attempt, start=start)
            except Killed:
                continue
            if ledger.finished:
                # What was told to stop stops.
                world.pass_time(1)
                assert not world.broken
                assert not world.cloud.exceeded
                return ledger
        world.pass_time(wait)
    pytest.fail("the stage never ended")


def pauses(world):
    """The times between two RunTask calls."""
    times = world.cloud.run_times
    return [dt.timedelta(seconds=later - sooner) for sooner, later in pairwise(times)]


def assert_run_rate(world):
    """No window of RunTask calls is above what the engine's token bucket allows."""
    bucket = TokenBucket(engine.workers.RUN_BURST, engine.workers.RUN_RATE)
    assert all(bucket.take(1, at) for at in world.cloud.run_times)
