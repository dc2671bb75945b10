"""Starts of a DAG run: what tells one that a person has asked for anew from the one before."""

import dataclasses
import datetime as dt
from typing import Any, Self

from winbatch.times import format_time, parse_time


@dataclasses.dataclass(frozen=True)
class Start:
    """One start of a DAG run.

    Attributes:
        begun: when the run was made, as job.json has it.
        at: when it was started; None while it is queued. Clearing a run that is at work leaves it as it is.
        clears: how often people had cleared something of it by then; None where nobody says. Airflow 3.0 and 3.1 count
            only what was cleared of a run that had ended (apache/airflow#60848).
    """

    begun: str
    at: dt.datetime | None
    clears: int | None = None

    def __str__(self) -> str:
        return f"{self.begun}, started {_written(self.at) or 'not yet'}"

    @classmethod
    def of(cls, run: Any) -> Self:
        """From Airflow's DAG run, as an Airflow task sees it."""
        return cls(format_time(run.run_after), run.start_date, run.clear_number)

    def is_after(self, other: Self) -> bool:
        """Say whether somebody has started the run anew between the other one and this."""
        if self.begun != other.begun:
            return self.begun > other.begun
        if self.clears is not None and other.clears is not None:
            return self.clears > other.clears
        # What was read from a ledger has milliseconds.
        mine, its = _written(self.at), _written(other.at)
        return mine is not None and its is not None and mine > its

    def to_object(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {"begun": self.begun, "at": _written(self.at), "clears": self.clears}

    @classmethod
    def from_object(cls, data: Any) -> Self:
        """Read it back."""
        at, clears = data["at"], data["clears"]
        return cls(str(data["begun"]), parse_time(at) if at else None, int(clears) if clears is not None else None)


def _written(moment: dt.datetime | None) -> str | None:
    return format_time(moment) if moment else None
