"""A cluster of Windows instances on AWS, simulated by events, under the real engine and the real rule of claiming.

The world has a clock of its own and jumps from event to event: an instance is ready, a container has started, a shard
is done, a tick is due. The engine's ticks and the objects in S3 are the product's own; simulated are S3, ECS, Auto
Scaling, the workers' computing, and time. AWS's limits are kept count of: who exceeds one is noted, and RunTask answers
as ECS would.

A worker's requests to S3 take `Costs.shard` seconds a shard altogether. What Airflow adds is what was measured of it:
`Costs.before`, `Costs.requeue` and `Costs.after`.
"""

import bisect
import dataclasses
import datetime as dt
import heapq
import itertools
import json
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from winbatch import attempts, driver, engine, results
from winbatch.capacity import Group, Instance
from winbatch.deployment import Workload
from winbatch.ecs_tasks import Worker
from winbatch.ledger import Ledger
from winbatch.metrics import Sample
from winbatch.results import ItemResult
from winbatch.stage import BLOCK, ClaimMark, Stage
from winbatch.storage import Conflict, Entry, Object

START = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
CPU = 1024
MEMORY = 1024

# AWS's limits (docs.aws.amazon.com, ECS request throttling and service quotas; S3 ListObjectsV2).
PAGE_KEYS = 1000
PAGE_ARNS = 100
MAX_COUNT = 10
MAX_PROVISIONING = 500
STOPPED_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What things take, in seconds.

    Attributes:
        boot: from the wish for an instance to its registration with ECS.
        pull: of the image, once an instance.
        start: of a container.
        shard: a worker's requests to S3, a shard.
        before: from the trigger to the wish for instances, and as long again to the stage's first tick.
        stay: a tick that is due sooner is made by the same process.
        requeue: from the moment at which any other tick is due to the tick.
        after: from the stage's end to the run's.
    """

    boot: float = 300.0
    pull: float = 180.0
    start: float = 40.0
    shard: float = 0.15
    before: float = 1.5
    stay: float = 10.0
    requeue: float = 2.0
    after: float = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What is to be simulated.

    Attributes:
        seconds: of each item.
        shard_items: items a shard.
        instances: at most; each has room for one ECS task.
        slots: of an ECS task.
        failing: the share of attempts whose program fails.
        lost_hosts: instances that go away in the middle of it, at random times.
        max_attempts: of a shard whose program fails.
    """

    seconds: Sequence[float]
    shard_items: int = 1
    instances: int = 6
    slots: int = 4
    failing: float = 0.0
    lost_hosts: int = 0
    max_attempts: int = 20
    seed: int = 1
    costs: Costs = dataclasses.field(default_factory=Costs)

    @property
    def all_slots(self) -> int:
        return self.instances * self.slots

    @property
    def ideal(self) -> float:
        """Boot, pull and one start, then all slots at work without a gap."""
        return self.costs.boot + self.costs.pull + self.costs.start + sum(self.seconds) / self.all_slots


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        wall: from the trigger to the run's end, s.
        ticks: of the engine.
        tick_seconds: processor time of the ticks, S3's and ECS's answers included.
        executions: attempts at shards that were begun.
        completions: shards' results that were written.
        tasks: ECS tasks that were started.
        calls: by name.
        exceeded: limits of AWS that were, with the number of times.
        peaks: calls within the busiest second, by bucket; and the most ECS tasks in PROVISIONING.
    """

    ledger: Ledger
    wall: float
    ticks: int
    tick_seconds: float
    executions: int
    completions: int
    tasks: int
    calls: Counter[str]
    exceeded: Counter[str]
    peaks: dict[str, int]


class Bucket:
    """ECS's token bucket: how full it is, and the busiest second."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._level, self._at = burst, 0.0
        self._second: deque[tuple[float, int]] = deque()
        self._in_second = 0
        self.peak = 0

    def take(self, calls: int, now: float) -> bool:
        """Whether it had as many."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        self._second.append((now, calls))
        self._in_second += calls
        while self._second[0][0] <= now - 1.0:
            self._in_second -= self._second.popleft()[1]
        self.peak = max(self.peak, self._in_second)
        if self._level < calls:
            return False
        self._level -= calls
        return True


class Objects:
    """S3: objects by key, and sorted listings of what lies below a stage's prefixes, a block of shards at a time."""

    def __init__(self, families: Iterable[str]) -> None:
        self._objects: dict[str, tuple[bytes, int]] = {}
        self._families: dict[str, dict[int, _Block]] = {prefix: defaultdict(_Block) for prefix in families}
        self._version = 0

    def get(self, key: str) -> tuple[bytes, int] | None:
        """Body and version."""
        return self._objects.get(key)

    def put(self, key: str, body: bytes, now: float) -> int:
        """Write; the object's version."""
        self._version += 1
        if key not in self._objects:
            for prefix, blocks in self._families.items():
                if key.startswith(prefix):
                    entry = Entry(key, START + dt.timedelta(seconds=now))
                    blocks[self._block(prefix, key)].new.append((key, entry))
        self._objects[key] = (body, self._version)
        return self._version

    def listing(self, prefix: str, first: str, last: str) -> Iterator[Entry]:
        """What lies below a prefix from `prefix + first` on, without that from `prefix + last` on if given."""
        family = next(name for name in self._families if prefix.startswith(name))
        blocks = self._families[family]
        begin, end = prefix + first, prefix + last if last else prefix + "~"
        for block in sorted(blocks):
            entries = blocks[block].sorted()
            low = bisect.bisect_left(entries, begin, key=itemgetter(0))
            high = bisect.bisect_left(entries, end, key=itemgetter(0))
            yield from (entry for _, entry in entries[low:high])

    @staticmethod
    def _block(prefix: str, key: str) -> int:
        return int(key[len(prefix) : len(prefix) + 6]) // BLOCK


