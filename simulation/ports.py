"""What one process sees of the world, and what can hinder it."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from simulation.clock import Clock
from simulation.cloud import Cloud
from simulation.faults import Faults
from simulation.s3 import Bucket
from winbatch.capacity import Group, Instance
from winbatch.deployment import Workload
from winbatch.ecs_tasks import Worker
from winbatch.errors import UnavailableError
from winbatch.metrics import Sample
from winbatch.storage import Conflict, Entry, Object

# A process that is held up stands still so long at most, s; one inside another so often.
HELD_UP = 60.0
DEEPEST = 3


# What comes late comes so many seconds later at most: its sender has given up by then.
LATE = 60.0


class UnansweredError(Exception):
    """Nobody says what came of a call; boto3 raises what is no error of ours, and Airflow tries again."""


class Killed(BaseException):
    """The process ends here: nothing of it may catch this."""


class Process:
    """A process that calls AWS. It may be killed from outside, and each call may be its last.

    Attributes:
        round: of its DAG run, in which it began; None where it is not Airflow's.
        skew: of its clock, against AWS's.
    """

    depth = 0
    round: int | None = None

    def __init__(self, clock: Clock, faults: Faults, quiet: Callable[[], bool]) -> None:
        """Begin; while it is `quiet`, nothing hinders it but a kill."""
        self.clock, self.faults, self.quiet = clock, faults, quiet
        self.killed = False
        self.skew = dt.timedelta(seconds=clock.random.uniform(-faults.skew, faults.skew) if faults.skew else 0.0)

    def before(self, *, s3: bool, waits: bool = True) -> None:
        """Let what can happen before a call happen; unless it `waits`, nothing else happens meanwhile."""
        self._die()
        if not self.quiet():
            if waits and Process.depth < DEEPEST and self.clock.chance(self.faults.held_up):
                Process.depth += 1
                try:
                    self.clock.pass_by(self.clock.random.uniform(0, HELD_UP))
                finally:
                    Process.depth -= 1
                self._die()
            if self.clock.chance(self.faults.crash):
                raise Killed
            if s3 and self.clock.chance(self.faults.unavailable):
                raise UnavailableError("S3 answers with 503")

    def after(self, *, s3: bool) -> None:
        """Let what can happen after a call happen."""
        if not self.quiet():
            if self.clock.chance(self.faults.crash):
                raise Killed
            if s3 and self.clock.chance(self.faults.answer_lost):
                raise UnavailableError("the answer was lost")
            if not s3 and self.clock.chance(self.faults.unanswered):
                raise UnansweredError

    def comes_late(self, write: Callable[[], object]) -> None:
        """Have a write, if it is one of those, arrive after its sender has given it up."""
        if self.quiet() or not self.clock.chance(self.faults.comes_late):
            return

        def arrive() -> None:
            with contextlib.suppress(Conflict):
                write()

        self.clock.after(self.clock.random.uniform(0, LATE), arrive)
        raise UnavailableError("the request timed out")

    def _die(self) -> None:
        if self.killed:
            raise Killed


type Watch = Callable[[str, str | None, str | None], None]
"""Takes a key that is written, the ETag that its writer read last, and the one that was there."""


class Ports:
    """The ports of engine, orchestration and resuming for one process."""

    def __init__(self, process: Process, bucket: Bucket, cloud: Cloud, watch: Watch = lambda *_: None) -> None:
        """Make those of a process; `watch` is told of each object that it writes."""
        self._process, self._bucket, self._cloud, self._watch = process, bucket, cloud, watch
        self._read: dict[str, str | None] = {}

    def _call[T](self, call: Callable[[], T], *, s3: bool = False) -> T:
        self._process.before(s3=s3)
        found = call()
        self._process.after(s3=s3)
        return found

    def now(self) -> dt.datetime:
        """Give the time as the process's clock has it."""
        return self._cloud.clock.now() + self._process.skew

    def where(self, key: str) -> str:
        """Give the address of an object, for people."""
        return f"s3://data/{key}"

    def get(self, key: str) -> Object | None:
        """Read an object, and remember which version this process saw."""
        found = self._call(lambda: self._bucket.get(key), s3=True)
        self._read[key] = found.etag if found else None
        return found

    def get_many(self, keys: Sequence[str]) -> list[Object | None]:
        """Read objects, one after another; None for each that is not there."""
        return [self.get(key) for key in keys]

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """Write, as the port says; the write may come late, or its answer may be lost."""
        read = self._read.get(key)

        def write() -> str:
            there = self._bucket.get(key)
            self._bucket.round = self._process.round
            made = self._bucket.put(key, body, etag=etag, new=new)
            self._watch(key, read, there.etag if there else None)
            return made

        self._process.comes_late(write)
        self._read[key] = made = self._call(write, s3=True)
        return made

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects."""
        for key in keys:
            self._call(partial(self._bucket.delete, key), s3=True)

    def listing(self, prefix: str, first: str = "", last: str = "") -> Iterator[Entry]:
        """List objects below a prefix, by key."""
        return self._call(lambda: self._bucket.listing(prefix, first, last), s3=True)

    def live_task_arns(self, started_by: str | None = None) -> list[str]:
        """List the ECS tasks that are meant to run."""
        return self._call(lambda: self._cloud.live(started_by))

    def workers(self, arns: Sequence[str]) -> list[Worker]:
        """Describe ECS tasks."""
        return self._call(lambda: self._cloud.workers(arns))

    def run(self, workload: Workload, count: int, started_by: str, token: str, stage: str) -> list[str]:
        """Start ECS tasks; fewer when there is no room. Returns their ARNs."""
        return self._call(lambda: self._cloud.run(workload, count, started_by, token, stage))

    def stop(self, arn: str, reason: str) -> None:
        """Stop an ECS task, for a reason."""
        self._call(lambda: self._cloud.stop(arn, reason))

    def instances(self) -> list[Instance]:
        """List the container instances."""
        return self._call(self._cloud.instances)

    def group(self) -> Group:
        """Describe the Auto Scaling group."""
        return self._call(self._cloud.group)

    def ask(self, instances: int) -> str:
        """Have so many instances. Returns what AWS refuses of that."""
        return self._call(lambda: self._cloud.ask(instances))

    def why_short(self, since: dt.datetime) -> str:  # noqa: ARG002 - the port's signature
        """Say why instances could not be launched, last, whenever that was."""
        return self._call(self._cloud.why_short)

    def drain(self, arns: Sequence[str]) -> None:
        """Let nothing more be placed on container instances."""
        self._call(lambda: self._cloud.drain([*arns]))

    def terminate(self, ec2_id: str) -> bool:
        """Terminate an instance; False while Auto Scaling is at something else."""
        return self._call(lambda: self._cloud.terminate(ec2_id))

    def report(self, sample: Sample) -> None:
        """Take what CloudWatch would be told: nobody looks at it."""


class Marks:
    """The data bucket as a worker's claims need it; while it looks, the worker's other slots wait."""

    def __init__(self, process: Process, bucket: Bucket) -> None:
        self._process, self._bucket = process, bucket

    def find(self, key: str) -> bytes | None:
        """Read an object; None where there is none."""
        self._process.before(s3=True, waits=False)
        found = self._bucket.get(key)
        return found.body if found else None

    def keys(self, prefix: str, *, after: str = "", before: str = "") -> list[str]:
        """List keys below a prefix, of those between two."""
        self._process.before(s3=True, waits=False)
        return [entry.key for entry in self._bucket.listing(prefix, after, before)]

    def put_new(self, key: str, body: bytes) -> bool:
        """Create an object; False where there is one."""
        self._process.before(s3=True)
        try:
            self._bucket.put(key, body, new=True)
        except Conflict:
            return False
        self._process.after(s3=True)
        return True
