"""A tick of the engine with its hands and eyes: it looks, steps, saves and acts.

Whatever drives it (Airflow, a command, a test with a clock of its own) gives it ports; `winbatch.aws` has those for
AWS.
"""

import contextlib
import dataclasses
import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import batched

from winbatch import attempts, capacity, engine, metrics, places, results, ticks
from winbatch.attempts import Record, ShardKind
from winbatch.deployment import Workload
from winbatch.ecs_tasks import Worker
from winbatch.engine import Limits
from winbatch.errors import JobError
from winbatch.keys import ledger_key, stage_key
from winbatch.ledger import Fault, Ledger
from winbatch.ports import Ports, Refused, Throttled
from winbatch.results import ItemFailure
from winbatch.shares import Board
from winbatch.stage import ClaimKind, ClaimMark, Stage
from winbatch.starts import Start
from winbatch.storage import Conflict, Object
from winbatch.ticks import Tick

log = logging.getLogger(__name__)

# An Airflow task that only follows a stage takes it over when whoever leads it is this late.
OVERDUE = dt.timedelta(seconds=20)
# Objects that are read side by side (`winbatch.working.store`).
_AT_ONCE = 16


def find_ledger(ports: Ports, stage: Stage) -> Ledger | None:
    """A stage's ledger; None before it has begun.

    Raises:
        JobError: it does not parse.
    """
    key = ledger_key(stage)
    stored = ports.get(key)
    return Ledger.from_json(stored.body, where=key) if stored else None


@contextlib.contextmanager
def teardown(ports: Ports, dag: str, job: str) -> Iterator[None]:
    """What is done here ends a job: when it fails, CloudWatch is told, and it fails all the same."""
    try:
        yield
    except Exception:
        ports.report(metrics.teardown_failed(dag, job, ports.now()))
        raise


def close(ports: Ports, stage: Stage, start: Start) -> bool:
    """End a stage that has not begun: a sensor that is in its first tick and not killed yet begins it no more.

    Returns:
        Whether it is ended so; it has begun otherwise.
    """
    try:
        ports.put(ledger_key(stage), Ledger.closed(stage, ports.now(), start).to_json().encode(), new=True)
    except Conflict:
        return False
    return True


def tick(
    ports: Ports,
    stage: Stage,
    workload: Workload,
    limits: Limits,
    *,
    who: str = "",
    attempt: int = 1,
    leads: Callable[[Ledger], bool] = lambda _ledger: True,
    cancel: bool = False,
    after: float = 0.0,
    start: Start | None = None,
) -> tuple[Ledger, float]:
    """Advance a stage once.

    Args:
        ports: the world.
        stage: the stage.
        workload: what its ECS tasks run.
        limits: its bounds.
        who: the Airflow task that calls, of those that drive the stage.
        attempt: its attempt.
        leads: whether the caller leads the stage, by its ledger. Who does not only looks at the ledger, unless the next
            tick is overdue.
        cancel: stop it instead, unless it is finished.
        after: instances that the job's next stage could use: they are kept for it when this one has ended well.
        start: of the DAG run. A stage that ended without success, or with failed items, is started again by a later
            start only: one that somebody stopped must not be taken up again by a process that is not killed yet, nor
            one that failed by an Airflow task whose first tick comes after that.

    Returns:
        The ledger as saved (`running`, too, when another engine was at work at the same time), and after how many
        seconds the next tick is due (0 when the stage is finished).

    Raises:
        JobError: the ledger, the board or a claim does not parse.
    """
    key = ledger_key(stage)
    looked = ports.now()
    stored = ports.get(key)
    now = ports.now()
    etag = stored.etag if stored else None
    ledger = Ledger.from_json(stored.body, where=key) if stored else Ledger.begin(stage, now)
    if ledger.finished:
        whole = ledger.state == "succeeded" and not ledger.items_failed
        anew = not whole and _anew(ledger, who, attempt, start)
        if cancel and anew and not _stays_ended(ports, key, ledger, etag, start):
            return dataclasses.replace(ledger, state="running"), engine.tick.POLL_SOON
        if cancel or not anew:
            # Whoever ended it may have been killed before it said so on the board.
            places.tell(ports, stage, 0.0, *places.read(ports), after=after if ledger.state == "succeeded" else 0.0)
            return ledger, 0.0
        ledger = ledger.again(now)
    elif stored and not leads(ledger) and looked < ledger.due_at + OVERDUE:
        return ledger, max(engine.tick.POLL_SOON, (ledger.due_at - now).total_seconds())
    ledger = dataclasses.replace(
        ledger,
        attempts={**ledger.attempts, who: max(attempt, ledger.attempts.get(who, 1))},
        start=_later(ledger.start, start),
        ticks=ledger.ticks + 1,
    )
    looked = ports.now()
    board, board_etag = places.read(ports)
    seen = _look(ports, stage, workload, ledger, board, looked=looked, cancel=cancel)
    done = engine.step(stage, limits, ledger, seen)
    made = Tick.of(limits, ledger, seen, done, who=who, attempt=attempt)
    hands_over = done.ledger.state == "succeeded" and after > 0
    if hands_over:
        # Before the ledger says that the stage has ended: so the job is on the board at every moment.
        places.tell(ports, stage, 0.0, board, board_etag, after=after)
    try:
        if any(isinstance(action, engine.Run | engine.Ask | engine.Drain) for action in done.actions):
            # RunTask calls are written down before they are sent, so that a restart sends them under the same tokens;
            # and nobody asks for anything after the stage was cancelled.
            etag = ports.put(key, done.ledger.to_json().encode(), etag=etag, new=etag is None)
        ledger, sample = metrics.measure(ledger, _act(ports, stage, workload, done, seen))
        ports.put(key, ledger.to_json().encode(), etag=etag, new=etag is None)
    except Conflict:
        log.info("%s: another engine is at work on this stage; looking again", key)
        return dataclasses.replace(done.ledger, state="running"), engine.tick.POLL_SOON
    if not hands_over:
        places.tell(ports, stage, done.demand, board, board_etag)
    if sample is not None:
        ports.report(sample)
    _keep(ports, stage, made)
    return ledger, done.wait


