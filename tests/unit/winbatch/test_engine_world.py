"""The engine, driven through its ports in a simulated world with a clock of its own and every kind of fault."""

import dataclasses
import datetime as dt
import json
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from winbatch import driver, engine
from winbatch.capacity import Instance
from winbatch.deployment import Workload
from winbatch.engine import Limits, Worker
from winbatch.ledger import Ledger
from winbatch.stage import ClaimMark, Stage
from winbatch.working.claims import claimable

START = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
WORKLOAD = Workload(
    task_definition="td:1", container="c", cpu=1024, memory=1024, image="i", log_group="g", log_stream_prefix="p"
)


class Crash(Exception):
    """The engine's process dies."""


@dataclasses.dataclass
class Task:
    arn: str
    created: dt.datetime
    instance: int | None
    status: str = "pending"
    exit_code: int | None = None
    stop_code: str = ""
    shard: ClaimMark | None = None
    until: dt.datetime | None = None


@dataclasses.dataclass
class Faults:
    crash: float = 0.0
    throttle: float = 0.0
    worker_dies: float = 0.0
    item_fails: float = 0.0
    host_lost: float = 0.0
    start_fails: bool = False
    poisoned: frozenset[int] = frozenset()


class World:
    """S3, ECS and Auto Scaling for one stage, with workers that claim shards as the real one does."""

    def __init__(self, stage: Stage, limits: Limits, faults: Faults, seed: int, *, per_instance: int = 2) -> None:
        self.stage, self.limits, self.faults = stage, limits, faults
        self.random = random.Random(seed)
        self.clock = START
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.version = 0
        self.tasks: dict[str, Task] = {}
        self.tokens: dict[str, tuple[int, list[str]]] = {}
        self.fleet: dict[int, dt.datetime] = {}
        self.launched = 0
        self.goal = 0
        self.per_instance = per_instance
        self.runs: list[dt.datetime] = []
        self.executions: Counter[int] = Counter()
        self.peak = 0

    # -- the ports

    def now(self):
        return self.clock

    def _maybe_crash(self):
        if self.random.random() < self.faults.crash:
            raise Crash

    def get(self, key):
        found = self.objects.get(key)
        return driver.Object(found[0], str(found[1])) if found else None

    def put(self, key, body, *, etag=None, new=False):
        self._maybe_crash()
        found = self.objects.get(key)
        if (new and found) or (etag is not None and (not found or str(found[1]) != etag)):
            raise driver.Conflict(key)
        self.version += 1
        self.objects[key] = (body, self.version)
        self._maybe_crash()
        return str(self.version)

    def keys(self, prefix):
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def task_arns(self, started_by):
        assert started_by == engine.started_by(self.stage)
        return list(self.tasks)

    def workers(self, arns):
        assert len(set(arns)) == len(arns)
        return [
            Worker(
                arn=arn,
                status=self.tasks[arn].status,
                since=self.tasks[arn].created,
                exit_code=self.tasks[arn].exit_code,
                stop_code=self.tasks[arn].stop_code,
            )
            for arn in arns
        ]

    def run(self, workload, count, started_by, token, stage):
        self._maybe_crash()
        if self.random.random() < self.faults.throttle:
            raise driver.Throttled("slow down")
        assert 1 <= count <= 10
        self.runs.append(self.clock)
        if token in self.tokens:
            assert self.tokens[token][0] == count, "ECS refuses a token with other parameters"
            return self.tokens[token][1]
        arns = []
        for _ in range(count):
            host = next((host for host in self._ready() if self._load(host) < self.per_instance), None)
            if host is None:
                break
            arn = f"task-{len(self.tasks)}"
            self.tasks[arn] = Task(arn, self.clock, host)
            arns.append(arn)
        self.tokens[token] = (count, arns)
        self.peak = max(self.peak, sum(task.status != "stopped" for task in self.tasks.values()))
        self._maybe_crash()
        return arns

    def stop(self, arn, reason):
        self._end(self.tasks[arn], "UserInitiated", 137)

    def instances(self):
        return [
            Instance(cpu=1024 * (self.per_instance - self._load(host)), memory=1 << 20, interfaces=9)
            for host in self._ready()
        ]

    def desired(self):
        return self.goal

    def ask(self, instances):
        assert instances <= self.limits.max_instances
        self.goal = instances

    # -- what happens by itself

    def _ready(self):
        return [host for host, ready in self.fleet.items() if ready <= self.clock]

    def _load(self, host):
        return sum(task.instance == host and task.status != "stopped" for task in self.tasks.values())

    def _end(self, task, stop_code, exit_code):
        if task.status != "stopped":
            task.status, task.stop_code, task.exit_code = "stopped", stop_code, exit_code

    def pass_time(self, seconds):
        for _ in range(max(1, int(seconds))):
            self.clock += SECOND
            while len(self.fleet) < self.goal:
                self.fleet[self.launched] = self.clock + 3 * SECOND
                self.launched += 1
            for host in self._ready():
                if self.random.random() < self.faults.host_lost:
                    del self.fleet[host]
                    for task in self.tasks.values():
                        if task.instance == host:
                            self._end(task, "TerminationNotice", None)
            for task in list(self.tasks.values()):
                self._work(task)

    def _work(self, task):
        if task.status == "pending" and self.clock - task.created >= 2 * SECOND:
            task.status = "running"
            if self.faults.start_fails:
                self._end(task, "TaskFailedToStart", None)
        if task.status != "running":
            return
        if self.random.random() < self.faults.worker_dies:
            self._end(task, "EssentialContainerExited", 1)
            return
        if task.shard is None:
            self._claim(task)
        elif self.clock >= task.until:
            self._finish(task)

    def _claim(self, task):
        marks = {self.stage.parse_claim_key(key) for key in self.keys(self.stage.claims)}
        results = {self.stage.parse_result_key(key) for key in self.keys(self.stage.results)}
        free = claimable(self.stage.shards, results, marks)
        if not free:
            self._end(task, "EssentialContainerExited", 0)
            return
        task.shard = self.random.choice(free)
        self.objects[self.stage.claim_key(task.shard)] = (json.dumps({"task": task.arn}).encode(), -1)
        task.until = self.clock + self.random.randint(1, 5) * SECOND
        self.executions[task.shard.shard] += 1

    def _finish(self, task):
        mark, task.shard = task.shard, None
        if mark.shard in self.faults.poisoned or self.random.random() < self.faults.item_fails:
            failed = dataclasses.replace(mark, kind="failed")
            body = {"task": task.arn, "failures": [{"item": mark.shard, "error": "boom", "log": ["last words"]}]}
            self.objects[self.stage.claim_key(failed)] = (json.dumps(body).encode(), -1)
        else:
            assert self.stage.result_key(mark.shard) not in self.objects, "finished work was run again"
            self.objects[self.stage.result_key(mark.shard)] = (b"{}", -1)


