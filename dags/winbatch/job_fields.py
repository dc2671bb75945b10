"""The fields of a job file, as JSON Schema: what Airflow, the command line and editors hold one to.

Each has its type, choices and bounds, and a line that says what it is. What depends on several fields cannot be said
here; `job_problems` and `stage_spec.problems` check it. `docs/reference/job.schema.json` is made of this.
"""

from collections.abc import Mapping
from typing import Any

from winbatch import stage_spec, values
from winbatch.attempts import POLICY
from winbatch.stage_spec import NAMED, TEXT

TYPES = ("integer", "number", "string", "boolean", "array")
"""Names the types of a parameter."""

_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": values.MOST}
_NUMBER: dict[str, Any] = {"type": ["integer", "number"], "minimum": values.LEAST, "maximum": values.MOST}

PARAMETER_FIELDS: dict[str, Any] = {
    "title": {"description": "Its name in Airflow's form.", **TEXT},
    "description": {"description": "One line on what it is.", **TEXT},
    "description_md": {"description": "The same in Markdown, for Airflow's form.", **TEXT},
    "type": {"description": "What its values are, such as number.", "enum": list(TYPES)},
    "default": {"description": "The value that it has unless somebody gives another."},
    "const": {"description": "The only value that it may have."},
    "enum": {"description": "The values that it may have.", "type": "array"},
    "examples": {"description": "Values that Airflow's form proposes.", "type": "array"},
    "items": {"description": "What the elements of a list are, such as {type: number}.", "$ref": "#/$defs/elements"},
    "pattern": {"description": "Regular expression that a text matches.", **TEXT, "format": "regex"},
    "format": {"description": "What a text stands for, such as date; Airflow's form shows a field for it.", **TEXT},
    "minimum": {"description": "The least number.", **_NUMBER},
    "maximum": {"description": "The largest number.", **_NUMBER},
    "exclusiveMinimum": {"description": "Numbers are larger than this.", **_NUMBER},
    "exclusiveMaximum": {"description": "Numbers are less than this.", **_NUMBER},
    "multipleOf": {
        "description": "Numbers are multiples of this.",
        "type": ["integer", "number"],
        "exclusiveMinimum": 0,
        "maximum": values.MOST,
    },
    "minLength": {"description": "Characters that a text has at least.", **_COUNT},
    "maxLength": {"description": "Characters that a text has at most.", **_COUNT},
    "minItems": {"description": "Elements that a list has at least.", **_COUNT},
    "maxItems": {"description": "Elements that a list has at most.", **_COUNT},
    "uniqueItems": {"description": "A list has each element once.", "type": "boolean"},
    "values_display": {
        "description": "What Airflow's form shows for each value of enum or examples.",
        "type": "object",
        "additionalProperties": TEXT,
    },
}
"""Lists the fields of a parameter: those of JSON Schema that say something of its types, and some of Airflow's form."""


def _of_type(kind: str) -> dict[str, Any]:
    """Say that a parameter's own values are of its type."""
    own = {"type": "array"} if kind == "array" else values.bounded({"type": kind})
    listed = {"items": own}
    return {
        "if": {"required": ["type"], "properties": {"type": {"const": kind}}},
        "then": {"properties": {"default": own, "const": own, "enum": listed, "examples": listed}},
    }


_PARAMETER: dict[str, Any] = {
    "description": "A mapping of fields, such as {type: number}.",
    "type": "object",
    "additionalProperties": False,
    "properties": PARAMETER_FIELDS,
    "allOf": [_of_type(kind) for kind in TYPES],
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["dag", "title", "workload", "parameters", "stages"],
    "properties": {
        "dag": {"description": "The DAG that the job becomes; the file is called after it.", **NAMED},
        "title": {"description": "The job in a few words, for Airflow's list of DAGs.", **TEXT, "minLength": 1},
        "description": {"description": "What the job does, for the DAG's page.", **TEXT},
        "workload": {"description": "The folder of images/ whose image runs its stages.", **NAMED},
        "retry": {
            "description": "How often a shard is tried, by the kind of failure, where the rules are not to hold.",
            "type": "object",
            "propertyNames": {"enum": list(POLICY)},
            "additionalProperties": {
                "description": "attempts, backoff or both.",
                "type": "object",
                "additionalProperties": False,
                "minProperties": 1,
                "properties": {
                    "attempts": {"description": "Attempts in all.", "type": "integer", "minimum": 1, "maximum": 100},
                    "backoff": {
                        "description": "Seconds before the second attempt; they double with each failure.",
                        "type": "number",
                        "minimum": 0,
                        "maximum": 86400,
                    },
                },
            },
        },
        "parameters": {
            "description": "What a person may change when the job is started, by name; {} where there is nothing.",
            "type": "object",
            "propertyNames": stage_spec.PARAMETER_NAMED,
            "additionalProperties": {"$ref": "#/$defs/parameter"},
        },
        "stages": {
            "description": "What the job does, one after the other.",
            "type": "array",
            "minItems": 1,
            "items": stage_spec.SCHEMA,
        },
    },
    "$defs": {
        "parameter": {**_PARAMETER, "required": ["title", "description", "type", "default"]},
        "elements": {**_PARAMETER, "required": ["type"]},
    },
}
"""Says what a job file may hold, in JSON Schema 2020-12."""
