"""What must hold, whatever happens: after each write to S3, and at the end."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from simulation.airflow import DagRun
from simulation.cloud import Cloud
from simulation.containers import finished, partials
from simulation.s3 import Bucket
from winbatch import engine, keys, results, shares
from winbatch.attempts import Record
from winbatch.errors import JobError
from winbatch.job import Job
from winbatch.ledger import Ledger
from winbatch.stage import Stage


class NothingTwice:
    """A result that can be read stays as it is, and nobody begins what is done."""

    def __init__(self, bucket: Bucket, problems: list[str]) -> None:
        self._bucket, self._problems = bucket, problems
        self.stages: dict[str, Stage] = {}
        bucket.watchers.append(self._wrote)

    def watch(self, stage: Stage) -> None:
        """Look at a stage from now on."""
        self.stages[stage.results] = self.stages[stage.claims] = stage

    def _wrote(self, key: str, before: bytes | None, after: bytes) -> None:
        stage = next((stage for prefix, stage in self.stages.items() if key.startswith(prefix)), None)
        if stage is None:
            return
        shard = stage.parse_result_key(key) if key.startswith(stage.results) else None
        if shard is not None and before is not None and valid(before, stage, shard) and after != before:
            self._problems.append(f"the result of shard {shard} of {stage.stage} was written over")
        mark = stage.parse_claim_key(key) if key.startswith(stage.claims) else None
        if mark is not None and mark.kind == "claim":
            result = self._bucket.get(stage.result_key(mark.shard))
            if result is not None and valid(result.content, stage, mark.shard):
                self._problems.append(f"shard {mark.shard} of {stage.stage} was claimed though it is done")


class NobodyIsRobbed:
    """No engine says of an ECS task that lives that it has lost its claim, or has ended with it."""

    def __init__(self, bucket: Bucket, cloud: Cloud, problems: list[str]) -> None:
        self._bucket, self._cloud, self._problems = bucket, cloud, problems
        bucket.watchers.append(self._wrote)

    def _wrote(self, key: str, _before: bytes | None, _after: bytes) -> None:
        claim, dot, kind = key.rpartition(".")
        if f"{dot}{kind}" not in {".lost", ".crash"} or (found := self._bucket.get(f"{claim}.claim")) is None:
            return
        task = self._cloud.tasks.get(Record.decode(found.content, where=claim).task)
        if task is not None and task.live:
            self._problems.append(f"{key} was written, and {task.arn} is at work on it")


class NothingWrittenOver:
    """Who writes what others write, too, has read what he writes over."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems

    def wrote(self, key: str, read: str | None, there: str | None) -> None:
        """Look at a write: of a key whose writer has read one version, and where another one was."""
        if there not in {read, None} and (key == shares.KEY or key.endswith("/ledger.json")):
            self._problems.append(f"{key} was written over by somebody who had not read it")


class Starts:
    """A stage keeps to its part of ECS: RunTask calls in any time, and ECS tasks at once."""

    def __init__(self, cloud: Cloud, problems: list[str], most: Callable[[str], int], engines: int) -> None:
        """Watch a cluster.

        Args:
            cloud: the cluster.
            problems: what did not hold is added to them.
            most: ECS tasks that the stage with this key may have.
            engines: that may act for one stage at the same moment.
        """
        self._problems, self._most, self._engines = problems, most, engines
        self._calls: dict[str, list[float]] = defaultdict(list)
        cloud.watchers.append(self._ran)

    def _ran(self, stage: str, now: float, live: int) -> None:
        calls = self._calls[stage]
        calls.append(now)
        for number, began in enumerate(calls):
            allowed = self._engines * engine.RUN_BURST + engine.RUN_RATE * (now - began) + 1e-6
            if len(calls) - number > allowed:
                self._problems.append(f"{len(calls) - number} RunTask calls of a stage in {now - began:.0f} s")
                break
        if live > self._most(stage):
            self._problems.append(f"{live} ECS tasks of a stage that may have {self._most(stage)}")


class StaysEnded:
    """A stage that was cancelled or has failed is begun again by a later round of its run only."""

    def __init__(self, bucket: Bucket, problems: list[str], round_of: Callable[[str], int]) -> None:
        """Watch the bucket; `round_of` gives how often the run of a ledger's key has begun."""
        self._problems, self._round_of = problems, round_of
        self._ended: dict[str, int] = {}
        bucket.watchers.append(self._wrote)

    def _wrote(self, key: str, _before: bytes | None, after: bytes) -> None:
        if not key.endswith("/ledger.json"):
            return
        ledger, this = Ledger.from_json(after, where=key), self._round_of(key)
        if ledger.state in {"cancelled", "failed"}:
            self._ended[key] = this
        elif self._ended.pop(key, this - 1) >= this:
            self._problems.append(f"{key} is {ledger.state} again in the round that it ended in")