def make_stage(items=40, shard_items=2):
    base = "jobs/d/j/s/"
    return Stage(
        dag="d",
        job="j",
        stage="s",
        workload="w",
        run="m:f",
        manifest=base + "manifest.jsonl",
        claims=base + "claims/",
        partials=base + "partials/",
        results="r/j/s/",
        outputs="r/j/",
        items=items,
        shard_items=shard_items,
    )


def make_limits(**changes):
    values = {
        "slots": 1,
        "tasks_per_instance": 2,
        "max_instances": 3,
        "max_attempts": 3,
        "max_failed_items": 0,
        "instance_timeout": dt.timedelta(minutes=5),
        "start_timeout": dt.timedelta(minutes=2),
    }
    return Limits(**values | changes)


def drive(world, *, drivers=1, ticks=4000, attempt=1):
    """Tick until the stage is finished; a crash loses everything but S3 and ECS."""
    for _ in range(ticks):
        wait = engine.POLL_SOON
        for _ in range(drivers):
            try:
                ledger, wait = driver.tick(world, world.stage, WORKLOAD, world.limits, attempt=attempt)
            except Crash:
                continue
            if ledger.finished:
                return ledger
        world.pass_time(wait)
    pytest.fail("the stage never ended")


def assert_run_rate(world):
    """No window of RunTask calls is above what the token bucket allows."""
    for first, begin in enumerate(world.runs):
        for last in range(first, len(world.runs)):
            window = (world.runs[last] - begin).total_seconds()
            assert last - first + 1 <= engine.RUN_BURST + engine.RUN_RATE * window


def test_a_quiet_world_runs_every_shard_once():
    world = World(make_stage(), make_limits(), Faults(), 1)
    ledger = drive(world)
    assert (ledger.state, ledger.items_done, ledger.shards_done) == ("succeeded", 40, 20)
    assert set(world.executions.values()) == {1}
    assert world.peak <= world.limits.max_workers
    assert len(world.tasks) == world.limits.max_workers


def test_it_asks_for_no_more_instances_than_the_shards_need():
    world = World(make_stage(items=2, shard_items=1), make_limits(), Faults(), 1)
    drive(world)
    assert world.goal == 1


def test_a_poisoned_shard_ends_in_the_list_with_its_last_words():
    world = World(make_stage(), make_limits(max_failed_items=2), Faults(poisoned=frozenset({7})), 1)
    ledger = drive(world)
    assert ledger.state == "succeeded"
    assert (ledger.items_done, ledger.items_failed) == (38, 2)
    assert world.executions[7] == 3
    (failure,) = ledger.failures
    assert (failure.shard, list(failure.items), list(failure.log)) == (7, [14, 15], ["last words"])
    assert "boom" in failure.reason


