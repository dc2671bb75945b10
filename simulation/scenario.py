"""What is drawn for a world before it begins: its cluster, its faults, its jobs and what people do to them.

A scenario says all of a world, so a world that failed can be made smaller, and kept as a file that means the same when
more is drawn one day.
"""

import dataclasses
import random
from collections.abc import Mapping
from typing import Any, Literal, Self

from simulation.faults import Faults
from simulation.sizes import Sizes

FAULT_SECONDS = 2 * 3600.0
"""Seconds after which nothing goes wrong any more, in a world that was drawn."""

CROWDED, MOST_JOBS = 0.03, 50
"""Worlds with very many small jobs, and how many at most."""

ActKind = Literal["cancel", "clear", "fail_stage", "mark", "release", "resume"]
AirflowVersion = Literal["3.0", "3.2"]
AIRFLOWS: tuple[AirflowVersion, ...] = ("3.0", "3.2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Act:
    """What a person does to a job, `at` so many seconds."""

    kind: ActKind
    at: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobPlan:
    """A job that somebody starts.

    Attributes:
        dag: `one` has a stage, `two` one that reads it.
        begins: when, s.
        points: groups of items.
        number: items of each.
        max_instances: its parameter.
        max_failed_items: its parameter.
        shard_items: its parameter; 0: the plan chooses.
        acts: what people do to it.
    """

    dag: Literal["one", "two"]
    begins: float
    points: int
    number: int
    max_instances: int
    max_failed_items: int
    shard_items: int
    acts: tuple[Act, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """All that is decided before a world begins.

    Attributes:
        seed: of all chance in it.
        instances: that the cluster can have.
        cpu: of an ECS task, of an instance's 4096.
        item_seconds: that an item takes at most.
        fault_seconds: after these nothing goes wrong any more.
        faults: their mix.
        sizes: of AWS and of ours.
        airflow: its version.
        jobs: that are started.
    """

    seed: int
    instances: int
    cpu: int
    item_seconds: float
    fault_seconds: float
    faults: Faults
    sizes: Sizes = dataclasses.field(default_factory=Sizes)
    airflow: AirflowVersion = "3.2"
    jobs: tuple[JobPlan, ...]

    @classmethod
    def draw(cls, seed: int) -> Self:
        """Draw the scenario of a seed."""
        chance = random.Random(f"scenario {seed}")  # noqa: S311 - a simulation
        # What came later is drawn apart, so that a seed goes on meaning the same of all else.
        more = random.Random(f"faults {seed}")  # noqa: S311 - a simulation
        faults = Faults.draw(chance, more, random.Random(f"skew {seed}"))  # noqa: S311 - a simulation
        instances = chance.randint(1, 6)
        people = random.Random(f"people {seed}")  # noqa: S311 - a simulation
        cpu, item_seconds = chance.choice([1024, 2048, 4096]), chance.choice([2.0, 20.0, 200.0])
        sizes = Sizes.draw(chance)
        jobs = [_draw_job(chance, people, instances) for _ in range(chance.randint(1, 4))]
        if more.random() < CROWDED:
            jobs += [_draw_small_job(more, instances) for _ in range(more.randint(2, MOST_JOBS) - len(jobs))]
        return cls(
            seed=seed,
            instances=instances,
            cpu=cpu,
            item_seconds=item_seconds,
            fault_seconds=FAULT_SECONDS,
            faults=faults,
            sizes=sizes,
            airflow=random.Random(f"airflow {seed}").choice(AIRFLOWS),  # noqa: S311 - a simulation
            jobs=tuple(jobs),
        )

    def to_json(self) -> dict[str, Any]:
        """Give it as a kept seed's file has it; kinds of faults that are not there are left out."""
        data = dataclasses.asdict(self)
        data["faults"] = {kind: value for kind, value in data["faults"].items() if value}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read it back."""
        jobs = (
            JobPlan(**{**job, "acts": tuple(Act(**act) for act in job["acts"])})  # keyword arguments are checked
            for job in data["jobs"]
        )
        parts = {"faults": Faults(**data["faults"]), "sizes": Sizes(**data.get("sizes", {})), "jobs": tuple(jobs)}
        return cls(**{**data, **parts})


def _draw_small_job(chance: random.Random, instances: int) -> JobPlan:
    """One of very many at once."""
    return JobPlan(
        dag=chance.choice(["one", "one", "two"]),
        begins=chance.uniform(0, 900),
        points=1,
        number=chance.choice([1, 3]),
        max_instances=chance.randint(1, instances),
        max_failed_items=5,
        shard_items=1,
    )


def _draw_job(chance: random.Random, people: random.Random, instances: int) -> JobPlan:
    begins = chance.uniform(0, 900)
    acts = []
    if chance.choice([True, False, False]):
        acts.append(Act(kind="cancel", at=begins + chance.uniform(10, 3000)))
    resumes = range(chance.choice([0, 0, 1, 2]))
    acts += [Act(kind="resume", at=chance.uniform(600, 2 * FAULT_SECONDS)) for _ in resumes]
    others: tuple[ActKind, ...] = ("clear", "fail_stage", "mark", "release")
    acts += [
        Act(kind=people.choice(others), at=begins + people.choice([30.0, 300.0, 3000.0]) * people.uniform(0, 2))
        for _ in range(people.choice([0, 0, 0, 1, 2]))
    ]
    return JobPlan(
        dag=chance.choice(["one", "two"]),
        begins=begins,
        points=chance.randint(1, 3),
        number=chance.choice([1, 3, 20, 60]),
        max_instances=chance.randint(1, instances),
        max_failed_items=chance.choice([0, 0, 5]),
        shard_items=chance.choice([0, 1, 4]),
        acts=tuple(acts),
    )
