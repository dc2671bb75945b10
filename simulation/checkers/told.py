"""What people are told at the end is true."""

from simulation.airflow import DagRun
from simulation.checkers.shards import valid
from simulation.containers import finished, partials
from simulation.s3 import Bucket
from winbatch import keys, results
from winbatch.job import Job
from winbatch.ledger import Ledger
from winbatch.stage import Stage


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
        # Without its scale-out a run has no teardown: what was at work when it was cleared is nobody's any more.
        if not ledger.finished and not run.never_set_up:
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
