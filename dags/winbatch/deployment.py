"""deployment.json: what Terraform built, as the DAGs see it (docs/architecture.md, "Terraform → everything")."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from winbatch import suggesting
from winbatch.errors import DeploymentError, JobError
from winbatch.parsing import MALFORMED
from winbatch.stage import load_object

PATH = Path(__file__).resolve().parent.parent / "deployment.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstanceType:
    """One of the Auto Scaling group's instance types; `usd_per_hour` is what it costs, if that is known."""

    type: str
    vcpus: int
    memory_mib: int
    network_interfaces: int
    usd_per_hour: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """The ECS cluster, and the Auto Scaling group whose instances it runs on.

    Attributes:
        max_instances: that the group may have, of all jobs together.
        subnets: of the ECS tasks.
        security_groups: of the ECS tasks.
        instance_types: that the group may launch.
    """

    name: str
    capacity_provider: str
    auto_scaling_group: str
    max_instances: int
    subnets: Sequence[str]
    security_groups: Sequence[str]
    instance_types: Sequence[InstanceType]

    @property
    def prices(self) -> Mapping[str, float]:
        """Give US dollars an hour by instance type, without those that have no price."""
        return {kind.type: kind.usd_per_hour for kind in self.instance_types if kind.usd_per_hour is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """A workload's task definition; `cpu` in units of 1/1024 core, `memory` in MiB.

    Beside the jobs of its own DAGs its role reads below `inputs`; an environment that was applied before workloads had
    roles of their own names none.
    """

    task_definition: str
    container: str
    cpu: int
    memory: int
    image: str
    log_group: str
    log_stream_prefix: str
    inputs: Sequence[str] | None = None

    @property
    def slots(self) -> int:
        """Shards that one ECS task works on at once; the task definition tells the worker the same number."""
        return max(1, self.cpu // 1024)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment:
    """What one environment holds; roles may read and write below `data_prefixes` of the data bucket only.

    An environment that was applied before there were metrics names no log group for them.
    """

    environment: str
    region: str
    account_id: str
    data_bucket: str
    data_prefixes: Sequence[str]
    cluster: Cluster
    workloads: Mapping[str, Workload]
    metrics_log_group: str | None = None

    def workload(self, name: str) -> Workload:
        """A workload by name.

        Raises:
            DeploymentError: it is not deployed.
        """
        try:
            return self.workloads[name]
        except KeyError:
            meant = suggesting.hint(name, self.workloads)
            raise DeploymentError(
                f"workload {name!r}{meant} is not deployed in {self.environment} (there are"
                f" {', '.join(sorted(self.workloads)) or 'none'}); push its image and apply: invoke up"
            ) from None

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """Read deployment.json.

        Raises:
            DeploymentError: half-written, of another schema, or without a field.
        """
        try:
            data = load_object(text, where=where)
        except JobError as error:
            raise DeploymentError(f"{error}; apply the environment again: invoke up") from error
        try:
            cluster = data["cluster"]
            types = [_pick(InstanceType, item) for item in cluster["instance_types"]]
            return _pick(
                cls,
                data,
                cluster=_pick(Cluster, cluster, instance_types=types),
                workloads={name: _pick(Workload, item) for name, item in data["workloads"].items()},
            )
        except MALFORMED as error:
            raise DeploymentError(
                f"{where}: {error!r} is missing or wrong; apply the environment again: invoke up"
            ) from error


def load(path: Path = PATH) -> Deployment:
    """Read the deployment.json that lies beside the DAGs.

    Raises:
        DeploymentError: it is missing or wrong.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise DeploymentError(
            f"{path.name} is not beside the DAGs; Terraform writes it: apply the environment (invoke up)"
        ) from None
    return Deployment.from_json(text, where=path.name)


def _pick[T](kind: type[T], data: Mapping[str, Any], **overrides: Any) -> T:
    """An instance of a dataclass from the fields that it knows; what else a newer release wrote is ignored."""
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # only dataclasses are given
    return kind(**{name: value for name, value in data.items() if name in names} | overrides)