def valid(body: bytes, stage: Stage, shard: int) -> bool:
    """Say whether a result is one."""
    try:
        results.decode(body, stage, shard)
    except JobError:
        return False
    return True


def limits_of_aws(cloud: Cloud) -> list[str]:
    """No limit of AWS was exceeded, and no rule of ours towards it broken."""
    return [*cloud.broken, *(f"exceeded {count} times: {what}" for what, count in cloud.exceeded.items())]


def ended(runs: Iterable[DagRun]) -> list[str]:
    """Everything ends."""
    return [f"{run.name} is {run.state} and does not end" for run in runs if not run.ended]


def nothing_is_left(cloud: Cloud, bucket: Bucket, runs: Sequence[DagRun]) -> list[str]:
    """No ECS task lives, no instance is asked for, nobody keeps a place."""
    left = [f"ECS task {task.arn} was left running" for task in cloud.live_tasks]
    if cloud.goal and not any(run.never_set_up for run in runs):
        left.append(f"{cloud.goal} instances were left")
    found = bucket.get(shares.KEY)
    if found is not None:
        board = shares.Board.from_json(found.body, where=shares.KEY)
        left += [f"{name} is left on the board" for name, demand in board.demands.items() if demand.instances > 0]
    return left


def what_is_told_is_true(run: DagRun, bucket: Bucket) -> list[str]:
    """Job and ledgers say what lies in S3."""
    job_id = keys.job_id(run.run_id)
    found = bucket.get(keys.job_key(run.spec.dag, job_id))
    if found is None:
        return ["a run succeeded without a job"] if run.state == "success" else []
    job = Job.from_json(found.body, where=run.name)
    wrong: list[str] = []
    for stage in job.stages:
        stored = bucket.get(keys.ledger_key(stage))
        if stored is None:
            if run.state == "success":
                wrong.append(f"{run.name}: stage {stage.stage} has no ledger")
            continue
        ledger = Ledger.from_json(stored.body, where="")
        wrong += [f"{run.name}: {problem}" for problem in _stage(stage, ledger, bucket)]
        if not ledger.finished:
            wrong.append(f"{run.name}: stage {stage.stage} is {ledger.state} though the run is {run.state}")
        if run.state == "success" and ledger.state != "succeeded":
            wrong.append(f"{run.name} is a success, and stage {stage.stage} is {ledger.state}")
        if run.state == "success" and stage.inputs:
            wrong += _rests(run, job, stage, bucket)
    return wrong


def _rests(run: DagRun, job: Job, stage: Stage, bucket: Bucket) -> list[str]:
    """What a stage has made of others rests on all that they have."""
    there = sum(len(finished(bucket, job.stage(name))) for name in stage.inputs)
    found = bucket.get(stage.result_key(0))
    if found is None or not valid(found.content, stage, 0):
        return []
    (item,) = results.decode(found.body, stage, 0)
    told = item.values["n"]
    return [] if told == there else [f"{run.name}: stage {stage.stage} rests on {told} items of {there}"]


def _stage(stage: Stage, ledger: Ledger, bucket: Bucket) -> list[str]:
    done = 0
    for shard in range(stage.shards):
        found = bucket.get(stage.result_key(shard))
        if found is not None and valid(found.content, stage, shard):
            done |= 1 << shard
    wrong = []
    if ledger.done & ~done:
        wrong.append(f"stage {stage.stage} counts shards as done that are not: {ledger.done & ~done:b}")
    if ledger.state == "succeeded":
        failed = {failure.item for failure in ledger.failures}
        missing = [
            item
            for shard in range(stage.shards)
            if not done >> shard & 1
            for item in {*stage.shard_lines(shard)} - failed - {item.item for item in partials(bucket, stage, shard)}
        ]
        if missing:
            wrong.append(f"stage {stage.stage} succeeded without items {missing}")
        if ledger.items_done + ledger.items_failed != stage.items:
            wrong.append(
                f"stage {stage.stage}: {ledger.items_done} done and {ledger.items_failed} failed of {stage.items}"
            )
    return wrong
