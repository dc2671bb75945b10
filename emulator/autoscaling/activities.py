"""Scaling activities: what a group did, why, and how far it came."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# AWS keeps six weeks; a group that nobody grants anything would fill the memory.
_KEPT = 2000
_ENDED = frozenset({"Successful", "Failed", "Cancelled"})


def now() -> dt.datetime:
    """Give the time in UTC."""
    return dt.datetime.now(dt.UTC)


def at(text: str) -> str:
    """A sentence of a cause, with its time."""
    return f"At {now().strftime('%Y-%m-%dT%H:%M:%SZ')} {text}"


@dataclass(eq=False)
class Activity:
    """One scaling activity."""

    sequence: int
    group: str
    group_arn: str
    description: str
    cause: str
    subnet: str | None
    zone: str
    status: str
    progress: int = 0
    message: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: dt.datetime = field(default_factory=now)
    ended: dt.datetime | None = None

    def reach(self, status: str, progress: int, message: str | None = None) -> None:
        """Go on to a status; nothing changes what has ended."""
        if self.status in _ENDED:
            return
        self.status, self.progress, self.message = status, progress, message
        if status in _ENDED:
            self.ended = now()

    def describe(self) -> dict[str, Any]:
        """As DescribeScalingActivities shows it."""
        details = {"Subnet ID": self.subnet} if self.subnet else {}
        return {
            "ActivityId": self.id,
            "AutoScalingGroupName": self.group,
            "AutoScalingGroupARN": self.group_arn,
            "Description": self.description,
            "Cause": self.cause,
            "StartTime": self.started,
            "EndTime": self.ended,
            "StatusCode": self.status,
            "StatusMessage": self.message,
            "Progress": self.progress,
            "Details": json.dumps({**details, "Availability Zone": self.zone}, separators=(",", ":")),
        }


class Activities:
    """The scaling activities of a region's groups."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._log: deque[Activity] = deque(maxlen=_KEPT)

    def begin(
        self, *, group: str, group_arn: str, description: str, cause: str, subnet: str | None, zone: str, status: str
    ) -> Activity:
        """Write one down that begins now."""
        activity = Activity(next(self._numbers), group, group_arn, description, cause, subnet, zone, status)
        self._log.append(activity)
        return activity

    def page(
        self, group: str | None, ids: Sequence[str], groups: Sequence[str] | None, size: int, token: str | None
    ) -> tuple[list[Activity], str | None]:
        """One page, the newest first, and the next page's token.

        Args:
            group: of this group only
            ids: these only
            groups: the groups that are there; None: those that are deleted count, too
            size: of the page, at most
            token: of this page

        Raises:
            ValueError: it is no token
        """
        before = int(token) if token else None
        found = [
            activity
            for activity in reversed(self._log)
            if group in {None, activity.group}
            and (not ids or activity.id in ids)
            and (groups is None or activity.group in groups)
            and (before is None or activity.sequence < before)
        ]
        more = len(found) > size
        return found[:size], str(found[size - 1].sequence) if more else None