@dataclasses.dataclass
class _Block:
    """The keys of a block of shards below a prefix; a listing sorts in what was written since the last one."""

    entries: list[tuple[str, Entry]] = dataclasses.field(default_factory=list)
    new: list[tuple[str, Entry]] = dataclasses.field(default_factory=list)

    def sorted(self) -> list[tuple[str, Entry]]:
        if self.new:
            self.entries.extend(self.new)
            self.entries.sort(key=itemgetter(0))
            self.new.clear()
        return self.entries


class Free:
    """The claims that may be written, as `winbatch.attempts.claimable` says, kept up to date and by block.

    Workers walk over the blocks as the real ones do. That two of them reach for the same claim and one comes too late
    is left out: it costs a request, which `Costs.shard` has room for.
    """

    def __init__(self, shards: int, order: random.Random) -> None:
        self._order = order
        self._free: list[dict[int, int]] = []
        for first in range(0, shards, BLOCK):
            # Within a block workers begin at different places.
            block = list(range(first, min(first + BLOCK, shards)))
            order.shuffle(block)
            self._free.append(dict.fromkeys(block, 0))

    def marks(self) -> list[ClaimMark]:
        """All of them, by shard."""
        return sorted(ClaimMark(shard, attempt, "claim") for block in self._free for shard, attempt in block.items())

    def take(self, block: int | None, pointed: Callable[[], list[int]]) -> tuple[int | None, ClaimMark | None]:
        """A claim for a worker.

        Args:
            block: where it worked last; it stays there while there is something to claim.
            pointed: reads the blocks that the engine points to; all others come after them.

        Returns:
            The block, and the claim; None when no block has any.
        """
        if block is None or not self._free[block]:
            block = next((block for block in self._walk(pointed()) if self._free[block]), None)
        if block is None:
            return None, None
        shard = next(iter(self._free[block]))
        return block, ClaimMark(shard, self._free[block].pop(shard), "claim")

    def _walk(self, pointed: list[int]) -> Iterator[int]:
        self._order.shuffle(pointed)
        yield from pointed
        start = max(pointed) + 1 if pointed else self._order.randrange(len(self._free))
        yield from ((start + step) % len(self._free) for step in range(len(self._free)))

    def give_back(self, mark: ClaimMark) -> None:
        """An attempt was released: the next may be claimed."""
        self._free[mark.shard // BLOCK][mark.shard] = mark.attempt + 1


@dataclasses.dataclass(eq=False)
class _Host:
    number: int
    ready: bool = False
    pulled_at: float | None = None
    draining: bool = False
    task: "_Task | None" = None


@dataclasses.dataclass(eq=False)
class _Task:
    arn: str
    host: _Host
    created: float
    block: int | None = None
    status: str = "pending"
    stopped: float = 0.0
    idle_slots: int = 0
    exit_code: int | None = None
    stop_code: str = ""
    reason: str = ""


class World:
    """S3, ECS, Auto Scaling and workers for one stage; these are the ports of its engine, too."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.stage = _stage(case)
        self.clock = 0.0
        self.calls: Counter[str] = Counter()
        self.exceeded: Counter[str] = Counter()
        self.executions = 0
        self.completions = 0
        self.ticks = 0
        self.tick_seconds = 0.0
        self.peak_pending = 0
        self._random = random.Random(case.seed)  # noqa: S311 - a simulation
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.free = Free(self.stage.shards, self._random)
        self._objects = Objects((self.stage.claims, self.stage.results, self.stage.partials))
        self._goal = 0
        self._hosts: dict[int, _Host] = {}
        self._free: dict[int, _Host] = {}
        self._numbers = itertools.count()
        self._live: dict[str, _Task] = {}
        self._tasks: dict[str, _Task] = {}
        self._tokens: dict[str, tuple[int, list[str]]] = {}
        self._pending = 0
        self._submit = Bucket(100, 40)
        self._read = Bucket(100, 20)
        self._ended: tuple[Ledger, float] | None = None

    def run_job(self) -> Outcome:
        """Simulate from the trigger to the run's end.

        Raises:
            AssertionError: the product broke one of its promises.
        """
        case = self.case
        self.at(case.costs.before, self._ask_first)
        self.at(case.costs.before * 2, self._tick)
        expected = case.costs.boot + case.costs.pull + sum(case.seconds) / case.all_slots
        for _ in range(case.lost_hosts):
            self.at(self._random.uniform(case.costs.boot, expected), self._lose_host)
        while self._ended is None:
            self.clock, _, event = heapq.heappop(self._events)
            event()
        ledger, ended = self._ended
        while self._live and self._events:
            self.clock, _, event = heapq.heappop(self._events)
            event()
        assert ledger.state == "succeeded", ledger.reason
        assert self.completions == self.stage.shards, f"{self.completions} results of {self.stage.shards} shards"
        assert ledger.items_done == self.stage.items, f"the ledger counts {ledger.items_done} items"
        assert not self._live, "ECS tasks were left behind"
        return Outcome(
            ledger=ledger,
            wall=ended + case.costs.after,
            ticks=self.ticks,
            tick_seconds=self.tick_seconds,
            executions=self.executions,
            completions=self.completions,
            tasks=len(self._tasks),
            calls=self.calls,
            exceeded=self.exceeded,
            peaks={"submit": self._submit.peak, "read": self._read.peak, "provisioning": self.peak_pending},
        )

    def _ask_first(self) -> None:
        self.ask(self.case.instances)

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (moment, next(self._order), event))

    def _tick(self) -> None:
        self.ticks += 1
        began = time.process_time()
        ledger, wait = driver.tick(self, self.stage, _workload(self.case), _limits(self.case))
        self.tick_seconds += time.process_time() - began
        if ledger.finished:
            self._ended = (ledger, self.clock)
            return
        late = self.case.costs.requeue if wait > self.case.costs.stay else 0.0
        self.at(self.clock + wait + late, self._tick)

    # -- the engine's ports

    def now(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self.clock)

    def get(self, key: str) -> Object | None:
        self.calls["s3.GetObject"] += 1
        found = self._objects.get(key)
        return Object(found[0], str(found[1])) if found else None

    def get_many(self, keys: Sequence[str]) -> list[Object | None]:
        return [self.get(key) for key in keys]

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        self.calls["s3.PutObject"] += 1
        found = self._objects.get(key)
        if (new and found) or (etag is not None and (not found or str(found[1]) != etag)):
            raise Conflict(key)
        version = self._objects.put(key, body, self.clock)
        mark = self.stage.parse_claim_key(key) if key.startswith(self.stage.claims) else None
        if mark is not None and mark.kind == "released":
            self.free.give_back(mark)
        return str(version)

    def listing(self, prefix: str, first: str = "", last: str = "") -> Iterator[Entry]:
        found = list(self._objects.listing(prefix, first, last))
        self.calls["s3.ListObjectsV2"] += _pages(len(found), PAGE_KEYS)
        return iter(found)

    def live_task_arns(self, started_by: str | None = None) -> list[str]:
        assert started_by == engine.started_by(self.stage)
        self._asked("ecs.ListTasks", _pages(len(self._live)))
        return [*self._live]

    def workers(self, arns: Sequence[str]) -> list[Worker]:
        if arns:
            self._asked("ecs.DescribeTasks", _pages(len(arns)))
        return [self._worker(arn) for arn in arns]

    def run(self, workload: Workload, count: int, started_by: str, token: str, stage: str) -> list[str]:  # noqa: ARG002
        assert 1 <= count <= MAX_COUNT
        self.calls["ecs.RunTask"] += 1
        if not self._submit.take(1, self.clock):
            self.exceeded["RunTask and StopTask"] += 1
            raise driver.Throttled("Rate exceeded")
        if token in self._tokens:
            assert self._tokens[token][0] == count, "ECS refuses a token with other parameters"
            return self._tokens[token][1]
        arns = [self._start().arn for _ in range(min(count, len(self._free)))]
        if self._pending > MAX_PROVISIONING:
            self.exceeded["ECS tasks in PROVISIONING"] += 1
        self._tokens[token] = (count, arns)
        return arns

    def stop(self, arn: str, reason: str) -> None:
        self.calls["ecs.StopTask"] += 1
        if not self._submit.take(1, self.clock):
            self.exceeded["RunTask and StopTask"] += 1
        self._end(self._tasks[arn], "UserInitiated", None, reason)

    def instances(self) -> list[Instance]:
        ready = [host for host in self._hosts.values() if host.ready]
        self._asked("ecs.ListContainerInstances", _pages(len(ready)))
        self._asked("ecs.DescribeContainerInstances", -(-len(ready) // PAGE_ARNS))
        size = self.case.slots * CPU
        return [
            Instance(
                cpu=0 if host.task else size,
                memory=0 if host.task else MEMORY,
                interfaces=2 if host.task else 3,
                tasks=1 if host.task else 0,
                arn=f"instance/{host.number}",
                ec2_id=str(host.number),
                draining=host.draining,
            )
            for host in ready
        ]

    def group(self) -> Group:
        self.calls["autoscaling.DescribeAutoScalingGroups"] += 1
        return Group(self._goal)

    def why_short(self, since: dt.datetime) -> str:  # noqa: ARG002 - the port's signature
        self.calls["autoscaling.DescribeScalingActivities"] += 1
        return ""

    def ask(self, instances: int) -> str:
        assert instances <= self.case.instances, "more instances than the job may have"
        self.calls["autoscaling.SetDesiredCapacity"] += 1
        self._goal = instances
        self._launch()
        return ""

    def drain(self, arns: Sequence[str]) -> None:
        self.calls["ecs.UpdateContainerInstancesState"] += 1
        for arn in arns:
            host = self._hosts[int(arn.partition("/")[2])]
            host.draining = True
            self._free.pop(host.number, None)

    def terminate(self, ec2_id: str) -> bool:
        self.calls["autoscaling.TerminateInstanceInAutoScalingGroup"] += 1
        assert self._hosts[int(ec2_id)].task is None, "an instance with an ECS task on it was let go"
        del self._hosts[int(ec2_id)]
        self._goal -= 1
        return True

    def report(self, sample: Sample) -> None:  # noqa: ARG002 - the port's signature
        self.calls["logs.PutLogEvents"] += 1

    # -- what happens by itself

    def _pointed(self) -> list[int]:
        found = self.get(self.stage.blocks_key)
        return [int(block) for block in json.loads(found.body)["blocks"]] if found else []

    def _mark(self, mark: ClaimMark, task: _Task, failures: Sequence[dict[str, Any]] | None = None) -> None:
        key = self.stage.claim_key(mark)
        assert self._objects.get(key) is None, f"{key} is there already"
        self._write(key, attempts.encode_worker(task.arn, self.now(), failures))

    def _write(self, key: str, body: bytes) -> None:
        self.calls["s3.PutObject"] += 1
        self._objects.put(key, body, self.clock)

    def _asked(self, name: str, calls: int) -> None:
        if calls == 0:
            return
        self.calls[name] += calls
        if not self._read.take(calls, self.clock):
            self.exceeded["Describe and List"] += 1

    def _launch(self) -> None:
        while len(self._hosts) < self._goal:
            host = _Host(next(self._numbers))
            self._hosts[host.number] = host
            self.at(self.clock + self.case.costs.boot, lambda host=host: self._ready(host))  # type: ignore[misc]

    def _ready(self, host: _Host) -> None:
        if host.number in self._hosts:
            host.ready = True
            self._free[host.number] = host

    def _lose_host(self) -> None:
        ready = [host for host in self._hosts.values() if host.ready]
        if not ready:
            return
        host = self._random.choice(ready)
        del self._hosts[host.number]
        self._free.pop(host.number, None)
        if host.task is not None:
            self._end(host.task, "", None, f"Host EC2 (instance i-{host.number}) terminated.")
        self._launch()

    def _start(self) -> _Task:
        number, host = next(iter(self._free.items()))
        del self._free[number]
        arn = f"cluster/{len(self._tasks):032x}"
        task = host.task = _Task(arn, host, self.clock)
        self._tasks[arn] = self._live[arn] = task
        self._pending += 1
        self.peak_pending = max(self.peak_pending, self._pending)
        if host.pulled_at is None:
            host.pulled_at = self.clock + self.case.costs.pull
        self.at(max(self.clock, host.pulled_at) + self.case.costs.start, lambda: self._running(task))
        return task

    def _running(self, task: _Task) -> None:
        if task.status != "pending":
            return
        task.status = "running"
        self._pending -= 1
        for _ in range(self.case.slots):
            self._claim(task)

    def _claim(self, task: _Task) -> None:
        task.block, mark = self.free.take(task.block, self._pointed)
        if mark is None:
            task.idle_slots += 1
            if task.idle_slots == self.case.slots:
                self._end(task, "EssentialContainerExited", 0, "Essential container in task exited")
            return
        self.executions += 1
        self._mark(mark, task)
        lines = self.stage.shard_lines(mark.shard)
        seconds = sum(self.case.seconds[lines.start : lines.stop]) + self.case.costs.shard
        self.at(self.clock + seconds, lambda: self._finish(task, mark))

    def _finish(self, task: _Task, mark: ClaimMark) -> None:
        if task.status != "running":
            return
        lines = self.stage.shard_lines(mark.shard)
        if self.case.failing and self._random.random() < self.case.failing:
            failure: dict[str, Any] = {"item": lines[0], "error": "boom", "exit_code": 1, "log": ["last words"]}
            self._mark(mark._replace(kind="failed"), task, [failure])
        else:
            key = self.stage.result_key(mark.shard)
            body = results.encode(self.stage, mark.shard, [ItemResult(item, {}, {"n": item}) for item in lines])
            assert self._objects.get(key) is None, f"finished work was done again: shard {mark.shard}"
            self._write(key, body)
            self.completions += 1
        self._claim(task)

    def _end(self, task: _Task, stop_code: str, exit_code: int | None, reason: str) -> None:
        if task.status == "stopped":
            return
        if task.status == "pending":
            self._pending -= 1
        task.status, task.stopped = "stopped", self.clock
        task.stop_code, task.exit_code, task.reason = stop_code, exit_code, reason
        del self._live[task.arn]
        task.host.task = None
        if task.host.number in self._hosts and not task.host.draining:
            self._free[task.host.number] = task.host

    def _worker(self, arn: str) -> Worker:
        task = self._tasks.get(arn)
        if task is None or (task.status == "stopped" and task.stopped < self.clock - STOPPED_SECONDS):
            return Worker(arn=arn, status="missing")
        return Worker(
            arn=arn,
            status=task.status,  # type: ignore[arg-type]
            since=START + dt.timedelta(seconds=task.created),
            exit_code=task.exit_code,
            stop_code=task.stop_code,
            reason=task.reason,
        )


def static_wall(case: Case, *, poll: float = 2.0) -> float:
    """The same work by an ECS task a shard: each slot of the cluster takes one after the other, each with its start.

    It has every advantage: no rate limits, no failed call, a slot that is free is seen at the next poll.
    """
    shards = [
        sum(case.seconds[first : first + case.shard_items]) for first in range(0, len(case.seconds), case.shard_items)
    ]
    costs = case.costs
    slots = [(costs.before + costs.boot, False)] * min(case.all_slots, len(shards))
    heapq.heapify(slots)
    for seconds in shards:
        free, pulled = heapq.heappop(slots)
        seen = -(-free // poll) * poll
        heapq.heappush(slots, (seen + (0.0 if pulled else costs.pull) + costs.start + costs.shard + seconds, True))
    return -(-max(slots)[0] // poll) * poll + costs.after


def _pages(number: int, page: int = PAGE_ARNS) -> int:
    """Calls of a listing: an empty one is a call, too."""
    return max(1, -(-number // page))


def _workload(case: Case) -> Workload:
    return Workload(
        task_definition="td",
        container="c",
        cpu=case.slots * CPU,
        memory=MEMORY,
        image="i",
        log_group="g",
        log_stream_prefix="p",
    )


def _limits(case: Case) -> engine.Limits:
    return engine.Limits(
        slots=case.slots,
        tasks_per_instance=1,
        max_instances=case.instances,
        cluster_instances=case.instances,
        keep_instances=0,
        max_failed_items=0,
        instance_timeout=dt.timedelta(seconds=1200),
        start_timeout=dt.timedelta(seconds=1200),
        rules=attempts.policy({}, max_attempts=case.max_attempts),
    )


def _stage(case: Case) -> Stage:
    base = "jobs/simulated/job/sleep/"
    return Stage(
        dag="simulated",
        job="job",
        stage="sleep",
        workload="sleep",
        run="sleep:run",
        manifest=base + "manifest.jsonl",
        claims=base + "claims/",
        partials=base + "partials/",
        results="jobs/results/job/sleep/",
        outputs="jobs/results/job/",
        items=len(case.seconds),
        shard_items=case.shard_items,
    )
