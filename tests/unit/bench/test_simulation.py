"""The simulation that `make bench` measures with, in small: it must be right before its figures mean anything."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.bench.simulation import Bucket, Case, Costs, Objects, World, static_wall
from winbatch.attempts import claimable

QUICK = Costs(boot=30.0, pull=20.0, start=5.0)


def case(**changes):
    return Case(**{"seconds": [10.0] * 60, "instances": 2, "slots": 2, "costs": QUICK} | changes)


def test_a_quiet_world_does_each_shard_once_and_ends_a_little_after_the_ideal():
    outcome = World(case()).run_job()
    assert outcome.executions == outcome.completions == 60
    assert outcome.tasks == 2
    assert not outcome.exceeded
    assert case().ideal == 55 + 600 / 4
    assert case().ideal < outcome.wall < case().ideal * 1.2


def test_failures_and_lost_hosts_cost_attempts_and_no_result():
    outcome = World(case(seconds=[10.0] * 400, failing=0.1, lost_hosts=3)).run_job()
    assert outcome.completions == 400
    assert outcome.executions > 410
    assert outcome.tasks > 2
    assert outcome.ledger.items_done == 400


def test_the_same_seed_gives_the_same_outcome():
    one, two, other = (World(case(failing=0.1, seed=seed)).run_job() for seed in (3, 3, 4))
    assert (one.wall, one.executions, one.calls) == (two.wall, two.executions, two.calls)
    assert (one.executions, one.wall) != (other.executions, other.wall)


def test_packed_items_take_the_time_of_all_of_them():
    alone, packed = World(case()).run_job(), World(case(shard_items=15)).run_job()
    assert packed.completions == 4
    assert packed.wall == pytest.approx(alone.wall, rel=0.1)


def test_workers_claim_exactly_what_the_rule_allows():
    world = World(case(seconds=[10.0] * 300, failing=0.2, lost_hosts=2))
    looks = []

    def look():
        entries = [entry.key for entry in world.listing(world.stage.claims)]
        results = [entry.key for entry in world.listing(world.stage.results)]
        done = {world.stage.parse_result_key(key) for key in results}
        marks = [world.stage.parse_claim_key(key) for key in entries]
        allowed = claimable(world.stage.shards, done, marks)
        looks.append((world.free.marks(), allowed, any(mark.kind == "released" for mark in marks)))

    for moment in range(0, 900, 20):
        world.at(moment + 0.5, look)
    world.run_job()
    assert len(looks) > 20
    assert any(retried for _, _, retried in looks)
    for offered, allowed, _ in looks:
        assert offered == allowed


def test_a_bucket_refills_and_says_when_it_is_empty():
    bucket = Bucket(burst=10, rate=2)
    assert bucket.take(10, 0.0)
    assert not bucket.take(1, 0.4)
    assert bucket.take(2, 1.5)
    assert not bucket.take(9, 4.0)
    assert bucket.take(8, 6.0)
    assert bucket.peak == 11


def test_static_shards_pay_a_start_each():
    alone = case(seconds=[10.0] * 8, instances=1, slots=2)
    by_hand = 1.5 + 30 + 20 + 4 * (5 + 10 + 0.15) + 3
    assert by_hand < static_wall(alone) < by_hand + 5 * 2.0


@given(st.sets(st.integers(0, 4999), max_size=60), st.integers(0, 4999), st.integers(0, 5000), st.integers(0, 2**16))
def test_a_listing_is_sorted_and_bounded_whatever_was_written_in_which_order(shards, first, last, seed):
    objects = Objects(("a/claims/", "a/results/"))
    written = [f"a/claims/{shard:06d}/00.claim" for shard in shards]
    random.Random(seed).shuffle(written)
    for number, key in enumerate(written):
        objects.put(key, b"", 0.0)
        if number % 7 == 0:
            assert [entry.key for entry in objects.listing("a/claims/", "", "")] == sorted(written[: number + 1])
    borders = (f"{first:06d}", f"{last:06d}")
    expected = sorted(key for key in written if f"a/claims/{borders[0]}" <= key < f"a/claims/{borders[1]}")
    assert [entry.key for entry in objects.listing("a/claims/", *borders)] == expected
    assert list(objects.listing("a/results/", "", "")) == []
