"""The bench's one environment: the local one with workloads that sleep, the DAGs that run them, Airflow slots for more.

Everything else is the product's: its Terraform, its images, its release, its engine. State and port are the bench's, so
that an environment that is up is neither used nor disturbed. What making it, changing it and destroying it takes is
measured as it happens, since making another one for that would take minutes.
"""

import dataclasses
import json
import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.core import airflow
from scripts.core.console import Steps, console
from scripts.core.errors import BenchError, OperatorError
from scripts.core.settings import Settings
from scripts.environments import lifecycle
from scripts.environments.lifecycle import Up
from scripts.images import linux
from scripts.images.interpreters import interpreter_folder
from scripts.terraform.workspace import Outputs, Workspace
from scripts.tools import emulator
from scripts.windows import staging

FILES = Path(__file__).parent / "files"
DAG = "bench"
MAPPED = ("synchronous", "deferrable")
POOL = "bench"
REGISTRATION_SECONDS = 60.0
# ECS may pull from the environment's own repositories only: those of workloads whose images are ours.
_REPOSITORY = "winbatch-local/tools"


class BenchSettings(Settings):
    """The local environment with other values, and other DAGs beside the released ones."""

    @property
    def own_values(self) -> Path:
        """The values that are not the local environment's."""
        return self.state_root / "bench.tfvars"

    @property
    def var_files(self) -> list[Path]:
        """Give the files of Terraform's values, the bench's own last."""
        return [self.var_file, self.own_values]

    @property
    def dags(self) -> Path:
        """Give the folder of the DAGs that are released into it."""
        return self.state_root / "dags"


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
        """Give its Airflow's API."""
        return self.workspace.airflow(self.outputs)

    @property
    def cluster(self) -> Mapping[str, Any]:
        """Give the cluster as `deployment.json` has it."""
        found: Mapping[str, Any] = self.outputs.deployment["cluster"]
        return found

    def client(self, service: str) -> Any:
        """Give boto3's client of a service in it."""
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


@dataclasses.dataclass(frozen=True)
class Timed[T]:
    """What something came to, and the seconds that it took."""

    outcome: T
    seconds: float


class Life:
    """The environment's life, each stretch of it when a part of the bench first asks for it."""

    def __init__(self, settings: Settings, comparison: Comparison) -> None:
        """Nothing is made yet.

        Args:
            settings: of the local environment; the bench's own folders lie in its state folder.
            comparison: what the mapped operators are given.
        """
        self.settings = _settings(settings)
        self._comparison = comparison
        self._fault = ""
        self._again: list[Timed[Up]] = []

    @cached_property
    def first(self) -> Timed[Up]:
        """`up` from nothing. It does not come up a second time when it did not the first.

        Raises:
            BenchError: it did not.
            OperatorError: it does not.
        """
        if self._fault:
            raise BenchError(f"the bench's environment did not come up: {self._fault}")
        self.close()
        try:
            built = _images(self.settings)
            _write(self.settings, built, self._comparison)
            up = _timed(lambda: lifecycle.up(self.settings, confirm=False, check=False))
            _complete(Environment(up.outcome.workspace, up.outcome.outputs), built, self._comparison)
        except OperatorError as error:
            self._fault = str(error)
            raise
        return up

    @property
    def environment(self) -> Environment:
        """It, up.

        Raises:
            OperatorError: it does not come up.
        """
        return Environment(self.first.outcome.workspace, self.first.outcome.outputs)

    def again(self, runs: int) -> list[Timed[Up]]:
        """`up` with nothing to do, so often; what was measured before counts.

        Raises:
            BenchError: Terraform finds something to do.
        """
        assert self.first
        while len(self._again) < runs:
            up = _timed(lambda: lifecycle.up(self.settings, confirm=False, check=False))
            if up.outcome.changes:
                raise BenchError(f"the environment is up, and the next plan has {up.outcome.changes} changes")
            self._again.append(up)
        return self._again[:runs]

    @cached_property
    def end(self) -> Timed[Steps]:
        """`down` as elsewhere than locally: stop jobs, drain, empty, destroy, sweep, look.

        Raises:
            OperatorError: something is left.
        """
        workspace, steps = self.environment.workspace, Steps()
        took = _timed(lambda: lifecycle.destroy(workspace, steps, confirm=False, delete_data=True))
        return Timed(steps, took.seconds)

    def close(self) -> None:
        """Take away whatever there is of it."""
        try:
            lifecycle.down(self.settings, confirm=False)
        finally:
            shutil.rmtree(self.settings.state_root, ignore_errors=True)


def _timed[T](what: Callable[[], T]) -> Timed[T]:
    began = time.monotonic()
    return Timed(what(), time.monotonic() - began)


def _settings(settings: Settings) -> BenchSettings:
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return BenchSettings(**fields | {"state_root": settings.state_root / "bench", "port": emulator.free_port()})


def _images(settings: Settings) -> dict[str, linux.Image]:
    """The images of both workloads, each of which sleeps."""
    home = interpreter_folder(settings, "ber")
    ours = {
        name: path.read_bytes()
        for name, path in staging.files_below(settings.root / "dags" / "winbatch", "app/winbatch/")
    }
    ours["app/sleeper.py"] = (FILES / "sleeper.py").read_bytes()
    path = {"PATH": f"{home / 'bin'}:/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
    return {
        "bench": linux.assemble(ours, path),
        "sleep": linux.assemble({"app/README": b"It sleeps.\n"}, {}, entrypoint=["/bin/sleep"]),
    }


def _write(settings: BenchSettings, built: Mapping[str, linux.Image], comparison: Comparison) -> None:
    """Write the values for Terraform, and the folder that is released."""
    settings.state_root.mkdir(parents=True)
    text = (FILES / "bench.tfvars").read_text(encoding="utf-8")
    registry = f"123456789012.dkr.ecr.{settings.region}.amazonaws.com/{_REPOSITORY}"
    for workload, image in built.items():
        text = text.replace(f"@{workload}@", f"{registry}@{image.digest}")
    text = text.replace("@version@", settings.airflow_version).replace("@workloads@", _workloads(settings))
    settings.own_values.write_text(text, encoding="utf-8")
    shutil.copytree(settings.root / "dags", settings.dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(FILES / "bench.yaml", settings.dags / "jobs")
    shutil.copy(FILES / "mapped.py", settings.dags)
    numbers = dataclasses.asdict(comparison) | {"pool": POOL}
    (settings.dags / "mapped.json").write_text(json.dumps(numbers), encoding="utf-8")


def _workloads(settings: Settings) -> str:
    """The lines of the local environment's workloads.

    Raises:
        BenchError: they are not written as they were.
    """
    text = settings.var_file.read_text(encoding="utf-8")
    found = re.search(r"^workloads = \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise BenchError(f"{settings.var_file.name}: no block workloads = {{ … }} to take the workloads from")
    return found[1].rstrip("\n")


def _complete(made: Environment, built: Mapping[str, linux.Image], comparison: Comparison) -> None:
    """What Terraform does not bring: the images, the pool, and that Airflow serves the DAGs."""
    steps = Steps()
    with steps.step("Images that sleep"):
        ecr = made.client("ecr")
        for image in built.values():
            linux.push(ecr, _REPOSITORY, image)
    with steps.step("Airflow serves the bench's DAGs") as step:
        body = {"name": POOL, "slots": comparison.slots, "include_deferred": True}
        made.airflow.call("POST", "/pools", body=body)
        airflow.wait_for_dags(made.airflow, [DAG, *MAPPED], progress=step.update)
    console.print("The bench's environment is up.")
