"""Values of a job's parameters: read from text, held to their schemas, and refused in words."""

from collections.abc import Mapping
from typing import Any

from winbatch import suggesting, values
from winbatch.errors import SpecError

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


def from_text(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    """Read a parameter's value from text: a list with commas, numbers as JSON writes them.

    Raises:
        SpecError: it is none of its type.
    """
    if schema["type"] == "string":
        return text
    if schema["type"] == "array":
        return [from_text(name, part.strip(), schema["items"]) for part in text.split(",") if part.strip()]
    try:
        return values.parse(text.strip(), schema["type"])
    except ValueError as error:
        raise SpecError(f"parameter {name}: {error}; {expectation(schema)}") from error


def refusal(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Why a parameter's schema refuses a value; None where it takes it."""
    import jsonschema  # noqa: PLC0415 - the command line's other verbs do not need it

    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(value), key=str)
    return words(errors[0]) if errors else None


def typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """JSON has one kind of number; a whole number becomes int and any other float, so that 8 and 8.0 are one point."""
    if schema["type"] == "array":
        return [typed(item, schema["items"]) for item in value]
    if schema["type"] == "integer":
        return int(value)
    return float(value) if schema["type"] == "number" else value


def expectation(schema: Mapping[str, Any]) -> str:
    """What would be right, in words."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"])) + " is expected"
    if schema["type"] == "array":
        inner = expectation(schema["items"]).removesuffix(" is expected") if "items" in schema else "a value"
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


def words(error: Any) -> str:
    """What JSON Schema has to say and what would be right, without the whole of a large value."""
    shown, schema = values.shown(error.instance), error.schema
    said = str(error.message).replace(repr(error.instance), shown)
    if error.validator == "pattern" and "patternErrorMessage" in schema:
        return _too_large(error) or f"{shown} does not match; {schema['patternErrorMessage']}"
    if error.validator == "enum":
        return f"{said}{suggesting.hint(str(error.instance), map(str, error.validator_value))}"
    if error.validator in {"minimum", "maximum"}:
        return values.problem(error.instance) or said
    if error.validator == "type" and isinstance(error.instance, str) and _numbers(schema):
        return _too_large(error) or f"{said}; a number is written like 10, 0.5 or 1e3, without quotes"
    if error.validator in {"type", "minItems", "minLength", "minProperties"} and "description" in schema:
        return f"{said}; {schema['description']}"
    return said


def _numbers(schema: Mapping[str, Any]) -> list[str]:
    """The kinds of numbers that a schema takes."""
    kinds = schema.get("type", ())
    return [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind in {"integer", "number"}]


def _too_large(error: Any) -> str:
    """What to say of a text that stands for a number which cannot be held; empty: it does not."""
    for kind in _numbers(error.schema):
        try:
            values.parse(str(error.instance), kind)
        except values.TooLarge as beyond:
            return str(beyond)
        except ValueError:
            continue
    return ""
