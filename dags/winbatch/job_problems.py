"""All that is wrong with a job file, in one form: `jobs/demo.yaml:9: stages[0].tiemout: what is wrong; what to do`.

First the fields are held to their schema. What it refuses is then marked, so that the rules on several fields are
checked as well, and nobody is told of what only follows from another mistake.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from winbatch import filenames, job_fields, job_file, keys, stage_spec, suggesting, values
from winbatch.errors import SpecError
from winbatch.job_file import Node
from winbatch.spec_values import COMMON_PARAMETERS, refusal, words

type Path = tuple[str | int, ...]

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
# How deep in the file those values lie of which each is marked on its own.
_DEPTHS = {"parameters": 3, "stages": 3}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that is wrong: in which line of the file, at which path in the document, and a sentence on it."""

    line: int
    path: Path
    text: str

    def told(self, where: str) -> str:
        """Tell it in a line.

        Args:
            where: the file's name.
        """
        place = f"{written(self.path)}: " if self.path else ""
        return f"{where}:{self.line}: {place}{self.text}"


def read(content: str | bytes, *, where: str, dag: str = "") -> dict[str, Any]:
    """Read a job file that is right.

    Args:
        content: YAML, in UTF-8.
        where: the file's name, for the errors.
        dag: what its DAG has to be called; empty: as it is.

    Returns:
        The values of its fields.

    Raises:
        SpecError: with all that is wrong.
    """
    root, faults = job_file.scan(content, where=where)
    data = root.typed(AS_WRITTEN)
    found = [Problem(fault.line, (), str(fault)) for fault in faults]
    # A line whose YAML is wrong has no values to speak of.
    lines = {problem.line for problem in found}
    fields = _of_fields(data, root)
    refused = {problem.path for problem in fields}
    rules = [problem for problem in _of_rules(data, root, dag) if problem.path not in refused]
    found += [problem for problem in (*fields, *rules) if problem.line not in lines]
    if found:
        found.sort(key=lambda problem: problem.line)
        raise SpecError(*(problem.told(where) for problem in found), place=where)
    made: dict[str, Any] = data
    return made


def written(path: Path) -> str:
    """A path as people write it: `stages[0].fetch["a/b"]`."""
    parts = [
        f"[{json.dumps(step, ensure_ascii=False)}]"
        if isinstance(step, int) or _NO_NAME.search(step) or not step
        else f".{step}"
        for step in path
    ]
    text = "".join(parts).removeprefix(".")
    return text if len(text) <= values.SHOWN else f"{text[: values.SHOWN]}…"


def _of_fields(data: Any, root: Node) -> list[Problem]:
    """What the schema refuses; it stands as None in the data afterwards."""
    import jsonschema  # noqa: PLC0415 - the command line's other verbs do not need it

    errors = list(jsonschema.Draft202012Validator(job_fields.SCHEMA).iter_errors(data))
    found: list[Problem] = []
    marks: list[Path] = []
    misspelt: list[Path] = []
    unknown: list[Path] = []
    for error in errors:
        path: Path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            for name in [name for name in error.instance if name not in known]:
                missing = [each for each in known if each not in error.instance]
                said = f"the field {name!r} was unexpected{suggesting.hint(name, missing)}"
                line = root.at(path).line_of_key(name)
                found.append(Problem(line, (*path, name), f"{said}; here may be {', '.join(known)}"))
                unknown.append((*path, name))
                if near := suggesting.nearest(name, missing):
                    misspelt.append((*path, near))
    for error in errors:
        path = tuple(error.absolute_path)
        node = root.at(path)
        if error.validator == "required":
            gone = [(*path, name) for name in error.validator_value if name not in error.instance]
            marks += gone
            found += [_missing(node, each, error.schema) for each in gone if each not in misspelt]
        elif "propertyNames" in error.absolute_schema_path:
            name = str(error.instance)
            found.append(Problem(node.line_of_key(name), (*path, name), f"the name {words(error)}"))
        elif error.validator != "additionalProperties":
            marks.append(path)
            found.append(Problem(node.line, path, words(error)))
    for path in [*unknown, *misspelt, *marks]:
        _mark(data, path, gone=path in unknown)
    return list(dict.fromkeys(found))


