"""Exceptions from checkov's checks: each has a reason and an end, and none outlives its end. Pure but for `read`.

The form is `#checkov:skip=CKV_AWS_18: until 2027-05-31: why this one is right here`, at the resource.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FORM = "#checkov:skip=CKV_AWS_18: until 2027-05-31: why this one is right here"
# Longer is no end.
LONGEST = dt.timedelta(days=366)
SHORTEST_REASON = 4
_SKIP = re.compile(r"checkov:skip=(?P<check>[A-Z0-9_]*)(?P<rest>.*)")
_REST = re.compile(r": until (?P<end>\d{4}-\d{2}-\d{2}): (?P<reason>\S.*)")


@dataclass(frozen=True)
class Skip:
    """One exception.

    Attributes:
        where: file and line.
        check: the check's id.
        end: the last day on which it holds; None where none can be read.
        reason: empty where none can be read.
    """

    where: str
    check: str
    end: dt.date | None
    reason: str


def read(root: Path) -> list[Skip]:
    """The exceptions in what checkov looks at: Terraform, Dockerfiles, workflows."""
    files = [
        *(file for file in (root / "terraform").rglob("*.tf") if ".terraform" not in file.parts),
        *(file for file in (root / "images").rglob("*Dockerfile*") if file.is_file()),
        *(root / ".github").rglob("*.y*ml"),
    ]
    return [
        skip for file in sorted(files) for skip in parse(file.read_text(encoding="utf-8"), str(file.relative_to(root)))
    ]


def parse(text: str, name: str) -> Iterator[Skip]:
    """The exceptions in a file's text."""
    for number, line in enumerate(text.splitlines(), 1):
        match = _SKIP.search(line)
        if match is None:
            continue
        rest = _REST.fullmatch(match["rest"].rstrip())
        yield Skip(
            where=f"{name}:{number}",
            check=match["check"],
            end=_date(rest["end"]) if rest else None,
            reason=rest["reason"] if rest else "",
        )


def problems(skips: Iterable[Skip], today: dt.date) -> list[str]:
    """What is wrong with exceptions, a line each."""
    return [f"{skip.where}: {problem}" for skip in skips if (problem := _problem(skip, today))]


def soonest(skips: Iterable[Skip]) -> Skip | None:
    """The exception that ends first."""
    return min((skip for skip in skips if skip.end), key=lambda skip: str(skip.end), default=None)


def _problem(skip: Skip, today: dt.date) -> str:
    if not skip.check or skip.end is None or len(skip.reason.split()) < SHORTEST_REASON:
        return f"an exception names its check, its end and its reason: {FORM}"
    if skip.end < today:
        return f"the exception from {skip.check} ended on {skip.end}: mend what it excuses, or say why it must go on"
    if skip.end - today > LONGEST:
        return f"the exception from {skip.check} ends on {skip.end}, which is more than a year away"
    return ""


def _date(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None
