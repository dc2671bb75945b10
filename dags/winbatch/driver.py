"""A tick of the engine with its hands and eyes: it looks, steps, saves and acts.

Whatever drives it (Airflow, a command, a test with a clock of its own) gives it ports; `winbatch.aws` has those for
AWS.
"""

import dataclasses
import datetime as dt
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from winbatch import capacity, engine
from winbatch.deployment import Workload
from winbatch.engine import Limits, Worker
from winbatch.errors import JobError
from winbatch.job import stage_prefix
from winbatch.ledger import Failure, Ledger, format_time
from winbatch.stage import ClaimMark, Stage

log = logging.getLogger(__name__)


class Conflict(Exception):  # noqa: N818 - an answer, not a fault: somebody else wrote first
    """A conditional write found another version than expected."""


class Throttled(Exception):  # noqa: N818 - an answer, not a fault: ask again later
    """AWS asks for a pause."""


@dataclasses.dataclass(frozen=True)
class Object:
    """An object of the data bucket."""

    body: bytes
    etag: str


class Ports(Protocol):
    """What a tick needs of the world. Keys are in the data bucket; calls are on the deployment's cluster."""

    def now(self) -> dt.datetime: ...

    def get(self, key: str) -> Object | None: ...

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """Write; only over `etag`, or only where nothing is (`new`), else Conflict. Returns the new ETag."""

    def keys(self, prefix: str) -> Iterator[str]: ...

    def task_arns(self, started_by: str) -> list[str]:
        """Live ECS tasks, and those that stopped while ECS still remembers them."""

    def workers(self, arns: Sequence[str]) -> list[Worker]: ...

    def run(self, workload: Workload, count: int, started_by: str, token: str, stage: str) -> list[str]:
        """Start ECS tasks; fewer when there is no room. Returns their ARNs; raises Throttled."""

    def stop(self, arn: str, reason: str) -> None: ...

    def instances(self) -> list[capacity.Instance]: ...

    def desired(self) -> int: ...

    def ask(self, instances: int) -> None: ...


def ledger_key(stage: Stage) -> str:
    return stage_prefix(stage.dag, stage.job, stage.stage) + "ledger.json"


def stage_key(stage: Stage) -> str:
    return stage_prefix(stage.dag, stage.job, stage.stage) + "stage.json"


def tick(
    ports: Ports, stage: Stage, workload: Workload, limits: Limits, *, attempt: int = 1, cancel: bool = False
) -> tuple[Ledger, float]:
    """Advance a stage once.

    Args:
        ports: the world.
        stage: the stage.
        workload: what its ECS tasks run.
        limits: its bounds.
        attempt: of the Airflow task that calls. A stage that ended without success is started again by a later attempt
            only: one that somebody stopped must not be taken up again by a process that has not been killed yet.
        cancel: stop it instead, unless it is finished.

    Returns:
        The ledger as saved (`running`, too, when another engine was at work at the same time), and after how many
        seconds the next tick is due (0 when the stage is finished).

    Raises:
        JobError: the ledger does not parse.
    """
    key = ledger_key(stage)
    stored = ports.get(key)
    ledger = Ledger.from_json(stored.body, where=key) if stored else Ledger.begin(stage, ports.now())
    if ledger.finished:
        if cancel or ledger.state == "succeeded" or attempt <= ledger.attempt:
            return ledger, 0.0
        ledger = ledger.again(attempt)
    ledger = dataclasses.replace(ledger, attempt=max(attempt, ledger.attempt))

    done = engine.step(stage, limits, ledger, _look(ports, stage, workload, ledger, cancel=cancel))
    etag = stored.etag if stored else None
    try:
        if any(isinstance(action, engine.Run | engine.Ask) for action in done.actions):
            # RunTask calls are written down before they are sent, so that a restart sends them under the same tokens;
            # and nobody asks for anything after the stage was cancelled.
            etag = ports.put(key, done.ledger.to_json().encode(), etag=etag, new=etag is None)
        ledger = engine.settled(_act(ports, stage, workload, done.ledger, done.actions))
        ports.put(key, ledger.to_json().encode(), etag=etag, new=etag is None)
    except Conflict:
        log.info("%s: another engine is at work on this stage; looking again", key)
        return dataclasses.replace(done.ledger, state="running"), engine.POLL_SOON
    return ledger, done.wait


