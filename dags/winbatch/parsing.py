"""Reading JSON that somebody else may have written, or broken."""

import json
from typing import Any, NoReturn

MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading goes wrong with where the bytes are not what they should be: text, depth, types, names, numbers."""


def parse_strictly(text: str | bytes) -> Any:
    """Parse JSON of which every reader makes the same: without NaN and Infinity, and with each name once in an object.

    Args:
        text: UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        ValueError: it is none; a name is there twice; a number is none of JSON's; it is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:40]!r} is there more than once in one object")
    return made