def _anew(ledger: Ledger, who: str, attempt: int, start: Start | None) -> bool:
    """Say whether somebody has started the DAG run anew since this stage ended."""
    if start and ledger.start:
        return start.is_after(ledger.start)
    # It ended under an earlier release, which counted attempts.
    return attempt > ledger.attempts.get(who, 1) or ledger.closed_for not in {"", str(start)}


def _later(known: Start | None, start: Start | None) -> Start | None:
    return start if known is None or (start is not None and start.is_after(known)) else known


def _stays_ended(ports: Ports, key: str, ledger: Ledger, etag: str | None, start: Start | None) -> bool:
    """Note that a stage is ended in this start, too; False where another engine was at work on it."""
    try:
        ports.put(key, dataclasses.replace(ledger, start=_later(ledger.start, start)).to_json().encode(), etag=etag)
    except Conflict:
        return False
    return True


def _keep(ports: Ports, stage: Stage, made: Tick) -> None:
    """Write a tick down for whoever asks later why it did what it did, when all that the job needs is done."""
    try:
        ports.put(ticks.key(stage, made.number), ticks.encode(made))
    except Exception as error:  # noqa: BLE001 - whatever it is, the job goes on without
        log.warning("tick %d of %s is not kept for invoke replay: %s", made.number, engine.name_of(stage), error)


def _look(
    ports: Ports,
    stage: Stage,
    workload: Workload,
    ledger: Ledger,
    board: Board,
    *,
    looked: dt.datetime,
    cancel: bool,
) -> engine.Seen:
    # ECS tasks before claims, and claims before results: then every claim of one that has ended is seen, and a shard
    # that is finished in between is seen as done.
    unended = [arn for arn, known in ledger.known.items() if known.status != "ended"]
    listed = [arn for arn in ports.live_task_arns(engine.started_by(stage)) if arn not in ledger.known]
    # ECS tasks of a job of the same name that was deleted are listed for an hour; what became of them is not our fault.
    workers = [
        worker
        for worker in ports.workers([*unended, *listed])
        if worker.arn in ledger.known or worker.status != "stopped" or _came_after(worker, ledger)
    ]
    group = ports.group()
    # What is being ended takes no ECS task any more, though ECS lists it for minutes.
    instances = [instance for instance in ports.instances() if instance.ec2_id not in group.leaving]
    why = ledger.short_at if engine.asks_why(ledger, ports.now()) and len(instances) < group.desired else None
    said = ports.why_short(why - engine.instances.SAID_BEFORE) if why else None
    listed_marks: dict[ClaimMark, dt.datetime] = {}
    there: list[int] = []
    unsettled = engine.unsettled(stage, ledger.done)
    for shards in unsettled:
        for entry in ports.listing(stage.claims, *_borders(shards)):
            mark = stage.parse_claim_key(entry.key)
            if mark is not None:
                listed_marks[mark] = entry.modified
    for shards in unsettled:
        found = (stage.parse_result_key(entry.key) for entry in ports.listing(stage.results, *_borders(shards)))
        there += [shard for shard in found if shard is not None and not ledger.done >> shard & 1]
    valid, broken = _read_results(ports, stage, there)
    return engine.Seen(
        now=ports.now(),
        marks={
            mark: at
            for mark, at in listed_marks.items()
            if mark.shard not in valid and not ledger.done >> mark.shard & 1
        },
        results=valid,
        broken=broken,
        workers=tuple(workers),
        instances=tuple(instances),
        room=capacity.room(instances, workload),
        desired=group.desired,
        said=said,
        others=board.others(engine.name_of(stage), looked),
        cancelled=cancel,
        looked=looked,
    )


