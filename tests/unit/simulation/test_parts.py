"""The parts that stand in for AWS, by themselves."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.clock import Clock
from simulation.cloud import READ, Cloud, Hardware
from simulation.containers import Work
from simulation.faults import Faults
from simulation.ports import LATE, Ports, Process, UnansweredError
from simulation.s3 import Bucket
from simulation.stages import StageWorld, make_limits, make_stage, make_workload
from simulation.throttles import TokenBucket
from winbatch import driver, engine, keys
from winbatch.attempts import claimable
from winbatch.errors import UnavailableError
from winbatch.ports import Throttled

WORKLOAD = make_workload()
STAGE = make_stage(300, 1)


def ports_with(faults):
    clock = Clock(1)
    bucket, cloud = Bucket(clock.now), Cloud(clock, faults, 2, lambda *_: pytest.fail("nothing starts"))
    return Ports(Process(clock, faults, lambda: False), bucket, cloud), bucket, cloud


def test_a_write_that_comes_late_fails_and_arrives_unless_its_condition_does_not_hold_by_then():
    ports, bucket, cloud = ports_with(Faults(comes_late=1.0))
    for key in ("taken", "free"):
        with pytest.raises(UnavailableError):
            ports.put(key, b"late", new=True)
        assert bucket.get(key) is None
    bucket.put("taken", b"meanwhile")
    cloud.clock.pass_by(LATE)
    assert (bucket.get("taken").body, bucket.get("free").body) == (b"meanwhile", b"late")


def test_a_call_without_an_answer_is_carried_out():
    ports, _, cloud = ports_with(Faults(unanswered=1.0))
    with pytest.raises(UnansweredError):
        ports.ask(2)
    assert cloud.goal == 2


def test_a_client_token_of_another_release_starts_nothing():
    _, _, cloud = ports_with(Faults())
    cloud.ask(1)
    cloud.clock.pass_by(300)
    assert len(cloud.run(WORKLOAD, 1, "me", "token", "stage")) == 1
    assert cloud.run(WORKLOAD, 1, "me", "token", "stage") == ["cluster/task-0"]
    later = dataclasses.replace(WORKLOAD, task_definition="td:2")
    assert cloud.run(later, 1, "me", "token", "stage") == []


def test_a_bucket_of_tokens_refills_and_says_when_it_is_empty():
    bucket = TokenBucket(burst=10, rate=2)
    assert bucket.take(10, 0.0)
    assert not bucket.take(1, 0.4)
    assert bucket.take(2, 1.5)
    assert not bucket.take(9, 4.0)
    assert bucket.take(8, 6.0)
    assert (bucket.peak, bucket.overdrawn) == (11, 2)


@given(st.sets(st.integers(0, 4999), max_size=60), st.integers(0, 4999), st.integers(0, 5000), st.integers(0, 2**16))
def test_a_listing_is_sorted_and_bounded_whatever_was_written_in_which_order(shards, first, last, seed):
    bucket = Bucket(Clock(1).now)
    written = [f"a/claims/{shard:06d}/00.claim" for shard in shards]
    random.Random(seed).shuffle(written)
    for key in written:
        bucket.put(key, b"")
    assert [entry.key for entry in bucket.listing("a/claims/")] == sorted(written)
    borders = (f"{first:06d}", f"{last:06d}")
    expected = sorted(key for key in written if f"a/claims/{borders[0]}" <= key < f"a/claims/{borders[1]}")
    assert [entry.key for entry in bucket.listing("a/claims/", *borders)] == expected
    assert list(bucket.listing("a/results/")) == []


def quick(**changes):
    hardware = Hardware(cpu=2048, boot=(3.0, 3.0), start=(2.0, 2.0), stop=(1.0, 1.0), **changes)
    world = StageWorld(1, [STAGE], most=2, hardware=hardware, work=Work(seconds=(60.0, 60.0)))
    world.ask(2)
    world.pass_time(5)
    return world


def run(world, count=2, token="t"):
    return world.run(WORKLOAD, count, engine.started_by(STAGE), token, keys.stage_key(STAGE))


def test_a_client_token_starts_ecs_tasks_once_and_only_with_the_same_number():
    world = quick()
    assert run(world) == run(world)
    assert len(world.cloud.tasks) == 2
    assert not world.broken
    run(world, count=1)
    assert world.broken == ["a client token with other parameters"]


def test_hosts_take_as_many_ecs_tasks_as_fit_and_none_while_they_drain():
    world = quick()
    world.drain(["instance/1"])
    assert len(run(world, count=10)) == 2
    world.pass_time(5)
    assert [(found.tasks, found.cpu, found.draining) for found in world.instances()] == [(2, 0, False), (0, 2048, True)]


def test_an_instance_that_is_terminated_at_work_or_before_it_was_drained_is_a_broken_rule():
    world = quick()
    run(world)
    assert world.terminate("0")
    assert len(world.broken) == 2
    assert world.group().desired == 1


def test_runtask_is_throttled_where_its_bucket_is_empty_and_reads_are_counted():
    world = quick()
    for number in range(100):
        run(world, count=1, token=str(number))
    with pytest.raises(Throttled):
        run(world, token="more")
    for _ in range(int(READ[0]) + 1):
        world.group()
        world.live_task_arns()
    assert world.cloud.exceeded == {"RunTask and StopTask": 1, "Describe and List": 1}


def test_ec2_refuses_in_aws_s_words_and_launches_later():
    world = StageWorld(1, [STAGE], most=2)
    world.cloud.refuse("InsufficientInstanceCapacity: none")
    assert world.ask(2) == world.why_short(world.now()) == "InsufficientInstanceCapacity: none"
    assert not world.cloud.hosts
    world.cloud.refuse("")
    assert len(world.cloud.hosts) == 2
    assert world.ask(1) == ""


def test_spot_says_so_before_it_takes_a_host_and_ecs_forgets_after_an_hour():
    world = quick()
    arns = run(world)
    world.faults = Faults(spot_notice=1.0)
    world.cloud._reclaim(world.cloud.hosts[0])
    assert [found.draining for found in world.instances()] == [True, False]
    assert all(worker.live for worker in world.workers(arns))
    world.pass_time(121)
    assert {worker.stop_code for worker in world.workers(arns)} == {"SpotInterruption"}
    world.pass_time(3601)
    assert {worker.status for worker in world.workers(arns)} == {"missing"}


def test_an_image_is_pulled_once_an_instance():
    world = quick(pull=(20.0, 20.0))
    run(world, count=1)
    world.pass_time(10)
    run(world, count=1, token="u")
    world.pass_time(11.5)
    assert [task.status for task in world.cloud.tasks.values()] == ["pending", "pending"]
    world.pass_time(1)
    assert [task.status for task in world.cloud.tasks.values()] == ["running", "running"]


def test_what_is_billed_is_the_time_of_instances_from_launch_to_end():
    world = quick()
    world.pass_time(5)
    assert world.cloud.bill == 20
    world.cloud.lose(world.cloud.hosts[0])
    world.ask(0)
    world.pass_time(30)
    assert world.cloud.bill == 20


def test_workers_that_walk_claim_exactly_what_the_rule_allows():
    world = StageWorld(1, [STAGE], most=2, slots=2, faults=Faults(item_fails=0.2), large=True)
    (free,) = world.free.values()
    limits = make_limits(instances=2, slots=2, tasks_per_instance=3, max_attempts=20)
    retried = 0
    while True:
        ledger, wait = driver.tick(world, STAGE, WORKLOAD, limits)
        marks = [STAGE.parse_claim_key(entry.key) for entry in world.bucket.listing(STAGE.claims)]
        done = {STAGE.parse_result_key(entry.key) for entry in world.bucket.listing(STAGE.results)}
        assert free.marks() == claimable(STAGE.shards, done, marks)
        retried += any(mark.attempt for mark in free.marks())
        if ledger.finished:
            break
        world.pass_time(wait)
    assert ledger.state == "succeeded"
    assert retried
    assert not world.broken
