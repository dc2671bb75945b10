import logging

import pytest

from simulation.clock import Clock
from simulation.faults import Faults
from simulation.s3 import Bucket
from simulation.scenario import Act, JobPlan, Scenario
from simulation.sizes import Sizes
from simulation.world import World
from winbatch import attempts, orchestration, places
from winbatch.ledger import Ledger
from winbatch.storage import Conflict

# About a minute of processor time, of which the fast tests run a tenth; `make simulate` runs others.
SEEDS = 200
TENTHS = [0, *(pytest.param(tenth, marks=pytest.mark.slow) for tenth in range(1, 10))]


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def first_problem(seeds):
    """The first seed whose world shows a problem, or breaks the code that runs in it."""
    for seed in seeds:
        if World(seed).live().problems:
            return seed
    return None


@pytest.mark.parametrize("tenth", TENTHS)
def test_whatever_happens_what_must_hold_holds(tenth):
    for seed in range(tenth * SEEDS // 10, (tenth + 1) * SEEDS // 10):
        outcome = World(seed).live()
        assert outcome.problems == (), f"invoke simulate --seed {seed}"


@pytest.mark.parametrize("seed", [0, 7, 23])
def test_the_same_seed_gives_the_same_trace(seed):
    assert World(seed).live().digest == World(seed).live().digest


def test_a_quiet_world_needs_one_attempt_a_shard():
    outcome = World(3, Faults()).live()
    assert outcome.problems == ()
    assert not any("killed" in line or "lost" in line for line in outcome.trace)


def one_job(*acts):
    """A world without faults, and what people do to its job."""
    job = JobPlan(
        dag="two", begins=0, points=2, number=20, max_instances=2, max_failed_items=0, shard_items=1, acts=acts
    )
    return Scenario(
        seed=1, instances=2, cpu=4096, item_seconds=200, fault_seconds=0, faults=Faults(), sizes=Sizes(), jobs=(job,)
    )


def states(world):
    """What the ledgers say at the end, by stage."""
    found = [entry.key for entry in world.bucket.listing("") if entry.key.endswith("/ledger.json")]
    return [Ledger.from_json(world.bucket.get(key).body, where=key).state for key in found]


@pytest.mark.parametrize(
    ("acts", "told"),
    [
        ([Act(kind="cancel", at=400)], ["cancelled"]),
        ([Act(kind="mark", at=400)], ["cancelled"]),
        ([Act(kind="clear", at=400)], ["succeeded", "succeeded"]),
        # Its scale-out is at work again, and Airflow runs no teardown without it.
        ([Act(kind="clear", at=400), Act(kind="cancel", at=400.1)], ["cancelled"]),
        ([Act(kind="clear", at=400), Act(kind="mark", at=400.1)], ["cancelled"]),
        # The sensor of the other group goes on until that has ended.
        ([Act(kind="fail_stage", at=400)], ["cancelled"]),
        ([Act(kind="fail_stage", at=400), Act(kind="fail_stage", at=410)], ["cancelled"]),
        ([Act(kind="fail_stage", at=400), Act(kind="clear", at=420)], ["succeeded", "succeeded"]),
    ],
)
def test_what_is_told_of_a_job_that_people_interfere_with_is_true(acts, told):
    world = World(one_job(*acts))
    assert world.live().problems == ()
    assert states(world) == told


def test_while_airflow_is_away_nobody_looks_and_then_the_job_goes_on():
    world = World(one_job())
    written = []
    world.bucket.watchers.append(
        lambda key, *_: written.append(world.clock.seconds) if key.endswith("/ledger.json") else None
    )
    world.clock.after(300, world.leave_alone)
    assert world.live().problems == ()
    assert states(world) == ["succeeded", "succeeded"]
    # A tick is killed at its next call.
    assert not [at for at in written if 320 < at < 1500]


def test_a_run_that_is_cleared_after_a_release_goes_on_with_that():
    world = World(one_job(Act(kind="release", at=300), Act(kind="clear", at=400)))
    assert world.live().problems == ()
    assert {task.workload.task_definition for task in world.cloud.tasks.values()} == {"td:1", "td:2"}
    assert states(world) == ["succeeded", "succeeded"]


def test_some_worlds_have_fifty_jobs():
    assert max(len(Scenario.draw(seed).jobs) for seed in range(3000)) > 45


def test_seeds_differ():
    assert len({World(seed).live().digest for seed in range(5)}) == 5


def test_a_share_that_is_not_taken_back_is_found(monkeypatch):
    monkeypatch.setattr(places, "withdraw", lambda *_: None)
    assert first_problem(range(20)) is not None


def test_a_ledger_that_counts_what_is_not_done_is_found(monkeypatch):
    """Results are taken as they are: a torn one counts."""
    monkeypatch.setattr("winbatch.results.decode", lambda *_args, **_kwargs: ())
    world = World(1, Faults(result_torn=0.5))
    monkeypatch.setattr("simulation.checkers.told.valid", lambda body, *_: body.endswith(b"}\n"))
    assert world.live().problems


def test_a_teardown_that_leaves_the_cluster_is_found(monkeypatch):
    monkeypatch.setattr(orchestration, "_scale_in", lambda *_: None)
    assert first_problem(range(20)) is not None


def test_attempts_that_never_end_are_found(monkeypatch):
    """Nobody says that a worker is gone: its shards stay claimed."""
    monkeypatch.setattr(attempts.History, "next", lambda *_args, **_kwargs: None)
    monkeypatch.setattr("simulation.world.PATIENCE", 600.0)
    assert first_problem(range(3)) is not None


def test_the_bucket_keeps_conditions():
    bucket = Bucket(Clock(1).now)
    first = bucket.put("a", b"1", new=True)
    for condition in ({"new": True}, {"etag": "other"}):
        with pytest.raises(Conflict):
            bucket.put("a", b"2", **condition)
    assert bucket.put("a", b"2", etag=first) != first
    with pytest.raises(Conflict):
        bucket.put("nowhere", b"", etag=first)


def test_the_bucket_lists_in_order_and_by_part():
    bucket = Bucket(Clock(1).now)
    for key in ("p/2", "p/10", "q/1", "p/1"):
        bucket.put(key, b"")
    assert [entry.key for entry in bucket.listing("p/")] == ["p/1", "p/10", "p/2"]
    assert [entry.key for entry in bucket.listing("p/", "10", "2")] == ["p/10"]
    bucket.delete("p/10")
    assert [entry.key for entry in bucket.listing("p/")] == ["p/1", "p/2"]