def _came_after(worker: Worker, ledger: Ledger) -> bool:
    return worker.since is None or worker.since >= ledger.started_at - engine.workers.CLOCKS


def _borders(shards: range) -> tuple[str, str]:
    """Keys between which everything of these shards lies: their numbers have six digits and come first."""
    return f"{shards.start:06d}", f"{shards.stop:06d}"


def _each(ports: Ports, keys: Sequence[str]) -> Iterator[Object | None]:
    """Read objects, no more of them than are read side by side in memory at once: each may be as large as it can."""
    for some in batched(keys, _AT_ONCE):
        yield from ports.get_many(some)


def _read_results(ports: Ports, stage: Stage, shards: Sequence[int]) -> tuple[frozenset[int], dict[int, str]]:
    """Which results are what they should be, and what is wrong with the others."""
    valid, broken = set(), {}
    for shard, stored in zip(shards, _each(ports, [stage.result_key(shard) for shard in shards]), strict=True):
        try:
            results.decode(stored.body if stored else b"", stage, shard)
        except JobError as error:
            broken[shard] = str(error)
        else:
            valid.add(shard)
    return frozenset(valid), broken


def _act(ports: Ports, stage: Stage, workload: Workload, step: engine.Step, seen: engine.Seen) -> Ledger:
    ledger = step.ledger
    holders: set[str] = set()
    for action in step.actions:
        match action:
            case engine.Settle(marks, live, ended):
                holders |= _settle(ports, stage, {mark: seen.marks[mark] for mark in marks}, live, ended)
            case engine.Explain(failed):
                failures = [failure for mark, kind in failed for failure in _explain(ports, stage, mark, kind)]
                ledger = engine.explained(ledger, (mark.shard for mark, _ in failed), failures)
            case engine.Run(wave, token):
                try:
                    started = ports.run(workload, wave.count, engine.started_by(stage), token, stage_key(stage))
                except Throttled as error:
                    log.warning("ECS asks for a pause: %s", error)
                    ledger = engine.paused(ledger, str(error), ports.now())
                    break  # these calls come last
                except Refused as error:
                    log.warning("ECS starts none: %s", error)
                    ledger = engine.refused(ledger, wave, Fault("unstarted", str(error), ports.now(), error.advice))
                    break
                log.info("started %d of %d ECS tasks", len(started), wave.count)
                if not started:
                    ledger = engine.crowded(ledger, wave, ports.now())
                    break
                ledger = engine.answered(ledger, wave, started, ports.now())
            case engine.Ask(instances):
                log.info("asking for %d instances", instances)
                ledger = engine.told(ledger, ports.ask(instances), ports.now())
            case engine.Terminate(ec2_ids):
                for ec2_id in ec2_ids:
                    if ports.terminate(ec2_id):
                        ledger = engine.terminated(ledger, ec2_id, ports.now())
            case _:
                _order(ports, stage, action)
    hosts = sorted({instance.windows for instance in seen.instances if instance.windows})
    where = f" (image {workload.image}" + (f", hosts {', '.join(hosts)})" if hosts else ")")
    return engine.settled(ledger, seen.workers, frozenset(holders), seen.now, where=where)


def _order(
    ports: Ports,
    stage: Stage,
    action: engine.Put | engine.Point | engine.Stop | engine.Retire | engine.Drain,
) -> None:
    """The actions whose outcome the next tick sees for itself."""
    match action:
        case engine.Put(mark, reason):
            put_mark(ports, stage, mark, reason)
        case engine.Stop(arns, reason):
            for arn in arns:
                ports.stop(arn, reason)
        case engine.Point(blocks):
            ports.put(stage.blocks_key, json.dumps({"blocks": blocks}).encode())
        case engine.Retire(arns):
            log.info("other jobs have a right to their share: %d ECS tasks leave after this shard", len(arns))
            for arn in arns:
                ports.put(stage.retired_key(arn), b"")
        case engine.Drain(arns):
            log.info("%d instances have nothing to do any more", len(arns))
            ports.drain(arns)


