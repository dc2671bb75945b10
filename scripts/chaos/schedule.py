"""What happens in a round, drawn from its seed: which jobs begin when, and what goes wrong when. Pure."""

import dataclasses
import random
from collections.abc import Mapping
from typing import Any, Self

# Within so many seconds of a round jobs begin and things go wrong; after that nothing does any more.
WINDOW = 150.0
JOBS, ACTS = (5, 8), (5, 12)
# A path at which there is nothing.
NOWHERE = "/dev/null/nothing"


@dataclasses.dataclass(frozen=True)
class Kind:
    """How often something goes wrong beside other things.

    Attributes:
        weight: its part of what is drawn.
        last: it ends a round, so it comes at most once in it, and after all else.
    """

    weight: float
    last: bool = False


@dataclasses.dataclass(frozen=True)
class Start:
    """A job that is to begin.

    Attributes:
        at: seconds after the round has.
        dag: its DAG.
        parameters: as on the command line.
    """

    at: float
    dag: str
    parameters: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Act:
    """Something that is to go wrong, or that somebody does.

    Attributes:
        at: seconds after the round has begun.
        kind: what.
        chance: seeds what is left open, such as which of the workers; these are those that are there then.
    """

    at: float
    kind: str
    chance: int


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A round: jobs and acts, each in the order of their times."""

    seed: int
    window: float
    jobs: tuple[Start, ...]
    acts: tuple[Act, ...]

    @classmethod
    def draw(cls, seed: int, kinds: Mapping[str, Kind], window: float = WINDOW) -> Self:
        """Draw the round of a seed.

        Half of all kinds are absent from a round, so that rare pairs come up alone.

        Args:
            seed: of it.
            kinds: what can go wrong.
            window: seconds in which all happens; with fewer, less does.
        """
        chance = random.Random(f"chaos {seed}")  # noqa: S311 - chance, not secrecy
        part = window / WINDOW
        present = [name for name in kinds if chance.random() < 0.5] or [*kinds]  # noqa: PLR2004 - a half
        usual = [name for name in present if not kinds[name].last] or [name for name in kinds if not kinds[name].last]
        weights = [kinds[name].weight for name in usual]
        jobs = [_draw_job(chance, window) for _ in range(max(2, round(part * chance.randint(*JOBS))))]
        count = max(2, round(part * chance.randint(*ACTS)))
        acts = [
            Act(round(chance.uniform(0.05, 1) * window, 1), kind, chance.randrange(2**32))
            for kind in chance.choices(usual, weights, k=count)
        ]
        last = [name for name in present if kinds[name].last and chance.random() < kinds[name].weight]
        acts += [Act(window, name, chance.randrange(2**32)) for name in last[:1]]
        return cls(
            seed, window, tuple(sorted(jobs, key=lambda job: job.at)), tuple(sorted(acts, key=lambda act: act.at))
        )

    def to_json(self) -> dict[str, Any]:
        """Give it for a report."""
        return dataclasses.asdict(self)


def _draw_job(chance: random.Random, window: float) -> Start:
    at = round(chance.uniform(0, 0.8) * window, 1)
    dag = chance.choice(["naps", "naps", "naps", "ill", "ber"])
    parameters: dict[str, object] = {"max_instances": chance.randint(1, 3)}
    match dag:
        case "naps":
            parameters |= {"num_items": chance.randint(4, 40), "shard_items": chance.choice([0, 1, 1, 3])}
            parameters["seconds"] = chance.choice([0, 0.2, 1, 3])
        case "ill":
            number = chance.randint(2, 12)
            parameters |= {"num_items": number, "shard_items": chance.choice([0, 1, 2])}
            parameters |= {"ill": chance.randrange(number), "cure": chance.choice(["/", NOWHERE])}
            parameters["max_attempts"] = chance.randint(1, 2)
        case "ber":
            parameters |= {"ebn0_db": "4,5", "num_items": chance.randint(2, 4), "num_frames": 20}
    return Start(at, dag, {name: str(value) for name, value in parameters.items()})
