"""Why items failed, once for each cause: of thousands that failed alike, people want to read one."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from winbatch.attempts import ShardKind
from winbatch.results import ItemFailure

ITEMS = 10
"""So many items of a cause are named."""

_ENDS = 3
_LENGTH = 300

# What differs between items that failed alike: addresses, paths and numbers, but no exit codes and error numbers.
_OWN = re.compile(
    r"s3://[^\s'\";,]+|(?:[A-Za-z]:)?(?:[\\/]+[^\s'\";:,\\/]+)+|(?<!\d)(?<!exit code )(?<!Errno )\d+(?:\.\d+)?"
)


@dataclasses.dataclass(frozen=True)
class Cause:
    """Failures that are alike.

    Attributes:
        kind: of the failures.
        reason: the first item's.
        count: how many items.
        items: the first of them.
        lines: the first and the last lines of the log of one of them; none where no log was kept.
    """

    kind: ShardKind
    reason: str
    count: int
    items: tuple[int, ...]
    lines: tuple[str, ...]

    @property
    def named(self) -> str:
        """Its items in words."""
        if self.count == 1:
            return f"item {self.items[0]}"
        more = f" and {self.count - len(self.items):,} more" if self.count > len(self.items) else ""
        return f"{self.count:,} items ({', '.join(map(str, self.items))}{more})"


def like(reason: str) -> str:
    """Reduce a reason to what items that failed alike have in common."""
    return _OWN.sub("…", reason)


def causes(failures: Iterable[ItemFailure]) -> list[Cause]:
    """The distinct causes, the most frequent first."""
    alike: dict[tuple[ShardKind, str], list[ItemFailure]] = {}
    for failure in failures:
        alike.setdefault((failure.kind, like(failure.reason)), []).append(failure)
    found = [
        Cause(
            kind,
            some[0].reason,
            len(some),
            tuple(failure.item for failure in some[:ITEMS]),
            _ends(next((failure.log for failure in some if failure.log), ())),
        )
        for (kind, _), some in alike.items()
    ]
    return sorted(found, key=lambda cause: -cause.count)


def _ends(lines: Sequence[str]) -> tuple[str, ...]:
    cut = [line[:_LENGTH] for line in lines]
    if len(cut) <= 2 * _ENDS:
        return tuple(cut)
    return (*cut[:_ENDS], "…", *cut[-_ENDS:])
