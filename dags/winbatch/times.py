"""Times as they stand in JSON."""

import datetime as dt


def format_time(moment: dt.datetime) -> str:
    """A UTC time as text, to the millisecond."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> dt.datetime:
    """Read a time in ISO 8601.

    Raises:
        ValueError: it is none.
    """
    return dt.datetime.fromisoformat(text)
