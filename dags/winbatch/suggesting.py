"""Suggests what somebody meant who gave a name that is not known. One form for all names from a known set."""

from collections.abc import Iterable

# Nobody mistypes a name as long as this, and comparing takes time by the square of it.
_LONGEST = 100


def nearest(name: str, known: Iterable[str]) -> str:
    """Find the known name that is most like another one, whatever their case; empty where none is like it."""
    # Only who makes a mistake pays for the import.
    import difflib  # noqa: PLC0415

    spelt = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), spelt, n=1) if len(name) <= _LONGEST else []
    return spelt[found[0]] if found else ""


def hint(name: str, known: Iterable[str]) -> str:
    """Ask whether another name was meant, in words that follow the wrong name; empty where none is like it."""
    near = nearest(name, known)
    return f" (did you mean `{near}`?)" if near and near != name else ""
