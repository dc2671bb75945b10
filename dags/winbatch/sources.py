"""Where a stage's items come from: a number of them, a grid, a table, a listing of objects, or an earlier stage."""

import csv
import dataclasses
import io
import itertools
import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from winbatch import suggesting, texts, values
from winbatch.errors import SpecError
from winbatch.parsing import MALFORMED
from winbatch.stage import Group
from winbatch.stage_spec import MAX_ITEMS, StageSpec
from winbatch.storage import Entry

MAX_GROUPS = 64
"""More groups than this show nobody anything: then there are none."""

_SEPARATORS = (",", ";", "\t")
# Lines that are named where something holds for many.
_NAMED = 5
_SCIENTIFIC = re.compile(r"-?[0-9]+(\.(?P<fraction>[0-9]+))?[eE](?P<sign>\+?)(?P<power>[0-9]+)")
_EXPECTED = {"boolean": "true or false", "integer": "a whole number", "number": "a number"}

_log = logging.getLogger(__name__)

type Params = dict[str, Any]


class Reader(Protocol):
    """What planning needs of the data bucket; `winbatch.working.store.Store` is one."""

    def find(self, key: str) -> bytes | None:
        """Read an object; None where there is none."""

    def listing(self, prefix: str) -> Iterable[Entry]:
        """List the objects below a prefix, by key."""

    def where(self, key: str) -> str:
        """Give the address of an object, for people."""


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
    except MALFORMED as error:
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
        {"key": entry.key, "name": entry.key.rpartition("/")[2], "size": entry.size}
        for entry in reader.listing(prefix)
        if not entry.key.endswith("/")
    ]


def _rows(key: str, columns: Mapping[str, str], reader: Reader) -> list[Params]:
    """An item a row of a table: CSV with one line of column names. Rows in which nothing stands are left out."""
    where = reader.where(key)
    body = reader.find(key)
    if body is None:
        raise SpecError(f"{where} does not exist; upload the table, or correct the parameter that names it")
    try:
        text = texts.decode(body, utf16=True)
    except texts.TextError as error:
        raise SpecError(f"{where}, line {error.line}: not CSV in UTF-8: {error}; Excel calls it CSV UTF-8") from error
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text, columns), strict=True)
        header = [name.strip() for name in next(lines, [])]
        rows = [(lines.line_num, row) for row in lines if row]
    except csv.Error as error:
        raise SpecError(f"{where}: not CSV in UTF-8 ({error}); save the table as such") from error
    for name in columns:
        if header.count(name) != 1:
            there = "is there twice" if name in header else f"is missing{suggesting.hint(name, header)}"
            raise SpecError(f"{where}, line 1: column {name!r} {there}; there are {', '.join(header) or 'none'}")
    empty = [number for number, row in rows if not any(map(str.strip, row))]
    if empty:
        _log.warning("%s: %s left out, for nothing stands in them", where, _lines(empty))
    filled = [(number, row) for number, row in rows if any(map(str.strip, row))]
    for number, row in filled:
        if len(row) != len(header):
            raise SpecError(f"{where}, line {number}: {len(row)} values, but {len(header)} columns")
    return [
        {
            name: _value(row[header.index(name)], kind, f"{where}, line {number}: column {name!r}")
            for name, kind in columns.items()
        }
        for number, row in filled
    ]


def _separator(text: str, columns: Mapping[str, str]) -> str:
    """What separates a table's values: that by which most of the columns are found in its first line."""
    first = io.StringIO(text, newline="").readline().rstrip("\r\n")

    def found(separator: str) -> int:
        names = next(csv.reader([first], delimiter=separator), [])
        return len(columns.keys() & {name.strip() for name in names})

    return max(_SEPARATORS, key=found)


def _lines(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED])) + (f" and {len(numbers) - _NAMED} more" if numbers[_NAMED:] else "")
    return f"line {named} is" if len(numbers) == 1 else f"lines {named} are"


def _value(text: str, kind: str, where: str) -> Any:
    if kind == "string":
        return text
    written = text.strip()
    said = f"{where} is {values.shown(text)}"
    try:
        value = values.parse(written, kind)
    except ValueError as error:
        more = f", and {error}" if isinstance(error, values.TooLarge) else ""
        if kind != "boolean" and "," in written:
            more = ", with a point for the decimals and nothing between thousands"
        raise SpecError(f"{said}; {_EXPECTED[kind]} is expected{more}") from None
    # A spreadsheet writes 123456789012 as 1.23457E+11: what stands in the cell is gone. A person writes 1e3.
    short = _SCIENTIFIC.fullmatch(written)
    if (
        kind == "integer"
        and short
        and int(short["power"]) > len(short["fraction"] or "")
        and (short["fraction"] or short["sign"])
    ):
        raise SpecError(
            f"{said}, whose last digits are lost; a whole number with all of its digits is expected: show the column as"
            " a number without decimals, and save the table again"
        )
    return float(value) if kind == "number" else value


def _emptiness(stage: StageSpec, params: Mapping[str, Any]) -> str:
    if stage.csv:
        return f"the table {params[stage.csv]!r} has no rows (parameter {stage.csv})"
    if stage.objects:
        below = params[stage.objects]
        return f"no object lies below {below!r} (parameter {stage.objects}): invoke upload FOLDER {below}"
    lists = [name for name in (*stage.grid, stage.over) if name and not params[name]]
    return f"parameter {', '.join(lists)} is an empty list" if lists else "its number of items is 0"


def _short(value: Any) -> str:
    """A value in a group's name: 8 for 8.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)
