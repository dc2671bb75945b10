"""A job: a specification with its parameters, turned into stages, manifests and shards.

Planning is pure and deterministic: planning a job again writes the same bytes.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Self

from winbatch import capacity
from winbatch.deployment import Deployment
from winbatch.errors import ClusterError, SpecError
from winbatch.spec import Spec, StageSpec
from winbatch.stage import SCHEMA, Stage, load_object

PREFIX = "jobs/"


def job_id(run_id: str) -> str:
    """A DAG run's id as a part of a key: what S3 does not like becomes a dash."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", run_id)


def job_prefix(dag: str, job: str) -> str:
    """Where a job's own objects lie."""
    return f"{PREFIX}{dag}/{job}/"


def stage_prefix(dag: str, job: str, stage: str) -> str:
    return f"{job_prefix(dag, job)}{stage}/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What job.json holds.

    Attributes:
        dag: DAG id.
        job: job id.
        params: a value for every parameter of the specification.
        stages: in the order in which they run.
        retry: what the specification changes of the rules for failures, by kind.
    """

    dag: str
    job: str
    params: Mapping[str, Any]
    stages: tuple[Stage, ...]
    retry: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> str:
        return job_prefix(self.dag, self.job) + "job.json"

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.stage == name)

    def to_json(self) -> str:
        data = {
            "schema": SCHEMA,
            "dag": self.dag,
            "job": self.job,
            "params": dict(self.params),
            "retry": self.retry,
            "stages": [json.loads(stage.to_json()) for stage in self.stages],
        }
        return json.dumps(data, indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """Read a job.json.

        Raises:
            JobError: it does not parse or is of another schema.
        """
        data = load_object(text, where=where)
        stages = tuple(Stage.from_json(json.dumps(stage), where=where) for stage in data["stages"])
        return cls(dag=data["dag"], job=data["job"], params=data["params"], stages=stages, retry=data.get("retry", {}))


def plan(spec: Spec, params: Mapping[str, Any], run_id: str, deployment: Deployment) -> Job:
    """The job that a DAG run stands for.

    Args:
        spec: its specification.
        params: as `Spec.validate` gives them.
        run_id: Airflow's.
        deployment: decides shard sizes by what an ECS task of the workload holds.

    Raises:
        ClusterError: it asks for more than the cluster can give.
        DeploymentError: the workload is not deployed.
        SpecError: a prefix lies where the roles may not write.
    """
    workload = deployment.workload(spec.workload)
    if params["max_instances"] > deployment.cluster.max_instances:
        raise ClusterError(
            f"max_instances is {params['max_instances']}, but {deployment.environment}'s cluster has"
            f" {deployment.cluster.max_instances} at most; lower the parameter or raise the environment's bound"
        )
    slots = params["max_instances"] * capacity.tasks_per_instance(deployment.cluster, workload) * workload.slots
    job = job_id(run_id)
    stages: dict[str, Stage] = {}
    for stage in spec.stages:
        items = stage.items if isinstance(stage.items, int) else int(params[stage.items])
        base = stage_prefix(spec.dag, job, stage.name)
        root = _allowed(str(params[stage.prefix]).strip("/") if stage.prefix else PREFIX + "results", deployment)
        results = f"{root}/{job}/{stage.name}/"
        stages[stage.name] = Stage(
            dag=spec.dag,
            job=job,
            stage=stage.name,
            workload=spec.workload,
            run=stage.run,
            manifest=base + "manifest.jsonl",
            claims=base + "claims/",
            partials=base + "partials/",
            results=results,
            # The last stage's files are what people look for: they lie at the job's own prefix.
            outputs=f"{root}/{job}/" if stage is spec.stages[-1] else f"{root}/{job}/files/{stage.name}/",
            items=items,
            shard_items=min(items, params["shard_items"] or capacity.shard_items(items, slots)),
            inputs={name: stage_prefix(spec.dag, job, name) + "stage.json" for name in stage.inputs},
        )
    return Job(dag=spec.dag, job=job, params=dict(params), stages=tuple(stages.values()))


def _allowed(prefix: str, deployment: Deployment) -> str:
    """The prefix, if the environment's roles may write below it."""
    if not any(f"{prefix}/".startswith(f"{allowed}/") for allowed in deployment.data_prefixes):
        raise SpecError(
            f"prefix {prefix!r} is not below one of {deployment.environment}'s data_prefixes"
            f" ({', '.join(deployment.data_prefixes)}), and the roles may write nowhere else"
        )
    return prefix


def items(stage: StageSpec, params: Mapping[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """The parameters of each item, in order.

    The values of `over` are dealt out in even runs, as the seed does it; with fewer items than values, the items spread
    over the whole range of values and some values get none.
    """
    own = {name: params[name] for name in stage.params}
    for item in range(count):
        if stage.over is None:
            yield dict(own)
        else:
            values = params[stage.over]
            yield {stage.over: values[item * len(values) // count], **own}


def manifest(stage: StageSpec, params: Mapping[str, Any], count: int) -> bytes:
    """The manifest: one line of JSON an item."""
    lines = (
        json.dumps({"item": number, "params": item}, sort_keys=True, separators=(",", ":"))
        for number, item in enumerate(items(stage, params, count))
    )
    return ("\n".join(lines) + "\n").encode()
