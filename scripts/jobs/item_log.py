"""The log of one item: which ECS tasks tried it, what came of each attempt, and the lines that it wrote.

The claims in S3 say which ECS task held the item's shard and when; that task's log stream holds a JSON line with the
item's number for each thing that its code said.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.errors import JobFailed, SettingsError
from scripts.jobs import runs
from scripts.jobs.runs import Snapshot
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import attempts
from winbatch.attempts import Record, Told
from winbatch.deployment import Workload
from winbatch.stage import ClaimMark, Stage
from winbatch.suggesting import hint
from winbatch.working.store import Store

# An ECS task's lines and its claims carry times of the same host; this is for what lies in its log driver's buffer.
BEFORE = timedelta(seconds=5)
AFTER = timedelta(seconds=60)

# An item's number has no more digits.
_LONGEST_NUMBER = 18


class NotBegun(JobFailed):
    """No ECS task has claimed the item's shard (yet)."""


@dataclass(frozen=True)
class Line:
    """One thing that was said for an item.

    Attributes:
        at: when; None where only the text was kept.
        level: of Python's logging.
        text: the message.
    """

    at: datetime | None
    level: str
    text: str

    def as_json(self) -> dict[str, Any]:
        """Give it as `--json` shows it."""
        return {"at": self.at.isoformat() if self.at else None, "level": self.level, "text": self.text}


@dataclass(frozen=True)
class Attempt(Told):
    """One claim of the item's shard, as far as it concerns the item.

    Attributes:
        lines: what the item wrote.
    """

    lines: tuple[Line, ...] = ()

    @property
    def task_id(self) -> str:
        """Give the last part of the ECS task's ARN."""
        return self.task.rsplit("/", 1)[-1]

    def as_json(self) -> dict[str, Any]:
        """Give it as `--json` shows it, with its lines."""
        return {
            "attempt": self.number,
            "task": self.task,
            "claimed_at": self.claimed_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "outcome": self.outcome,
            "reason": self.reason,
            "lines": [line.as_json() for line in self.lines],
        }


@dataclass(frozen=True)
class ItemLog:
    """An item's attempts, oldest first."""

    stage: Stage
    item: int
    attempts: Sequence[Attempt]

    @property
    def shard(self) -> int:
        """Give the number of the shard that the item is in."""
        return self.stage.shard_of(self.item)

    @property
    def done(self) -> bool:
        """Say whether an attempt has succeeded."""
        return any(attempt.outcome == "done" for attempt in self.attempts)

    def as_json(self, run_id: str) -> dict[str, Any]:
        """As `invoke logs --json` prints it."""
        return {
            "run_id": run_id,
            "dag": self.stage.dag,
            "stage": self.stage.stage,
            "item": self.item,
            "shard": self.shard,
            "attempts": [attempt.as_json() for attempt in self.attempts],
        }


def read(workspace: Workspace, outputs: Outputs, snapshot: Snapshot, item: int, stage_name: str = "") -> ItemLog:
    """The log of an item, from all of its attempts.

    Args:
        workspace: where.
        outputs: of its Terraform.
        snapshot: the job.
        item: its number.
        stage_name: default: the first stage.

    Raises:
        DeploymentError: the stage's workload is not deployed any more.
        JobError: a record of the shard does not parse.
        JobFailed: the job is not planned.
        NotBegun: the item's shard was never claimed.
        SettingsError: there is no such stage or item.
    """
    stage = choose_stage(snapshot, item, stage_name)
    shard = stage.shard_of(item)
    s3 = workspace.aws.client("s3")
    written = _written(s3, outputs.data_bucket, stage.result_key(shard))
    records = _records(Store(s3, outputs.data_bucket), stage, shard)
    found = attempts.told(item, records, done_at=written)
    if not found:
        raise NotBegun(
            f"item {item} of stage {stage.stage} has not begun: no ECS task has claimed its shard {shard};"
            f" {snapshot.run_id} is {snapshot.state}"
        )
    workload = runs.read_deployment(outputs).workload(stage.workload)
    logs = workspace.aws.client("logs")
    return ItemLog(stage, item, [_with_lines(logs, workload, item, attempt) for attempt in found])


