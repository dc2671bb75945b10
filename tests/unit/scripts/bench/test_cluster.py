"""The simulation that `make bench` measures with, in small: it must be right before its figures mean anything."""

import pytest

from scripts.bench.cluster import Case, Costs, simulate, static_wall

QUICK = Costs(boot=30.0, pull=20.0, start=5.0)


def case(**changes):
    return Case(**{"seconds": [10.0] * 60, "instances": 2, "slots": 2, "costs": QUICK} | changes)


def test_a_quiet_world_does_each_shard_once_and_ends_a_little_after_the_ideal():
    outcome = simulate(case())
    assert outcome.executions == outcome.completions == 60
    assert outcome.tasks == 2
    assert not outcome.exceeded
    assert case().ideal == 55 + 600 / 4
    assert case().ideal < outcome.wall < case().ideal * 1.2


def test_failures_and_lost_hosts_cost_attempts_and_no_result():
    outcome = simulate(case(seconds=[10.0] * 400, failing=0.1, lost_hosts=3))
    assert outcome.completions == 400
    assert outcome.executions > 410
    assert outcome.tasks > 2
    assert outcome.ledger.items_done == 400


def test_the_same_seed_gives_the_same_outcome():
    one, two, other = (simulate(case(failing=0.1, seed=seed)) for seed in (3, 3, 4))
    assert (one.wall, one.executions, one.calls) == (two.wall, two.executions, two.calls)
    assert (one.executions, one.wall) != (other.executions, other.wall)


def test_packed_items_take_the_time_of_all_of_them():
    alone, packed = simulate(case()), simulate(case(shard_items=15))
    assert packed.completions == 4
    assert packed.wall == pytest.approx(alone.wall, rel=0.1)


def test_static_shards_pay_a_start_each():
    alone = case(seconds=[10.0] * 8, instances=1, slots=2)
    by_hand = 1.5 + 30 + 20 + 4 * (5 + 10 + 0.15) + 3
    assert by_hand < static_wall(alone) < by_hand + 5 * 2.0
