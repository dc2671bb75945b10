"""Resource policies, evaluated as IAM does it for the caller that there is: the account itself, over TLS."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any


class Verdict(Enum):
    """What a policy says about a call."""

    NEUTRAL = "neutral"
    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True)
class Call:
    """One call: who does what to what, and the condition keys that are known about it (lower case)."""

    account: str
    action: str
    resource: str
    context: Mapping[str, str]


def evaluate(policy: str, call: Call) -> Verdict:
    """A Deny that applies wins over an Allow that applies."""
    verdict = Verdict.NEUTRAL
    for statement in _statements(policy):
        if _applies(statement, call):
            if statement["Effect"] == "Deny":
                return Verdict.DENIED
            verdict = Verdict.ALLOWED
    return verdict


@lru_cache(maxsize=256)
def _statements(policy: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(_list(json.loads(policy)["Statement"]))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _applies(statement: Mapping[str, Any], call: Call) -> bool:
    return (
        _concerns(statement, call)
        and _names(statement, "Action", call.action, ignore_case=True)
        and _names(statement, "Resource", call.resource)
        and all(
            _condition(operator, key, _list(values), call.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _concerns(statement: Mapping[str, Any], call: Call) -> bool:
    """Whether a statement is about the account. Roles and users within it are not told apart, services are others."""
    principal = statement.get("Principal")
    if principal is None:
        return "NotPrincipal" not in statement
    if principal == "*":
        return True
    known = {"*", call.account, f"arn:aws:iam::{call.account}:root"}
    return bool(known & set(_list(principal.get("AWS", []))))


def _names(statement: Mapping[str, Any], element: str, value: str, *, ignore_case: bool = False) -> bool:
    if f"Not{element}" in statement:
        return not _any_like(statement[f"Not{element}"], value, ignore_case=ignore_case)
    return _any_like(statement[element], value, ignore_case=ignore_case)


def _any_like(patterns: Any, value: str, *, ignore_case: bool = False) -> bool:
    return any(like(pattern, value, ignore_case=ignore_case) for pattern in _list(patterns))


def like(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """Whether a value fits a pattern of IAM's: `*` is any text, `?` one character."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


_Test = Callable[[str, str], bool]  # (wanted, actual)

_TESTS: dict[str, _Test] = {
    "Bool": lambda wanted, actual: wanted.lower() == actual.lower(),
    "StringEquals": lambda wanted, actual: wanted == actual,
    "StringEqualsIgnoreCase": lambda wanted, actual: wanted.lower() == actual.lower(),
    "StringLike": like,
    "ArnEquals": like,
    "ArnLike": like,
    "NumericEquals": lambda wanted, actual: float(actual) == float(wanted),
    "NumericLessThan": lambda wanted, actual: float(actual) < float(wanted),
    "NumericLessThanEquals": lambda wanted, actual: float(actual) <= float(wanted),
    "NumericGreaterThan": lambda wanted, actual: float(actual) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, actual: float(actual) >= float(wanted),
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
}


def _condition(operator: str, key: str, values: Iterable[Any], context: Mapping[str, str]) -> bool:
    wanted = [str(value) for value in values]
    actual = context.get(key.lower())
    name = operator.rpartition(":")[2]  # ForAnyValue: and ForAllValues: are the same for keys with one value
    if name == "Null":
        return any((value.lower() == "true") == (actual is None) for value in wanted)
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    negated = name in _NEGATED
    if actual is None:
        # A key that the call does not have fits nothing, so it fits every negation.
        return optional or negated
    test = _TESTS.get(_NEGATED.get(name, name))
    if test is None:
        raise NotImplementedError(f"the policy condition {operator}")
    return any(test(value, actual) for value in wanted) != negated
