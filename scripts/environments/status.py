"""What an environment is and does at this moment."""

import dataclasses
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scripts.core.settings import Settings
from scripts.jobs import runs
from scripts.terraform.workspace import Outputs, Workspace
from scripts.tools import emulator
from winbatch import spec
from winbatch.causes import causes
from winbatch.ledger import Ledger

THREADS = 8
# Of one stage's causes of failures; each may be as long as a page.
CAUSES = 100


def read(settings: Settings) -> dict[str, Any]:
    """The environment, as `invoke status --json` prints it.

    Raises:
        OperatorError: it does not answer, or was not applied to its end.
    """
    if settings.local and emulator.recorded(settings) is None:
        return {"environment": settings.environment, "state": "down", "endpoint_url": None, "airflow_url": None}
    workspace = Workspace(settings)
    outputs = workspace.outputs()
    login = airflow_login(workspace, outputs)
    return {
        "environment": settings.environment,
        "state": "up",
        "endpoint_url": workspace.endpoint_url,
        "region": settings.region,
        "airflow_url": login["url"],
        "airflow": {"version": outputs.deployment["airflow"]["version"], **login},
        "cluster": cluster(workspace, outputs),
        "dags_bucket": outputs.dags_bucket,
        "data_bucket": outputs.data_bucket,
        "runs": last_jobs(workspace, outputs),
    }


def cluster(workspace: Workspace, outputs: Outputs) -> dict[str, Any]:
    """The ECS cluster: instances and ECS tasks."""
    found = workspace.aws.client("ecs").describe_clusters(clusters=[outputs.cluster])["clusters"][0]
    name = outputs.deployment["cluster"]["auto_scaling_group"]
    groups = workspace.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return {
        "name": outputs.cluster,
        "instances_desired": groups["AutoScalingGroups"][0]["DesiredCapacity"],
        "instances_registered": found["registeredContainerInstancesCount"],
        "tasks_running": found["runningTasksCount"],
        "tasks_pending": found["pendingTasksCount"],
    }


def airflow_login(workspace: Workspace, outputs: Outputs) -> dict[str, Any]:
    """Where Airflow's page is and how to log in; on AWS the console's login does it."""
    if workspace.endpoint_url is None:
        return {"url": f"https://{outputs.airflow_webserver_url.removeprefix('https://')}"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{workspace.endpoint_url}/_emulator/mwaa", timeout=10) as answer:
        pages = {page["name"]: page for page in json.loads(answer.read())}
    page = pages[outputs.mwaa_environment]
    login = json.loads(Path(page["password_file"]).read_text(encoding="utf-8"))
    return {"url": page["url"], "username": login["username"], "password": login["password"], "logs": page["logs"]}


def last_jobs(workspace: Workspace, outputs: Outputs, *, limit: int = 5) -> list[dict[str, Any]]:
    """The last jobs of each DAG, newest first."""
    airflow = workspace.airflow(outputs)
    # A client is made once, and not by two threads.
    workspace.aws.client("s3")

    def read_job(found: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        dag, run = found
        return job(dag, runs.snapshot_of(workspace, outputs, dag, run))

    # Each DAG and each job is a request or a few, all waiting: side by side, the whole takes as long as the slowest.
    with ThreadPoolExecutor(THREADS) as pool:
        listed = pool.map(lambda dag: [(dag, run) for run in airflow.runs(dag, limit=limit)], spec.names())
        found = list(pool.map(read_job, [pair for pairs in listed for pair in pairs]))
    return sorted(found, key=lambda entry: str(entry["started_at"]), reverse=True)


def job(dag: str, snapshot: runs.Snapshot) -> dict[str, Any]:
    """A job, as a program reads it."""
    return {
        "dag": dag,
        "run_id": snapshot.run_id,
        "state": snapshot.state,
        "started_at": snapshot.run.get("start_date"),
        "seconds": round(snapshot.seconds, 1),
        "items": snapshot.items,
        "items_done": snapshot.items_done,
        "failed_items": snapshot.failed_items,
        "rate": snapshot.rate,
        "remaining_seconds": snapshot.remaining_seconds,
        "instance_seconds": snapshot.instance_seconds,
        "cost": snapshot.cost,
        "stages": {stage.stage: _ledger(ledger) if ledger else None for stage, ledger in snapshot.stages},
    }


def _ledger(ledger: Ledger) -> dict[str, Any]:
    """A ledger without what is the engine's own, and why its items failed."""
    found = {name: value for name, value in json.loads(ledger.to_json()).items() if name != "engine"}
    return {**found, "causes": [dataclasses.asdict(cause) for cause in causes(ledger.failures)[:CAUSES]]}


def airflow_words(login: dict[str, Any]) -> str:
    """Say where the Airflow page is, and its login where we know it."""
    if "password" in login:
        return f"{login['url']} (user {login['username']}, password {login['password']})"
    return str(login["url"])
