"""A job of which all items fail ends with as many of their reasons in its ledger as one tick reads."""

import pytest

from simulation.containers import Work
from simulation.faults import Faults
from simulation.stages import make_limits, make_stage
from winbatch import engine

from .world import World, drive

READ = 40


@pytest.mark.parametrize("shard_items", [1, 4, 60])
def test_a_stage_of_which_all_fails_does_not_have_all_of_it_in_its_ledger(monkeypatch, shard_items):
    monkeypatch.setattr(engine.tick, "EXPLAINED_ITEMS", READ)
    limits = make_limits(instances=4, slots=60, max_attempts=1)
    stage = make_stage(items=240 * shard_items, shard_items=shard_items)
    world = World(stage, limits, faults=Faults(item_fails=1.0), work=Work(seconds=(1.0, 1.0)))
    ledger = drive(world)
    assert ledger.state == "failed"
    assert 0 < len(ledger.failures) == ledger.items_failed <= max(READ, shard_items)
    assert ledger.shards_failed * shard_items > READ, "there was more to read"


def test_all_that_fails_is_told_where_so_much_may_fail(monkeypatch):
    monkeypatch.setattr(engine.tick, "EXPLAINED_ITEMS", 10)
    limits = make_limits(instances=4, slots=60, max_attempts=2, max_failed_items=1000)
    world = World(make_stage(items=400, shard_items=2), limits, faults=Faults(item_fails=0.4))
    ledger = drive(world)
    assert ledger.state == "succeeded"
    assert ledger.items_failed > READ
    assert ledger.items_done + ledger.items_failed == 400
