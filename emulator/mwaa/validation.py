"""Checks a call's parameters against the service's own model, as AWS does, and with its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from emulator.mwaa.exceptions import ValidationException


def check(operation: str, parameters: Mapping[str, Any]) -> None:
    """Check all parameters of a call.

    Raises:
        ValidationException: names each that breaks a constraint of its length, pattern, range or list of values
    """
    shape = _model().operation_model(operation).input_shape
    errors = list(_structure(shape, parameters, ""))
    if errors:
        noun = "error" if len(errors) == 1 else "errors"
        raise ValidationException(f"{len(errors)} validation {noun} detected: {'; '.join(errors)}")


@cache
def _model() -> Any:
    return botocore.session.Session().get_service_model("mwaa")


def _structure(shape: StructureShape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_camel(prefix + name)}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _value(member, value[name], prefix + name)


def _value(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        if not shape.is_document_type:
            yield from _structure(shape, value, path)
        return
    sensitive = shape.metadata.get("sensitive", False)
    for constraint in _broken(shape, value):
        shown = "at" if sensitive else f"'{value}' at"
        yield f"Value {shown} '{_camel(path)}' failed to satisfy constraint: {constraint}"
    if isinstance(shape, ListShape):
        for index, element in enumerate(value, 1):
            yield from _value(shape.member, element, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        for key, element in value.items():
            yield from _value(shape.key, key, f"{path}.key")
            yield from _value(shape.value, element, f"{path}.{key}")


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "integer":
        if low is not None and value < low:
            yield f"Member must have value greater than or equal to {low}"
        if high is not None and value > high:
            yield f"Member must have value less than or equal to {high}"
        return
    if low is not None and len(value) < low:
        yield f"Member must have length greater than or equal to {low}"
    if high is not None and len(value) > high:
        yield f"Member must have length less than or equal to {high}"
    if isinstance(shape, StringShape):
        pattern = shape.metadata.get("pattern")
        if pattern and not _pattern(pattern).fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {pattern}"
        if shape.enum and value not in shape.enum:
            yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


@cache
def _pattern(java: str) -> re.Pattern[str]:
    # The one thing in the model's patterns that Python does not know: letters, separators and numbers of any script.
    return re.compile(java.replace(r"\p{L}\p{Z}\p{N}", r"\w\s"))


def _camel(path: str) -> str:
    return ".".join(part[:1].lower() + part[1:] for part in path.split("."))
