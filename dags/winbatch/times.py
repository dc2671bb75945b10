"""Times as they stand in JSON."""

import datetime as dt


def format_time(moment: dt.datetime) -> str:
    """A UTC time as text, to the millisecond."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
