"""What the end-to-end tests see and do beside the command line: AWS by boto3, Airflow by its API, processes by id."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

import boto3
import psutil
from botocore.config import Config

from tests.processes import words
from tests.waiting import PATIENCE, wait_for

from .operators import Operator

# The cluster, its Auto Scaling group and the MWAA environment are all called so.
NAME = "winbatch-local"
# What Airflow says of a DAG run that has ended.
ENDED = {"success", "failed"}
# Below which the results of a job's first stage lie.
_RESULTS = {
    "ber": "sim/task_results/ber/{}/simulate/",
    "ill": "sim/ill/ill/{}/work/",
    "naps": "sim/naps/naps/{}/nap/",
}


def dag_of(run_id: str) -> str:
    """The DAG of a run that the command line started."""
    return run_id.rsplit("-", 2)[0]


def run_path(run_id: str) -> str:
    """Where Airflow's API has a run."""
    return f"/dags/{dag_of(run_id)}/dagRuns/{run_id}"


def clients(status: Mapping[str, Any]) -> Callable[[str], Any]:
    """boto3 clients for an environment, by service.

    Args:
        status: what `invoke status --json` says of it.
    """

    def make(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=status["endpoint_url"],
            region_name=status["region"],
            aws_access_key_id="local",
            aws_secret_access_key="test",
            config=Config(proxies={}, inject_host_prefix=False),
        )

    return make


