"""Says what a tick of the engine needs of the world, and has AWS's two answers that are no fault."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Protocol

from winbatch import capacity
from winbatch.deployment import Workload
from winbatch.ecs_tasks import Worker
from winbatch.metrics import Sample
from winbatch.storage import Entry, Object


class Throttled(Exception):  # noqa: N818 - an answer, not a fault: ask again later
    """AWS asks for a pause."""


class Refused(Exception):  # noqa: N818 - an answer
    """AWS does not start ECS tasks.

    Attributes:
        advice: what to do, where asking again does not help; empty where it may.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.advice = advice


class Reader(Protocol):
    """Is what reading the data bucket needs."""

    def get(self, key: str) -> Object | None:
        """Read an object; None where there is none."""

    def listing(self, prefix: str, first: str = "", last: str = "") -> Iterator[Entry]:
        """Objects below a prefix, by key: from `prefix + first` on, without those from `prefix + last` on if given."""


class Ports(Reader, Protocol):
    """Is what a tick needs of the world. Keys are in the data bucket; calls are on the deployment's cluster."""

    def now(self) -> dt.datetime:
        """Give the time in UTC."""

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """Write; only over `etag`, or only where nothing is (`new`), else Conflict. Returns the new ETag."""

    def get_many(self, keys: Sequence[str]) -> list[Object | None]:
        """Read objects, in the order of the keys; None for each that is not there."""

    def live_task_arns(self, started_by: str | None = None) -> list[str]:
        """List ECS tasks that are meant to run, a stage's or all: ECS lists no others by who started them."""

    def workers(self, arns: Sequence[str]) -> list[Worker]:
        """Describe ECS tasks; one that ECS does not know any more is `missing`."""

    def run(self, workload: Workload, count: int, started_by: str, token: str, stage: str) -> list[str]:
        """Start ECS tasks; fewer when there is no room. Returns their ARNs; raises Throttled or Refused."""

    def stop(self, arn: str, reason: str) -> None:
        """Stop an ECS task; `reason` is for whoever looks at it."""

    def instances(self) -> list[capacity.Instance]:
        """List the container instances that take ECS tasks or drain, with what is free on each."""

    def group(self) -> capacity.Group:
        """The Auto Scaling group."""

    def ask(self, instances: int) -> str:
        """Have the Auto Scaling group have so many instances. Returns what AWS refuses of that, in one line."""

    def why_short(self, since: dt.datetime) -> str:
        """Read what Auto Scaling says of instances that it could not launch since then: one line, empty for nothing."""

    def drain(self, arns: Sequence[str]) -> None:
        """Let nothing more be placed on container instances."""

    def terminate(self, ec2_id: str) -> bool:
        """Terminate an instance of the Auto Scaling group and lower its desired capacity by one.

        Returns:
            Whether nothing is left to ask for: it is on its way, or gone. Else Auto Scaling is at something else.
        """

    def report(self, sample: Sample) -> None:
        """Tell CloudWatch; what hinders that is logged and hinders nothing else."""