def parse_item(text: str, option: str = "--item") -> int:
    """An item's number, as somebody typed it for an option.

    Raises:
        SettingsError: it is none.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > _LONGEST_NUMBER:
        raise SettingsError(f"{option} {text!r}: an item is named by its number, from 0, such as {option} 12")
    return int(text)


def choose_stage(snapshot: Snapshot, item: int, name: str) -> Stage:
    """The stage that somebody means.

    Raises:
        JobFailed: the job is not planned.
        SettingsError: there is no such stage or item.
    """
    if not snapshot.stages:
        raise JobFailed(f"{snapshot.run_id} is {snapshot.state} and not planned, so that it has no items yet")
    stages = {stage.stage: stage for stage, _ in snapshot.stages}
    stage = stages.get(name) if name else next(iter(stages.values()))
    if stage is None:
        raise SettingsError(
            f"{snapshot.run_id} has no stage {name!r}{hint(name, stages)}; there are {', '.join(stages)}"
        )
    if not 0 <= item < stage.items:
        raise SettingsError(f"--item {item}: stage {stage.stage} of {snapshot.run_id} has items 0 to {stage.items - 1}")
    return stage


def parse(event: Mapping[str, Any], item: int, attempt: int) -> Line | None:
    """An event of a log stream as a line of this item's attempt; None when it is none.

    Args:
        event: CloudWatch's: `timestamp` in ms since the epoch, `message`.
        item: the item's number.
        attempt: the attempt's number; a line that names none may be of any.
    """
    try:
        said = json.loads(event["message"])
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("item") != item or said.get("attempt", attempt) != attempt:
        return None
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    if said.get("ts"):
        at = datetime.fromisoformat(said["ts"])
    return Line(at, str(said.get("level", "ERROR" if "error" in said else "INFO")).upper(), _text(said))


def _text(said: Mapping[str, Any]) -> str:
    if "message" in said:
        return "\n".join(str(said[name]) for name in ("message", "traceback") if said.get(name))
    if "error" in said:
        return str(said["error"])
    if "values" in said:
        return f"done in {said.get('seconds', '?')} s: {json.dumps(said['values'], sort_keys=True)}"
    rest = {name: value for name, value in said.items() if name not in {"ts", "level", "item", "shard", "attempt"}}
    return json.dumps(rest, sort_keys=True)


def stream(workload: Workload, task: str) -> str:
    """The log stream of an ECS task's container, as the `awslogs` driver names it."""
    return f"{workload.log_stream_prefix}/{workload.container}/{task.rsplit('/', 1)[-1]}"


def _with_lines(logs: Any, workload: Workload, item: int, attempt: Told) -> Attempt:
    events = _events(
        logs,
        workload.log_group,
        stream(workload, attempt.task),
        attempt.claimed_at - BEFORE,
        attempt.ended_at + AFTER if attempt.ended_at else None,
    )
    # A log driver stamps a line when it gets it, in another order than that in which threads wrote.
    found = [line for event in events if (line := parse(event, item, attempt.number)) is not None]
    lines = sorted(found, key=lambda line: line.at or attempt.claimed_at)
    return Attempt(**vars(attempt), lines=(*lines, *unsaid(lines, attempt.kept)))


def unsaid(lines: Sequence[Line], kept: Sequence[str]) -> Iterator[Line]:
    """What a failure kept and the log does not have: the traceback, or all of it, since CloudWatch forgets."""
    said = [line.text for line in lines]
    for text in kept:
        if not any(text in known or known in text for known in said):
            yield Line(None, "", text)


def _events(logs: Any, group: str, name: str, begin: datetime, end: datetime | None) -> Iterator[Mapping[str, Any]]:
    """A log stream's events in a time; none for a stream that is not there (yet, or any more)."""
    bounds: dict[str, Any] = {"startTime": round(begin.timestamp() * 1000)}
    if end is not None:
        bounds["endTime"] = round(end.timestamp() * 1000)
    token: str | None = None
    while True:
        page = {"nextToken": token} if token else {}
        try:
            answer = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True, **bounds, **page)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return
            raise
        yield from answer["events"]
        # A page may be empty before the last one; at the end the token stays the same.
        if answer["nextForwardToken"] == token:
            return
        token = answer["nextForwardToken"]


def _records(data: Store, stage: Stage, shard: int) -> dict[ClaimMark, Record]:
    found: dict[ClaimMark, Record] = {}
    for key in data.keys(stage.claims_of(shard)):
        mark = stage.parse_claim_key(key)
        body = data.find(key) if mark is not None else None
        if mark is not None and body is not None:
            found[mark] = Record.decode(body, where=data.where(key))
    return found


def _written(s3: Any, bucket: str, key: str) -> datetime | None:
    try:
        written: datetime = s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            return None
        raise
    return written
