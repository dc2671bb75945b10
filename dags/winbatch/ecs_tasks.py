"""An ECS task of a stage, which is a worker, as ECS sees it; and what its end means."""

import dataclasses
import datetime as dt
import re
from typing import Literal

from winbatch.rules import TaskKind
from winbatch.stage import ClaimKind

TaskStatus = Literal["pending", "running", "stopped", "missing"]

# What a stop of ours says of an ECS task that did not start in time.
START_TIMEOUT = "winbatch: not running in time"

# ECS's stop codes that are nobody's fault: the host went, or somebody stopped the ECS task.
_LOST = frozenset({"SpotInterruption", "TerminationNotice", "UserInitiated", "ServiceSchedulerInitiated"})
# SIGTERM and SIGKILL; Windows ends a container that is told to stop with the control-C status.
_STOPPED_EXITS = frozenset({137, 143, 3221225786, -1073741510})
_SURROUNDINGS_EXIT = 3

# The error names of docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html.
_THROTTLED = re.compile(r"toomanyrequests|too many requests|rate exceeded|throttl|429", re.IGNORECASE)
_IMAGE = re.compile(r"CannotPull|ImageNotFound|InvalidImage|pull access denied|no matching manifest", re.IGNORECASE)
_TIMEOUT = re.compile(r"(Docker|ContainerRuntime)Timeout|timed out", re.IGNORECASE)
_MEMORY = re.compile(r"OutOfMemory", re.IGNORECASE)
_HOST = re.compile(r"Host EC2|instance .*(terminated|stopped)|agent.*disconnect", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worker:
    """An ECS task.

    Attributes:
        arn: its ARN.
        status: `missing` when ECS does not know it (any more).
        since: when it was created; None for a missing one.
        exit_code: of its container, when it stopped and had one.
        stop_code: ECS's, when it stopped.
        reason: ECS's and the container's reason.
    """

    arn: str
    status: TaskStatus
    since: dt.datetime | None = None
    exit_code: int | None = None
    stop_code: str = ""
    reason: str = ""

    @property
    def live(self) -> bool:
        return self.status in ("pending", "running")

    @property
    def lost(self) -> bool:
        """It ended by nobody's fault: its host went, or it was told to stop, or ECS has forgotten it."""
        return self.status == "missing" or (
            self.status == "stopped"
            and not _MEMORY.search(self.reason)
            and (self.stop_code in _LOST or self.exit_code in _STOPPED_EXITS or bool(_HOST.search(self.reason)))
        )

    @property
    def fault(self) -> TaskKind | None:
        """Why it came to nothing; None for one that did not, or that was lost."""
        if self.status != "stopped":
            return None
        if START_TIMEOUT in self.reason:
            return "start"
        if self.lost or self.exit_code == 0:
            return None
        if self.exit_code is not None:
            return "worker"
        if _THROTTLED.search(self.reason):
            return "throttled"
        if _IMAGE.search(self.reason):
            return "image"
        return "start" if _TIMEOUT.search(self.reason) else "unstarted"

    @property
    def verdict(self) -> ClaimKind:
        """The mark that a claim gets which it still holds at its end."""
        if self.status != "stopped" or self.lost:
            return "lost"
        if _MEMORY.search(self.reason):
            return "memory"
        if self.exit_code == 0:
            # It claims to have done all it held.
            return "invalid"
        return "lost" if self.exit_code in (None, _SURROUNDINGS_EXIT) else "crash"
