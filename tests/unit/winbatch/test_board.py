"""Jobs of two stages side by side: each is on the board from its scale-out to its end, between its stages, too."""

import random

from hypothesis import event, given, settings
from hypothesis import strategies as st

from simulation.faults import Faults
from simulation.ports import Killed
from simulation.stages import make_limits, make_stage
from winbatch import driver, engine, places, shares
from winbatch.shares import Board

from .world import WORKLOAD, World


def board(world):
    found = world.get(shares.KEY)
    return Board.from_json(found.body, where=shares.KEY) if found else Board()


class Job:
    """A job as its Airflow tasks drive it, a step at a time; one that is cut off by a crash is called again."""

    def __init__(self, world, name, items):
        self.world, self.name = world, name
        self.stages = [make_stage(items=items, job=name), make_stage(items=1, job=name, name="t")]
        for stage in self.stages:
            world.add(stage)
        self.begun = self.ended = False
        self.stage = None
        self.steps = self._live()

    @property
    def needs(self):
        """It has asked for instances, and a stage of it is still to be worked on."""
        ledgers = [driver.find_ledger(self.world.calm, stage) for stage in self.stages]
        over = any(ledger and ledger.state in ("failed", "cancelled") for ledger in ledgers)
        return self.begun and not self.ended and not over and not (ledgers[-1] and ledgers[-1].finished)

    def step(self):
        next(self.steps, None)

    def _call(self, what):
        """Until it was not cut off."""
        while True:
            try:
                return what()
            except Killed:
                yield

    def _live(self):
        yield from self._call(lambda: places.reserve(self.world, "d", self.name, 2.0))
        self.begun = True
        yield  # plan
        for stage in self.stages:
            self.stage = stage
            after = engine.demand_of(self.world.limits, 1) if stage is self.stages[0] else 0.0
            while True:
                ledger, _ = yield from self._call(
                    lambda stage=stage, after=after: driver.tick(
                        self.world, stage, WORKLOAD, self.world.limits, after=after
                    )
                )
                if ledger.finished:
                    break
                yield
            self.stage = None
            if ledger.state != "succeeded":
                break
            yield
            yield
        yield from self.teardown()

    def teardown(self):
        for stage in self.stages:
            if driver.find_ledger(self.world.calm, stage):
                yield from self._call(
                    lambda stage=stage: driver.tick(self.world, stage, WORKLOAD, self.world.limits, cancel=True)
                )
        yield from self._call(lambda: places.withdraw(self.world, "d", self.name))
        self.ended = True

    def cancel(self):
        """Tear it down beside a tick that is not killed yet; Airflow begins nothing any more."""
        if self.begun and not self.ended:
            begun = self.stage is not None and driver.find_ledger(self.world.calm, self.stage)
            for _ in self.teardown():
                pass
            if begun:
                self.step()
            self.steps = iter(())


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    crash=st.floats(0, 0.02),
    host_lost=st.floats(0, 36),
    cancel_at=st.none() | st.integers(1, 60),
)
def test_a_job_is_on_the_board_from_its_scale_out_to_its_end_and_not_after(seed, crash, host_lost, cancel_at):
    limits = make_limits(instances=4)
    world = World(limits=limits, faults=Faults(crash=crash, host_lost_an_hour=host_lost), seed=seed)
    jobs = [Job(world, "j", 4), Job(world, "k", 12)]
    choose = random.Random(seed)
    for moment in range(600):
        job = choose.choice(jobs)
        job.step()
        if moment == cancel_at:
            jobs[0].cancel()
        seen = places.others(world.calm, [])
        for each in jobs:
            there = [name for name in seen if shares.is_of(name, "d", each.name)]
            assert there or not each.needs, (each.name, seen)
            assert not (there and each.ended), (each.name, seen)
            # Its own teardown does not take it for another.
            assert not any(shares.is_of(name, "d", each.name) for name in places.others(world.calm, each.stages))
        if all(each.ended for each in jobs):
            break
        world.pass_time(choose.randint(1, 4))
    event(f"ended: {sum(each.ended for each in jobs)}")
    assert all(each.ended for each in jobs)


def test_a_stage_that_has_ended_well_hands_its_place_to_the_next():
    world = World(make_stage(items=2))
    places.reserve(world, "d", "j", 1.5)
    assert list(board(world).demands) == ["d/j/+"]
    driver.tick(world, world.stage, WORKLOAD, world.limits, after=2.5)
    assert list(board(world).demands) == ["d/j/s"], "who is at work needs no reservation"
    while not driver.tick(world, world.stage, WORKLOAD, world.limits, after=2.5)[0].finished:
        world.pass_time(2)
    assert {name: demand.instances for name, demand in board(world).demands.items()} == {"d/j/+": 2.5}
    assert places.others(world, []) == ["d/j/+"]
    assert places.others(world, [world.stage]) == []
    places.withdraw(world, "d", "j")
    # Whoever looks at the ended stage once more, as the Airflow tasks of its groups do, reserves nothing again.
    driver.tick(world, world.stage, WORKLOAD, world.limits, after=2.5)
    assert board(world).demands == {}


def test_a_stage_that_ended_badly_hands_nothing_over():
    world = World()
    driver.tick(world, world.stage, WORKLOAD, world.limits, after=2.5)
    driver.tick(world, world.stage, WORKLOAD, world.limits, after=2.5, cancel=True)
    assert board(world).demands == {}


def test_a_job_that_is_about_to_begin_counts_in_the_shares_of_the_others_and_not_in_its_own():
    world = World(make_stage(items=400), make_limits(instances=4))
    places.reserve(world, "d", "j", 4.0)
    places.reserve(world, "d", "k", 4.0)
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert board(world).others("d/j/s", world.now()) == {"d/k/+": 4.0}
    assert board(world).others("d/k/s", world.now()) == {"d/j/s": 4.0}
    world.pass_time(700)
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert board(world).others("d/j/s", world.now()) == {}, "one that never began is forgotten"


def test_a_tick_that_is_not_killed_yet_takes_no_place_after_its_jobs_teardown(monkeypatch):
    world = World()
    places.reserve(world, "d", "j", 1.0)
    put = world.put

    def stands_still(key, body, **conditions):
        if key == shares.KEY:
            monkeypatch.undo()
            driver.tick(world.calm, world.stage, WORKLOAD, world.limits, cancel=True)
            places.withdraw(world.calm, "d", "j")
        return put(key, body, **conditions)

    monkeypatch.setattr(world, "put", stands_still)
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert board(world).demands == {}


def test_a_place_is_kept_by_who_has_it_only():
    world = World()
    places.renew(world, "d", "j", 1.0)
    assert board(world).demands == {}, "its teardown has taken it back"
    places.reserve(world, "d", "j", 1.0)
    places.renew(world, "d", "j", 2.5)
    assert {name: demand.instances for name, demand in board(world).demands.items()} == {"d/j/+": 2.5}
