"""Figures: what was measured, its bound, and what it is compared with. Pure."""

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.table import Table

Sense = Literal["at most", "at least"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure.

    Attributes:
        name: `<part>.<figure>`.
        values: one a run; the median counts.
        unit: of the values; empty for a ratio.
        bound: what the median must hold; None: the figure is shown, not judged.
        sense: whether the bound is the most or the least.
        compared_with: in a few words; empty when it stands alone.
    """

    name: str
    values: Sequence[float]
    unit: str = ""
    bound: float | None = None
    sense: Sense = "at most"
    compared_with: str = ""

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"figure {self.name} has no value")

    @property
    def median(self) -> float:
        """Give the value that counts."""
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        """Whether the median is within the bound; a figure without one always holds."""
        if self.bound is None:
            return True
        return self.median <= self.bound if self.sense == "at most" else self.median >= self.bound

    def as_json(self) -> dict[str, Any]:
        """Give it as it stands in the report, with the smallest and the largest value."""
        return {
            "median": _rounded(self.median),
            "min": _rounded(min(self.values)),
            "max": _rounded(max(self.values)),
            "values": [_rounded(value) for value in self.values],
            "unit": self.unit,
            "bound": self.bound,
            "sense": self.sense if self.bound is not None else None,
            "holds": self.holds,
            "compared_with": self.compared_with or None,
        }


def table(figures: Iterable[Figure]) -> Table:
    """Figures for people."""
    made = Table(box=None, pad_edge=False)
    for title in ("figure", "median", "spread", "bound", "compared with"):
        number = title in {"median", "spread", "bound"}
        # Where the line is short, the words give way and the figures stay whole.
        made.add_column(title, justify="right" if number else "left", no_wrap=title != "compared with")
    for figure in figures:
        bound = "" if figure.bound is None else f"{'≤' if figure.sense == 'at most' else '≥'} {_short(figure.bound)}"
        low, high = min(figure.values), max(figure.values)
        made.add_row(
            figure.name,
            f"{_short(figure.median)} {figure.unit}".strip(),
            f"{_short(low)}-{_short(high)}" if len(figure.values) > 1 else "one run",
            bound,
            figure.compared_with,
            style=None if figure.holds else "red",
        )
    return made


def broken(figures: Iterable[Figure]) -> list[str]:
    """The figures that do not hold, a line each."""
    return [
        f"{figure.name} is {_short(figure.median)} {figure.unit}".rstrip()
        + f", the bound is {figure.sense} {_short(figure.bound)}"
        for figure in figures
        if not figure.holds and figure.bound is not None
    ]


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - four digits are whole numbers
