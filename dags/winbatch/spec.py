"""Job specifications: the files in `dags/jobs/`, each of which becomes a DAG, and the parameters people give them.

A specification names a workload, parameters (JSON Schema each, so that Airflow's form, the command line and the plan
check the same things) and stages. Reading one needs no network.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from winbatch import filenames, job_file, keys, stage_spec, values
from winbatch.attempts import POLICY
from winbatch.errors import SpecError
from winbatch.job_file import Node
from winbatch.stage_spec import StageSpec

JOBS = Path(__file__).resolve().parent.parent / "jobs"

# Every job has these beside its own: how much of the cluster it may use, and how long it waits for it.
COMMON_PARAMETERS: dict[str, dict[str, Any]] = {
    "max_instances": {
        "title": "Instances at most",
        "description": "Instances that the job may ask for.",
        "type": "integer",
        "default": 6,
        "minimum": 1,
        "maximum": 5000,
    },
    "idle_instances": {
        "title": "Instances afterwards",
        "description": "Instances that stay when the job ends.",
        "type": "integer",
        "default": 0,
        "minimum": 0,
        "maximum": 5000,
    },
    "instance_timeout": {
        "title": "Time-out for an instance (s)",
        "description": "How long the job waits for its first instance to register, from the call to Auto Scaling on;"
        " Windows takes 4 to 8 minutes.",
        "type": "integer",
        "default": 1200,
        "minimum": 10,
        "maximum": 86400,
    },
    "start_timeout": {
        "title": "Time-out for a container's start (s)",
        "description": "How long an ECS task may stay pending, image pull included, before it is stopped.",
        "type": "integer",
        "default": 1200,
        "minimum": 10,
        "maximum": 86400,
    },
    "shard_items": {
        "title": "Items a shard",
        "description": "Items that are claimed together; 0 chooses by the number of items and slots.",
        "type": "integer",
        "default": 0,
        "minimum": 0,
        "maximum": 1000000,
    },
    "max_attempts": {
        "title": "Attempts a shard",
        "description": "How often a shard is tried when its program fails; lost hosts do not count.",
        "type": "integer",
        "default": 3,
        "minimum": 1,
        "maximum": 20,
    },
    "max_failed_items": {
        "title": "Failed items at most",
        "description": "The job ends when more items than this have failed for good.",
        "type": "integer",
        "default": 0,
        "minimum": 0,
        "maximum": 1000000,
    },
}

_NAME = stage_spec.NAME
_TYPES = ["integer", "number", "string", "boolean", "array"]
# The fields of a parameter: those of JSON Schema that say something of these types, and two of Airflow's form.
_TEXT, _WHOLE, _ANY_NUMBER = {"type": "string"}, {"type": "integer"}, {"type": ["integer", "number"]}
_FIELDS: dict[str, Any] = {
    **dict.fromkeys(("title", "description", "description_md", "type", "pattern", "format"), _TEXT),
    **{key: {} for key in ("default", "const", "enum", "examples", "items")},
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _ANY_NUMBER),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _WHOLE),
    "uniqueItems": {"type": "boolean"},
    "values_display": {"type": "object", "additionalProperties": _TEXT},
}
_PARAMETER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title", "description", "type", "default"],
    "properties": {**{key: {} for key in _FIELDS}, "type": {"enum": _TYPES}},
}
_SPEC_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["dag", "title", "workload", "parameters", "stages"],
    "properties": {
        "dag": {"type": "string", "pattern": _NAME},
        "title": {"type": "string", "minLength": 1},
        "description": {"type": "string"},
        "workload": {"type": "string", "pattern": _NAME},
        "retry": {
            "type": "object",
            "propertyNames": {"enum": list(POLICY)},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "minProperties": 1,
                "properties": {
                    "attempts": {"type": "integer", "minimum": 1, "maximum": 100},
                    "backoff": {"type": "number", "minimum": 0, "maximum": 86400},
                },
            },
        },
        "parameters": {
            "type": "object",
            "propertyNames": {"pattern": stage_spec.PARAMETER},
            "additionalProperties": _PARAMETER,
        },
        "stages": {
            "type": "array",
            "minItems": 1,
            "items": stage_spec.SCHEMA,
        },
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """A job specification.

    Attributes:
        workload: of the stages that name none.
        parameters: a JSON Schema a parameter, the common ones included.
        retry: what it changes of the rules for failures, by kind: `attempts`, and `backoff` in seconds.
    """

    dag: str
    title: str
    description: str
    workload: str
    parameters: Mapping[str, Mapping[str, Any]]
    stages: Sequence[StageSpec]
    retry: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def workloads(self) -> list[str]:
        """The workloads whose images run its stages, each once, in their order."""
        return list(dict.fromkeys(stage.workload for stage in self.stages))

    @property
    def lists(self) -> bool:
        """Whether planning a job has to read the data bucket."""
        return any(stage.lists for stage in self.stages)

    @property
    def defaults(self) -> dict[str, Any]:
        return {name: schema["default"] for name, schema in self.parameters.items()}

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in defaults, turn text into values, check everything.

        Args:
            given: parameters by name; text is read as the parameter's type, a list as comma-separated values.

        Returns:
            A value for every parameter.

        Raises:
            SpecError: an unknown parameter or a value that its schema refuses, with what would be right.
        """
        unknown = sorted(set(given) - set(self.parameters))
        if unknown:
            raise SpecError(
                f"{self.dag}: unknown parameter {unknown[0]!r}; there are {', '.join(sorted(self.parameters))}"
            )
        taken = self.defaults
        for name, value in given.items():
            schema = self.parameters[name]
            read = _from_text(name, value, schema) if isinstance(value, str) else value
            if said := values.problem(read) or _refusal(read, schema) or values.problem(_typed(read, schema)):
                raise SpecError(f"{self.dag}: parameter {name}: {said}; {_expectation(schema)}")
            taken[name] = _typed(read, schema)
        if taken["idle_instances"] > taken["max_instances"]:
            raise SpecError(
                f"{self.dag}: idle_instances ({taken['idle_instances']}) is more than max_instances"
                f" ({taken['max_instances']})"
            )
        return taken

    @classmethod
    def parse(cls, content: str | bytes, *, where: str) -> Self:
        """Read a specification.

        Args:
            content: YAML, in UTF-8.
            where: the file's name, for the error's line.

        Raises:
            SpecError: with file and line.
        """
        root = job_file.read(content, where=where)
        data: Any = root.typed(_AS_WRITTEN)
        for line, problem in _problems(data, root):
            raise SpecError(f"{where}:{line}: {problem}")
        own = {name: values.bounded(schema) for name, schema in data["parameters"].items()}
        return cls(
            dag=data["dag"],
            title=data["title"],
            description=data.get("description", "").strip(),
            workload=data["workload"],
            parameters={**own, **COMMON_PARAMETERS},
            stages=tuple(StageSpec.from_data({"workload": data["workload"], **stage}) for stage in data["stages"]),
            retry=data.get("retry", {}),
        )


