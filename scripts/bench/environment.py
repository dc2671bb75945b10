"""The bench's own local environment: workloads that sleep, the DAGs that run them, Airflow slots for the comparison.

Everything else is the product's: its Terraform, its release, its engine. State and port are the bench's, so that an
environment that is up is neither used nor disturbed.
"""

import contextlib
import dataclasses
import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts import airflow, images, lifecycle
from scripts.console import Steps, console
from scripts.errors import BenchError
from scripts.settings import Settings
from scripts.windows import staging
from scripts.workloads import interpreter_folder
from scripts.workspace import Outputs, Workspace

FILES = Path(__file__).parent / "files"
DAG = "bench"
MAPPED = ("synchronous", "deferrable")
POOL = "bench"
REGISTRATION_SECONDS = 60.0


class BenchSettings(Settings):
    """The local environment with other values, other DAGs beside the released ones, and no images of its own making."""

    @property
    def var_file(self) -> Path:
        return self.state_root / "bench.tfvars"

    @property
    def dags(self) -> Path:
        return self.state_root / "dags"

    @property
    def workloads(self) -> list[str]:
        return []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the mapped operators are given.

    Attributes:
        shards: ECS tasks, one a shard.
        seconds: that each sleeps.
        slots: ECS tasks at once.
        poll_seconds: between two looks at an ECS task, each one call of DescribeTasks.
    """

    shards: int
    seconds: float
    slots: int
    poll_seconds: int


@dataclasses.dataclass(frozen=True)
class Environment:
    """The bench's environment, up."""

    workspace: Workspace
    outputs: Outputs

    @property
    def airflow(self) -> airflow.Airflow:
        return self.workspace.airflow(self.outputs)

    @property
    def cluster(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.outputs.deployment["cluster"]
        return found

    def client(self, service: str) -> Any:
        return self.workspace.aws.client(service)

    def requests(self) -> dict[str, int]:
        """Calls that the emulator has answered so far, by `<service>.<action>`."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.workspace.endpoint_url}/_emulator/requests", timeout=10) as answer:
            counts: dict[str, int] = json.loads(answer.read())["requests"]
        return counts

    def scale(self, instances: int) -> None:
        """Set the number of instances and wait until they have registered.

        Raises:
            BenchError: they have not.
        """
        self.client("autoscaling").set_desired_capacity(
            AutoScalingGroupName=self.cluster["auto_scaling_group"], DesiredCapacity=instances, HonorCooldown=False
        )
        began = time.monotonic()
        while time.monotonic() - began < REGISTRATION_SECONDS:
            found = self.client("ecs").list_container_instances(cluster=self.cluster["name"], status="ACTIVE")
            if len(found["containerInstanceArns"]) == instances:
                return
            time.sleep(0.5)
        raise BenchError(f"the cluster did not come to {instances} instances within {REGISTRATION_SECONDS:.0f} s")


@contextlib.contextmanager
def environment(settings: Settings, comparison: Comparison) -> Iterator[Environment]:
    """The bench's environment, taken down whatever happens.

    Args:
        settings: of the local environment; the bench's own folders lie in its state folder.
        comparison: what the mapped operators are given.

    Raises:
        OperatorError: it does not come up.
    """
    own = _settings(settings)
    lifecycle.down(own, confirm=False)
    shutil.rmtree(own.state_root, ignore_errors=True)
    try:
        built = _images(own)
        _write(own, built, comparison)
        done = lifecycle.up(own, confirm=False, check=False)
        made = Environment(done.workspace, done.outputs)
        _complete(made, built, comparison)
        yield made
    finally:
        lifecycle.down(own, confirm=False)
        shutil.rmtree(own.state_root, ignore_errors=True)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settings(settings: Settings) -> BenchSettings:
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return BenchSettings(**fields | {"state_root": settings.state_root / "bench", "port": free_port()})


def _images(settings: Settings) -> dict[str, images.Image]:
    """The images of both workloads, each of which sleeps."""
    home = interpreter_folder(settings, "ber")
    ours = {
        name: path.read_bytes()
        for name, path in staging.files_below(settings.root / "dags" / "winbatch", "app/winbatch/")
    }
    ours["app/sleeper.py"] = (FILES / "sleeper.py").read_bytes()
    path = {"PATH": f"{home / 'bin'}:/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
    return {
        "bench": images.assemble(ours, path),
        "sleep": images.assemble({"app/README": b"It sleeps.\n"}, {}, entrypoint=["/bin/sleep"]),
    }


def _write(settings: BenchSettings, built: Mapping[str, images.Image], comparison: Comparison) -> None:
    """Write the values for Terraform, and the folder that is released."""
    settings.state_root.mkdir(parents=True)
    text = (FILES / "bench.tfvars").read_text(encoding="utf-8")
    for workload, image in built.items():
        repository = f"123456789012.dkr.ecr.{settings.region}.amazonaws.com/{_repository(workload)}"
        text = text.replace(f"@{workload}@", f"{repository}@{image.digest}")
    settings.var_file.write_text(text, encoding="utf-8")
    shutil.copytree(settings.root / "dags", settings.dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(FILES / "bench.yaml", settings.dags / "jobs")
    shutil.copy(FILES / "mapped.py", settings.dags)
    numbers = dataclasses.asdict(comparison) | {"pool": POOL}
    (settings.dags / "mapped.json").write_text(json.dumps(numbers), encoding="utf-8")


def _complete(made: Environment, built: Mapping[str, images.Image], comparison: Comparison) -> None:
    """What Terraform does not bring: the images, the pool, and that Airflow serves the DAGs."""
    steps = Steps()
    with steps.step("Images that sleep"):
        ecr = made.client("ecr")
        for workload, image in built.items():
            ecr.create_repository(repositoryName=_repository(workload))
            images.push(ecr, _repository(workload), image)
    with steps.step("Airflow serves the bench's DAGs") as step:
        body = {"name": POOL, "slots": comparison.slots, "include_deferred": True}
        made.airflow.call("POST", "/pools", body=body)
        airflow.wait_for_dags(made.airflow, [DAG, *MAPPED], progress=step.update)
    console.print("The bench's environment is up.")


def _repository(workload: str) -> str:
    return f"winbatch-bench/{workload}"
