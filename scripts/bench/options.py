"""What `invoke bench` may be told: apart from what measures, which the other verbs need not load."""

from dataclasses import dataclass

RUNS = 3
MINUTES = 20


@dataclass(frozen=True)
class Options:
    """How often what is measured, and the minutes after which nothing is repeated that need not be."""

    runs: int = RUNS
    minutes: float = MINUTES