def _look(ports: Ports, stage: Stage, workload: Workload, ledger: Ledger, *, cancel: bool) -> engine.Seen:
    # ECS tasks before claims: then every claim of one that has ended is seen.
    unended = [arn for arn, known in ledger.known.items() if known.status != "ended"]
    listed = [arn for arn in ports.task_arns(engine.started_by(stage)) if arn not in ledger.known]
    workers = ports.workers([*unended, *listed])
    instances = ports.instances()
    return engine.Seen(
        now=ports.now(),
        marks=frozenset(_parsed(stage.parse_claim_key(key) for key in ports.keys(stage.claims))),
        results=frozenset(_parsed(stage.parse_result_key(key) for key in ports.keys(stage.results))),
        workers=workers,
        registered=len(instances),
        room=capacity.room(instances, workload),
        desired=ports.desired(),
        cancelled=cancel,
    )


def _parsed[T](values: Iterable[T | None]) -> Iterator[T]:
    return (value for value in values if value is not None)


def _act(ports: Ports, stage: Stage, workload: Workload, ledger: Ledger, actions: Iterable[engine.Action]) -> Ledger:
    for action in actions:
        match action:
            case engine.Release(mark, reason):
                _release(ports, stage, mark, reason)
            case engine.ReleaseOrphans(marks, live):
                for mark in marks:
                    if _owner(ports, stage, mark) not in live:
                        _release(ports, stage, mark, "its ECS task is gone")
            case engine.ReadFailures(marks):
                failures = tuple(_failure(ports, stage, mark) for mark in marks)
                ledger = dataclasses.replace(ledger, failures=failures)
            case engine.Ask(instances):
                log.info("asking for %d instances", instances)
                ports.ask(instances)
            case engine.Stop(arns, reason):
                for arn in arns:
                    ports.stop(arn, reason)
            case engine.Run(wave, token):
                try:
                    started = ports.run(workload, wave.count, engine.started_by(stage), token, stage_key(stage))
                except Throttled as error:
                    log.warning("ECS asks for a pause: %s", error)
                    continue
                log.info("started %d of %d ECS tasks", len(started), wave.count)
                ledger = engine.answered(ledger, wave, started, ports.now())
    return ledger


def _owner(ports: Ports, stage: Stage, mark: ClaimMark) -> str | None:
    claim = ports.get(stage.claim_key(mark))
    return str(json.loads(claim.body)["task"]) if claim else None


def _release(ports: Ports, stage: Stage, mark: ClaimMark, reason: str) -> None:
    released = dataclasses.replace(mark, kind="released")
    body = json.dumps({"reason": reason, "at": format_time(ports.now())})
    try:
        ports.put(stage.claim_key(released), body.encode(), new=True)
    except Conflict:
        log.debug("shard %d, attempt %d was released already", mark.shard, mark.attempt)


def _failure(ports: Ports, stage: Stage, mark: ClaimMark) -> Failure:
    key = stage.claim_key(mark)
    items = tuple(stage.shard_lines(mark.shard))
    if mark.kind != "failed":
        return Failure(mark.shard, items, f"given up after {engine.MAX_LOST} lost attempts; its ECS tasks died")
    failed = ports.get(key)
    if failed is None:
        raise JobError(f"{key} is gone; somebody deletes objects of a running job")
    data = json.loads(failed.body)["failures"][0]
    return Failure(mark.shard, items, f"item {data.get('item')}: {data.get('error')}", tuple(data.get("log", ())))
