"""A stage of a job specification: what its items are, and what each of them runs."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from winbatch import filenames, template
from winbatch.stage import DAY

# \Z and not $, before which a newline may stand.
NAME = r"^[a-z][a-z0-9_-]{0,31}\Z"

# What a command's words may hold beside the item's own parameters.
_OF_THE_ITEM = ("item", "job")
_OF_THE_WORKER = ("app", "inputs", "outputs")
_OF_OBJECTS = ("key", "name", "size")
_SOURCES = ("items", "grid", "csv", "objects", "from")

PARAMETER = r"^[a-z][a-z0-9_]{0,63}\Z"
_NAMES: dict[str, Any] = {"type": "array", "items": {"type": "string"}}

# What a stage may say, as JSON Schema; what depends on the rest of the specification is checked by `problems`.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": NAME},
        "workload": {"type": "string", "pattern": NAME},
        "run": {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*\Z"},
        "command": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 366 * DAY},
        "limits": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {"type": "number", "exclusiveMinimum": 0, "maximum": 2**53}
                for name in ("log_lines", "log_mib", "disk_mib")
            },
        },
        "items": {"type": ["integer", "string"]},
        "over": {"type": "string"},
        "grid": {**_NAMES, "minItems": 1, "uniqueItems": True},
        "repetitions": {"type": ["integer", "string"]},
        "csv": {"type": "string"},
        "columns": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": PARAMETER},
            "additionalProperties": {"enum": ["string", "integer", "number", "boolean"]},
        },
        "objects": {"type": "string"},
        "from": {"type": "string"},
        "params": {**_NAMES, "uniqueItems": True},
        "inputs": _NAMES,
        "fetch": {
            "type": "object",
            "propertyNames": {"pattern": r"^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*\Z"},
            "additionalProperties": {"type": "string", "minLength": 1},
        },
        "groups": {"type": "boolean"},
        "item_seconds": {"type": ["number", "string"]},
        "prefix": {"type": "string"},
    },
}

type Path = tuple[str | int, ...]
type Problem = tuple[Path, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage of a specification.

    Attributes:
        name: unique in the job.
        workload: whose image runs it.
        run: `module:function` of the workload's code; empty where there is a command.
        command: a program and its arguments, as templates.
        timeout: seconds that an item may take.
        limits: of the lines that an item logs and of what it writes to its folders: `log_lines`, `log_mib`, `disk_mib`.
        items: how many items: a number, or the name of the parameter that holds it.
        over: name of a list parameter whose values are dealt out over the items in even runs.
        grid: names of list parameters; an item for each combination of their values, the last varying fastest.
        repetitions: how often each item of a grid, table, listing or earlier stage is there; None: once.
        csv: name of the parameter that holds the key of a table; an item a row.
        columns: the table's columns that become parameters, and the type of each.
        objects: name of the parameter that holds a prefix; an item an object below it.
        source: an earlier stage; an item for each of its items, which works on the files that this one left.
        params: names of the parameters that each item gets.
        inputs: earlier stages whose results this one reads.
        fetch: objects that an item needs: path in its inputs folder to template of the key.
        groups: its items are grouped by the values of `over`, or of the grid's first parameter.
        item_seconds: what an item is thought to take, or the parameter that says so.
        prefix: name of the parameter that holds the prefix of its results; None: `results`.
    """

    name: str
    workload: str
    run: str = ""
    command: Sequence[str] = ()
    timeout: float = DAY
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    items: int | str = 1
    over: str | None = None
    grid: Sequence[str] = ()
    repetitions: int | str | None = None
    csv: str | None = None
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    objects: str | None = None
    source: str | None = None
    params: Sequence[str] = ()
    inputs: Sequence[str] = ()
    fetch: Mapping[str, str] = dataclasses.field(default_factory=dict)
    groups: bool = False
    item_seconds: float | str | None = None
    prefix: str | None = None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """From what the file says, once it is known to be right."""
        values = {"source" if name == "from" else name: value for name, value in data.items()}
        values["command"] = tuple(data.get("command", ()))
        return cls(**values)

    @property
    def lists(self) -> bool:
        """Whether its items are known only once the data bucket is read."""
        return bool(self.csv or self.objects)

    @property
    def grouped_by(self) -> str | None:
        """The parameter whose values make the groups."""
        if not self.groups:
            return None
        return self.grid[0] if self.grid else self.over

    @property
    def what(self) -> str:
        """What an item runs, for people."""
        return self.run or " ".join(self.command)


