"""A cluster with stages whose engines are ticked by whoever holds it: no Airflow, and no people."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from simulation.checkers.shards import NothingTwice
from simulation.clock import Clock
from simulation.cloud import Cloud, Container, Hardware, Task
from simulation.containers import Work, Worker
from simulation.faults import Faults
from simulation.ports import Marks, Ports, Process
from simulation.s3 import Bucket
from simulation.walking import Free, WalkingClaims
from winbatch import attempts, keys
from winbatch.deployment import Workload
from winbatch.engine import Limits
from winbatch.metrics import Sample
from winbatch.stage import Group, Stage
from winbatch.working.claims import Claims


class StageWorld(Ports):
    """The ports of the engines, all of one process; a crash of a tick is `ports.Killed`.

    Attributes:
        work: what items are like, of workers that start from now on.
        calm: the same ports for somebody whose process nothing hinders.
        samples: what CloudWatch was told.
        broken: what did not hold so far, but for AWS's limits.
    """

    def __init__(
        self,
        seed: int,
        stages: Iterable[Stage] = (),
        *,
        most: int,
        slots: int = 1,
        faults: Faults | None = None,
        hardware: Hardware | None = None,
        work: Work | None = None,
        large: bool = False,
    ) -> None:
        """Make one.

        Args:
            seed: of all chance.
            stages: with their manifests, whose items have no parameters.
            most: instances of the cluster.
            slots: of each worker.
            faults: of the engines' process and of the cloud; a worker's calls to S3 have none.
            hardware: of the instances.
            work: what items are like.
            large: workers find claims by an index, and do not list the stage.
        """
        self.clock = Clock(seed)
        self.bucket = Bucket(self.clock.now)
        self.work, self.slots = work or Work(), slots
        self.cloud = Cloud(self.clock, faults or Faults(), most, self._container, hardware)
        self._engine = Process(self.clock, self.cloud.faults, lambda: self._calm)
        self.faults = self.cloud.faults
        super().__init__(self._engine, self.bucket, self.cloud)
        self.calm = Ports(Process(self.clock, Faults(), lambda: True), self.bucket, self.cloud)
        self.samples: list[Sample] = []
        self.broken: list[str] = self.cloud.broken
        self._twice = NothingTwice(self.bucket, self.broken)
        self._stages: dict[str, Stage] = {}
        self.free: dict[str, Free] = {}
        self._large = large
        for stage in stages:
            self.add(stage)

    def add(self, stage: Stage) -> None:
        """Take a stage in."""
        self._stages[keys.stage_key(stage)] = stage
        self._twice.watch(stage)
        if self._large:
            self.free[keys.stage_key(stage)] = Free(stage, self.bucket, self.clock.random)
        lines = "".join(json.dumps({"item": item, "params": {}}) + "\n" for item in range(stage.items))
        self.bucket.put(stage.manifest, lines.encode())

    @property
    def faults(self) -> Faults:
        """Those that it has; others may be set at any time."""
        return self.cloud.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        """Have others from now on."""
        self.cloud.faults = self._engine.faults = faults
        # A large world has many calls, and nothing to draw for most of them.
        self._calm = not (faults.crash or faults.held_up or faults.unavailable or faults.answer_lost)

    def attempts_at(self, stage: Stage) -> Counter[int]:
        """Count the attempts at each shard."""
        marks = (stage.parse_claim_key(entry.key) for entry in self.bucket.listing(stage.claims))
        return Counter(mark.shard for mark in marks if mark is not None and mark.kind == "claim")

    def pass_time(self, seconds: float) -> None:
        """Let the world go on for so long."""
        self.clock.pass_by(seconds)

    def report(self, sample: Sample) -> None:
        """Keep what CloudWatch is told."""
        self.samples.append(sample)

    def _container(self, task: Task, ended: Callable[[int, str], Any]) -> Container:
        stage, process = self._stages[task.stage], Process(self.clock, Faults(), lambda: True)
        free = self.free.get(task.stage)
        return Worker(
            clock=self.clock,
            faults=lambda: self.faults,
            bucket=self.bucket,
            process=process,
            stage=stage,
            claims=WalkingClaims(free, task.arn, self.now)
            if free
            else Claims(Marks(process, self.bucket), stage, task.arn, self.now),
            slots=self.slots,
            work=self.work,
            ended=ended,
        )


def make_stage(
    items: int = 40,
    shard_items: int = 2,
    *,
    job: str = "j",
    name: str = "s",
    groups: tuple[Group, ...] = (),
) -> Stage:
    """Make a stage of DAG `d`."""
    base = f"jobs/d/{job}/{name}/"
    return Stage(
        dag="d",
        job=job,
        stage=name,
        workload="w",
        run="m:f",
        manifest=base + "manifest.jsonl",
        claims=base + "claims/",
        partials=base + "partials/",
        results=f"r/{job}/{name}/",
        outputs=f"r/{job}/",
        items=items,
        shard_items=shard_items,
        groups=groups,
    )


def make_workload(cpu: int = 1024) -> Workload:
    """Make what a stage's ECS tasks run."""
    return Workload(
        task_definition="td:1", container="c", cpu=cpu, memory=1024, image="i", log_group="g", log_stream_prefix="p"
    )


def make_limits(*, instances: int = 3, max_attempts: int = 3, **changes: Any) -> Limits:
    """Make a stage's bounds: on a cluster of its own, unless `changes` say otherwise."""
    values: dict[str, Any] = {
        "slots": 1,
        "tasks_per_instance": 2,
        "max_instances": instances,
        "cluster_instances": instances,
        "keep_instances": 0,
        "rules": attempts.policy({}, max_attempts=max_attempts),
        "max_failed_items": 0,
        "instance_timeout": dt.timedelta(minutes=5),
        "start_timeout": dt.timedelta(minutes=2),
    }
    return Limits(**values | changes)
