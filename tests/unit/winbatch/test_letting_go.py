"""What a tick starts and lets go: ECS tasks, instances that nobody needs, claims of ECS tasks that are gone."""

import dataclasses
import datetime as dt

import pytest

from simulation.clock import Clock
from simulation.cloud import Cloud, Host, Task
from simulation.faults import Faults
from simulation.ports import Ports, Process
from simulation.s3 import Bucket
from winbatch import attempts, driver, engine
from winbatch.capacity import Instance
from winbatch.deployment import Workload
from winbatch.ecs_tasks import Worker
from winbatch.engine import Drain, Limits, Run, Seen, Terminate
from winbatch.ledger import Asked, Fault, Known, Ledger, Wave
from winbatch.stage import ClaimMark, Stage

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
STAGE = Stage(
    dag="d",
    job="j",
    stage="s",
    workload="w",
    run="m:f",
    manifest="m",
    claims="c/",
    partials="p/",
    results="r/",
    outputs="o/",
    items=8,
    shard_items=1,
)
WORKLOAD = Workload(
    task_definition="td:1", container="c", cpu=1024, memory=1024, image="i", log_group="g", log_stream_prefix="p"
)
LIMITS = Limits(
    slots=1,
    tasks_per_instance=1,
    max_instances=1,
    cluster_instances=1,
    keep_instances=0,
    max_failed_items=0,
    instance_timeout=dt.timedelta(minutes=20),
    start_timeout=dt.timedelta(minutes=20),
    rules=attempts.policy({}, max_attempts=3),
)


def instance(*, draining=True, tasks=0):
    return Instance(cpu=1024, memory=1024, interfaces=3, tasks=tasks, arn="instance/0", ec2_id="i-0", draining=draining)


def tick(ledger, seconds, *instances, others=None, looked=None, workers=()):
    """Step at a time; the look began at the same one, unless it says `looked`."""
    now = NOW + dt.timedelta(seconds=seconds)
    room = sum(not each.draining for each in instances)
    seen = Seen(
        now=now,
        results=frozenset(),
        broken={},
        marks={},
        workers=workers,
        instances=instances,
        room=room,
        desired=len(instances),
        others=others or {},
        looked=None if looked is None else NOW + dt.timedelta(seconds=looked),
    )
    return engine.step(STAGE, LIMITS, ledger, seen)


def test_an_instance_that_drains_for_nobody_is_let_go_after_a_while():
    """Whoever drained it has ended before it let it go: the cluster has no other place."""
    begun = tick(Ledger.begin(STAGE, NOW), 0, instance())
    assert not any(isinstance(action, Terminate) for action in begun.actions)
    later = tick(begun.ledger, engine.instances.STRAY_GRACE.total_seconds(), instance())
    assert Terminate(("i-0",)) in later.actions


@pytest.mark.parametrize("left", [instance(tasks=1), instance(draining=False)])
def test_an_instance_with_work_or_in_use_stays(left):
    begun = tick(Ledger.begin(STAGE, NOW), 0, left)
    later = tick(begun.ledger, engine.instances.STRAY_GRACE.total_seconds(), left)
    assert not any(isinstance(action, Drain | Terminate) for action in later.actions)


@pytest.mark.parametrize("status", ["pending", "running", "stopped"])
def test_a_claim_of_whom_the_tick_does_not_know_is_lost_only_when_ecs_says_so(status):
    """Another engine has started the ECS task since this one looked, and it has claimed by the time this one acts."""
    clock = Clock(1)
    bucket, cloud = Bucket(clock.now), Cloud(clock, Faults(), 1, lambda *_: pytest.fail("nothing starts"))
    mark = ClaimMark(0, 0, "claim")
    bucket.put(STAGE.claim_key(mark), attempts.encode_worker("cluster/task-0", clock.now()))
    cloud.tasks["cluster/task-0"] = Task("cluster/task-0", Host(0, 0.0), WORKLOAD, "", "", 0.0, status=status)
    ports = Ports(Process(clock, Faults(), lambda: True), bucket, cloud)
    driver._settle(ports, STAGE, {mark: clock.now()}, frozenset(), {})
    lost = bucket.get(STAGE.claim_key(mark._replace(kind="lost"))) is not None
    assert lost == (status == "stopped")