def test_too_many_failed_items_end_the_stage_and_stop_its_tasks():
    world = World(make_stage(items=400), make_limits(max_failed_items=3), Faults(poisoned=frozenset(range(200))), 1)
    ledger = drive(world)
    assert ledger.state == "failed"
    assert "max_failed_items is 3" in ledger.reason
    assert all(task.status == "stopped" for task in world.tasks.values())
    assert sum(world.executions.values()) < 200, "600 would be all attempts of all shards"


def test_a_broken_image_stops_the_stage_early():
    world = World(make_stage(items=400), make_limits(), Faults(start_fails=True), 1)
    ledger = drive(world)
    assert ledger.state == "failed"
    assert "in a row" in ledger.reason
    assert len(world.tasks) <= 2 * world.limits.max_workers


def test_no_instance_ends_in_a_clear_reason():
    world = World(make_stage(), make_limits(), Faults(), 1)
    world.ask = lambda instances: None
    ledger = drive(world)
    assert ledger.state == "failed"
    assert "no instance registered within 300 s" in ledger.reason


def test_a_failed_stage_run_again_goes_on_with_what_is_missing():
    world = World(make_stage(), make_limits(), Faults(poisoned=frozenset({7})), 1)
    assert drive(world).state == "failed"
    done = {key for key in world.objects if key.startswith(world.stage.results)}
    world.faults = Faults()
    assert drive(world, attempt=2).state == "succeeded"
    assert done < {key for key in world.objects if key.startswith(world.stage.results)}


def test_cancelling_stops_what_runs_and_keeps_what_is_done():
    world = World(make_stage(items=400), make_limits(), Faults(), 1)
    for _ in range(20):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    ledger, _ = driver.tick(world, world.stage, WORKLOAD, world.limits, cancel=True)
    assert ledger.state == "cancelled"
    assert all(task.status == "stopped" for task in world.tasks.values())
    assert drive(world, attempt=2).state == "succeeded"


def test_an_engine_that_was_not_killed_yet_does_not_take_up_a_cancelled_stage():
    world = World(make_stage(items=400), make_limits(), Faults(), 1)
    for _ in range(20):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    driver.tick(world, world.stage, WORKLOAD, world.limits, cancel=True)
    world.ask(0)
    world.pass_time(5)
    ledger, wait = driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert (ledger.state, wait) == ("cancelled", 0.0)
    assert world.goal == 0
    assert all(task.status == "stopped" for task in world.tasks.values())


def test_an_engine_overtaken_by_a_cancellation_asks_for_nothing():
    world = World(make_stage(items=400), make_limits(), Faults(), 1)
    look = world.desired

    def cancelled_meanwhile():
        world.desired = look
        driver.tick(world, world.stage, WORKLOAD, world.limits, cancel=True)
        return look()

    world.desired = cancelled_meanwhile
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert (world.goal, world.tasks) == (0, {})
    assert driver.tick(world, world.stage, WORKLOAD, world.limits)[0].state == "cancelled"


def test_a_lost_ledger_costs_no_result():
    world = World(make_stage(items=100), make_limits(), Faults(), 1)
    for _ in range(12):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    for task in world.tasks.values():
        world._end(task, "EssentialContainerExited", 137)
    del world.objects[driver.ledger_key(world.stage)]
    assert drive(world).state == "succeeded"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 120),
    shard_items=st.integers(1, 7),
    slots=st.integers(1, 4),
    drivers=st.integers(1, 2),
    faults=st.builds(
        Faults,
        crash=st.floats(0, 0.03),
        throttle=st.floats(0, 0.3),
        worker_dies=st.floats(0, 0.01),
        item_fails=st.floats(0, 0.1),
        host_lost=st.floats(0, 0.01),
    ),
)
def test_whatever_happens_it_ends_and_nothing_is_lost_or_done_twice(seed, items, shard_items, slots, drivers, faults):
    world = World(make_stage(items, shard_items), make_limits(slots=slots), faults, seed)
    ledger = drive(world, drivers=drivers)
    event(ledger.state)
    results = {world.stage.parse_result_key(key) for key in world.keys(world.stage.results)}
    assert world.peak <= world.limits.max_workers
    assert_run_rate(world)
    assert ledger.shards_done == len(results)
    if ledger.state == "succeeded":
        assert results == set(range(world.stage.shards))
        assert ledger.items_done == items
    else:
        assert ledger.state == "failed"
        assert ledger.reason
        assert all(task.status == "stopped" for task in world.tasks.values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_the_ledger_reads_what_it_wrote(seed):
    world = World(make_stage(), make_limits(max_failed_items=4), Faults(item_fails=0.2, poisoned=frozenset({3})), seed)
    ledger = drive(world)
    assert Ledger.from_json(ledger.to_json(), where="x") == ledger