def load(dag: str, jobs: Path = JOBS) -> Spec:
    """The specification of one DAG.

    Raises:
        SpecError: there is none of that name, or it is wrong.
    """
    path = jobs / f"{dag}.yaml"
    if not re.fullmatch(_NAME, dag) or not path.is_file():
        others = "".join(f"; {problem}" for problem in strays(jobs))
        raise SpecError(f"unknown DAG {dag!r}; there are {', '.join(names(jobs)) or 'none'} (dags/jobs/*.yaml){others}")
    spec = Spec.parse(path.read_bytes(), where=f"{jobs.name}/{path.name}")
    if spec.dag != dag:
        raise SpecError(f"{jobs.name}/{path.name}:1: its dag is {spec.dag!r}; name the file {spec.dag}.yaml")
    return spec


def load_all(jobs: Path = JOBS) -> list[Spec]:
    """All specifications, by name.

    Raises:
        SpecError: one is wrong, or what lies beside them is none.
    """
    for problem in strays(jobs):
        raise SpecError(problem)
    return [load(name, jobs) for name in names(jobs)]


def names(jobs: Path = JOBS) -> list[str]:
    """The DAGs for which there is a specification, sorted."""
    return sorted(path.stem for path in jobs.glob("*.yaml") if _is_job(path))


def strays(jobs: Path = JOBS) -> list[str]:
    """What lies in the folder and is no specification, a sentence each; hidden files are nobody's."""
    found = sorted(path for path in jobs.glob("*") if not path.name.startswith(".") and path.name != "__pycache__")
    return [
        f"{jobs.name}/{path.name} is no job: a job's file is called as its DAG, by lower-case letters, digits, - and _,"
        " and ends in .yaml; rename it, or take it away"
        for path in found
        if not _is_job(path)
    ]


def _is_job(path: Path) -> bool:
    return re.fullmatch(_NAME, path.stem) is not None and path.suffix == ".yaml" and path.is_file()


