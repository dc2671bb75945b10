"""An aggregate for any job: all items of a stage as a table, and what failed."""

import csv
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from winbatch.causes import causes
from winbatch.workload import Context

SCHEMA = 1
FILES = ("results.json", "results.csv")

# Of the causes of failures, the most frequent.
_CAUSES = 100


def run(_params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Write `results.csv`, a row an item with its parameters and values, and `results.json`, the summary.

    A column that is a parameter and a value at once is the value's. What is no number and no text is written as JSON.

    Returns:
        `items`, `failed_items` and the names of the `files`.

    Raises:
        ValueError: the stage has another number of inputs than one.
        JobError: an item's result is missing or there twice, and it has not failed.
    """
    if len(context.earlier) != 1:
        raise ValueError(f"a table is made of one stage's items; this stage's inputs are {list(context.earlier)}")
    (stage,) = context.earlier
    # Twice over the results, so that no more than a few of them are in memory.
    columns: dict[str, None] = {"item": None}
    items = 0
    for result in context.results(stage):
        columns.update(dict.fromkeys([*result.params, *result.values]))
        items += 1
    with (context.outputs / FILES[1]).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(columns), lineterminator="\n")
        table.writeheader()
        for result in context.results(stage):
            row = {**result.params, **result.values, "item": result.item}
            table.writerow({name: _cell(value) for name, value in row.items()})
    failed = context.failures(stage)
    failures = [{"item": failure.item, "reason": failure.reason} for failure in failed]
    summary = {
        "schema": SCHEMA,
        "job": context.job,
        "stage": stage,
        "items": items,
        "failed_items": failures,
        "failed_causes": [dataclasses.asdict(cause) for cause in causes(failed)[:_CAUSES]],
    }
    (context.outputs / FILES[0]).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8", newline="\n")
    return {"items": items, "failed_items": len(failures), "files": list(FILES)}


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else json.dumps(value)
