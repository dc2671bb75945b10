"""Numbers and booleans as people write them, and what of them can be held: one reading for all places where they enter.

A whole number fits 64 bits, for that is what programs and Airflow's messages hold. So does any number among a job's
parameters: Airflow's database hands a large one on with all of its digits, as a whole number. Any other is a double.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

LEAST = -(2**63)
MOST = 2**63 - 1

SHOWN = 120
"""Characters of a value that is quoted in an error."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}
# The least number of digits of which a power of ten is outside 64 bits.
_DIGITS = 20
# A whole number that Python may refuse to write.
_LONG = 10**300


class TooLarge(ValueError):  # noqa: N818 - it says what is wrong
    """A number that cannot be held."""


def parse(text: str, kind: str) -> int | float | bool:
    """A boolean, or a number as JSON writes it.

    Args:
        text: as it was written, without spaces around it.
        kind: `integer`, `number` or `boolean`.

    Raises:
        TooLarge: it cannot be held.
        ValueError: it is none; as of the other, its text is what to say of it.
    """
    if kind == "boolean" and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    number = _NUMBER.fullmatch(text) if kind in {"integer", "number"} else None
    if number is None:
        raise ValueError(f"{shown(text)} is no {kind}")
    if kind == "integer":
        return _whole(text)
    # Written without a point, it stays so where it is shown.
    if number["fraction"] is None and number["exponent"] is None and len(text) < _DIGITS:
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise TooLarge(f"{shown(text)} is beyond what a double can hold")
    return value


def _whole(text: str) -> int:
    try:
        exact = Decimal(text)
    except ArithmeticError:  # an exponent that even this does not hold
        exact = Decimal("Infinity")
    if not exact:
        return 0
    # Before its digits are written out: there may be a billion of them.
    if not exact.is_finite() or exact.adjusted() >= _DIGITS:
        raise TooLarge(f"{shown(text)} is beyond 64 bits")
    if exact != exact.to_integral_value():
        raise ValueError(f"{shown(text)} is no whole number")
    if outside := problem(int(exact)):
        raise TooLarge(outside)
    return int(exact)


def shown(value: Any) -> str:
    """A value for an error's line, as Python writes it, cut where it is long."""
    if isinstance(value, int) and abs(value) > _LONG:
        return f"a whole number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}…{text[-SHOWN // 4 :]}"


def problem(value: Any) -> str | None:
    """What of a parameter's value cannot be held, in words; None where all can."""
    if isinstance(value, list | tuple):
        return next(filter(None, map(problem, value)), None)
    if isinstance(value, Mapping):
        return problem(list(value.values()))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is beyond what a double can hold"
    return None if LEAST <= value <= MOST else f"{shown(value)} is beyond 64 bits"


def bounded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's schema with the bounds that its numbers have anyway, so that Airflow's form checks them, too."""
    made = dict(schema)
    if made["type"] in {"integer", "number"}:
        if "exclusiveMinimum" not in made:
            made.setdefault("minimum", LEAST)
        if "exclusiveMaximum" not in made:
            made.setdefault("maximum", MOST)
    if made["type"] == "array":
        # A list whose elements have no type is one of texts: so the form and the command line take it.
        made["items"] = bounded(made.get("items", {"type": "string"}))
    return made
