"""Templates of job specifications: texts with placeholders such as `{strike}`; `{{` and `}}` stand for braces."""

import json
import re
from collections.abc import Mapping
from typing import Any

from winbatch.errors import JobError

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[a-z][a-z0-9_]*)\}|(?P<stray>[{}])")


def names(text: str) -> list[str]:
    """The placeholders of a template, in order.

    Raises:
        ValueError: a brace that belongs to none; the line says what to write instead.
    """
    for token in _TOKEN.finditer(text):
        if token["stray"]:
            raise ValueError(
                f"{text!r} has a {token['stray']!r} that belongs to no placeholder; a placeholder is a name in braces,"
                f" a brace is written twice ({token['stray'] * 2})"
            )
    return used(text)


def used(text: str) -> list[str]:
    """Give the placeholders of a template that was found right, in order."""
    return [token["name"] for token in _TOKEN.finditer(text) if token["name"]]


def fill(text: str, values: Mapping[str, Any]) -> str:
    """The template with its placeholders replaced, once: what a value holds is left as it is.

    Raises:
        JobError: a placeholder has no value.
    """

    def replaced(token: re.Match[str]) -> str:
        name = token["name"]
        if name is None:
            return token[0][0]
        if name not in values:
            raise JobError(
                f"{text!r} needs {name!r}, which the item does not have (it has {', '.join(values)});"
                " its manifest is another specification's, plan the job again"
            )
        return as_text(values[name])

    return _TOKEN.sub(replaced, text)


def as_text(value: Any) -> str:
    """A parameter as text: lists with commas, as the command line takes them; anything else but text as in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ",".join(map(as_text, value))
    return json.dumps(value)
