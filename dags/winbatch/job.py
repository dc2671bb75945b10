"""A job: a specification with its parameters, turned into stages, manifests and shards.

Planning is deterministic: planning a job again writes the same bytes. It reads nothing but the tables and listings that
the specification asks for, and of a job that is planned already its manifests instead.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Self

from winbatch import capacity, keys, sources, template
from winbatch.deployment import Deployment
from winbatch.errors import ClusterError, JobError, SpecError
from winbatch.parsing import MALFORMED
from winbatch.sources import Items, Reader
from winbatch.spec import Spec
from winbatch.stage import SCHEMA, Stage, load_object
from winbatch.stage_spec import StageSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What job.json holds.

    Attributes:
        dag: DAG id.
        job: job id.
        params: a value for every parameter of the specification.
        stages: in the order in which they run.
        retry: what the specification changes of the rules for failures, by kind.
        run_id: Airflow's; empty where release 0.1 planned the job.
        begun: when the DAG run was made, ISO 8601: of two runs of one id, one is deleted and the other came later.
        release: of the DAGs, whose code plans and drives it; empty in a checkout.
    """

    dag: str
    job: str
    params: Mapping[str, Any]
    stages: tuple[Stage, ...]
    retry: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    run_id: str = ""
    begun: str = ""
    release: str = ""

    @property
    def key(self) -> str:
        """Give the key of its job.json."""
        return keys.job_key(self.dag, self.job)

    def is_of(self, begun: str) -> bool:
        """Say whether it is the job of the DAG run that was made then; release 0.1 did not note it."""
        return self.begun in {"", begun}

    @property
    def prefixes(self) -> list[str]:
        """Say below which prefixes all of its objects lie."""
        return sorted({keys.job_prefix(self.dag, self.job), *(s.results.rsplit("/", 2)[0] + "/" for s in self.stages)})

    def stage(self, name: str) -> Stage:
        """Find a stage by its name, which must be one of the job's."""
        return next(stage for stage in self.stages if stage.stage == name)

    def to_json(self) -> str:
        """Write it as job.json has it."""
        data = {
            "schema": SCHEMA,
            "dag": self.dag,
            "job": self.job,
            "run_id": self.run_id,
            "begun": self.begun,
            "release": self.release,
            "params": dict(self.params),
            "retry": self.retry,
            "stages": [json.loads(stage.to_json()) for stage in self.stages],
        }
        return json.dumps(data, indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """Read a job.json.

        Raises:
            JobError: it does not parse, is of another schema or lacks a field.
        """
        data = load_object(text, where=where)
        try:
            stages = tuple(Stage.from_json(json.dumps(stage), where=where) for stage in data["stages"])
            own = {name: data[name] for name in ("dag", "job", "params")}
            added = {name: data[name] for name in ("retry", "run_id", "begun", "release") if name in data}
            return cls(**own, **added, stages=stages)
        except MALFORMED as error:
            raise JobError(f"{where}: not a job.json of this release ({error!r}); start a new job") from error


def plan(
    spec: Spec,
    params: Mapping[str, Any],
    run_id: str,
    deployment: Deployment,
    reader: Reader | None = None,
    *,
    begun: str = "",
    release: str = "",
) -> Job:
    """The job that a DAG run stands for.

    Args:
        spec: its specification.
        params: as `Spec.validate` gives them.
        run_id: Airflow's.
        deployment: decides shard sizes by what an ECS task of the workload holds.
        reader: of the data bucket; a specification that does not list (`Spec.lists`) needs none.
        begun: when the DAG run was made.
        release: whose code plans.

    Raises:
        ClusterError: it asks for more than the cluster can give.
        DeploymentError: a workload is not deployed.
        SpecError: a prefix lies where the roles may not write or read, or a table or listing is wrong.
        StorageError: S3 refuses.
    """
    if params["max_instances"] > deployment.cluster.max_instances:
        raise ClusterError(
            f"max_instances is {params['max_instances']}, but {deployment.environment}'s cluster has"
            f" {deployment.cluster.max_instances} at most; lower the parameter or raise the environment's bound"
        )
    job = keys.job_id(run_id)
    of_stages = _items(spec, params, job, reader, deployment)
    followed = {stage.source for stage in spec.stages}
    stages: dict[str, Stage] = {}
    for stage in spec.stages:
        items = of_stages[stage.name].count
        workload = deployment.workload(stage.workload)
        _check_fetch(stage, of_stages[stage.name], job, spec.dag, deployment)
        slots = params["max_instances"] * capacity.tasks_per_instance(deployment.cluster, workload) * workload.slots
        given = stage.item_seconds
        item_seconds = float(params[given]) if isinstance(given, str) else given
        base = keys.stage_prefix(spec.dag, job, stage.name)
        results = keys.results_prefix(_root(stage, params, spec.dag, deployment), spec.dag, job)
        stages[stage.name] = Stage(
            dag=spec.dag,
            job=job,
            stage=stage.name,
            workload=stage.workload,
            run=stage.run,
            manifest=base + "manifest.jsonl",
            claims=base + "claims/",
            partials=base + "partials/",
            results=f"{results}{stage.name}/",
            # The last stage's files are what people look for: they lie at the job's own prefix.
            outputs=results if stage is spec.stages[-1] else f"{results}files/{stage.name}/",
            items=items,
            shard_items=min(items, params["shard_items"] or capacity.shard_items(items, slots, item_seconds)),
            inputs={
                name: keys.stage_prefix(spec.dag, job, name) + "stage.json"
                for name in (*stage.inputs, *filter(None, [stage.source]))
            },
            groups=sources.groups_of(of_stages[stage.name], stage.grouped_by),
            item_seconds=item_seconds,
            command=stage.command,
            timeout=stage.timeout,
            limits=stage.limits,
            fetch=stage.fetch,
            source=stage.source or "",
            item_folders=bool(stage.command) or stage.name in followed,
            digest=_digest(sources.manifest(of_stages[stage.name])),
        )
    return Job(
        dag=spec.dag,
        job=job,
        params=dict(params),
        stages=tuple(stages.values()),
        retry=spec.retry,
        run_id=run_id,
        begun=begun,
        release=release,
    )


def _digest(manifest: bytes) -> str:
    return hashlib.sha256(manifest).hexdigest()


def _check_fetch(stage: StageSpec, items: Items, job: str, dag: str, deployment: Deployment) -> None:
    """Look whether the workload may read what its first item fetches.

    Raises:
        SpecError: it may not.
    """
    inputs = deployment.workload(stage.workload).inputs
    if not stage.fetch or inputs is None:
        return
    values = {**next(items.params()), "item": 0, "job": job}
    may = (*(f"{prefix}/" for prefix in inputs), *keys.own_places(dag, deployment.data_prefixes))
    for text in stage.fetch.values():
        key = template.fill(text, values)
        if not key.startswith(may):
            raise SpecError(
                f"stage {stage.name} fetches {key!r}, and the role of workload {stage.workload} reads below"
                f" {', '.join(inputs) or 'nothing'} and its own jobs' results only; put it there, or add its prefix to"
                " the workload's inputs in the environment's values: invoke up"
            )


def _root(stage: StageSpec, params: Mapping[str, Any], dag: str, deployment: Deployment) -> str:
    """Below which prefix a stage leaves its results."""
    if not stage.prefix:
        return _allowed(keys.PREFIX + keys.RESULTS, deployment)
    given = str(params[stage.prefix]).strip("/")
    if f"{given}/".startswith(keys.PREFIX):
        raise SpecError(
            f"parameter {stage.prefix} is {given!r}: below {keys.PREFIX} lie the objects of all jobs; choose a prefix"
            " beside it"
        )
    places = [place for place in keys.own_places(dag, deployment.data_prefixes) if not place.startswith(keys.PREFIX)]
    if not f"{_allowed(given, deployment)}/{dag}/".startswith(tuple(places)):
        raise SpecError(
            f"parameter {stage.prefix} is {given!r}, and there the roles of {dag}'s workloads may not write; choose one"
            f" of which <prefix>/{dag}/ lies below {', '.join(places)}"
        )
    return given


def _items(
    spec: Spec, params: Mapping[str, Any], job: str, reader: Reader | None, deployment: Deployment | None
) -> dict[str, Items]:
    """The items of every stage; those of a listing as they were when the job was planned first."""

    def read(key: str) -> Reader:
        if deployment is not None:
            _allowed(key, deployment)
        if reader is None:
            raise SpecError(f"{spec.dag}: {key} has to be read to plan the job, and nothing to read it with was given")
        return reader

    items: dict[str, Items] = {}
    for stage in spec.stages:
        key = keys.stage_prefix(spec.dag, job, stage.name) + "manifest.jsonl"
        stored = reader.find(key) if reader is not None and stage.lists else None
        if reader is not None and stored is not None:
            items[stage.name] = sources.from_manifest(stored, where=reader.where(key))
        else:
            items[stage.name] = sources.items_of(stage, params, items, read)
    return items


def _allowed(prefix: str, deployment: Deployment) -> str:
    """The key or prefix, if the environment's roles may read and write there."""
    if not any(f"{prefix}/".startswith(f"{allowed}/") for allowed in deployment.data_prefixes):
        raise SpecError(
            f"prefix {prefix!r} is not below one of {deployment.environment}'s data_prefixes"
            f" ({', '.join(deployment.data_prefixes)}), and the roles may read and write nowhere else"
        )
    return prefix


def manifests(spec: Spec, planned: Job, reader: Reader | None = None) -> Iterator[tuple[Stage, bytes]]:
    """The manifest of each stage of a planned job.

    Raises:
        SpecError: a table or listing has changed since the job was planned.
        StorageError: S3 refuses.
    """
    of_stages = _items(spec, planned.params, planned.job, reader, None)
    for stage in planned.stages:
        items = of_stages[stage.stage]
        if items.count != stage.items:
            raise SpecError(
                f"stage {stage.stage} of {planned.job} was planned with {stage.items} items, and now there would be"
                f" {items.count}: its inputs have changed; start a new job"
            )
        manifest = sources.manifest(items)
        if stage.digest and _digest(manifest) != stage.digest:
            raise SpecError(
                f"stage {stage.stage} of {planned.job} was planned with other items: its inputs have changed; start a"
                " new job"
            )
        yield stage, manifest
