"""The engine, driven through its ports in a simulated world with a clock of its own and every kind of fault."""

import contextlib
import dataclasses
import datetime as dt
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from winbatch import attempts, capacity, driver, engine, keys, results, shares
from winbatch.attempts import claimable
from winbatch.capacity import Instance
from winbatch.deployment import Workload
from winbatch.ecs_tasks import Worker
from winbatch.engine import Limits
from winbatch.errors import JobError
from winbatch.ledger import Ledger
from winbatch.metrics import Sample
from winbatch.stage import ClaimMark, Group, Stage
from winbatch.storage import Conflict, Entry, Object

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
    stage: Stage | None = None
    status: str = "pending"
    exit_code: int | None = None
    stop_code: str = ""
    reason: str = ""
    shard: ClaimMark | None = None
    until: dt.datetime | None = None

    @property
    def live(self):
        return self.status != "stopped"


@dataclasses.dataclass
class Faults:
    crash: float = 0.0
    throttle: float = 0.0
    worker_dies: float = 0.0
    item_fails: float = 0.0
    host_lost: float = 0.0
    lingers: float = 0.0
    busy: float = 0.0
    breaks_result: float = 0.0
    start_fails: str = ""
    never_starts: bool = False
    poisoned: frozenset[int] = frozenset()
    killers: frozenset[int] = frozenset()
    killer_reason: str = ""
    forgets_result: frozenset[int] = frozenset()