@dataclass(frozen=True)
class World:
    """An environment that is up, seen from outside.

    Attributes:
        operator: who called it up.
        status: what `invoke status --json` says of it.
        client: boto3 clients by service.
    """

    operator: Operator
    status: Mapping[str, Any]
    client: Callable[[str], Any]

    @classmethod
    def of(cls, operator: Operator) -> Self:
        """The environment that somebody has called up."""
        status = operator.json("status")
        return cls(operator, status, clients(status))

    def evidence(self) -> str:
        """What a failed test shows of it."""
        return self.operator.evidence()

    def start(self, dag: str = "ber", **parameters: Any) -> str:
        """Start a job; the run id."""
        words = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
        run_id: str = self.operator.json("run", "--dag", dag, "--no-wait", *words)["run_id"]
        return run_id

    def trigger(self, dag: str, run_id: str, **parameters: Any) -> None:
        """Start a job on the Airflow page, where a person names its run."""
        body = {"dag_run_id": run_id, "conf": parameters, "logical_date": None}
        self.airflow("POST", f"/dags/{dag}/dagRuns", body)

    # --- AWS

    @property
    def bucket(self) -> str:
        """The data bucket."""
        bucket: str = self.status["data_bucket"]
        return bucket

    def tasks(self) -> list[str]:
        """The ECS tasks that are meant to run."""
        arns: list[str] = self.client("ecs").list_tasks(cluster=NAME, desiredStatus="RUNNING")["taskArns"]
        return arns

    def desired(self) -> int:
        """The instances that Auto Scaling is asked for."""
        groups = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])
        (group,) = groups["AutoScalingGroups"]
        return int(group["DesiredCapacity"])

    def instances(self) -> list[str]:
        """The instances in the cluster."""
        arns: list[str] = self.client("ecs").list_container_instances(cluster=NAME)["containerInstanceArns"]
        return arns

    def left(self) -> dict[str, Any]:
        """What still costs or runs, and what may be why: nothing at all when the cluster is at zero."""
        left = {
            "desired": self.desired(),
            "instances": self.instances(),
            "tasks": self.tasks(),
            "workers": [process.pid for process in self.workers()],
        }
        return {**left, "shares": self.get("jobs/shares.json")} if any(left.values()) else {}

    def get(self, key: str) -> bytes | None:
        """An object of the data bucket, if it is there."""
        s3 = self.client("s3")
        try:
            body: bytes = s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None
        return body

    def results(self, run_id: str) -> dict[str, Any]:
        """The results of a job's first stage: key to when it was written."""
        listed = self.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=_RESULTS[dag_of(run_id)].format(run_id))
        return {entry["Key"]: entry["LastModified"] for entry in listed.get("Contents", [])}

    def items(self, run_id: str) -> list[int]:
        """The items of a job's first stage that have a result, as often as they have one."""
        bodies = (self.get(key) for key in self.results(run_id))
        return sorted(item["item"] for body in bodies if body for item in json.loads(body)["items"])

    # --- Airflow

    def airflow(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call Airflow's API through MWAA."""
        given = {} if body is None else {"Body": body}
        return self.client("mwaa").invoke_rest_api(Name=NAME, Method=method, Path=path, **given)["RestApiResponse"]

    def answers(self) -> bool:
        """Whether Airflow is there."""
        try:
            self.airflow("GET", "/version")
        except self.client("mwaa").exceptions.RestApiServerException:
            return False
        return True

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """What Airflow says of the runs of a DAG: by the list, since no path can name every run."""
        found: list[dict[str, Any]] = self.airflow("POST", "/dags/~/dagRuns/list", {"dag_ids": [dag]})["dag_runs"]
        return found

    def run_state(self, run_id: str) -> str:
        """What Airflow says of a DAG run."""
        return str(self.airflow("GET", run_path(run_id))["state"])

    def ended(self, run_id: str, dag: str = "") -> str:
        """The state in which a DAG run ends; the DAG is that which the run id names, or this one."""

        def state() -> str:
            return next(str(run["state"]) for run in self.runs(dag or dag_of(run_id)) if run["dag_run_id"] == run_id)

        wait_for(lambda: state() in ENDED, 3 * PATIENCE)
        return state()

    def airflow_tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The Airflow tasks of a DAG run, one for each map index."""
        answer = self.airflow("GET", f"{run_path(run_id)}/taskInstances")
        instances: list[dict[str, Any]] = answer["task_instances"]
        return instances

    def airflow_log(self, run_id: str, task: str, dag: str = "") -> str:
        """What an Airflow task has logged, in all its attempts; the DAG is that which the run id names, or this one."""
        run = Path(f"dag_id={dag or dag_of(run_id)}", f"run_id={run_id}", f"task_id={task}")
        folder = self._airflow_folder() / "logs" / "airflow" / run
        return "".join(path.read_text() for path in sorted(folder.rglob("*.log")))

    def release(self) -> str:
        """The release of the DAGs that Airflow serves, as its page has it."""
        (name,) = [tag["name"] for tag in self.airflow("GET", "/dags/ber")["tags"] if ":" in tag["name"]]
        return str(name).removeprefix("release:")

    def deployment_file(self, release: str) -> Path:
        """Where Airflow finds the deployment.json of a release."""
        return self._airflow_folder() / "airflow" / "dags" / "releases" / release / "deployment.json"

    def components(self) -> dict[str, int]:
        """The process ids of Airflow's components and its database."""
        processes: dict[str, int] = self._page()["processes"]
        return processes

    def _airflow_folder(self) -> Path:
        return Path(self._page()["logs"]).parent

    def _page(self) -> dict[str, Any]:
        with urlopen(f"{self.status['endpoint_url']}/_emulator/mwaa") as answer:
            (environment,) = json.load(answer)
        found: dict[str, Any] = environment
        return found

    # --- faults

    def workers(self) -> list[psutil.Process]:
        """The processes of ECS tasks."""
        return [process for process in self.operator.processes() if "winbatch.worker" in words(process)]

    def lose_host(self) -> None:
        """One instance with everything on it is gone, without a word."""
        (host, *_) = self.client("autoscaling").describe_auto_scaling_instances()["AutoScalingInstances"]
        fault = {"kind": "lose-instance", "instance": host["InstanceId"]}
        self.fault(fault)

    def fault(self, fault: Mapping[str, Any]) -> None:
        """Have the emulator misbehave."""
        with urlopen(f"{self.status['endpoint_url']}/_emulator/faults", json.dumps(fault).encode()) as answer:
            assert answer.status in {200, 201}

    def kill_tick(self, run_id: str, stage: str) -> None:
        """SIGKILL to the process of a stage's running tick: the first map index that is open ticks."""

        def killed() -> bool:
            tasks = [task for task in self.airflow_tasks(run_id) if task["task_id"] == stage]
            first = min((task for task in tasks if task["state"] not in ENDED), key=lambda task: task["map_index"])
            if first["state"] != "running" or not first["pid"]:
                return False
            os.kill(first["pid"], signal.SIGKILL)
            return True

        wait_for(killed)
