"""Counts by point, added up: what a process that merges a range of results needs, and nothing else."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from winbatch.results import ItemResult

_METHOD, _MODULATION, _CHANNEL = "waveform", "bpsk", "awgn"
_DEFAULTS = {"method": _METHOD, "modulation": _MODULATION, "channel": _CHANNEL}


class Key(NamedTuple):
    """What makes a point."""

    ebn0_db: float
    method: str
    modulation: str
    channel: str


# Of a point: bits, errors, their squares by symbol, weights, squared weights.
type Counts = tuple[int, int, int, int, int]


@dataclasses.dataclass
class Sums:
    """Counts by point, all of them integers: neither order nor grouping matters."""

    points: dict[Key, Counts] = dataclasses.field(default_factory=dict)
    kernels: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, key: Key, counts: Counts) -> None:
        """Add counts to those of a point."""
        there = self.points.get(key)
        if there is not None:
            a, b, c, d, e = there
            counts = (a + counts[0], b + counts[1], c + counts[2], d + counts[3], e + counts[4])
        self.points[key] = counts

    def combined(self, other: "Sums") -> "Sums":
        """The sums of both."""
        both = Sums(dict(self.points), self.kernels + other.kernels)
        for key, counts in other.points.items():
            both.add(key, counts)
        return both


def add_up(results: Iterable[ItemResult], shared: Mapping[str, Any]) -> Sums:
    """Add up the counts by point.

    Args:
        results: of all items, or of some.
        shared: parameters that must be the same in each of them.

    Raises:
        ValueError: an item has no counts, impossible counts, or another seed or method.
    """
    sums = Sums()
    expected = [(name, value, _DEFAULTS.get(name)) for name, value in shared.items()]
    for result in results:
        params = result.params
        for name, value, default in expected:
            if params.get(name, default) != value:
                raise ValueError(
                    f"item {result.item} has {name} {params.get(name)!r}, this job has {value!r}; it is another job's"
                )
        key = Key(
            float(params["ebn0_db"]),
            str(params.get("method", _METHOD)),
            str(params.get("modulation", _MODULATION)),
            str(params.get("channel", _CHANNEL)),
        )
        sums.add(key, _counts(result, key.method))
        sums.kernels[result.values["kernel"]] += 1
    return sums


def _counts(result: ItemResult, method: str) -> Counts:
    # Pattern matching would be shorter and take three times as long, for each item of a job.
    values = result.values
    bits, errors = values.get("bits"), values.get("bit_errors")
    if (
        isinstance(bits, int)
        and isinstance(errors, int)
        and isinstance(values.get("kernel"), str)
        and 0 <= errors <= bits
        and bits > 0
    ):
        if method != "importance":
            return bits, errors, int(values.get("bit_errors_squared", errors)), 0, 0
        weight, squared = values.get("weight"), values.get("weight_squared")
        if isinstance(weight, int) and isinstance(squared, int) and weight >= 0 and squared >= 0:
            return bits, errors, errors, weight, squared
    raise ValueError(f"item {result.item} has no counts of bits and errors: {dict(values)}")
