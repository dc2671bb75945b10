"""An ECS task of a stage, which is a worker, as ECS sees it; and what its end means."""

import dataclasses
import datetime as dt
import logging
import re
from collections.abc import Mapping
from typing import Any, Literal

from winbatch.attempts import TaskKind
from winbatch.stage import ClaimKind
from winbatch.throttling import throttled

log = logging.getLogger(__name__)

TaskStatus = Literal["pending", "running", "stopped", "missing"]

# What a stop of ours says of an ECS task that did not start in time.
START_TIMEOUT = "winbatch: not running in time"

# docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
STATUSES: Mapping[str, TaskStatus] = {
    "PROVISIONING": "pending",
    "PENDING": "pending",
    "ACTIVATING": "pending",
    "RUNNING": "running",
    "DEACTIVATING": "running",
    "STOPPING": "running",
    "DEPROVISIONING": "running",
    "STOPPED": "stopped",
    # "A transition state when a task stops … displayed in describe-tasks."
    "DELETED": "stopped",
}
# botocore's TaskStopCode: whether a stop is nobody's fault, since the host went, or somebody stopped the ECS task.
STOP_CODES: Mapping[str, bool] = {
    "EssentialContainerExited": False,
    "InfrastructureHealth": True,
    "ServiceSchedulerInitiated": True,
    "SpotInterruption": True,
    "TaskFailedToStart": False,
    "TerminationNotice": True,
    "UserInitiated": True,
}
# SIGTERM and SIGKILL; Windows ends a container that is told to stop with the control-C status. ECS tells exit codes as
# signed numbers of 32 bits, and its texts the unsigned ones.
_STOPPED_EXITS = frozenset({137, 143, 0xC000013A})
# What containers leave whose host goes down: -1, "the code could not be had"; STATUS_DLL_INIT_FAILED, since nothing
# starts any more; DBG_TERMINATE_PROCESS (MS-ERREF 2.3.1).
_HOST_EXITS = frozenset({0xFFFFFFFF, 0xC0000142, 0x40010004})
_SURROUNDINGS_EXIT = 3

# docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html: the reasons of RunTask's failures, and
# of an ECS task that TaskFailedToStart, which mean that there is no place for it now.
NO_ROOM = ("RESOURCE:", "AGENT", "EMPTY CAPACITY PROVIDER", "NO ACTIVE INSTANCES")
# Those that waiting does not mend.
MISFITS: Mapping[str, str] = {
    "ATTRIBUTE": "the hosts lack what the task definition asks for (Windows version, awsvpc): apply again: invoke up",
    "LOCATION": "the hosts are in other zones than the subnets of the ECS tasks: apply again: invoke up",
    "MemberOf": "no host meets the task definition's placement constraints: apply again: invoke up",
}

# The error names of docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html.
_IMAGE = re.compile(r"CannotPull|ImageNotFound|InvalidImage|pull access denied|no matching manifest", re.IGNORECASE)
_TIMEOUT = re.compile(r"(Docker|ContainerRuntime)Timeout|timed out", re.IGNORECASE)
_MEMORY = re.compile(r"OutOfMemory", re.IGNORECASE)
_HOST = re.compile(r"Host EC2|instance .*(terminated|stopped)|agent.*disconnect", re.IGNORECASE)

