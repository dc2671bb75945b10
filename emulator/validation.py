"""A call's parameters held to the model of its operation, before anybody acts on them.

What a model says of a member (required, type, length, range, pattern, enumeration) is what the service checks: both are
made of one Smithy model. The words are those of AWS's own framework, as its answers have them: "1 validation error
detected: Value 'x' at 'y' failed to satisfy constraint: Member must …".

An enumeration is closed here: a value that botocore does not know is refused, though AWS may have added it since. The
emulator could do nothing with it either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import regex
from botocore.model import Shape
from moto.core.model import ListShape, MapShape, OperationModel, StructureShape

from emulator import operations
from emulator.answers import Refusal
from emulator.calls import Call

log = logging.getLogger(__name__)

# Java writes the code points above 0xFFFF as two.
_SURROGATES = r"\uD800\uDC00-\uDBFF\uDFFF"
_ASTRAL = r"\U00010000-\U0010FFFF"
_MOST_SHOWN = 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a member.

    Attributes:
        path: of the member, as the answers name it
        value: as the answers show it; None when there is none
        constraint: that it fails, as the answers put it
        kind: `required`, `type`, `enum`, or `bounds` for the rest
    """

    path: str
    value: str | None
    constraint: str
    kind: str

    def told(self) -> str:
        """In the words of AWS's framework."""
        value = "null" if self.value is None else f"'{self.value}'"
        return f"Value {value} at '{self.path}' failed to satisfy constraint: {self.constraint}"


# Adds to the list what is wrong with a value at a path.
_Check = Callable[[Any, str, list[Problem]], None]

# Errors by which services whose own errors do not say it refuse; by the protocol of the rest.
_CODES = {"secretsmanager": "ValidationException"}
_BY_PROTOCOL = {"query": "ValidationError"}
_OWN = ("ValidationException", "InvalidParameterException")


def refused(call: Call) -> Refusal | None:
    """What the service answers when a call's parameters are not as its model has them; None when they are."""
    found: list[Problem] = []
    check = _checks(call.service, call.operation, call.protocol)
    if check is not None:
        check(call.parameters, "", found)
    return _answer(call, found) if found else None


def _answer(call: Call, problems: list[Problem]) -> Refusal:
    first = problems[0]
    if call.service == "s3":
        return _answer_of_s3(call, first)
    if first.kind == "type":
        return Refusal("SerializationException", first.constraint)
    if call.protocol == "ec2":
        return _answer_of_ec2(first)
    if call.service == "sqs" and first.kind == "required":
        return Refusal("MissingParameter", f"The request must contain the parameter {first.path}.")
    code = _code(call.service, call.operation, call.protocol)
    if call.service == "ecr":
        constraint = first.constraint.removeprefix("Member ").replace("expression pattern: ", "expression '")
        quote = "'" if "expression '" in constraint else ""
        return Refusal(code, f"Invalid parameter at '{first.path}' failed to satisfy constraint: '{constraint}{quote}'")
    count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
    return Refusal(code, count + "; ".join(problem.told() for problem in problems))


def _answer_of_s3(call: Call, problem: Problem) -> Refusal:
    model = operations.operation_model(call.service, call.operation)
    members = model.input_shape.members if model and isinstance(model.input_shape, StructureShape) else {}
    top = problem.path.partition(".")[0]
    if not any(shape.is_not_bound_to_body for name, shape in members.items() if _shown_name(name) == top):
        words = "The XML you provided was not well-formed or did not validate against our published schema"
        return Refusal("MalformedXML", f"{words} ({problem.told()})")
    if top == "storageClass":
        return Refusal("InvalidStorageClass", "The storage class you specified is not valid")
    return Refusal("InvalidArgument", problem.told())


def _answer_of_ec2(problem: Problem) -> Refusal:
    # EC2's guide of its API, "Error codes for the Amazon EC2 API", has both with these words.
    name = problem.path[:1].lower() + problem.path[1:]
    if problem.kind == "required":
        return Refusal("MissingParameter", f"The request must contain the parameter {name}")
    return Refusal(
        "InvalidParameterValue", f"Value ( {problem.value} ) for parameter {name} is invalid. {problem.constraint}"
    )


