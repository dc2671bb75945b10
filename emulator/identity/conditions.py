"""Condition operators of policies.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys or
values".
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from emulator.identity.patterns import Keys, UnresolvedError, arn_like, has_variables, like, resolved, unescaped

# Gets what the policy wants, then what the request has.
_Test = Callable[[str, str], bool]


class UnknownOperatorError(ValueError):
    """A policy has a condition operator that there is not."""


def _equal(wanted: str, actual: str) -> bool:
    return unescaped(wanted) == actual


def _equal_ignoring_case(wanted: str, actual: str) -> bool:
    return unescaped(wanted).lower() == actual.lower()


def _numbers(test: Callable[[float, float], bool], wanted: str, actual: str) -> bool:
    try:
        return test(float(actual), float(wanted))
    except ValueError:
        return False


def _moments(test: Callable[[float, float], bool], wanted: str, actual: str) -> bool:
    try:
        return test(_moment(actual), _moment(wanted))
    except ValueError:
        return False


def _moment(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 date or of such a number."""
    try:
        return float(text)
    except ValueError:
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _in_network(wanted: str, actual: str) -> bool:
    try:
        return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


_EQUAL: Callable[[float, float], bool] = lambda actual, wanted: actual == wanted  # noqa: E731 - a row of the table below
_LESS: Callable[[float, float], bool] = lambda actual, wanted: actual < wanted  # noqa: E731
_AT_MOST: Callable[[float, float], bool] = lambda actual, wanted: actual <= wanted  # noqa: E731
_MORE: Callable[[float, float], bool] = lambda actual, wanted: actual > wanted  # noqa: E731
_AT_LEAST: Callable[[float, float], bool] = lambda actual, wanted: actual >= wanted  # noqa: E731

_TESTS: dict[str, _Test] = {
    "stringequals": _equal,
    "stringequalsignorecase": _equal_ignoring_case,
    "stringlike": like,
    # ArnEquals and ArnLike behave identically.
    "arnequals": arn_like,
    "arnlike": arn_like,
    "bool": _equal_ignoring_case,
    "binaryequals": _equal,
    "ipaddress": _in_network,
    "numericequals": partial(_numbers, _EQUAL),
    "numericlessthan": partial(_numbers, _LESS),
    "numericlessthanequals": partial(_numbers, _AT_MOST),
    "numericgreaterthan": partial(_numbers, _MORE),
    "numericgreaterthanequals": partial(_numbers, _AT_LEAST),
    "dateequals": partial(_moments, _EQUAL),
    "datelessthan": partial(_moments, _LESS),
    "datelessthanequals": partial(_moments, _AT_MOST),
    "dategreaterthan": partial(_moments, _MORE),
    "dategreaterthanequals": partial(_moments, _AT_LEAST),
}
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
    "notipaddress": "ipaddress",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of one operator; all of a statement's must hold.

    Attributes:
        key: in lower case
        wanted: the values, any of which will do
        kind: `null`, or the positive operator's name in lower case
        negated: whether the operator is the negation of that one
        optional: whether it has the suffix `IfExists`
        quantifier: `forallvalues`, `foranyvalue` or nothing
        literal: no value has policy variables
    """

    key: str
    wanted: tuple[str, ...]
    kind: str
    negated: bool
    optional: bool
    quantifier: str
    literal: bool

    @classmethod
    def of(cls, operator: str, key: str, values: Sequence[object], *, variables: bool) -> Condition:
        """Compile a condition.

        Args:
            operator: as the policy has it, such as `ForAnyValue:StringLikeIfExists`
            key: the condition key
            values: strings, numbers, truth values
            variables: whether the policy's version knows policy variables

        Raises:
            UnknownOperatorError: there is no such operator
        """
        quantifier, _, name = operator.lower().rpartition(":")
        optional = name.endswith("ifexists")
        name = name.removesuffix("ifexists")
        kind = _NEGATED.get(name, name)
        if (kind not in _TESTS and kind != "null") or quantifier not in {"", "forallvalues", "foranyvalue"}:
            raise UnknownOperatorError(operator)
        wanted = tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
        literal = not variables or not any(map(has_variables, wanted))
        return cls(key.lower(), wanted, kind, name in _NEGATED, optional, quantifier, literal)

    def holds(self, keys: Keys) -> bool:
        """Whether a request with these keys fulfils it."""
        actual = keys.get(self.key)
        if self.kind == "null":
            return any((wanted.lower() == "true") == (actual is None) for wanted in self.wanted)
        if actual is None:
            # A key that is not there fits nothing, so it fits every negation; and all values of none fit anything.
            return self.optional or self.quantifier == "forallvalues" or (self.negated and not self.quantifier)
        values = actual if isinstance(actual, tuple) else (actual,)
        test, wanted = _TESTS[self.kind], self.wanted if self.literal else self._resolved(keys)
        if self.quantifier == "forallvalues":
            return all(any(test(one, value) for one in wanted) != self.negated for value in values)
        if self.quantifier == "foranyvalue":
            return any(any(test(one, value) for one in wanted) != self.negated for value in values)
        return any(test(one, value) for value in values for one in wanted) != self.negated

    def _resolved(self, keys: Keys) -> tuple[str, ...]:
        found = []
        for text in self.wanted:
            try:
                found.append(resolved(text, keys))
            except UnresolvedError:
                continue  # the value is none; the others may fit
        return tuple(found)