# What no further attempt mends, and what to do about it. The first that is found counts.
_PERMANENT = (
    (
        # Windows' process isolation needs the same build (hcs error 0xc0370101, aws/aws-cdk#34901).
        r"operating system does not match|0xc0370101|no matching manifest for windows",
        "the image is of another Windows than the hosts: build it on their base, or set cluster.windows.version",
    ),
    (
        r"unable to assume the role|cannot be assumed",
        "the role is missing, or does not trust ECS: apply again: invoke up",
    ),
    (
        r"not authorized to perform|AccessDenied|pull access denied",
        "the execution role lacks that right, or another policy refuses it (terraform/modules/cluster/task_roles.tf)",
    ),
    (
        r"CannotPull.*(manifest unknown|name unknown|not found|does not exist)|ImageNotFound",
        "the image is not in its repository: push it and apply: invoke up",
    ),
    (r"invalid reference format|InvalidImage", "the task definition's image has no proper name: apply: invoke up"),
    (r"log group does not exist", "the workload's log group is gone: apply again: invoke up"),
    (
        r"Secrets ?Manager can't find|ResourceNotFoundException.*secret|invalid ssm parameters",
        "a secret or parameter of the task definition is missing: make it, or take it out, and apply: invoke up",
    ),
)


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

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> "Worker":
        """From an ECS task of DescribeTasks."""
        container = task["containers"][0] if task.get("containers") else {}
        reasons = (task.get("stoppedReason"), container.get("reason"))
        stop_code = task.get("stopCode", "")
        if stop_code and stop_code not in STOP_CODES:
            log.warning("%s: unknown stop code %s; exit code and reason decide", task["taskArn"], stop_code)
        return cls(
            arn=task["taskArn"],
            status=_status(task),
            since=task.get("createdAt"),
            exit_code=container.get("exitCode"),
            stop_code=stop_code,
            reason="; ".join(reason for reason in reasons if reason),
        )

    @property
    def live(self) -> bool:
        """Say whether it runs, or is on its way to it."""
        return self.status in ("pending", "running")

    @property
    def lost(self) -> bool:
        """It ended by nobody's fault: its host went, or it was told to stop, or ECS has forgotten it."""
        return self.status == "missing" or (
            self.status == "stopped"
            and not _MEMORY.search(self.reason)
            and (
                STOP_CODES.get(self.stop_code, False)
                or self._exit in _STOPPED_EXITS | _HOST_EXITS
                or bool(_HOST.search(self.reason))
            )
        )

    @property
    def crowded_out(self) -> bool:
        """There was no place for it: that counts for nobody."""
        return self.status == "stopped" and self.stop_code == "TaskFailedToStart" and no_room(self.reason)

    @property
    def fault(self) -> TaskKind | None:
        """Why it came to nothing; None for one that did not, or that was lost, or had no place."""
        if self.status != "stopped":
            return None
        if START_TIMEOUT in self.reason:
            return "start"
        if self._exit in _HOST_EXITS and not STOP_CODES.get(self.stop_code, False):
            # Its host's end, as a rule. An image that never comes further than this looks the same.
            return "host"
        if self.lost or self.crowded_out or self.exit_code == 0:
            return None
        if self.exit_code is not None:
            return "worker"
        if throttled(self.reason):
            return "throttled"
        if _IMAGE.search(self.reason):
            return "image"
        return "start" if _TIMEOUT.search(self.reason) else "unstarted"

    @property
    def advice(self) -> str:
        """Say what to do where no further attempt would help; empty where one may."""
        return advice(self.reason) if self.fault in ("image", "start", "unstarted") else ""

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

    @property
    def _exit(self) -> int | None:
        return None if self.exit_code is None else self.exit_code & 0xFFFFFFFF


def no_room(reason: str) -> bool:
    """Say whether ECS means that there is no place now: waiting helps."""
    return reason.removeprefix("TaskFailedToStart: ").startswith(NO_ROOM)


def advice(reason: str) -> str:
    """Say what to do about a reason that no further attempt mends; empty where one may help."""
    if throttled(reason):
        return ""
    for begin, words in MISFITS.items():
        if reason.removeprefix("TaskFailedToStart: ").startswith(begin):
            return words
    return next((words for pattern, words in _PERMANENT if re.search(pattern, reason, re.IGNORECASE | re.DOTALL)), "")


def _status(task: Mapping[str, Any]) -> TaskStatus:
    """ECS's word in ours. Of one that it has not had so far, an ECS task that has not ended is taken to be at work."""
    said = str(task["lastStatus"])
    if said not in STATUSES:
        log.warning("%s: unknown status %s", task["taskArn"], said)
        return "stopped" if task.get("stoppedAt") or task.get("stopCode") else "running"
    return STATUSES[said]