@pytest.mark.parametrize(("age", "lost"), [(0, False), (engine.counting.UNKNOWN_GRACE.total_seconds(), True)])
def test_a_claim_of_whom_ecs_does_not_know_is_lost_only_when_it_is_not_young(age, lost):
    """Another engine has just started the ECS task, and ECS does not know it yet."""
    clock = Clock(1)
    bucket, cloud = Bucket(clock.now), Cloud(clock, Faults(), 1, lambda *_: pytest.fail("nothing starts"))
    mark = ClaimMark(0, 0, "claim")
    claimed_at = clock.now()
    bucket.put(STAGE.claim_key(mark), attempts.encode_worker("cluster/task-0", claimed_at))
    clock.pass_by(age)
    driver._settle(
        Ports(Process(clock, Faults(), lambda: True), bucket, cloud), STAGE, {mark: claimed_at}, frozenset(), {}
    )
    assert (bucket.get(STAGE.claim_key(mark._replace(kind="lost"))) is not None) == lost


SLOW = 3600
"""Seconds of a look that takes as long as everything that is waited for."""


def begun(**changes):
    return dataclasses.replace(Ledger.begin(STAGE, NOW), **changes)


@pytest.mark.parametrize(
    ("ledger", "instances", "workers"),
    [
        (begun(idle={"instance/0": NOW}, known={"t": Known("live", NOW)}), [instance(draining=False)], ["pending"]),
        (begun(idle={"instance/0": NOW}), [instance()], []),
        (begun(draining=frozenset({"instance/0"}), terminated={"i-0": NOW}), [instance()], []),
        (begun(asked_at=NOW), [], []),
        (begun(asked=Asked(2, NOW)), [], []),
        (begun(known={"t": Known("live", NOW)}), [], ["pending"]),
        (begun(known={"t": Known("live", NOW)}, stopped={"t": NOW}), [], ["pending"]),
        (begun(known={"t": Known("live", NOW)}), [], ["missing"]),
    ],
    ids=["idle", "draining", "terminated", "no instance", "asked", "does not start", "told to stop", "unknown"],
)
def test_a_slow_look_makes_nothing_older_than_it_was_when_it_was_looked_at(ledger, instances, workers):
    seen = [Worker(arn="t", status=status, since=NOW) for status in workers]

    def decided(now, looked):
        step = tick(ledger, now, *instances, workers=seen, looked=looked)
        known = [task.status for task in step.ledger.known.values()]
        return [action for action in step.actions if not isinstance(action, Run)], step.ledger.state, known

    young = decided(1, 1)
    assert decided(SLOW, 1) == young
    assert decided(SLOW, SLOW) != young


def test_a_call_that_came_late_does_not_find_its_token_refilled_since_the_look():
    ledger = begun(tokens=0.0, tokens_at=NOW)
    late = NOW + dt.timedelta(seconds=60)
    wave = Wave(0, 1)
    for answered in (
        engine.answered(ledger, wave, ["t"], late),
        engine.crowded(ledger, wave, late),
        engine.paused(ledger, "Rate exceeded", late),
        engine.refused(ledger, wave, Fault("unstarted", "no", late)),
    ):
        assert (answered.tokens, answered.tokens_at) == (0.0, late)


def test_with_more_jobs_than_calls_each_may_call_now_and_then():
    others = {f"d/j{number}/s": 1.0 for number in range(2 * int(engine.workers.RUN_BURST))}
    step = tick(Ledger.begin(STAGE, NOW), 0, instance(draining=False), others=others)
    assert any(isinstance(action, Run) for action in step.actions)
