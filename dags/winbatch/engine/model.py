"""Holds what the engine sees, what bounds it, and what it wants done."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

from winbatch.attempts import Kind, Rule, ShardKind
from winbatch.capacity import Instance
from winbatch.ecs_tasks import Worker
from winbatch.ledger import Ledger, Wave
from winbatch.stage import ClaimKind, ClaimMark


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds a stage.

    Attributes:
        slots: shards that one ECS task works on at once.
        tasks_per_instance: ECS tasks that fit on an instance.
        max_instances: never ask for more for this job.
        cluster_instances: that all jobs of the cluster can have together.
        keep_instances: that stay when there is nothing to do.
        max_failed_items: more than this end the stage.
        instance_timeout: for the first instance.
        start_timeout: for a pending ECS task.
        rules: for each kind of failure.
        shard_seconds: what a shard is thought to take; None when nobody knows.
        prices: US dollars an hour by instance type; a type that is not known yet, or has none, counts as the dearest.
    """

    slots: int
    tasks_per_instance: int
    max_instances: int
    cluster_instances: int
    keep_instances: int
    max_failed_items: int
    instance_timeout: dt.timedelta
    start_timeout: dt.timedelta
    rules: Mapping[Kind, Rule]
    shard_seconds: float | None = None
    prices: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def max_workers(self) -> int:
        """Give the most ECS tasks that the stage may have at once."""
        return self.max_instances * self.tasks_per_instance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """Holds what a tick saw, until `now`.

    A look can take minutes. What began by the end of one look is as old, at the begin of the next one, as it is for
    certain: `age` counts so.

    Attributes:
        results: shards with a valid result that the ledger does not know to be done.
        broken: shards whose result does not parse, and why.
        marks: of the claims of shards that are not done, each with the time at which it was made.
        workers: the stage's ECS tasks; they must have been looked at before `marks`, so that each claim of one
            that has ended is among them.
        instances: that have registered with the cluster, without those that are being ended.
        room: ECS tasks of the workload that fit now.
        desired: the Auto Scaling group's desired capacity.
        others: instances that other stages on the cluster could use, by stage.
        said: what AWS says of instances that stay away, in one line; None when it was not asked.
        cancelled: somebody wants the stage to stop.
        looked: when the look began; None: at `now`.
    """

    now: dt.datetime
    results: frozenset[int]
    broken: Mapping[int, str]
    marks: Mapping[ClaimMark, dt.datetime]
    workers: Sequence[Worker]
    instances: Sequence[Instance]
    room: int
    desired: int
    others: Mapping[str, float]
    said: str | None = None
    cancelled: bool = False
    looked: dt.datetime | None = None

    def age(self, since: dt.datetime) -> dt.timedelta:
        """Say how long something was so at least, when it was seen."""
        return (self.looked or self.now) - since


@dataclasses.dataclass(frozen=True)
class Put:
    """Write a mark, unless it is there: how an attempt ended, or that the next may be claimed."""

    mark: ClaimMark
    reason: str


@dataclasses.dataclass(frozen=True)
class Point:
    """Tell workers in which blocks of a large stage they find something to claim."""

    blocks: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Explain:
    """Read why these shards failed for good: the last attempt's mark of each, and the kind of failure."""

    failed: tuple[tuple[ClaimMark, ShardKind], ...]


@dataclasses.dataclass(frozen=True)
class Settle:
    """Find out whose these open claims are, and mark those of ECS tasks that are not `live`.

    `ended` says which mark the claims of one that has ended get; those of one that nobody knows are lost.
    """

    marks: tuple[ClaimMark, ...]
    live: frozenset[str]
    ended: Mapping[str, ClaimKind]


@dataclasses.dataclass(frozen=True)
class Ask:
    """Ask the Auto Scaling group for this many instances."""

    instances: int


@dataclasses.dataclass(frozen=True)
class Run:
    """Start ECS tasks: one RunTask call."""

    wave: Wave
    token: str


@dataclasses.dataclass(frozen=True)
class Stop:
    """Stop ECS tasks."""

    arns: tuple[str, ...]
    reason: str


@dataclasses.dataclass(frozen=True)
class Retire:
    """Ask ECS tasks to leave after the shard at hand."""

    arns: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Drain:
    """Let nothing more be placed on these container instances."""

    arns: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Terminate:
    """Terminate these EC2 instances, which are empty, and lower the desired capacity with each."""

    ec2_ids: tuple[str, ...]


Action = Put | Point | Explain | Settle | Ask | Run | Stop | Retire | Drain | Terminate


@dataclasses.dataclass(frozen=True)
class Shards:
    """Every shard, in exactly one of these; of `free` ones, which wait to be claimed, only the number is known.

    It is `hopeless` when many have failed and none has succeeded.
    """

    done: int
    free: int
    open: tuple[ClaimMark, ...]
    retry: tuple[tuple[ClaimMark, dt.datetime], ...]
    broken: tuple[tuple[ClaimMark, str], ...]
    failed: tuple[tuple[ClaimMark, ShardKind], ...]
    hopeless: bool

    @property
    def unfinished(self) -> int:
        """Count those that have not come to their end."""
        return self.free + len(self.open) + len(self.retry) + len(self.broken)


@dataclasses.dataclass(frozen=True)
class Need:
    """Names what the stage should have: ECS tasks of its own, and instances on the cluster for everybody."""

    workers: int
    instances: int
    demand: float
    contended: bool


@dataclasses.dataclass(frozen=True)
class Step:
    """Holds what a tick does.

    Attributes:
        ledger: to be saved, after the actions.
        actions: to be done.
        demand: instances that the stage could use, for the others to know.
        wait: seconds after which to look again, unless the stage is finished.
        shards: by which it was decided.
        need: by which it was decided; None where the stage ends.
    """

    ledger: Ledger
    actions: tuple[Action, ...]
    demand: float
    wait: float
    shards: Shards
    need: Need | None = None
