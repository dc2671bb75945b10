"""`chaos`: real faults under real jobs, in an environment of its own; what was lost, twice, left."""

from typing import Any

from scripts.bench.figures import Figure
from scripts.chaos import main
from scripts.chaos.main import Tally
from scripts.core.settings import Settings

# Two or three rounds, from a seed that nobody has run.
MINUTES = 6
JOBS_AN_HOUR = 40.0


def measure(settings: Settings) -> tuple[list[Figure], dict[str, Any]]:
    """Measure.

    Raises:
        OperatorError: the environment does not come up or go down.
    """
    tally = main.run(settings, minutes=MINUTES, seed=0)
    return figures(tally), tally.as_json()


def figures(tally: Tally) -> list[Figure]:
    """Make figures of what happened."""
    first = tally.rounds[0].schedule.seed
    return [
        Figure(
            name="chaos.jobs", values=[tally.jobs], compared_with=f"{len(tally.rounds)} rounds from seed {first} on"
        ),
        Figure(name="chaos.jobs_an_hour", values=[tally.jobs_an_hour], bound=JOBS_AN_HOUR, sense="at least"),
        Figure(name="chaos.faults", values=[tally.faults.total()], compared_with=", ".join(sorted(tally.faults))),
        Figure(name="chaos.lost_or_twice", values=[tally.about("items")], bound=0),
        Figure(name="chaos.left_over", values=[tally.about("left")], bound=0),
        Figure(name="chaos.told_wrong_or_endless", values=[tally.about("told", "ends")], bound=0),
    ]
