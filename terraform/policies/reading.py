"""Reads what checkov makes of HCL and of plans: values come wrapped in lists, deeper or flatter by their origin."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def first(value: Any) -> Any:
    """The value itself, out of the lists of one that checkov wraps it in; None for an empty one."""
    while isinstance(value, list):
        if len(value) > 1:
            return value
        value = value[0] if value else None
    return value


def strings(value: Any) -> list[str]:
    """All strings in a value, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | set | tuple):
        return [text for part in value for text in strings(part)]
    return []


def blocks(configuration: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """All blocks of a name, those of `dynamic` blocks too."""
    for block in _flat(configuration.get(name)):
        yield block
    for dynamic in _flat(configuration.get("dynamic")):
        for block in _flat(dynamic.get(name)):
            # checkov lifts the content into the block where it can.
            yield from _flat(block.get("content") or block)


def containers(definitions: Any) -> list[Mapping[str, Any]] | None:
    """A task definition's containers; None when they are not known before apply."""
    value = first(definitions)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return None
    found = [value] if isinstance(value, dict) else value
    return found if isinstance(found, list) and all(isinstance(one, dict) for one in found) else None


def _flat(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _flat(part)
