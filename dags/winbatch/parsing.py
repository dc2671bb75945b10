"""Reading JSON that somebody else may have written, or broken."""

import json
from typing import Any

MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Names what reading fails with where the bytes are not what they should be: text, depth, types, names, numbers."""


def parse_strictly(text: str | bytes) -> Any:
    """Parse JSON of which every reader makes the same, with each name once in an object.

    Args:
        text: UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        ValueError: it is none; a name is there twice; it is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"{name[:40]!r} is there more than once in one object")
        made[name] = value
    return made
