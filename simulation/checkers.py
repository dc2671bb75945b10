"""What must hold, whatever happens: after each write to S3, and at the end."""

from collections.abc import Iterable

from simulation.airflow import DagRun
from simulation.cloud import Cloud
from simulation.s3 import Bucket
from winbatch import keys, results, shares
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
            if result is not None and valid(result.body, stage, mark.shard):
                self._problems.append(f"shard {mark.shard} of {stage.stage} was claimed though it is done")


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


def nothing_is_left(cloud: Cloud, bucket: Bucket) -> list[str]:
    """No ECS task lives, no instance is asked for, nobody keeps a place."""
    left = [f"ECS task {task.arn} was left running" for task in cloud.live_tasks]
    if cloud.goal:
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
    return wrong


def _stage(stage: Stage, ledger: Ledger, bucket: Bucket) -> list[str]:
    done = 0
    for shard in range(stage.shards):
        found = bucket.get(stage.result_key(shard))
        if found is not None and valid(found.body, stage, shard):
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
            for item in stage.shard_lines(shard)
            if item not in failed and not _in_partials(stage, shard, item, bucket)
        ]
        if missing:
            wrong.append(f"stage {stage.stage} succeeded without items {missing}")
        if ledger.items_done + ledger.items_failed != stage.items:
            wrong.append(
                f"stage {stage.stage}: {ledger.items_done} done and {ledger.items_failed} failed of {stage.items}"
            )
    return wrong


def _in_partials(stage: Stage, shard: int, item: int, bucket: Bucket) -> bool:
    for entry in bucket.listing(stage.partials_of(shard)):
        found = bucket.get(entry.key)
        assert found is not None
        if any(each.item == item for each in results.decode_partial(found.body, stage, shard, where=entry.key)):
            return True
    return False