@cache
def _code(service: str, operation: str, protocol: str) -> str:
    if service in _CODES:
        return _CODES[service]
    model = operations.operation_model(service, operation)
    own = {shape.metadata.get("error", {}).get("code", shape.name) for shape in model.error_shapes} if model else set()
    return next((code for code in _OWN if code in own), _BY_PROTOCOL.get(protocol, "ValidationException"))


@cache
def _checks(service: str, operation: str, protocol: str) -> _Check | None:
    model = operations.operation_model(service, operation)
    if model is None or model.input_shape is None:
        return None
    # Only in JSON a value brings its type along; elsewhere reading it has tried its type already.
    return _Compiler(typed=protocol == "json").operation(model)


class _Compiler:
    """Makes one check of a shape and all below it; nothing where the model says nothing."""

    def __init__(self, *, typed: bool) -> None:
        self._typed = typed
        self._made: dict[str, _Check | None] = {}
        # A shape within itself is checked by what is made of it in the end.
        self._making: set[str] = set()

    def operation(self, model: OperationModel) -> _Check | None:
        """The check of an operation's whole input."""
        shape = model.input_shape
        bound = model.service_model.protocol in {"rest-json", "rest-xml"}
        payload = shape.serialization.get("payload") if bound and shape is not None else None
        return self._structure(shape, payload) if isinstance(shape, StructureShape) else None

    def shape(self, shape: Shape) -> _Check | None:
        """The check of a shape."""
        name = shape.name
        if name in self._making:
            return lambda value, path, found: self._again(name, value, path, found)
        if name not in self._made:
            self._making.add(name)
            self._made[name] = self._make(shape)
            self._making.discard(name)
        return self._made[name]

    def _again(self, name: str, value: Any, path: str, found: list[Problem]) -> None:
        check = self._made[name]
        if check is not None:
            check(value, path, found)

    def _make(self, shape: Shape) -> _Check | None:
        if isinstance(shape, StructureShape):
            return None if shape.is_document_type else self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        return self._scalar(shape)

    def _structure(self, shape: StructureShape, payload: str | None = None) -> _Check | None:
        # What streams is left out of a call's parameters.
        required = [
            (name, _shown_name(name))
            for name in shape.required_members
            if not (name == payload and shape.members[name].type_name in {"blob", "string"})
        ]
        checks = [(name, _shown_name(name), self.shape(member)) for name, member in shape.members.items()]
        members = [(name, shown, check) for name, shown, check in checks if check is not None]
        typed = self._typed
        if not required and not members and not typed:
            return None

        def check_structure(value: Any, path: str, found: list[Problem]) -> None:
            if typed and not isinstance(value, dict):
                found.append(_mistyped(value, path, "structure"))
                return
            above = f"{path}." if path else ""
            for name, shown in required:
                if value.get(name) is None:
                    found.append(Problem(above + shown, None, "Member must not be null", "required"))
            for name, shown, check in members:
                given = value.get(name)
                if given is not None:
                    check(given, above + shown, found)

        return check_structure

    def _list(self, shape: ListShape) -> _Check | None:
        check = self.shape(shape.member)
        bounds = _bounds(shape)
        typed = self._typed
        if check is None and not bounds and not typed:
            return None

        def check_list(value: Any, path: str, found: list[Problem]) -> None:
            if typed and not isinstance(value, list):
                found.append(_mistyped(value, path, "list"))
                return
            for fails, constraint in bounds:
                if fails(value):
                    found.append(Problem(path, _shown(value), constraint, "bounds"))
            if check is not None:
                for number, item in enumerate(value, 1):
                    if item is not None:
                        check(item, f"{path}.{number}.member", found)

        return check_list

    def _map(self, shape: MapShape) -> _Check | None:
        check_key, check_value = self.shape(shape.key), self.shape(shape.value)
        bounds = _bounds(shape)
        typed = self._typed
        if check_key is None and check_value is None and not bounds and not typed:
            return None

        def check_map(value: Any, path: str, found: list[Problem]) -> None:
            if typed and not isinstance(value, dict):
                found.append(_mistyped(value, path, "map"))
                return
            for fails, constraint in bounds:
                if fails(value):
                    found.append(Problem(path, _shown(value), constraint, "bounds"))
            for key, item in value.items():
                for check, part, given in ((check_key, "keys", key), (check_value, "value", item)):
                    below: list[Problem] = []
                    if check is not None and given is not None:
                        check(given, path, below)
                    found += [_of_map(problem, part, value, path) for problem in below]

        return check_map

    def _scalar(self, shape: Shape) -> _Check | None:
        is_typed = _TYPES.get(shape.type_name) if self._typed else None
        values = list(getattr(shape, "enum", ()))
        tests = _bounds(shape)
        if values:
            allowed = frozenset(values)
            choices = f"Member must satisfy enum value set: [{', '.join(values)}]"
            tests = [(lambda value: value not in allowed, choices)]
        elif pattern := shape.metadata.get("pattern"):
            compiled = compile_pattern(pattern)
            if compiled is not None:
                matches = compiled.fullmatch
                words = f"Member must satisfy regular expression pattern: {pattern}"
                tests.append((lambda value: matches(value) is None, words))
        if is_typed is None and not tests:
            return None
        java = shape.type_name.title()
        kind = "enum" if values else "bounds"
        show = _hidden if shape.metadata.get("sensitive") else _shown

        def check_scalar(value: Any, path: str, found: list[Problem]) -> None:
            if is_typed is not None and not is_typed(value):
                found.append(_mistyped(value, path, java))
                return
            for fails, constraint in tests:
                if fails(value):
                    found.append(Problem(path, show(value), constraint, kind))

        return check_scalar