def _settle(
    ports: Ports,
    stage: Stage,
    marks: Mapping[ClaimMark, dt.datetime],
    live: frozenset[str],
    ended: Mapping[str, ClaimKind],
) -> set[str]:
    """Mark the claims of ECS tasks that are gone; each has the time of its claim. Returns who of them held one."""
    keys = [stage.claim_key(mark) for mark in marks]
    owners = [_owner(claim, key) for key, claim in zip(keys, _each(ports, keys), strict=True)]
    # One that this tick does not know may have begun since it looked: another engine has started it, and ECS itself may
    # not know it yet.
    strangers = sorted(set(owners) - live - ended.keys() - {""})
    young = ports.now() - engine.counting.UNKNOWN_GRACE
    new = {owner for owner, claimed_at in zip(owners, marks.values(), strict=True) if claimed_at > young}
    here = live | {
        worker.arn
        for worker in (ports.workers(strangers) if strangers else ())
        if worker.live or (worker.status == "missing" and worker.arn in new)
    }
    holders = set()
    for mark, owner in zip(marks, owners, strict=True):
        if owner in here:
            continue
        holders.add(owner)
        why = f"its ECS task {owner} has ended" if owner else "nobody can read whose claim it is"
        put_mark(ports, stage, mark._replace(kind=ended.get(owner, "lost")), why)
    return holders


def _owner(claim: Object | None, key: str) -> str:
    """Whose claim it is; empty where nobody knows, since it is gone or cannot be read: such a one is lost."""
    try:
        return Record.decode(claim.body, where=key).task if claim else ""
    except JobError as error:
        log.warning("taken for nobody's: %s", error)
        return ""


def put_mark(ports: Ports, stage: Stage, mark: ClaimMark, reason: str) -> None:
    """Mark an attempt at a shard, unless that was done before."""
    try:
        ports.put(stage.claim_key(mark), attempts.encode_reason(reason, ports.now()), new=True)
    except Conflict:
        log.debug("%s was there already", stage.claim_key(mark))


def _explain(ports: Ports, stage: Stage, mark: ClaimMark, kind: ShardKind) -> Iterator[ItemFailure]:
    """Why a shard failed for good: the items that it still lacks, each with its reason."""
    try:
        record = _record(ports, stage, mark)
    except JobError as error:
        # Of the attempt's items, not of the stage: a workload's rights reach its records.
        record = Record(ports.now(), reason=str(error))
    if record.failures is not None:
        # What a worker wrote names the items; the engine only knows how the worker ended.
        for failure in record.failures:
            yield ItemFailure(failure.item, mark.shard, kind, failure.error, failure.log)
        return
    reason = record.reason or "its ECS tasks went away"
    finished = _finished(ports, stage, mark.shard)
    for item in stage.shard_lines(mark.shard):
        if item not in finished:
            yield ItemFailure(item, mark.shard, kind, reason)


def _record(ports: Ports, stage: Stage, mark: ClaimMark) -> Record:
    """Read what an attempt that has ended has left.

    Raises:
        JobError: it is gone or cannot be read, or the items that it names are not some of its shard's.
    """
    key = stage.claim_key(mark)
    stored = ports.get(key)
    if stored is None:
        raise JobError(f"{key} is gone; somebody deletes objects of a running job")
    record = Record.decode(stored.body, where=key)
    named = [failure.item for failure in record.failures or ()]
    own = {*named} & {*stage.shard_lines(mark.shard)}
    if record.failures is not None and not 0 < len(named) == len(own):
        raise JobError(f"{key} names no items of its shard, or others, or one twice; something else wrote it")
    return record


def _finished(ports: Ports, stage: Stage, shard: int) -> set[int]:
    """Items of an unfinished shard that are finished; a partial that does not parse holds none, as for a worker."""
    keys = [entry.key for entry in ports.listing(stage.partials_of(shard))]
    finished = set()
    for key, stored in zip(keys, _each(ports, keys), strict=True):
        try:
            items = results.decode_partial(stored.body if stored else b"", stage, shard, where=key)
        except JobError as error:
            log.warning("left out: %s", error)
        else:
            finished |= {item.item for item in items}
    return finished
