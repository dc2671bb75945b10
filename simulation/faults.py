"""The mix of faults of a world, drawn by its seed: each kind is often absent, so that rare pairs come up alone."""

import dataclasses
import random
from typing import Self

# Of a call, an hour, an item: what is drawn, if the kind is there at all.
_MOST = {
    "crash": 0.02,
    "unavailable": 0.03,
    "answer_lost": 0.02,
    "held_up": 0.05,
    "throttle": 0.2,
    "host_lost_an_hour": 6.0,
    "worker_dies_an_hour": 12.0,
    "item_fails": 0.15,
    "result_torn": 0.03,
    "start_fails": 0.1,
    "no_capacity": 0.2,
    "lingers": 300.0,
    "zombie": 0.15,
    "busy": 0.3,
    "spot_notice": 1.0,
    "unseen": 90.0,
}
# What came later is drawn apart, so that a seed goes on meaning the same of all else.
_MORE = {"comes_late": 0.01, "unanswered": 0.01, "away_an_hour": 0.5}
_MOST_SKEW = 20.0


@dataclasses.dataclass(frozen=True)
class Faults:
    """How often what goes wrong.

    Attributes:
        crash: of a call: the process is killed before or after it.
        unavailable: of a call to S3: it fails.
        answer_lost: of a call to S3: it is carried out, and fails.
        held_up: of a call: the process stands still for up to a minute, and the world goes on.
        throttle: of RunTask.
        host_lost_an_hour: hosts, of each.
        worker_dies_an_hour: containers, of each.
        item_fails: of the attempts at an item.
        result_torn: of results: half of it is written.
        start_fails: of ECS tasks.
        no_capacity: of launches: EC2 has none for a minute.
        lingers: seconds that a terminated instance stays listed.
        zombie: of an Airflow task's tries: Airflow begins another one while it still lives.
        busy: of terminations: Auto Scaling is at something else.
        spot_notice: of hosts that are lost: Spot says so two minutes before.
        unseen: seconds for which ECS does not know an ECS task that it has started.
        comes_late: of writes to S3: they fail, and arrive some time later.
        unanswered: of calls to ECS and Auto Scaling: they are carried out, and nobody answers.
        away_an_hour: how often an hour Airflow is away for twenty minutes.
        skew: seconds by which a process's clock is before or after AWS's, at most.
    """

    crash: float = 0.0
    unavailable: float = 0.0
    answer_lost: float = 0.0
    held_up: float = 0.0
    throttle: float = 0.0
    host_lost_an_hour: float = 0.0
    worker_dies_an_hour: float = 0.0
    item_fails: float = 0.0
    result_torn: float = 0.0
    start_fails: float = 0.0
    no_capacity: float = 0.0
    lingers: float = 0.0
    zombie: float = 0.0
    busy: float = 0.0
    spot_notice: float = 0.0
    unseen: float = 0.0
    comes_late: float = 0.0
    unanswered: float = 0.0
    away_an_hour: float = 0.0
    skew: float = 0.0

    @classmethod
    def draw(cls, chance: random.Random, more: random.Random, skew: random.Random) -> Self:
        """Draw a mix: a kind is absent in half of all worlds."""
        kinds = {kind: chance.choice([0.0, chance.uniform(0, most)]) for kind, most in _MOST.items()}
        kinds |= {kind: more.choice([0.0, more.uniform(0, most)]) for kind, most in _MORE.items()}
        return cls(**kinds, skew=skew.choice([0.0, skew.uniform(0, _MOST_SKEW)]))

    @property
    def named(self) -> str:
        """Those that are there."""
        return ", ".join(f"{name} {value:.3g}" for name, value in dataclasses.asdict(self).items() if value) or "none"
