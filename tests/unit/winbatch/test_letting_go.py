"""What a tick starts and lets go: ECS tasks, instances that nobody needs, claims of ECS tasks that are gone."""

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
from winbatch.engine import Drain, Limits, Run, Seen, Terminate
from winbatch.ledger import Ledger
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


def tick(ledger, seconds, *instances, others=None):
    now = NOW + dt.timedelta(seconds=seconds)
    room = sum(not each.draining for each in instances)
    seen = Seen(
        now=now,
        results=frozenset(),
        broken={},
        marks={},
        workers=(),
        instances=instances,
        room=room,
        desired=1,
        others=others or {},
    )
    return engine.step(STAGE, LIMITS, ledger, seen)


def test_an_instance_that_drains_for_nobody_is_let_go_after_a_while():
    """Whoever drained it has ended before it let it go: the cluster has no other place."""
    begun = tick(Ledger.begin(STAGE, NOW), 0, instance())
    assert not any(isinstance(action, Terminate) for action in begun.actions)
    later = tick(begun.ledger, engine.STRAY_GRACE.total_seconds(), instance())
    assert Terminate(("i-0",)) in later.actions


@pytest.mark.parametrize("left", [instance(tasks=1), instance(draining=False)])
def test_an_instance_with_work_or_in_use_stays(left):
    begun = tick(Ledger.begin(STAGE, NOW), 0, left)
    later = tick(begun.ledger, engine.STRAY_GRACE.total_seconds(), left)
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
    driver._settle(ports, STAGE, [mark], frozenset(), {})
    lost = bucket.get(STAGE.claim_key(mark._replace(kind="lost"))) is not None
    assert lost == (status == "stopped")


def test_with_more_jobs_than_calls_each_may_call_now_and_then():
    others = {f"d/j{number}/s": 1.0 for number in range(2 * int(engine.RUN_BURST))}
    step = tick(Ledger.begin(STAGE, NOW), 0, instance(draining=False), others=others)
    assert any(isinstance(action, Run) for action in step.actions)