def _from_text(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    if schema["type"] == "string":
        return text
    if schema["type"] == "array":
        return [_from_text(name, part.strip(), schema["items"]) for part in text.split(",") if part.strip()]
    try:
        return values.parse(text.strip(), schema["type"])
    except ValueError as error:
        raise SpecError(f"parameter {name}: {error}; {_expectation(schema)}") from error


def _refusal(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Why a parameter's schema refuses a value; None where it takes it."""
    import jsonschema  # noqa: PLC0415 - the command line's other verbs do not need it

    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(value), key=str)
    return _words(errors[0]) if errors else None


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """JSON has one kind of number; a whole number becomes int and any other float, so that 8 and 8.0 are one point."""
    if schema["type"] == "array":
        return [_typed(item, schema["items"]) for item in value]
    if schema["type"] == "integer":
        return int(value)
    return float(value) if schema["type"] == "number" else value


def _expectation(schema: Mapping[str, Any]) -> str:
    """What would be right, in words."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"])) + " is expected"
    if schema["type"] == "array":
        inner = _expectation(schema["items"]).removesuffix(" is expected") if "items" in schema else "a value"
        least, most = schema.get("minItems", 0), schema.get("maxItems", "any number of")
        return f"a list of {least} to {most} values is expected, each {inner}"
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    bounds = [f"{word} {schema[key]}" for key, word in words.items() if key in schema]
    return " ".join(
        [
            {"integer": "a whole number", "number": "a number"}.get(schema["type"], f"a {schema['type']}"),
            *bounds,
            "is expected",
        ]
    )


def _words(error: Any) -> str:
    """What JSON Schema has to say, without the whole of a large value."""
    said = str(error.message).replace(repr(error.instance), values.shown(error.instance))
    expected = error.validator_value if error.validator == "type" else ""
    if not isinstance(error.instance, str) or expected not in {"integer", "number"}:
        return said
    try:
        values.parse(error.instance, expected)
    except values.TooLarge as beyond:
        return str(beyond)
    except ValueError:
        pass
    return f"{said}; a number is written like 10, 0.5 or 1e3, without quotes"


def _problems(data: Any, root: Node) -> Iterator[tuple[int, str]]:
    """What is wrong with a specification, as lines and sentences; the first is the one to show."""
    import jsonschema  # noqa: PLC0415 - the command line's other verbs do not need it

    errors = list(jsonschema.Draft202012Validator(_SPEC_SCHEMA).iter_errors(data))
    for error in errors:
        node = root.at(error.absolute_path)
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            name = next(name for name in error.instance if name not in known)
            yield node.line_of_key(name), f"the field {name!r} was unexpected; here may be {', '.join(known)}"
        elif "propertyNames" in error.absolute_schema_path:
            yield node.line_of_key(error.instance), f"the name {_words(error)}"
        else:
            yield node.line, _words(error)
    if errors:
        return
    if data["dag"] in keys.COMMON:
        yield root.at(("dag",)).line, f"below {data['dag']!r} lie objects of several jobs; choose another name"
    for key in ("dag", "workload"):
        if said := filenames.problem(data[key]):
            yield root.at((key,)).line, f"{said}; choose another name"
    for name, schema in data["parameters"].items():
        node = root.at(("parameters", name))
        if name in COMMON_PARAMETERS:
            yield node.line, f"{name!r} is a parameter that every job has; choose another name"
        for field, said in _parameter_problems(schema):
            yield node.at(field).line, said
    for path, said in stage_spec.problems(data["stages"], data["parameters"]):
        yield root.at(path).line, said


def _parameter_problems(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    import jsonschema  # noqa: PLC0415 - as above

    for key, value in schema.items():
        if key != "items" and (said := values.problem(value)):
            yield (key,), f"{said}; a parameter's numbers lie from {values.LEAST} to {values.MOST}"
            return
    if "items" in schema:
        items = schema["items"]
        if not isinstance(items, dict) or items.get("type") not in _TYPES:
            yield ("items",), f"the elements of a list have a type: items: {{type: number}}, one of {', '.join(_TYPES)}"
            return
        for key in items:
            if key not in _FIELDS:
                yield ("items", key), f"the field {key!r} was unexpected; here may be {', '.join(_FIELDS)}"
                return
        for path, said in _parameter_problems(items):
            yield ("items", *path), said
            return
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        yield tuple(map(str, error.absolute_path)), f"not a JSON Schema: {_words(error)}"
        return
    if "default" in schema and (said := _refusal(schema["default"], values.bounded(schema))):
        yield ("default",), f"the default does not fit: {said}"


def _of_parameter(node: Node) -> Mapping[str, Any]:
    """How a parameter's fields are written: its own values are of its own type."""
    fields = node.value if isinstance(node.value, dict) else {}
    kind = str(fields["type"][1].value) if "type" in fields else "string"
    own: dict[str, Any] = {"type": kind}
    if kind == "array":
        own["items"] = _of_parameter(fields["items"][1])["properties"]["default"] if "items" in fields else {}
    of_values = {"default": own, "const": own, "enum": {"items": own}, "examples": {"items": own}}
    return {"properties": {**_FIELDS, **of_values, "items": _of_parameter}}


_AS_WRITTEN = {
    **_SPEC_SCHEMA,
    "properties": {**_SPEC_SCHEMA["properties"], "parameters": {"additionalProperties": _of_parameter}},
}
