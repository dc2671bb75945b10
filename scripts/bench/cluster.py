"""A job of one stage on a simulated cluster of Windows instances, under the real engine and the real claims.

AWS's limits are kept count of. A worker's requests to S3 take `Costs.shard` seconds a shard altogether. What Airflow
adds is what was measured of it: `Costs.before`, `Costs.requeue` and `Costs.after`.
"""

import dataclasses
import datetime as dt
import heapq
import time
from collections import Counter
from collections.abc import Sequence

from simulation.cloud import Hardware
from simulation.containers import Work
from simulation.faults import Faults
from simulation.stages import StageWorld, make_limits, make_stage, make_workload
from winbatch import driver
from winbatch.ledger import Ledger

CPU = 1024
# An instance takes minutes to boot, and to pull an image.
PATIENCE = dt.timedelta(minutes=20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Holds what things take, in seconds.

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
    """Holds what is to be simulated.

    Attributes:
        seconds: of each item.
        shard_items: items a shard.
        instances: at most; each has room for one ECS task.
        slots: of an ECS task.
        failing: the share of an item's attempts that fail.
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
        """Give the slots of all instances together."""
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
        completions: shards that have a result.
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


def simulate(case: Case) -> Outcome:
    """Simulate from the trigger to the run's end.

    Raises:
        AssertionError: the product broke one of its promises.
    """
    costs, stage = case.costs, make_stage(len(case.seconds), case.shard_items)
    workload = make_workload(cpu=case.slots * CPU)
    limits = make_limits(
        instances=case.instances,
        max_attempts=case.max_attempts,
        slots=case.slots,
        tasks_per_instance=1,
        instance_timeout=PATIENCE,
        start_timeout=PATIENCE,
    )
    world = StageWorld(
        case.seed,
        [stage],
        most=case.instances,
        slots=case.slots,
        faults=Faults(item_fails=case.failing),
        hardware=Hardware(
            cpu=workload.cpu,
            memory=workload.memory,
            boot=(costs.boot, costs.boot),
            pull=(costs.pull, costs.pull),
            start=(costs.start, costs.start),
        ),
        work=Work(seconds=case.seconds, requests=costs.shard),
        large=True,
    )
    expected = costs.boot + costs.pull + sum(case.seconds) / case.all_slots
    for _ in range(case.lost_hosts):
        world.clock.after(world.clock.random.uniform(costs.boot, expected), world.cloud.lose_one)
    world.pass_time(costs.before)
    world.ask(case.instances)
    world.pass_time(costs.before)
    ticks, spent = 0, 0.0
    while True:
        began = time.process_time()
        ledger, wait = driver.tick(world, stage, workload, limits)
        ticks, spent = ticks + 1, spent + time.process_time() - began
        if ledger.finished:
            break
        world.pass_time(wait + (costs.requeue if wait > costs.stay else 0.0))
    ended = world.clock.seconds
    while world.cloud.live_tasks and world.clock.step():
        pass
    completions = sum(1 for _ in world.bucket.listing(stage.results))
    assert ledger.state == "succeeded", ledger.reason
    assert completions == stage.shards, f"{completions} results of {stage.shards} shards"
    assert ledger.items_done == stage.items, f"the ledger counts {ledger.items_done} items"
    assert not world.cloud.live_tasks, "ECS tasks were left behind"
    assert not world.broken, "; ".join(world.broken)
    cloud = world.cloud
    return Outcome(
        ledger=ledger,
        wall=ended + costs.after,
        ticks=ticks,
        tick_seconds=spent,
        executions=world.attempts_at(stage).total(),
        completions=completions,
        tasks=len(cloud.tasks),
        calls=cloud.calls + world.bucket.calls,
        exceeded=Counter(cloud.exceeded),
        peaks={"submit": cloud.submit.peak, "read": cloud.read.peak, "provisioning": cloud.most_pending},
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