def _missing(node: Node, path: Path, schema: Mapping[str, Any]) -> Problem:
    name = path[-1]
    what = schema["properties"][name].get("description", "")
    return Problem(node.line, path[:-1], f"{name!r} is a required property: {what}")


def _mark(data: Any, path: Path, *, gone: bool) -> None:
    """Put None for a value that is refused, or for that of which it is a part; take away a field that is unknown."""
    depth = _DEPTHS.get(str(path[0]), 1) if path else 0
    above = data
    for step in path[: min(depth, len(path)) - 1]:
        above = above[step] if above is not None else None
    if above is None or not path:
        return
    step = path[: min(depth, len(path))][-1]
    if gone and len(path) <= depth:
        above.pop(step, None)
    else:
        above[step] = None


def _of_rules(data: Any, root: Node, dag: str) -> Iterator[Problem]:
    """What is wrong with values that each are right; those that are not stand as None."""
    if not isinstance(data, dict):
        return
    if dag and data["dag"] not in {dag, None}:
        path: Path = ("dag",)
        yield Problem(root.at(path).line, path, f"its dag is {data['dag']!r}; name the file {data['dag']}.yaml")
    if data["dag"] in keys.COMMON:
        said = f"below {data['dag']!r} lie objects of several jobs; choose another name"
        yield Problem(root.at(("dag",)).line, ("dag",), said)
    for key in ("dag", "workload"):
        if data[key] is not None and (device := filenames.problem(data[key])):
            yield Problem(root.at((key,)).line, (key,), f"{device}; choose another name")
    for name, schema in (data["parameters"] or {}).items():
        path = ("parameters", name)
        if name in COMMON_PARAMETERS:
            said = f"{name!r} is a parameter that every job has; choose another name"
            yield Problem(root.at(path).line, path, said)
        for field, said in _of_parameter(schema or {}):
            yield Problem(root.at((*path, *field)).line, (*path, *field), said)
    for path, said in stage_spec.problems(data["stages"] or (), data["parameters"]):
        yield Problem(root.at(path).line, path, said)


def _of_parameter(schema: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What is wrong with a parameter; its default is looked at when nothing else is."""
    wrong = None in schema.values()
    for key, value in schema.items():
        if said := values.problem(value):
            yield (key,), f"{said}; a parameter's numbers lie from {values.LEAST} to {values.MOST}"
            wrong = True
    for path, pattern in _patterns(schema):
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            yield path, f"{values.shown(pattern)} is no regular expression: {error}"
            wrong = True
    if not wrong and "default" in schema and (said := refusal(schema["default"], values.bounded(schema))):
        yield ("default",), f"the default does not fit: {said}"


def _patterns(schema: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """The regular expressions of a parameter and of its elements, with their paths."""
    path: Path = ()
    inner: Mapping[str, Any] | None = schema
    while inner:
        if inner.get("pattern") is not None:
            yield (*path, "pattern"), inner["pattern"]
        inner, path = inner.get("items"), (*path, "items")


def _of_written_parameter(node: Node) -> Mapping[str, Any]:
    """How a parameter's fields are written: its own values are of its own type."""
    fields = node.value if isinstance(node.value, dict) else {}
    kind = str(fields["type"][1].value) if "type" in fields else "string"
    own: dict[str, Any] = {"type": kind}
    if kind == "array":
        own["items"] = _of_written_parameter(fields["items"][1])["properties"]["default"] if "items" in fields else {}
    of_values = {"default": own, "const": own, "enum": {"items": own}, "examples": {"items": own}}
    return {"properties": {**job_fields.PARAMETER_FIELDS, **of_values, "items": _of_written_parameter}}


AS_WRITTEN: Mapping[str, Any] = {
    **job_fields.SCHEMA,
    "properties": {**job_fields.SCHEMA["properties"], "parameters": {"additionalProperties": _of_written_parameter}},
}
"""Says what the words of a job file stand for."""
