"""A stage of a job specification: what its items are, and what each of them runs."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from winbatch import filenames, suggesting, template, values
from winbatch.stage import DAY

# Python lets $ stand before a newline at the end, too; editors know no \Z.
_END = r"$(?!\n)"
NAME = rf"^[a-z][a-z0-9_-]{{0,31}}{_END}"
PARAMETER = rf"^[a-z][a-z0-9_]{{0,63}}{_END}"

MAX_ITEMS = 1_000_000
"""Items are numbered with six digits."""

# What a command's words may hold beside the item's own parameters.
_OF_THE_ITEM = ("item", "job")
_OF_THE_WORKER = ("app", "inputs", "outputs")
_OF_OBJECTS = ("key", "name", "size")
_SOURCES = ("items", "grid", "csv", "objects", "from")

# Of a text that does not match, editors and `job_problems` say `patternErrorMessage`.
TEXT: dict[str, Any] = {"type": "string"}
NAMED: dict[str, Any] = {
    "type": "string",
    "pattern": NAME,
    "patternErrorMessage": "a name is lower-case letters, digits, - and _, a letter first, at most 32",
}
PARAMETER_NAMED: dict[str, Any] = {
    "pattern": PARAMETER,
    "patternErrorMessage": "a parameter's name is lower-case letters, digits and _, a letter first, at most 64",
}
_REFERENCE: dict[str, Any] = {"type": "string", **PARAMETER_NAMED}
_LIMIT: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "maximum": 2**53}
_NUMBER_OF: dict[str, Any] = {**_REFERENCE, "type": ["integer", "string"], "minimum": 1, "maximum": MAX_ITEMS}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"description": "What the stage is called; unique in the job.", **NAMED},
        "workload": {"description": "The workload whose image runs it, where it is not the job's.", **NAMED},
        "run": {
            "description": "Python code of the image, module:function; or else it has a command.",
            "type": "string",
            "pattern": rf"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*{_END}",
            "patternErrorMessage": "Python code is named module:function",
        },
        "command": {
            "description": "A program and its arguments, a list of words with placeholders such as {item}; no shell.",
            "type": "array",
            "minItems": 1,
            "items": TEXT,
        },
        "timeout": {
            "description": "Seconds that an item may take; a day unless it is said.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 366 * DAY,
        },
        "limits": {
            "description": "What an item may write: log_lines, log_mib, disk_mib.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "log_lines": {"description": "Lines of log.", **_LIMIT},
                "log_mib": {"description": "MiB of log.", **_LIMIT},
                "disk_mib": {"description": "MiB in its folders.", **_LIMIT},
            },
        },
        "items": {"description": "How many items: a number, or the integer parameter that holds it.", **_NUMBER_OF},
        "over": {"description": "List parameter whose values are dealt out over the items.", **_REFERENCE},
        "grid": {
            "description": "List parameters; an item for each combination of their values.",
            "type": "array",
            "items": _REFERENCE,
            "minItems": 1,
            "uniqueItems": True,
        },
        "repetitions": {
            "description": "How often each item is there: a number, or the integer parameter that holds it.",
            **_NUMBER_OF,
        },
        "csv": {"description": "Parameter that holds the key of a table; an item a row.", **_REFERENCE},
        "columns": {
            "description": "Columns of the table that items get, each with its type.",
            "type": "object",
            "minProperties": 1,
            "propertyNames": PARAMETER_NAMED,
            "additionalProperties": {"enum": ["string", "integer", "number", "boolean"]},
        },
        "objects": {"description": "Parameter that holds a prefix; an item an object below it.", **_REFERENCE},
        "from": {"description": "Earlier stage; an item for each of its items, with the files that it left.", **NAMED},
        "params": {
            "description": "Parameters of the job that each item gets as well.",
            "type": "array",
            "items": _REFERENCE,
            "uniqueItems": True,
        },
        "inputs": {
            "description": "Earlier stages whose results Python code reads.",
            "type": "array",
            "items": NAMED,
        },
        "fetch": {
            "description": "Objects that an item needs: path in its inputs folder to key, with placeholders.",
            "type": "object",
            "propertyNames": {
                "pattern": rf"^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*{_END}",
                "patternErrorMessage": "a file is named by letters, digits, ., - and _, with / between folders",
            },
            "additionalProperties": {"description": "The object's key.", **TEXT, "minLength": 1},
        },
        "groups": {
            "description": "Airflow shows the stage by the values of over, or of the grid's first parameter.",
            "type": "boolean",
        },
        "item_seconds": {
            "description": "Seconds that an item is thought to take, or the parameter that says so.",
            **_REFERENCE,
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "maximum": values.MOST,
        },
        "prefix": {"description": "Parameter that holds the prefix of the results.", **_REFERENCE},
    },
}
"""Says what a stage may hold, in JSON Schema; what depends on the rest of the file is checked by `problems`."""

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


def problems(stages: Sequence[Any], parameters: Mapping[str, Any] | None) -> list[Problem]:
    """What is wrong with a specification's stages, as paths into the file and sentences.

    Args:
        stages: as the file has them. A value, or a whole stage, that is known to be wrong stands as None, and nothing
            is said of what only follows from it.
        parameters: the job's own, by name; as for stages.
    """
    found: list[Problem] = []
    # The names of an item's parameters, of each stage so far; None: not known.
    names: dict[str | None, list[str] | None] = {}
    grouped = False
    for index, stage in enumerate(stages):
        if stage is None:
            names[None] = None
            continue
        if stage["name"] is not None and stage["name"] in names:
            found.append((("stages", index, "name"), f"a second stage {stage['name']!r}; call it otherwise"))
            continue
        own = _own_names(stage, names)
        for path, text in _stage_problems(stage, parameters, list(names), own):
            found.append((("stages", index, *path), text))
        names[stage["name"]] = own
        if stage.get("groups") and grouped:
            found.append((("stages", index, "groups"), "a second stage with groups; a job can show one by groups"))
        grouped = grouped or bool(stage.get("groups"))
    return found


def _own_names(stage: Mapping[str, Any], earlier: Mapping[str | None, list[str] | None]) -> list[str] | None:
    """The names of the parameters that a stage's items have; None where they cannot be known."""
    before = earlier.get(stage["from"]) if "from" in stage else []
    if before is None or None in [stage.get(key, ()) for key in ("over", "grid", "columns", "params")]:
        return None
    # Where something else says what the items are, that is what is wrong with `over`.
    dealt = "over" in stage and not {"grid", "csv", "objects", "from"} & stage.keys()
    names = [*before, *([stage["over"]] if dealt else ())]
    names += stage.get("grid", ())
    names += stage.get("columns", ())
    names += _OF_OBJECTS if "objects" in stage else ()
    names += ["repetition"] if "repetitions" in stage else []
    return names + list(stage.get("params", ()))


