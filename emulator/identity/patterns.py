"""Patterns of policies: wildcards, ARNs and policy variables, as IAM's grammar has them.

Source: IAM User Guide, "IAM JSON policy elements": Resource, Condition operators (ARN), Variables and tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

Value = str | tuple[str, ...]
# Condition keys in lower case; what a request does not have is not there.
Keys = Mapping[str, Value]
Test = Callable[[str], bool]

_VARIABLE = re.compile(r"\$\{(?P<name>[^},]+?)\s*(?:,\s*'(?P<default>[^']*)')?\}")
_LITERAL = {"*": "*", "?": "?", "$": "$"}
_ARN_PARTS = 6


class UnresolvedError(LookupError):
    """A policy variable has no value in a request: what it stands in matches nothing."""


def has_variables(text: str) -> bool:
    """Whether a text of a policy has policy variables in it."""
    return "${" in text


def like(pattern: str, value: str) -> bool:
    """Whether a value fits a pattern: `*` is any text, `?` one character."""
    return _glob(pattern).fullmatch(value) is not None


def arn_like(pattern: str, value: str) -> bool:
    """Whether an ARN fits a pattern, each of its six parts apart: a `*` does not reach into the next one."""
    return _arn(pattern).fullmatch(value) is not None


def arns_like(patterns: Iterable[str]) -> re.Pattern[str]:
    """All that fits one of some patterns of ARNs, as one expression; `*` alone is everything."""
    return re.compile("|".join(".*" if pattern == "*" else _arn_text(pattern) for pattern in patterns), re.DOTALL)


def resolved(text: str, keys: Keys) -> str:
    """A text with its policy variables filled in, as a pattern in which the values have no wildcards.

    Raises:
        UnresolvedError: a variable has no value and no default, or several values
    """
    parts, position = [], 0
    for match in _VARIABLE.finditer(text):
        parts += [text[position : match.start()], _escaped(_value(match, keys))]
        position = match.end()
    return "".join([*parts, text[position:]])


def _value(match: re.Match[str], keys: Keys) -> str:
    name = match["name"].strip()
    if name in _LITERAL:
        return name
    value = keys.get(name.lower())
    if isinstance(value, tuple):
        value = value[0] if len(value) == 1 else None
    if value is None:
        value = match["default"]
    if value is None:
        raise UnresolvedError(name)
    return value


# Private-use characters stand for a value's own wildcards until the pattern is compiled.
_ESCAPES = {"*": "\ue000", "?": "\ue001"}
_UNESCAPED = {escape: re.escape(letter) for letter, escape in _ESCAPES.items()}


def _escaped(value: str) -> str:
    for letter, escape in _ESCAPES.items():
        value = value.replace(letter, escape)
    return value


def unescaped(text: str) -> str:
    """A resolved text where wildcards mean nothing."""
    for letter, escape in _ESCAPES.items():
        text = text.replace(escape, letter)
    return text


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(_expression(pattern, ".*", "."), re.DOTALL)


@lru_cache(maxsize=4096)
def _arn(pattern: str) -> re.Pattern[str]:
    return re.compile(_arn_text(pattern), re.DOTALL)


def _arn_text(pattern: str) -> str:
    parts = pattern.split(":", _ARN_PARTS - 1)
    # AWS completes an ARN that is too short with wildcards.
    parts += ["*"] * (_ARN_PARTS - len(parts))
    head = ":".join(_expression(part, "[^:]*", "[^:]") for part in parts[:-1])
    return f"{head}:{_expression(parts[-1], '.*', '.')}"


def _expression(pattern: str, many: str, one: str) -> str:
    letters = {"*": many, "?": one, **_UNESCAPED}
    return "".join(letters.get(letter) or re.escape(letter) for letter in pattern)
