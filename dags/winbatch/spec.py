"""Job specifications: the files in `dags/jobs/`, each of which becomes a DAG, and the parameters people give them.

A specification names a workload, parameters (JSON Schema each, so that Airflow's form, the command line and the plan
check the same things) and stages. Reading one needs no network.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from winbatch import stage_spec
from winbatch.errors import SpecError
from winbatch.rules import RULES
from winbatch.stage_spec import StageSpec

JOBS = Path(__file__).resolve().parent.parent / "jobs"

# Every job has these beside its own: how much of the cluster it may use, and how long it waits for it.
COMMON_PARAMETERS: dict[str, dict[str, Any]] = {
    "max_instances": {
        "title": "Instances at most",
        "description": "Instances that the job may ask for (the seed's cluster_scale_out_size).",
        "type": "integer",
        "default": 6,
        "minimum": 1,
        "maximum": 5000,
    },
    "idle_instances": {
        "title": "Instances afterwards",
        "description": "Instances that stay when the job ends (the seed's cluster_scale_in_size).",
        "type": "integer",
        "default": 0,
        "minimum": 0,
        "maximum": 5000,
    },
    "instance_timeout": {
        "title": "Time-out for an instance (s)",
        "description": "How long the job waits for its first instance to register, from the call to Auto Scaling on"
        " (the seed's cluster_scale_asg_timeout and cluster_scale_ecs_timeout); Windows takes 4 to 8 minutes.",
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

# libyaml where it is there: it is ten times as fast, and Airflow parses DAGs all the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NAME = stage_spec.NAME
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
            "propertyNames": {"enum": list(RULES)},
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
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,63}$"},
            "additionalProperties": {
                "type": "object",
                "required": ["title", "description", "type", "default"],
                "properties": {"type": {"enum": ["integer", "number", "string", "boolean", "array"]}},
            },
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
        import jsonschema  # noqa: PLC0415 - parsing a DAG does not need it

        unknown = sorted(set(given) - set(self.parameters))
        if unknown:
            raise SpecError(
                f"{self.dag}: unknown parameter {unknown[0]!r}; there are {', '.join(sorted(self.parameters))}"
            )
        values = self.defaults
        for name, value in given.items():
            schema = self.parameters[name]
            values[name] = _typed(_from_text(name, value, schema) if isinstance(value, str) else value, schema)
            errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(values[name]), key=str)
            if errors:
                raise SpecError(f"{self.dag}: parameter {name}: {errors[0].message}; {_expectation(schema)}")
        if values["idle_instances"] > values["max_instances"]:
            raise SpecError(
                f"{self.dag}: idle_instances ({values['idle_instances']}) is more than max_instances"
                f" ({values['max_instances']})"
            )
        return values

    @classmethod
    def parse(cls, text: str, *, where: str) -> Self:
        """Read a specification.

        Args:
            text: YAML.
            where: the file's name, for the error's line.

        Raises:
            SpecError: with file and line.
        """
        try:
            loader = _LOADER(text)
            node = loader.get_single_node()
            data: Any = loader.construct_document(node) if node else None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise SpecError(f"{where}{line}: not YAML: {getattr(error, 'problem', error)}") from error
        for path, problem in _problems(data):
            raise SpecError(f"{where}:{_line(node, path)}: {problem}")
        return cls(
            dag=data["dag"],
            title=data["title"],
            description=data.get("description", "").strip(),
            workload=data["workload"],
            parameters={**data["parameters"], **COMMON_PARAMETERS},
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
        raise SpecError(f"unknown DAG {dag!r}; there are {', '.join(names(jobs)) or 'none'} (dags/jobs/*.yaml)")
    spec = Spec.parse(path.read_text(encoding="utf-8"), where=f"{jobs.name}/{path.name}")
    if spec.dag != dag:
        raise SpecError(f"{jobs.name}/{path.name}: its dag is {spec.dag!r}; name the file {spec.dag}.yaml")
    return spec


def names(jobs: Path = JOBS) -> list[str]:
    """The DAGs for which there is a specification, sorted."""
    return sorted(path.stem for path in jobs.glob("*.yaml"))


def _from_text(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    if schema["type"] == "string":
        return text
    if schema["type"] == "array":
        item = schema.get("items", {"type": "string"})
        return [_from_text(name, part.strip(), item) for part in text.split(",") if part.strip()]
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError:
        value = text
    if isinstance(value, str) or value is None:
        raise SpecError(f"parameter {name}: {text!r} is no {schema['type']}; {_expectation(schema)}")
    return value


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """JSON has one kind of number; a whole number becomes int and any other float, so that 8 and 8.0 are one point."""
    if schema["type"] == "array" and isinstance(value, list) and "items" in schema:
        return [_typed(item, schema["items"]) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if schema["type"] == "integer" and math.isfinite(value) and value == math.floor(value):
        return int(value)
    return float(value) if schema["type"] == "number" else value


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _expectation(schema: Mapping[str, Any]) -> str:
    """What would be right, in words."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"])) + " is expected"
    if schema["type"] == "array":
        inner = _expectation(schema["items"]).removesuffix(" is expected") if "items" in schema else "a value"
        least, most = schema.get("minItems", 0), schema.get("maxItems", "any number of")
        return f"a list of {least} to {most} values is expected, each {inner}"
    bounds = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    return " ".join(
        [
            {"integer": "a whole number", "number": "a number"}.get(schema["type"], f"a {schema['type']}"),
            *bounds,
            "is expected",
        ]
    )


def _problems(data: Any) -> Sequence[tuple[Sequence[str | int], str]]:
    """What is wrong with a specification, as paths into it and sentences; the first is the one to show."""
    import jsonschema  # noqa: PLC0415 - the command line's other verbs do not need it

    errors = list(jsonschema.Draft202012Validator(_SPEC_SCHEMA).iter_errors(data))
    if errors:
        return [(tuple(error.absolute_path), error.message) for error in errors]
    problems: list[tuple[Sequence[str | int], str]] = []
    for name, schema in data["parameters"].items():
        path = ("parameters", name)
        if name in COMMON_PARAMETERS:
            problems.append((path, f"{name!r} is a parameter that every job has; choose another name"))
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            problems.append((path, f"not a JSON Schema: {error.message}"))
            continue
        problems += [
            ((*path, "default"), f"the default does not fit: {error.message}")
            for error in jsonschema.Draft202012Validator(schema).iter_errors(schema["default"])
        ]
    return problems + stage_spec.problems(data["stages"], data["parameters"])


def _line(node: Any, path: Sequence[str | int]) -> int:
    """The line, from 1, at which the value at a path begins; the nearest one above where the path leads nowhere."""
    for step in path:
        child = None
        if isinstance(node, yaml.MappingNode):
            child = next((value for key, value in node.value if key.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1 if node is not None else 1