def _stage_problems(
    stage: Mapping[str, Any],
    parameters: Mapping[str, Any] | None,
    earlier: Sequence[str | None],
    own: Sequence[str] | None,
) -> Iterator[Problem]:
    yield from _program_problems(stage)
    yield from _source_problems(stage)
    yield from _earlier_problems(stage, earlier)
    if parameters is not None:
        yield from _reference_problems(stage, parameters)
    for name, said in filenames.problems(stage.get("fetch") or ()).items():
        yield ("fetch", name), f"{said}; call the file otherwise"
    if own is None:
        return
    for name, count in collections.Counter(own).items():
        if name in (*_OF_THE_ITEM, *_OF_THE_WORKER):
            yield (), f"an item's parameter cannot be called {name!r}, which every item has; rename it"
        elif count > 1:
            yield (), f"its items get {name!r} twice; leave it out of one place"
    for number, word in enumerate(stage.get("command") or ()):
        yield from _template_problems(("command", number), word, (*own, *_OF_THE_ITEM, *_OF_THE_WORKER))
    for name, key in (stage.get("fetch") or {}).items():
        yield from _template_problems(("fetch", name), key, (*own, *_OF_THE_ITEM))


def _program_problems(stage: Mapping[str, Any]) -> Iterator[Problem]:
    if "run" in stage and "command" in stage:
        yield ("command",), "a stage has either `run` or `command`, not both"
    if "run" not in stage and "command" not in stage:
        yield (), "a stage needs `run: module:function` or `command: [program, argument, ...]`"
    if stage.get("command") and filenames.is_batch(stage["command"][0]):
        yield ("command", 0), filenames.BATCH


def _source_problems(stage: Mapping[str, Any]) -> Iterator[Problem]:
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


def _earlier_problems(stage: Mapping[str, Any], earlier: Sequence[str | None]) -> Iterator[Problem]:
    """Names that must be those of earlier stages; nothing where one of these is not known."""
    names = [name for name in earlier if name is not None]
    if len(names) < len(earlier):
        return
    said: list[tuple[Path, str | None]] = [(("from",), stage.get("from"))]
    said += [(("inputs", number), name) for number, name in enumerate(stage.get("inputs") or ())]
    for path, name in said:
        if name is not None and name not in names:
            there = f"; before it are {', '.join(names)}" if names else "; it is the first"
            yield path, f"{name!r} is no earlier stage{suggesting.hint(name, names)}{there}"


def _reference_problems(stage: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """Names that must be parameters of the job, and of the right type."""
    references: list[tuple[Path, str, tuple[str, ...]]] = [
        (("params", number), name, ()) for number, name in enumerate(stage.get("params") or ())
    ]
    references += [(("grid", number), name, ("array",)) for number, name in enumerate(stage.get("grid") or ())]
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
            there = ", ".join(parameters) or "none"
            yield path, f"{name!r} is no parameter of this job{suggesting.hint(name, parameters)}; there are {there}"
        elif kinds and (kind := (parameters[name] or {}).get("type")) is not None and kind not in kinds:
            yield path, f"parameter {name!r} is of type {kind}, not {' or '.join(kinds)}; name another one"


def _template_problems(path: Path, text: str, known: Sequence[str]) -> Iterator[Problem]:
    try:
        names = template.names(text)
    except ValueError as error:
        yield path, str(error)
        return
    for name in names:
        if name not in known:
            yield path, f"unknown placeholder {{{name}}}{suggesting.hint(name, known)}; here are {', '.join(known)}"
