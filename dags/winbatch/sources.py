"""Where a stage's items come from: a number of them, a grid, a table, a listing of objects, or an earlier stage."""

import csv
import dataclasses
import io
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from winbatch.errors import SpecError
from winbatch.stage import Group
from winbatch.stage_spec import StageSpec

MAX_ITEMS = 1_000_000
"""Items are numbered with six digits."""

MAX_GROUPS = 64
"""More groups than this show nobody anything: then there are none."""

_EXPECTED = {"boolean": "true or false", "integer": "a whole number", "number": "a number"}

type Params = dict[str, Any]


class Reader(Protocol):
    """What planning needs of the data bucket; `winbatch.working.store.Store` is one."""

    def find(self, key: str) -> bytes | None: ...

    def sizes(self, prefix: str) -> Iterable[tuple[str, int]]: ...

    def where(self, key: str) -> str: ...


@dataclasses.dataclass(frozen=True)
class Items:
    """A stage's items: how many, and the parameters of each, in order, made anew by each call."""

    count: int
    params: Callable[[], Iterator[Params]]


def items_of(
    stage: StageSpec, params: Mapping[str, Any], earlier: Mapping[str, Items], read: Callable[[str], Reader]
) -> Items:
    """A stage's items.

    Args:
        stage: its specification.
        params: the job's.
        earlier: the items of the stages before it, by name.
        read: gives the reader of a key or prefix, or refuses it.

    Raises:
        SpecError: there are none or too many, or a table or listing is wrong.
    """
    own = {name: params[name] for name in stage.params}
    source = _source(stage, params, earlier, read)
    times = params[stage.repetitions] if isinstance(stage.repetitions, str) else stage.repetitions
    count = source.count * (times or 1)
    if not count:
        raise SpecError(f"stage {stage.name} has no items: {_emptiness(stage, params)}")
    if count > MAX_ITEMS:
        raise SpecError(f"stage {stage.name} would have {count:,} items; {MAX_ITEMS:,} are the most")
    if times is None:
        return Items(count, lambda: ({**item, **own} for item in source.params()))
    return Items(
        count,
        lambda: ({**item, "repetition": repetition, **own} for item in source.params() for repetition in range(times)),
    )


def groups_of(items: Items, parameter: str | None) -> tuple[Group, ...]:
    """Runs of items with the same value of a parameter; none if there are too many, or a value has several runs."""
    if parameter is None:
        return ()
    groups: list[Group] = []
    first = 0
    for value, run in itertools.groupby(item[parameter] for item in items.params()):
        size = sum(1 for _ in run)
        groups.append(Group(f"{parameter}={_short(value)}", first, size))
        first += size
        if len(groups) > MAX_GROUPS:
            return ()
    return tuple(groups) if len({group.name for group in groups}) == len(groups) else ()


def manifest(items: Items) -> bytes:
    """The manifest: one line of JSON an item."""
    # One encoder for all: `json.dumps` would make one an item.
    encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
    lines = (encode({"item": number, "params": item}) for number, item in enumerate(items.params()))
    return ("\n".join(lines) + "\n").encode()


def from_manifest(body: bytes, *, where: str) -> Items:
    """The items of a manifest that was written before.

    Raises:
        SpecError: it does not parse.
    """
    try:
        items = [dict(json.loads(line)["params"]) for line in body.splitlines()]
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(f"{where}: not a manifest ({error!r}); start a new job") from error
    return Items(len(items), lambda: iter(items))


def _source(
    stage: StageSpec, params: Mapping[str, Any], earlier: Mapping[str, Items], read: Callable[[str], Reader]
) -> Items:
    if stage.grid:
        return _grid({name: params[name] for name in stage.grid})
    if stage.csv:
        key = str(params[stage.csv])
        rows = _rows(key, stage.columns, read(key))
        return Items(len(rows), lambda: iter(rows))
    if stage.objects:
        prefix = str(params[stage.objects]).strip("/") + "/"
        objects = _objects(prefix, read(prefix))
        return Items(len(objects), lambda: iter(objects))
    if stage.source:
        return earlier[stage.source]
    count = stage.items if isinstance(stage.items, int) else int(params[stage.items])
    if stage.over is None:
        return Items(count, lambda: ({} for _ in range(count)))
    return dealt(stage.over, params[stage.over], count)


def dealt(name: str, values: Sequence[Any], count: int) -> Items:
    """Values dealt out over items in even runs, as the seed does it.

    With fewer items than values, the items spread over the whole range of values and some values get none.
    """
    return Items(count if values else 0, lambda: ({name: values[item * len(values) // count]} for item in range(count)))


def _grid(axes: Mapping[str, Sequence[Any]]) -> Items:
    return Items(
        math.prod(map(len, axes.values())),
        lambda: (dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())),
    )


def _objects(prefix: str, reader: Reader) -> list[Params]:
    """An item an object; what ends with a slash stands for a folder and is none."""
    return [
        {"key": key, "name": key.rpartition("/")[2], "size": size}
        for key, size in reader.sizes(prefix)
        if not key.endswith("/")
    ]


def _rows(key: str, columns: Mapping[str, str], reader: Reader) -> list[Params]:
    """An item a row of a table: CSV in UTF-8 with one line of column names."""
    where = reader.where(key)
    body = reader.find(key)
    if body is None:
        raise SpecError(f"{where} does not exist; upload the table, or correct the parameter that names it")
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(lines, [])]
        rows = [(lines.line_num, row) for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"{where}: not CSV in UTF-8 ({error}); save the table as such") from error
    for name in columns:
        if header.count(name) != 1:
            there = "is there twice" if name in header else "is missing"
            raise SpecError(f"{where}, line 1: column {name!r} {there}; there are {', '.join(header) or 'none'}")
    for number, row in rows:
        if len(row) != len(header):
            raise SpecError(f"{where}, line {number}: {len(row)} values, but {len(header)} columns")
    return [
        {
            name: _value(row[header.index(name)], kind, f"{where}, line {number}: column {name!r}")
            for name, kind in columns.items()
        }
        for number, row in rows
    ]


def _value(text: str, kind: str, where: str) -> Any:
    if kind == "string":
        return text
    value: Any = None
    try:
        value = json.loads(text.strip(), parse_constant=lambda _name: None)
    except ValueError:
        value = None
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind != "boolean" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        if kind == "number":
            return float(value)
        if value == math.floor(value):
            return int(value)
    raise SpecError(f"{where} is {text!r}; {_EXPECTED[kind]} is expected")


def _emptiness(stage: StageSpec, params: Mapping[str, Any]) -> str:
    if stage.csv:
        return f"the table {params[stage.csv]!r} has no rows (parameter {stage.csv})"
    if stage.objects:
        return f"no object lies below {params[stage.objects]!r} (parameter {stage.objects}); upload its inputs first"
    lists = [name for name in (*stage.grid, stage.over) if name and not params[name]]
    return f"parameter {', '.join(lists)} is an empty list" if lists else "its number of items is 0"


def _short(value: Any) -> str:
    """A value in a group's name: 8 for 8.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)
