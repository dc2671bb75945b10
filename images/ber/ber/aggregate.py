"""The curve: counts of all items merged by point, each with its interval and what theory says."""

import csv
import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ber import importance, plot, report, theory
from ber.curve import Curve, CurvePoint
from ber.interval import SPAN, clustered_interval, proportion_interval
from ber.modulation import MODULATIONS
from ber.sums import Counts, Key, Sums, add_up
from winbatch.causes import causes
from winbatch.workload import Context

SCHEMA = 1
FILES = ("results.json", "results.csv", "results.parquet", "results.png", "report.html")

_INPUT = "simulate"

# Of the causes of failures, the most frequent.
_CAUSES = 100


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Merge the results of the stage `simulate` into results as JSON, CSV, Parquet and a figure, and a report.

    Items that failed for good are named in `results.json`; the points rest on the others.

    Args:
        params: those which each item must share, such as `seed` and `method`.
        context: of the one item of this stage.

    Returns:
        The totals: `points`, `items`, `failed_items`, `bits`, `bit_errors`, `kernels`, and the names of the `files`.

    Raises:
        ValueError: there is no item, or one has no counts, impossible counts, or another seed or method.
        JobError: an item's result is missing or there twice, and it has not failed.
    """
    sums = context.fold(_INPUT, functools.partial(add_up, shared=dict(params)), Sums.combined)
    curve = dataclasses.replace(curve_of(sums), failed=context.failures(_INPUT))
    write_json(curve, context.outputs / FILES[0], job=context.job, seed=params.get("seed"))
    write_csv(curve, context.outputs / FILES[1])
    write_parquet(curve, context.outputs / FILES[2])
    figure = plot.draw(curve.points)
    plot.write(figure, context.outputs / FILES[3])
    report.write(curve, figure, context.account(_INPUT), context.outputs / FILES[4], job=context.job)
    return {
        "points": len(curve.points),
        "items": curve.items,
        "failed_items": len(curve.failed),
        "bits": curve.bits,
        "bit_errors": curve.bit_errors,
        "kernels": dict(curve.kernels),
        "files": list(FILES),
    }


def curve_of(sums: Sums) -> Curve:
    """The points.

    Raises:
        ValueError: there are none.
    """
    if not sums.points:
        raise ValueError(f"stage {_INPUT} has no items: there is nothing to merge")
    points = [_point(key, counts) for key, counts in sorted(sums.points.items())]
    return Curve(points, dict(sorted(sums.kernels.items())), sums.kernels.total())


def write_json(curve: Curve, path: Path, *, job: str, seed: int | None) -> None:
    """Write the curve with all digits."""
    data = {
        "schema": SCHEMA,
        "job": job,
        "seed": seed,
        "items": curve.items,
        "failed_items": [{"item": failure.item, "reason": failure.reason} for failure in curve.failed],
        "failed_causes": [dataclasses.asdict(cause) for cause in causes(curve.failed)[:_CAUSES]],
        "bits": curve.bits,
        "bit_errors": curve.bit_errors,
        "kernels": curve.kernels,
        "points": [dataclasses.asdict(point) for point in curve.points],
    }
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8", newline="\n")


def write_csv(curve: Curve, path: Path) -> None:
    """Write one line a point, for spreadsheets."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(_COLUMNS)
        lines.writerows(map(_row, curve.points))


def write_parquet(curve: Curve, path: Path) -> None:
    """Write the same table with its types."""
    from arro3.core import Array, DataType, Table  # noqa: PLC0415 - its readers need not have it
    from arro3.io import write_parquet as write  # noqa: PLC0415

    kinds = {int: DataType.int64(), float: DataType.float64(), str: DataType.string()}
    columns = zip(*map(_row, curve.points), strict=True)
    arrays = [Array(list(column), kinds[kind]) for column, kind in zip(columns, _COLUMNS.values(), strict=True)]
    write(Table.from_arrays(arrays, names=list(_COLUMNS)), path)


_COLUMNS: Mapping[str, type] = {
    "ebn0_db": float,
    "bits": int,
    "bit_errors": int,
    "ber": float,
    "ci95_low": float,
    "ci95_high": float,
    "theory": float,
    "method": str,
    "modulation": str,
    "channel": str,
}


def _row(point: CurvePoint) -> tuple[float | int | str, ...]:
    return (
        point.ebn0_db,
        point.bits,
        point.bit_errors,
        point.ber,
        *point.ci95,
        point.theory,
        point.method,
        point.modulation,
        point.channel,
    )


def _point(key: Key, counts: Counts) -> CurvePoint:
    bits, errors, squared, weight, weight_squared = counts
    kind = MODULATIONS[key.modulation]
    rate = errors / bits
    if key.method == "importance":
        far = importance.distance(theory.ebn0(key.ebn0_db), kind.bit_energy)
        rate, error = importance.estimate(weight, weight_squared, bits, key.modulation, far)
        bounds = max(0.0, rate - SPAN / 2 * error), rate + SPAN / 2 * error
    elif squared > errors:
        bounds = clustered_interval(errors, squared, bits / kind.bits, bits)
    else:
        bounds = proportion_interval(errors, bits, confidence=0.95)
    return CurvePoint(
        key.ebn0_db,
        bits,
        errors,
        rate,
        bounds,
        theory.bit_error_rate(key.ebn0_db, key.modulation, key.channel),
        key.method,
        key.modulation,
        key.channel,
    )