class World:
    """S3, ECS and Auto Scaling for any number of stages, with workers that claim shards as the real one does."""

    def __init__(self, stage: Stage, limits: Limits, faults: Faults, seed: int, *, per_instance: int = 2) -> None:
        self.stage, self.limits, self.faults = stage, limits, faults
        self.stages = {keys.stage_key(stage): stage}
        self.random = random.Random(seed)
        self.clock = START
        self.objects: dict[str, tuple[bytes, int, dt.datetime]] = {}
        self.version = 0
        self.tasks: dict[str, Task] = {}
        self.tokens: dict[str, tuple[int, list[str]]] = {}
        self.fleet: dict[int, dt.datetime] = {}
        self.drained: set[int] = set()
        self.launched = 0
        self.goal = 0
        self.per_instance = per_instance
        self.runs: list[dt.datetime] = []
        self.executions: Counter[int] = Counter()
        self.peak = 0
        self.most_instances = 0
        self.samples: list[Sample] = []
        # Instances on their way out stay in ECS's listings until then; the group may or may not say so.
        self.leaving: dict[int, dt.datetime] = {}
        self.says_who_leaves = True
        self.terminations: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.asks: list[int] = []
        self.refusal = ""
        self.looks = 0

    # -- the ports

    def now(self):
        return self.clock

    def _maybe_crash(self):
        if self.random.random() < self.faults.crash:
            raise Crash

    def get(self, key):
        found = self.objects.get(key)
        return Object(found[0], str(found[1])) if found else None

    def get_many(self, keys):
        return [self.get(key) for key in keys]

    def write(self, key, body):
        self.version += 1
        self.objects[key] = (body, self.version, self.clock)

    def put(self, key, body, *, etag=None, new=False):
        self._maybe_crash()
        found = self.objects.get(key)
        if (new and found) or (etag is not None and (not found or str(found[1]) != etag)):
            raise Conflict(key)
        self.write(key, body)
        version = str(self.version)
        self._maybe_crash()
        return version

    def delete(self, keys):
        for key in keys:
            self._maybe_crash()
            self.objects.pop(key, None)

    def keys(self, prefix):
        return [entry.key for entry in self.listing(prefix)]

    def listing(self, prefix, first="", last=""):
        for key in sorted(self.objects):
            if key.startswith(prefix) and key >= prefix + first and not (last and key >= prefix + last):
                yield Entry(key, self.objects[key][2])

    def live_task_arns(self, started_by):
        # botocore, ListTasks: by startedBy alone, those that are meant to run.
        return [task.arn for task in self.live() if engine.started_by(task.stage) == started_by]

    def workers(self, arns):
        assert len(set(arns)) == len(arns)
        return [
            Worker(
                arn=arn,
                status=self.tasks[arn].status,
                since=self.tasks[arn].created,
                exit_code=self.tasks[arn].exit_code,
                stop_code=self.tasks[arn].stop_code,
                reason=self.tasks[arn].reason,
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
            host = next((host for host in self._placeable() if self._load(host) < self.per_instance), None)
            if host is None:
                break
            arn = f"cluster/task-{len(self.tasks)}"
            self.tasks[arn] = Task(arn, self.clock, host, self.stages[stage])
            arns.append(arn)
        self.tokens[token] = (count, arns)
        self.peak = max(self.peak, sum(task.live for task in self.tasks.values()))
        self._maybe_crash()
        return arns

    def stop(self, arn, reason):
        self._end(self.tasks[arn], "UserInitiated", 137 if self.tasks[arn].status == "running" else None, reason)

    def instances(self):
        return [
            Instance(
                cpu=1024 * (self.per_instance - self._load(host)),
                memory=1 << 20,
                interfaces=9,
                tasks=self._load(host),
                arn=f"instance/{host}",
                ec2_id=str(host),
                draining=host in self.drained,
                windows="WINDOWS_SERVER_2022_CORE",
            )
            for host in self._ready()
        ]

    def group(self):
        return capacity.Group(self.goal, frozenset(map(str, self.leaving)) if self.says_who_leaves else frozenset())

    def ask(self, instances):
        assert instances <= self.limits.cluster_instances
        self.asks.append(instances)
        self.goal = instances
        return self.refusal

    def why_short(self, since):
        self.looks += 1
        return self.refusal

    def drain(self, arns):
        self.drained |= {int(arn.partition("/")[2]) for arn in arns}

    def terminate(self, ec2_id):
        assert self._load(int(ec2_id)) == 0, "an instance with ECS tasks on it was let go"
        assert int(ec2_id) in self.drained
        self.terminations[ec2_id] += 1
        self._maybe_crash()
        if self.random.random() < self.faults.busy:
            return False
        self.taken[ec2_id] += 1
        if int(ec2_id) not in self.leaving:
            self.leaving[int(ec2_id)] = self.clock + dt.timedelta(seconds=self.faults.lingers)
            self.goal -= 1
        self._maybe_crash()
        return True

    def report(self, sample):
        self.samples.append(sample)

    # -- what happens by itself

    def _ready(self):
        return [host for host, ready in self.fleet.items() if ready <= self.clock]

    def _placeable(self):
        return [host for host in self._ready() if host not in self.drained]

    def _load(self, host):
        return sum(task.instance == host and task.live for task in self.tasks.values())

    def _end(self, task, stop_code, exit_code, reason=""):
        if task.live:
            task.status, task.stop_code, task.exit_code, task.reason = "stopped", stop_code, exit_code, reason

    def live(self, stage=None):
        return [task for task in self.tasks.values() if task.live and (stage is None or task.stage is stage)]

    def pass_time(self, seconds):
        for _ in range(max(1, int(seconds))):
            self.clock += SECOND
            for host in [host for host, until in self.leaving.items() if until <= self.clock]:
                del self.leaving[host]
                self.fleet.pop(host, None)
            while len(self.fleet) - len(self.leaving) < self.goal and not self.refusal:
                self.fleet[self.launched] = self.clock + 3 * SECOND
                self.launched += 1
            self.most_instances = max(self.most_instances, len(self.fleet) - len(self.leaving))
            for host in self._ready():
                if self.random.random() < self.faults.host_lost:
                    del self.fleet[host]
                    self.leaving.pop(host, None)
                    for task in self.tasks.values():
                        if task.instance == host:
                            self._end(task, "TerminationNotice", None)
            for task in list(self.tasks.values()):
                self._work(task)

    def _work(self, task):
        if task.status == "pending" and self.clock - task.created >= 2 * SECOND and not self.faults.never_starts:
            task.status = "running"
            if self.faults.start_fails:
                self._end(task, "TaskFailedToStart", None, self.faults.start_fails)
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
        stage = task.stage
        marks = {stage.parse_claim_key(key) for key in self.keys(stage.claims)}
        done = {stage.parse_result_key(key) for key in self.keys(stage.results)}
        free = claimable(stage.shards, done, marks)
        if not free or stage.retired_key(task.arn) in self.objects:
            self._end(task, "EssentialContainerExited", 0)
            return
        task.shard = self.random.choice(free)
        self.write(stage.claim_key(task.shard), attempts.encode_worker(task.arn, self.clock))
        task.until = self.clock + self.random.randint(1, 5) * SECOND
        self.executions[task.shard.shard] += 1

    def _finish(self, task):
        mark, stage = task.shard, task.stage
        task.shard = None
        lines = list(stage.shard_lines(mark.shard))
        if mark.shard in self.faults.killers:
            self._end(task, "EssentialContainerExited", 139, self.faults.killer_reason)
        elif mark.shard in self.faults.forgets_result:
            self._end(task, "EssentialContainerExited", 0)
        elif mark.shard in self.faults.poisoned or self.random.random() < self.faults.item_fails:
            failed = mark._replace(kind="failed")
            failures = [{"item": lines[-1], "error": "boom", "exit_code": 1, "log": ["last words"]}]
            partial = results.encode(stage, mark.shard, [results.ItemResult(item, {}, {}) for item in lines[:-1]])
            self.write(f"{stage.partials_of(mark.shard)}{mark.attempt:02d}-0000.json", partial)
            self.write(stage.claim_key(failed), attempts.encode_worker(task.arn, self.clock, failures))
        else:
            key = stage.result_key(mark.shard)
            items = [results.ItemResult(item, {}, {"n": item}) for item in lines]
            body = results.encode(stage, mark.shard, items)
            broken = key in self.objects and self.objects[key][0] != body
            assert key not in self.objects or broken, "finished work was run again"
            self.write(key, body[:-9] if self.random.random() < self.faults.breaks_result else body)


def make_stage(items=40, shard_items=2, job="j", groups=()):
    base = f"jobs/d/{job}/s/"
    return Stage(
        dag="d",
        job=job,
        stage="s",
        workload="w",
        run="m:f",
        manifest=base + "manifest.jsonl",
        claims=base + "claims/",
        partials=base + "partials/",
        results=f"r/{job}/s/",
        outputs=f"r/{job}/",
        items=items,
        shard_items=shard_items,
        groups=groups,
    )


def make_limits(**changes):
    values = {
        "slots": 1,
        "tasks_per_instance": 2,
        "max_instances": 3,
        "cluster_instances": 3,
        "keep_instances": 0,
        "rules": attempts.policy({}, max_attempts=3),
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


def test_what_is_told_adds_up_whoever_drives_and_crashes():
    world = World(make_stage(items=400), make_limits(), Faults(crash=0.01, worker_dies=0.01), 3)
    ledger = drive(world, drivers=2)
    assert ledger.state == "succeeded"
    minutes = [sample.at.replace(second=0, microsecond=0) for sample in world.samples]
    assert len(minutes) > 2
    assert len(set(minutes[:-1])) == len(minutes) - 1, "one a minute, and one at the end"
    # A crash between the ledger's write and the report loses one event and no more.
    assert 0 < sum(sample.values["ItemsDone"] for sample in world.samples) <= 400
    assert world.samples[-1].properties["state"] == "succeeded"


def test_a_quiet_world_tells_every_item_once():
    world = World(make_stage(items=400), make_limits(), Faults(), 1)
    drive(world)
    assert sum(sample.values["ItemsDone"] for sample in world.samples) == 400
    assert world.samples[-1].values["ItemsOpen"] == 0


def test_a_teardown_that_fails_is_told_and_goes_on_failing():
    world = World(make_stage(), make_limits(), Faults(), 1)
    with pytest.raises(JobError, match="broken"), driver.teardown(world, "d", "j"):
        raise JobError("broken")
    assert [(sample.job, sample.values) for sample in world.samples] == [("j", {"TeardownFailures": 1})]
    with driver.teardown(world, "d", "j"):
        pass
    assert len(world.samples) == 1


def test_it_asks_for_no_more_instances_than_the_shards_need():
    world = World(make_stage(items=2, shard_items=1), make_limits(), Faults(), 1)
    drive(world)
    assert world.goal == 1


def test_a_poisoned_shard_ends_in_the_list_with_its_last_words():
    world = World(make_stage(), make_limits(max_failed_items=2), Faults(poisoned=frozenset({7})), 1)
    ledger = drive(world)
    assert ledger.state == "succeeded"
    assert (ledger.items_done, ledger.items_failed) == (39, 1)
    assert world.executions[7] == 3
    (failure,) = ledger.failures
    assert (failure.item, failure.shard, failure.kind, failure.log) == (15, 7, "program", ("last words",))
    assert "boom" in failure.reason


def test_too_many_failed_items_end_the_stage_and_stop_its_tasks():
    world = World(
        make_stage(items=400), make_limits(max_failed_items=3), Faults(poisoned=frozenset(range(0, 200, 2))), 1
    )
    ledger = drive(world)
    assert ledger.state == "failed"
    assert "max_failed_items is 3" in ledger.reason
    assert all(task.status == "stopped" for task in world.tasks.values())
    assert sum(world.executions.values()) < 300, "all attempts of all shards would be 400"


def test_a_program_that_fails_on_everything_stops_the_stage_early_however_much_may_fail():
    limits = make_limits(max_failed_items=10_000)
    world = World(make_stage(items=400), limits, Faults(poisoned=frozenset(range(200))), 1)
    ledger = drive(world)
    assert ledger.state == "failed"
    assert "shards failed and none succeeded" in ledger.reason
    assert "program: boom" in ledger.reason
    assert sum(world.executions.values()) < 60
    world.faults = Faults()
    assert drive(world, attempt=2).state == "succeeded", "who has mended it goes on"


def test_a_broken_image_stops_the_stage_early():
    world = World(
        make_stage(items=400), make_limits(), Faults(start_fails="CannotPullContainerError: pull access denied"), 1
    )
    ledger = drive(world)
    assert ledger.state == "failed"
    # One wave of attempts, and a sentence that says what to do.
    assert ledger.reason == (
        "no ECS task can start: CannotPullContainerError: pull access denied (image i, hosts WINDOWS_SERVER_2022_CORE);"
        " the execution role lacks that right, or another policy refuses it (terraform/modules/cluster/task_roles.tf)"
    )
    assert len(world.tasks) == world.limits.max_workers


def test_another_windows_ends_the_stage_at_once_and_names_image_and_hosts():
    reason = (
        "CannotStartContainerError: Error response from daemon: container 0a1b encountered an error during"
        " hcs::System::Start: failure in a Windows system call: The container operating system does not match the host"
        " operating system. (0xc0370101)"
    )
    world = World(make_stage(), make_limits(), Faults(start_fails=reason), 1)
    ledger = drive(world)
    assert len(world.runs) == 1
    assert "(image i, hosts WINDOWS_SERVER_2022_CORE); the image is of another Windows than the hosts" in ledger.reason


def test_what_is_permanent_on_one_host_does_not_end_a_stage_that_works_on_others():
    world = World(make_stage(items=200), make_limits(), Faults(), 1)
    for _ in range(10):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    victim = world.live()[0]
    victim.status = "pending"
    world._end(victim, "TaskFailedToStart", None, "CannotStartContainerError: 0xc0370101")
    assert drive(world).state == "succeeded"


@pytest.mark.parametrize(
    "reason",
    ["EMPTY CAPACITY PROVIDER", "TaskFailedToStart: NO ACTIVE INSTANCES", "RESOURCE:ENI", "TaskFailedToStart: AGENT"],
)
def test_no_room_is_nobodys_fault_however_long_it_lasts(reason):
    world = World(make_stage(), make_limits(), Faults(start_fails=reason), 1)
    for _ in range(60):
        ledger, wait = driver.tick(world, world.stage, WORKLOAD, world.limits)
        assert (ledger.state, ledger.faults) == ("running", ())
        world.pass_time(wait)
    assert all(later - sooner >= engine.CROWDED_PAUSE for sooner, later in pairwise(world.runs[1:]))
    world.faults = Faults()
    assert drive(world).state == "succeeded"


def test_a_place_that_runtask_does_not_find_is_asked_for_again_after_a_pause():
    world = World(make_stage(items=2), make_limits(), Faults(), 1)
    placeable, world._placeable = world._placeable, list
    for _ in range(30):
        ledger, wait = driver.tick(world, world.stage, WORKLOAD, world.limits)
        assert not ledger.waves
        world.pass_time(wait)
    assert all(later - sooner >= engine.CROWDED_PAUSE for sooner, later in pairwise(world.runs))
    world._placeable = placeable
    assert drive(world).state == "succeeded"


def test_a_refused_call_ends_the_stage_at_once_where_asking_again_does_not_help():
    world = World(make_stage(), make_limits(), Faults(), 1)

    def refuse(*_arguments):
        world.runs.append(world.clock)
        raise driver.Refused("ECS refuses: not authorized", advice)

    world.run, advice = refuse, "give it the right"
    ledger = drive(world)
    assert (ledger.state, len(world.runs)) == ("failed", 1)
    assert ledger.reason == "no ECS task can start: ECS refuses: not authorized; give it the right"
    world.runs, advice = [], ""
    ledger = drive(world, attempt=2)
    assert (ledger.state, len(world.runs)) == ("failed", attempts.POLICY["unstarted"].attempts)


def test_workers_that_their_hosts_take_along_are_nobodys_fault_until_it_is_ten_times():
    limits = make_limits(max_instances=1, cluster_instances=1)
    world = World(make_stage(), limits, Faults(), 1)

    def work(task):
        if task.live and world.clock - task.created >= 2 * SECOND:
            world._end(task, "EssentialContainerExited", -1)

    world._work = work
    ledger = drive(world)
    assert "10 ECS tasks in a row came to nothing (host)" in ledger.reason
    assert len(world.tasks) == 20, "two at a time"


def test_no_instance_ends_in_a_clear_reason():
    world = World(make_stage(), make_limits(), Faults(), 1)
    world.ask = lambda instances: ""
    ledger = drive(world)
    assert ledger.state == "failed"
    assert "no instance registered within 300 s" in ledger.reason


def test_what_aws_says_of_instances_that_stay_away_is_in_the_ledger_and_the_reason():
    world = World(make_stage(), make_limits(), Faults(), 1)
    world.refusal = "InsufficientInstanceCapacity (c5.xlarge in eu-central-1a): not enough"
    ledger, _ = driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert ledger.said == world.refusal, "said at once, when the call itself says it"
    assert Ledger.from_json(ledger.to_json(), where="x").said == ledger.said
    world.refusal = "MaxSpotInstanceCountExceeded: Max spot instance count exceeded"
    ledger = drive(world)
    assert ledger.reason.endswith(f"(desired: 3); AWS says: {world.refusal}")
    assert 4 <= world.looks <= 6, "once a minute, and not at every tick"


def test_nobody_is_asked_why_while_all_instances_are_there_and_what_was_said_is_over_when_they_are():
    world = World(make_stage(items=400), make_limits(), Faults(), 1)
    world.refusal = "not enough"
    ledger, _ = driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert ledger.said
    world.refusal = ""
    world.pass_time(5)
    ledger, _ = driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert ledger.said == ""
    drive(world)
    assert world.looks == 0


def test_instances_are_asked_for_once_though_the_group_says_so_late():
    world = World(make_stage(items=400), make_limits(), Faults(), 1)
    ask, world.ask = world.ask, lambda instances: world.asks.append(instances) or ""
    for _ in range(5):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    assert world.asks == [3]
    world.ask = ask
    world.pass_time(60)
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert (world.asks, world.goal) == ([3, 3], 3)
    # What the group had wanted, and does not any more, is asked for at once.
    world.pass_time(10)
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    world.goal = 0
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert world.goal == 3


def test_an_ecs_task_whose_host_does_not_answer_is_told_to_stop_once():
    world = World(make_stage(items=2), make_limits(), Faults(never_starts=True), 1)
    stop, told = world.stop, []
    world.stop = lambda arn, _reason: told.append(arn)
    for _ in range(120):
        _, wait = driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(wait)
        if world.clock - START > dt.timedelta(minutes=6):
            break
    assert len(told) == 1
    world.stop, world.faults = stop, Faults()
    assert drive(world).state == "succeeded"


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
    look = world.group

    def cancelled_meanwhile():
        world.group = look
        driver.tick(world, world.stage, WORKLOAD, world.limits, cancel=True)
        return look()

    world.group = cancelled_meanwhile
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
    del world.objects[keys.ledger_key(world.stage)]
    assert drive(world).state == "succeeded"


def test_a_stage_that_succeeded_without_some_items_is_taken_up_by_a_later_attempt():
    world = World(make_stage(), make_limits(max_failed_items=2), Faults(poisoned=frozenset({7})), 1)
    assert drive(world).items_failed == 1
    world.faults = Faults()
    ledger, _ = driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert (ledger.state, ledger.items_failed) == ("succeeded", 1), "the same attempt leaves it alone"
    ledger = drive(world, attempt=2)
    assert (ledger.state, ledger.items_done, ledger.items_failed, ledger.failures) == ("succeeded", 40, 0, ())


@pytest.mark.parametrize(
    ("faults", "kind", "executions"),
    [
        (Faults(killers=frozenset({7})), "crash", 3),
        (Faults(killers=frozenset({7}), killer_reason="OutOfMemoryError: Container killed"), "memory", 2),
        (Faults(forgets_result=frozenset({7})), "result", 3),
    ],
)
def test_a_shard_that_ends_its_worker_is_given_up_by_its_own_rule_and_nothing_else_is(faults, kind, executions):
    world = World(make_stage(), make_limits(max_failed_items=2), faults, 1)
    ledger = drive(world)
    assert (ledger.state, ledger.items_done) == ("succeeded", 38)
    assert {(failure.item, failure.kind) for failure in ledger.failures} == {(14, kind), (15, kind)}
    assert world.executions[7] == executions


def test_a_shard_whose_hosts_go_away_is_not_to_blame_until_it_is_ten_times():
    world = World(make_stage(items=2), make_limits(max_failed_items=2), Faults(), 1)
    for _ in range(300):
        ledger, wait = driver.tick(world, world.stage, WORKLOAD, world.limits)
        if ledger.finished:
            break
        world.pass_time(wait)
        for task in world.live():
            if task.shard:
                world._end(task, "TerminationNotice", None)
    assert world.executions[0] == 10
    assert [failure.kind for failure in ledger.failures] == ["host", "host"]


def test_items_that_an_abandoned_shard_had_finished_are_not_called_failed():
    world = World(make_stage(items=8, shard_items=4), make_limits(max_failed_items=4), Faults(), 1)
    partial = results.encode(world.stage, 1, [results.ItemResult(4, {}, {}), results.ItemResult(6, {}, {})])
    world.write(f"{world.stage.partials_of(1)}00-0000.json", partial)
    world.faults = Faults(killers=frozenset({1}))
    ledger = drive(world)
    assert [failure.item for failure in ledger.failures] == [5, 7]
    assert (ledger.items_done, ledger.items_failed) == (6, 2)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("CannotPullContainerError: net/http: TLS handshake error", "image"),
        ("ResourceInitializationError: unable to create network interface", "unstarted"),
        ("DockerTimeoutError: Could not transition to started; timed out after waiting 8m0s", "start"),
    ],
)
def test_ecs_tasks_that_never_start_end_the_stage_by_their_own_rule_after_pauses(reason, kind):
    world = World(make_stage(), make_limits(), Faults(start_fails=reason), 1)
    ledger = drive(world)
    assert ledger.state == "failed"
    assert f"({kind})" in ledger.reason
    rule = attempts.POLICY[kind]
    assert not world.executions
    # The first wave is of six, which may all fail before anybody looks.
    assert len(world.runs) <= rule.attempts
    assert all(later - sooner >= dt.timedelta(seconds=rule.backoff) for sooner, later in pairwise(world.runs))


def test_an_ecs_task_that_hangs_before_its_start_is_stopped_and_three_end_the_stage():
    world = World(make_stage(items=2), make_limits(), Faults(never_starts=True), 1)
    ledger = drive(world)
    assert ledger.state == "failed"
    assert "(start)" in ledger.reason
    assert "not running in time (120 s)" in ledger.reason
    assert len(world.tasks) == 3
    assert not world.live()


def test_a_registry_that_never_lets_images_be_pulled_ends_the_stage():
    faults = Faults(start_fails="CannotPullContainerError: 429 Too Many Requests - toomanyrequests")
    world = World(make_stage(), make_limits(), faults, 1)
    ledger = drive(world)
    assert ledger.state == "failed"
    assert "(throttled)" in ledger.reason
    assert len(world.tasks) <= attempts.POLICY["throttled"].attempts + world.limits.max_workers


def test_throttled_calls_are_sent_again_more_slowly_and_nothing_is_lost():
    world = World(make_stage(items=200), make_limits(), Faults(throttle=0.7), 3)
    assert drive(world).state == "succeeded"


def test_an_override_changes_only_what_it_names():
    changed = attempts.policy({"memory": {"attempts": 7}, "image": {"backoff": 1.5}}, max_attempts=9)
    assert (changed["memory"], changed["image"]) == (attempts.Rule(7, 30.0), attempts.Rule(3, 1.5))
    assert changed["program"].attempts == 9
    assert changed["crash"] == attempts.POLICY["crash"]


@given(st.floats(0, 600), st.integers(0, 100))
def test_pauses_grow_and_are_bounded(backoff, failures):
    rule = attempts.Rule(3, backoff)
    assert rule.pause(failures) <= rule.pause(failures + 1) <= dt.timedelta(minutes=5)


def long_tail(world, seconds):
    """One shard that takes long; all others are quick."""
    claim = world._claim

    def claim_long(task):
        claim(task)
        if task.shard and task.shard.shard == 0:
            task.until = world.clock + seconds * SECOND

    world._claim = claim_long


def test_instances_without_further_work_go_before_the_end():
    world = World(make_stage(), make_limits(), Faults(), 1)
    long_tail(world, 400)
    counts = {}
    while True:
        ledger, wait = driver.tick(world, world.stage, WORKLOAD, world.limits)
        counts[world.clock] = len(world.fleet)
        if ledger.finished:
            break
        world.pass_time(wait)
    assert ledger.state == "succeeded"
    assert max(counts.values()) == 3
    assert counts[max(counts)] == 1
    assert sum(count == 1 for count in counts.values()) > len(counts) / 3
    assert world.goal == 1


@pytest.mark.parametrize("group_says_it", [True, False])
@pytest.mark.parametrize("crash", [0.0, 0.05])
def test_an_instance_is_terminated_once_however_long_it_stays_listed(group_says_it, crash):
    limits = make_limits(max_instances=4, cluster_instances=4)
    world = World(make_stage(items=80), limits, Faults(lingers=300, busy=0.3, crash=crash), 5)
    world.says_who_leaves = group_says_it
    long_tail(world, 500)
    ledger = drive(world)
    assert ledger.state == "succeeded"
    assert len(world.terminations) == 3
    assert world.goal == 1
    taken = Counter(world.terminations.values())
    if not crash:
        # Auto Scaling was at something else, now and then: those are asked again, and the others never.
        assert world.taken == Counter(dict.fromkeys(world.terminations, 1))
    elif group_says_it:
        assert max(world.taken.values()) == 1, taken


def test_instances_that_are_to_stay_stay():
    world = World(make_stage(), make_limits(keep_instances=2), Faults(), 1)
    long_tail(world, 400)
    drive(world)
    assert world.goal == 2


def test_work_that_finds_the_cluster_scaled_in_asks_for_it_again():
    world = World(make_stage(items=200), make_limits(), Faults(), 1)
    for _ in range(10):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    assert world.live()
    world.goal = 0
    world.fleet.clear()
    for task in world.live():
        world._end(task, "TerminationNotice", None)
    assert drive(world).state == "succeeded"


def two_jobs(*, items=(400, 400), limits=None):
    """Two jobs on a cluster that is too small for both; returns the world, and the ledgers at each moment."""
    limits = limits or make_limits(max_instances=4, cluster_instances=4)
    world = World(make_stage(items=items[0]), limits, Faults(), 1)
    other = make_stage(items=items[1], job="k")
    world.stages[keys.stage_key(other)] = other
    return world, other


def test_two_jobs_share_the_cluster_and_neither_starves():
    world, other = two_jobs()
    for _ in range(15):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    assert len(world.live(world.stage)) == 8, "alone, the first has it all"
    held, ended = [], []
    for _ in range(2000):
        for stage in (world.stage, other):
            ledger, _ = driver.tick(world, stage, WORKLOAD, world.limits)
            if ledger.finished and stage.job not in ended:
                assert ledger.state == "succeeded"
                ended.append(stage.job)
        if not ended:
            held.append((len(world.live(world.stage)), len(world.live(other))))
        if len(ended) == 2:
            break
        world.pass_time(2)
    assert ended == ["j", "k"]
    assert held[15:]
    assert all(mine == theirs == 4 for mine, theirs in held[15:-10])
    assert world.most_instances == 4
    assert not any(task.stop_code == "UserInitiated" for task in world.tasks.values()), "nobody was stopped at work"
    assert_run_rate(world)


def test_a_small_job_gets_all_it_wants_beside_a_large_one():
    world, other = two_jobs(items=(2000, 2))
    for _ in range(15):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    began = world.clock
    while True:
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        ledger, _ = driver.tick(world, other, WORKLOAD, world.limits)
        if ledger.finished:
            break
        world.pass_time(2)
    assert ledger.state == "succeeded"
    assert world.clock - began < dt.timedelta(minutes=1)


def test_a_job_that_died_is_forgotten_by_the_others():
    world, other = two_jobs()
    driver.tick(world, other, WORKLOAD, world.limits)
    world.pass_time(700)
    for _ in range(20):
        driver.tick(world, world.stage, WORKLOAD, world.limits)
        world.pass_time(2)
    assert len(world.live(world.stage)) == 8


def test_who_ends_knows_which_jobs_are_at_work():
    world, other = two_jobs()
    assert driver.others(world, [world.stage]) == []
    driver.tick(world, other, WORKLOAD, world.limits)
    assert driver.others(world, [world.stage]) == ["d/k/s"]
    assert driver.others(world, [other]) == []


def on_the_board(world):
    """The stages that the board names, whether they are right or not."""
    return list(shares.Board.from_json(world.get(shares.KEY).body, where=shares.KEY).demands)


def before_it_is_told(world, happens):
    """Have something happen, once, just before the board is written."""
    put = world.put

    def put_later(key, body, **conditions):
        if key == shares.KEY:
            world.put = put
            happens()
        return put(key, body, **conditions)

    world.put = put_later


def test_a_stage_whose_engine_was_killed_before_it_said_so_keeps_nobody_from_scaling_in():
    world, other = two_jobs(items=(8, 400))
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    world.pass_time(30)

    def killed():
        raise Crash

    before_it_is_told(world, killed)
    with pytest.raises(Crash):
        driver.tick(world, world.stage, WORKLOAD, world.limits, cancel=True)
    assert driver.find_ledger(world, world.stage).state == "cancelled"
    assert on_the_board(world) == ["d/j/s"]
    assert driver.others(world, [other]) == []
    driver.tick(world, world.stage, WORKLOAD, world.limits, cancel=True)
    assert on_the_board(world) == []


def test_what_an_overtaken_engine_says_of_a_stage_that_has_ended_keeps_nobody_from_scaling_in():
    world, other = two_jobs()
    before_it_is_told(world, lambda: driver.tick(world, world.stage, WORKLOAD, world.limits, cancel=True))
    driver.tick(world, world.stage, WORKLOAD, world.limits)
    assert driver.find_ledger(world, world.stage).state == "cancelled"
    assert on_the_board(world) == ["d/j/s"]
    assert driver.others(world, [other]) == []


GROUPS = (Group("x=1", 0, 13), Group("x=2", 13, 14), Group("x=3", 27, 13))


def test_groups_are_counted_in_shards_and_end_when_all_of_theirs_have():
    world = World(make_stage(groups=GROUPS), make_limits(max_failed_items=9), Faults(poisoned=frozenset({6, 19})), 1)
    seen = []
    while True:
        ledger, wait = driver.tick(world, world.stage, WORKLOAD, world.limits)
        seen.append(ledger.groups)
        if ledger.finished:
            break
        world.pass_time(wait)
    assert [(group.name, group.shards, group.done, group.failed) for group in ledger.groups] == [
        ("x=1", 7, 6, 1), ("x=2", 8, 7, 1), ("x=3", 7, 6, 1)
    ]  # fmt: skip
    assert not any(group.ended for group in seen[0])
    assert all(group.ended for group in ledger.groups)


def test_who_follows_only_looks_until_the_leader_is_late():
    world = World(make_stage(items=400), make_limits(), Faults(), 1)
    ledger, _ = driver.tick(world, world.stage, WORKLOAD, world.limits, who="0")
    before = dict(world.objects)
    again, wait = driver.tick(world, world.stage, WORKLOAD, world.limits, who="1", leads=lambda _: False)
    assert (again, wait) == (ledger, engine.POLL_SOON)
    assert world.objects == before
    world.pass_time(30)
    later, _ = driver.tick(world, world.stage, WORKLOAD, world.limits, who="1", leads=lambda _: False)
    assert later.updated_at > ledger.updated_at
    assert world.tasks


def test_each_airflow_task_of_a_stage_has_attempts_of_its_own():
    world = World(make_stage(), make_limits(), Faults(poisoned=frozenset({7})), 1)
    assert drive(world).state == "failed"
    for who in ("1", "2"):
        ledger, _ = driver.tick(world, world.stage, WORKLOAD, world.limits, who=who)
        assert ledger.finished
        ledger, _ = driver.tick(world, world.stage, WORKLOAD, world.limits, who=who, attempt=2)
        assert ledger.state == "running"
        driver.tick(world, world.stage, WORKLOAD, world.limits, cancel=True)


def test_rate_remaining_time_and_cost_are_those_of_the_work():
    world = World(make_stage(items=400, shard_items=1), make_limits(usd_per_hour=3600.0), Faults(), 1)
    ledgers = []
    while True:
        ledger, wait = driver.tick(world, world.stage, WORKLOAD, world.limits)
        ledgers.append((world.clock, ledger))
        if ledger.finished:
            break
        world.pass_time(wait)
    ended = world.clock
    for at, known in ledgers:
        if known.remaining_seconds is not None and known.items_done > 60:
            assert known.remaining_seconds == pytest.approx((ended - at).total_seconds(), rel=0.35, abs=8)
    assert ledgers[0][1].rate is None
    # Three instances, from the moment they were asked for.
    assert ledger.instance_seconds == pytest.approx(3 * (ended - ledger.started_at).total_seconds(), abs=15)
    assert ledger.cost == pytest.approx(ledger.instance_seconds)


def test_blocks_that_are_done_are_not_listed_again():
    stage = make_stage(items=5200, shard_items=1)
    assert engine.unsettled(stage, 0) == [range(5200)]
    done = ((1 << 1000) - 1) << 1000 | 1 << 2500
    assert engine.unsettled(stage, done) == [range(1000), range(2000, 5200)]
    assert engine.unsettled(stage, (1 << 5200) - 1) == []
    assert engine.unsettled(stage, ((1 << 5200) - 1) ^ (1 << 5199)) == [range(5000, 5200)]


@settings(max_examples=100)
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
        breaks_result=st.floats(0, 0.2),
        forgets_result=st.frozensets(st.integers(0, 20), max_size=1),
        killers=st.frozensets(st.integers(0, 20), max_size=1),
        item_fails=st.floats(0, 0.1),
        host_lost=st.floats(0, 0.01),
        lingers=st.floats(0, 300),
        busy=st.floats(0, 0.5),
    ),
)
def test_whatever_happens_it_ends_and_nothing_is_lost_or_done_twice(seed, items, shard_items, slots, drivers, faults):
    world = World(make_stage(items, shard_items), make_limits(slots=slots), faults, seed)
    ledger = drive(world, drivers=drivers)
    event(ledger.state)
    good = set()
    for key in world.keys(world.stage.results):
        shard = world.stage.parse_result_key(key)
        with contextlib.suppress(JobError):
            results.decode(world.get(key).body, world.stage, shard)
            good.add(shard)
    assert world.peak <= world.limits.max_workers
    assert_run_rate(world)
    assert driver.others(world, []) == []
    assert ledger.shards_done == len(good)
    if ledger.state == "succeeded":
        assert good == set(range(world.stage.shards))
        assert ledger.items_done == items
    else:
        assert ledger.state == "failed"
        assert ledger.reason
        assert all(task.status == "stopped" for task in world.tasks.values())


@settings(max_examples=20)
@given(st.integers(0, 2**16))
def test_the_ledger_reads_what_it_wrote(seed):
    world = World(make_stage(), make_limits(max_failed_items=4), Faults(item_fails=0.2, poisoned=frozenset({3})), seed)
    ledger = drive(world)
    assert Ledger.from_json(ledger.to_json(), where="x") == ledger