def _of_map(problem: Problem, part: str, value: Any, path: str) -> Problem:
    """What is wrong with a map's keys or values, which is said of the map."""
    if problem.path != path or problem.kind == "type":
        return problem
    return Problem(path, _shown(value), f"Map {part} must satisfy constraint: [{problem.constraint}]", problem.kind)


_Test = tuple[Callable[[Any], bool], str]


def _bounds(shape: Shape) -> list[_Test]:
    """What a shape's length or value must keep to: tests that say whether it fails, with the words for it."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    counted = shape.type_name in {"string", "blob", "list", "map"}
    what = "length" if counted else "value"
    size: Callable[[Any], float] = _length_of_blob if shape.type_name == "blob" else len if counted else float
    tests: list[_Test] = []
    if least:
        words = f"Member must have {what} greater than or equal to {_number(least)}"
        tests.append((lambda value: size(value) < least, words))
    if most is not None:
        words = f"Member must have {what} less than or equal to {_number(most)}"
        tests.append((lambda value: size(value) > most, words))
    return tests


def _number(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def _length_of_blob(value: Any) -> int:
    """Its bytes; JSON has them in base64, which has four characters for three."""
    if isinstance(value, bytes):
        return len(value)
    padding: int = value[-2:].count("=")
    return len(value) * 3 // 4 - padding


def _number_typed(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integer_typed(value: Any) -> bool:
    return _number_typed(value) and float(value).is_integer()


def _text_typed(value: Any) -> bool:
    return isinstance(value, str)


# What JSON gives a type with; times are numbers, or texts for services that say so.
_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": _text_typed,
    "character": _text_typed,
    "blob": _text_typed,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _integer_typed,
    "long": _integer_typed,
    "float": _number_typed,
    "double": _number_typed,
    "timestamp": lambda value: _number_typed(value) or _text_typed(value),
}
_JSON_NAMES = {str: "STRING_VALUE", bool: "BOOLEAN_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}


def _mistyped(value: Any, path: str, wanted: str) -> Problem:
    name = _JSON_NAMES.get(type(value), "START_ARRAY" if isinstance(value, list) else "START_OBJECT")
    return Problem(
        path, _shown(value), f"{name} can not be converted to a {wanted}{f' at {path}' if path else ''}", "type"
    )


def _shown_name(member: str) -> str:
    return member[:1].lower() + member[1:]


def _hidden(value: Any) -> str:  # noqa: ARG001 - in place of `_shown`
    return "***Sensitive information***"


def _shown(value: Any) -> str:
    """A value as Java writes it, not endlessly."""
    text = _java(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _java(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_java, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


@cache
def compile_pattern(pattern: str) -> regex.Pattern[str] | None:
    """A model's pattern, written for Java's regular expressions; None when it cannot be had here, which is logged."""
    try:
        return regex.compile(pattern.replace(_SURROGATES, _ASTRAL))
    except regex.error as error:
        log.info("the pattern %s is not checked: %s", pattern, error)
        return None
