"""The curve: counts of all items merged by Eb/N0, each point with its interval and what theory says."""

import collections
import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ber import plot, theory
from ber.interval import proportion_interval
from winbatch.results import ItemFailure, ItemResult
from winbatch.workload import Context

SCHEMA = 1
FILES = ("results.json", "results.csv", "results.png")

_INPUT = "simulate"


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """A point of the curve.

    Attributes:
        ebn0_db: energy per bit over noise density, in dB.
        bits: simulated at it.
        bit_errors: among them.
        ber: their ratio.
        ci95: bounds of its 95 % confidence interval; without an error the interval is one-sided.
        theory: 0.5·erfc(√(Eb/N0)).
        method: `waveform` or `decision`.
    """

    ebn0_db: float
    bits: int
    bit_errors: int
    ber: float
    ci95: tuple[float, float]
    theory: float
    method: str


@dataclasses.dataclass(frozen=True)
class Curve:
    """All points, by Eb/N0.

    Attributes:
        points: each point of which an item succeeded.
        kernels: how many items each kernel ran.
        items: how many there are in the points.
        failed: the items that failed for good, and are in no point.
    """

    points: Sequence[CurvePoint]
    kernels: Mapping[str, int]
    items: int
    failed: Sequence[ItemFailure] = ()

    @property
    def bits(self) -> int:
        return sum(point.bits for point in self.points)

    @property
    def bit_errors(self) -> int:
        return sum(point.bit_errors for point in self.points)


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Merge the results of the stage `simulate` into `results.json`, `results.csv` and `results.png`.

    Items that failed for good are named in `results.json`; the points rest on the others.

    Args:
        params: `seed` and `method`, which each item must share.
        context: of the one item of this stage.

    Returns:
        The totals: `points`, `items`, `failed_items`, `bits`, `bit_errors`, `kernels`, and the names of the `files`.

    Raises:
        ValueError: there is no item, or one has no counts, impossible counts, or another seed or method.
        JobError: an item's result is missing or there twice, and it has not failed.
    """
    curve = dataclasses.replace(merge(context.results(_INPUT), params), failed=context.failures(_INPUT))
    write_json(curve, context.outputs / FILES[0], job=context.job, seed=params.get("seed"))
    write_csv(curve, context.outputs / FILES[1])
    plot.write(curve.points, context.outputs / FILES[2])
    return {
        "points": len(curve.points),
        "items": curve.items,
        "failed_items": len(curve.failed),
        "bits": curve.bits,
        "bit_errors": curve.bit_errors,
        "kernels": dict(curve.kernels),
        "files": list(FILES),
    }


def merge(results: Iterable[ItemResult], shared: Mapping[str, Any]) -> Curve:
    """Add up the counts by Eb/N0. They are integers, so neither order nor grouping matters.

    Args:
        results: of all items.
        shared: parameters that must be the same in each of them.

    Raises:
        ValueError: as `run`.
    """
    bits: collections.Counter[tuple[float, str]] = collections.Counter()
    errors: collections.Counter[tuple[float, str]] = collections.Counter()
    kernels: collections.Counter[str] = collections.Counter()
    for result in results:
        for name, value in shared.items():
            if result.params.get(name) != value:
                raise ValueError(
                    f"item {result.item} has {name} {result.params.get(name)!r}, this job has {value!r};"
                    " it is another job's"
                )
        item_bits, item_errors = _counts(result)
        method = str(result.params.get("method", "waveform"))
        bits[float(result.params["ebn0_db"]), method] += item_bits
        errors[float(result.params["ebn0_db"]), method] += item_errors
        kernels[str(result.values["kernel"])] += 1
    if not bits:
        raise ValueError(f"stage {_INPUT} has no items: there is nothing to merge")
    points = [
        _point(ebn0_db, method, bits[ebn0_db, method], errors[ebn0_db, method]) for ebn0_db, method in sorted(bits)
    ]
    return Curve(points, dict(sorted(kernels.items())), kernels.total())


def write_json(curve: Curve, path: Path, *, job: str, seed: int | None) -> None:
    """Write the curve with all digits."""
    data = {
        "schema": SCHEMA,
        "job": job,
        "seed": seed,
        "items": curve.items,
        "failed_items": [{"item": failure.item, "reason": failure.reason} for failure in curve.failed],
        "bits": curve.bits,
        "bit_errors": curve.bit_errors,
        "kernels": curve.kernels,
        "points": [dataclasses.asdict(point) for point in curve.points],
    }
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def write_csv(curve: Curve, path: Path) -> None:
    """Write one line a point, for spreadsheets."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("ebn0_db", "bits", "bit_errors", "ber", "ci95_low", "ci95_high", "theory", "method"))
        for point in curve.points:
            lines.writerow(
                (point.ebn0_db, point.bits, point.bit_errors, point.ber, *point.ci95, point.theory, point.method)
            )


def _counts(result: ItemResult) -> tuple[int, int]:
    match result.values:
        case {"bits": int(bits), "bit_errors": int(errors), "kernel": str()} if 0 <= errors <= bits and bits > 0:
            return bits, errors
    raise ValueError(f"item {result.item} has no counts of bits and errors: {dict(result.values)}")


def _point(ebn0_db: float, method: str, bits: int, errors: int) -> CurvePoint:
    return CurvePoint(
        ebn0_db=ebn0_db,
        bits=bits,
        bit_errors=errors,
        ber=errors / bits,
        ci95=proportion_interval(errors, bits, confidence=0.95),
        theory=theory.bit_error_rate(ebn0_db),
        method=method,
    )