def problems(stages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """What is wrong with a specification's stages, as paths into the file and sentences."""
    found: list[Problem] = []
    names: dict[str, list[str]] = {}
    for index, stage in enumerate(stages):
        if stage["name"] in names:
            found.append((("stages", index, "name"), f"a second stage {stage['name']!r}"))
            continue
        own = names.get(stage.get("from", ""), []) + _own_names(stage)
        for path, text in _stage_problems(stage, parameters, list(names), own):
            found.append((("stages", index, *path), text))
        names[stage["name"]] = own
        if stage.get("groups") and any(other.get("groups") for other in stages[:index]):
            found.append((("stages", index, "groups"), "a second stage with groups; a job can show one by groups"))
    return found


def _own_names(stage: Mapping[str, Any]) -> list[str]:
    """The parameters that a stage itself gives its items."""
    names = [stage["over"]] if "over" in stage else []
    names += stage.get("grid", ())
    names += stage.get("columns", ())
    names += _OF_OBJECTS if "objects" in stage else ()
    names += ["repetition"] if "repetitions" in stage else []
    return names + list(stage.get("params", ()))


def _stage_problems(
    stage: Mapping[str, Any],
    parameters: Mapping[str, Mapping[str, Any]],
    earlier: Sequence[str],
    own: Sequence[str],
) -> Iterator[Problem]:
    yield from _program_problems(stage)
    yield from _source_problems(stage, earlier)
    yield from _reference_problems(stage, parameters)
    for name in stage.get("inputs", ()):
        if name not in earlier:
            yield ("inputs",), f"{name!r} is no earlier stage"
    for name, count in collections.Counter(own).items():
        if name in (*_OF_THE_ITEM, *_OF_THE_WORKER):
            yield (), f"an item's parameter cannot be called {name!r}, which every item has; rename it"
        elif count > 1:
            yield (), f"its items get {name!r} twice; leave it out of one place"
    for number, word in enumerate(stage.get("command", ())):
        yield from _template_problems(("command", number), word, (*own, *_OF_THE_ITEM, *_OF_THE_WORKER))
    for name, said in filenames.problems(stage.get("fetch", ())).items():
        yield ("fetch", name), f"{said}; call the file otherwise"
    for name, key in stage.get("fetch", {}).items():
        yield from _template_problems(("fetch", name), key, (*own, *_OF_THE_ITEM))


def _program_problems(stage: Mapping[str, Any]) -> Iterator[Problem]:
    if "run" in stage and "command" in stage:
        yield ("command",), "a stage has either `run` or `command`, not both"
    if "run" not in stage and "command" not in stage:
        yield (), "a stage needs `run: module:function` or `command: [program, argument, ...]`"
    if "command" in stage and filenames.is_batch(stage["command"][0]):
        yield ("command", 0), filenames.BATCH


def _source_problems(stage: Mapping[str, Any], earlier: Sequence[str]) -> Iterator[Problem]:
    sources = [key for key in _SOURCES if key in stage]
    for key in sources[1:]:
        yield (key,), f"the stage's items are said by {sources[0]!r} already; one of {', '.join(_SOURCES)} is enough"
    if "over" in stage and sources[:1] not in ([], ["items"]):
        yield ("over",), f"'over' deals values out over `items`; this stage has {sources[0]!r}"
    if "repetitions" in stage and not set(sources) - {"items"}:
        yield (
            ("repetitions",),
            "repetitions are of a grid, csv, objects or from; `items` says itself how many there are",
        )
    if ("csv" in stage) != ("columns" in stage):
        yield (
            ("csv" if "csv" in stage else "columns",),
            "a csv needs its columns: `columns: {name: string, strike: number}`, and columns need a csv",
        )
    if stage.get("groups") and not ("over" in stage or "grid" in stage):
        yield ("groups",), "groups are made by the values of `over`, or of the first parameter of a `grid`"
    if "from" in stage and stage["from"] not in earlier:
        yield ("from",), f"{stage['from']!r} is no earlier stage"


def _reference_problems(stage: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Names that must be parameters of the job, and of the right type."""
    references: list[tuple[Path, str, tuple[str, ...]]] = [(("params",), name, ()) for name in stage.get("params", ())]
    references += [(("grid", number), name, ("array",)) for number, name in enumerate(stage.get("grid", ()))]
    of_type: Sequence[tuple[str, tuple[str, ...]]] = (
        ("items", ("integer",)),
        ("over", ("array",)),
        ("repetitions", ("integer",)),
        ("csv", ("string",)),
        ("objects", ("string",)),
        ("prefix", ("string",)),
        ("item_seconds", ("integer", "number")),
    )
    for key, kinds in of_type:
        if isinstance(stage.get(key), str):
            references.append(((key,), stage[key], kinds))
    for path, name, kinds in references:
        if name not in parameters:
            yield path, f"{name!r} is no parameter of this job"
        elif kinds and parameters[name]["type"] not in kinds:
            yield path, f"parameter {name!r} is of type {parameters[name]['type']}, not {' or '.join(kinds)}"
    for key, least in (("items", "a stage has at least one item"), ("repetitions", "an item is there at least once")):
        if isinstance(stage.get(key), int) and stage[key] < 1:
            yield (key,), least
    if isinstance(stage.get("item_seconds"), int | float) and stage["item_seconds"] <= 0:
        yield ("item_seconds",), "an item takes more than 0 seconds"


def _template_problems(path: Path, text: str, known: Sequence[str]) -> Iterator[Problem]:
    try:
        names = template.names(text)
    except ValueError as error:
        yield path, str(error)
        return
    for name in names:
        if name not in known:
            yield path, f"unknown placeholder {{{name}}}; here are {', '.join(known)}"
