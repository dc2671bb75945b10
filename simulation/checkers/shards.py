"""No work is done twice, and nobody loses what it works on."""

from simulation.cloud import Cloud
from simulation.s3 import Bucket
from winbatch import results
from winbatch.attempts import Record
from winbatch.errors import JobError
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


def valid(body: bytes, stage: Stage, shard: int) -> bool:
    """Say whether a result is one."""
    try:
        results.decode(body, stage, shard)
    except JobError:
        return False
    return True
