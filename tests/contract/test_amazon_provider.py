"""The amazon provider's own operators, unchanged, in the Airflow that MWAA runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.emulated import ROOT
from tests.waiting import PATIENCE, wait_for

from .world import ACCOUNT, REGION

VERSION = "3.0.6"
PROGRAM = Path(__file__).with_name("amazon_provider_dag.py")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def airflow_python():
    """The interpreter of Airflow's environment, made once as for `invoke up`."""
    cache = Path(os.environ.get("WINBATCH_CACHE", ROOT / ".cache"))
    install = [sys.executable, "-m", "emulator", "install-airflow", "--version", VERSION, "--cache", str(cache)]
    made = subprocess.run(install, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    (python,) = (cache / "airflow").glob(f"{VERSION}-*/python/bin/python")
    return python


@pytest.fixture
def start(airflow_python, endpoint, tmp_path):
    """Starts the DAG's program; what it prints goes to `airflow.log`."""
    environment = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HOME": str(tmp_path),
        # Airflow does not start for a user without a name.
        "LOGNAME": "airflow",
        "PATH": os.environ["PATH"],
        "TMPDIR": str(tmp_path),
    }
    started = []

    def start_dag(**arguments):
        command = [airflow_python, "-B", PROGRAM, json.dumps(arguments)]
        with (tmp_path / "airflow.log").open("wb") as log:
            started.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log))
        return started[-1]

    yield start_dag
    for process in started:
        process.kill()
        process.wait()


def test_operators_sensors_and_triggers(cluster, client, endpoint, start, tmp_path, unique):
    s3 = client("s3")
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": REGION})
    attached = tmp_path / "attached"
    definitions = {
        "succeeds": cluster.define('echo "run by $BY"; echo "the last line"'),
        "fails": cluster.define('echo "cannot go on"; exit 3'),
        "lasts": cluster.define(f'until [ -e "{attached}" ]; do sleep 0.1; done; echo "was left running"'),
        "lacks": cluster.define("", image=f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{cluster.repository}:none"),
    }
    cluster.scale(1)
    looks = calls(endpoint, "ecs.ListTasks")

    airflow = start(cluster=cluster.name, definitions=definitions, bucket=unique)
    # Reattaching begins with ListTasks, which finds only what runs; so that one ECS task runs until then.
    wait_for(lambda: airflow.poll() is not None or calls(endpoint, "ecs.ListTasks") > looks)
    attached.touch()
    airflow.wait(PATIENCE)
    log = (tmp_path / "airflow.log").read_text()
    assert airflow.returncode == 0, log
    told = json.loads(log.splitlines()[-1])
    outcome = told["tasks"]

    failing = {"fails", "deferred_fails", "lacks"}
    states = {name: entry["state"] for name, entry in outcome.items()}
    assert states == {name: "failed" if name in failing else "success" for name in outcome}, tmp_path / "airflow.log"
    assert s3.get_object(Bucket=unique, Key="in/a.txt")["Body"].read() == b"from Airflow"
    xcoms = {name: entry["xcoms"] for name, entry in outcome.items()}
    arns = {name: pushed["ecs_task_arn"] for name, pushed in xcoms.items() if "ecs_task_arn" in pushed}
    tasks = {name: cluster.task(arn) for name, arn in arns.items()}
    codes = {name: task["containers"][0].get("exitCode") for name, task in tasks.items()}
    assert codes == {
        "succeeds": 0, "deferred": 0, "reattached": 0, "fails": 3, "deferred_fails": 3, "lacks": None,
    }  # fmt: skip

    for name in ("succeeds", "deferred"):
        assert tasks[name]["capacityProviderName"] == cluster.name
        assert cluster.lines(arns[name]) == [f"run by {name}", "the last line"]
        assert xcoms[name]["return_value"] == "the last line"
        assert f"] run by {name}\n" in log, "the container's log is copied into Airflow's"
    assert told["events"] == [{"status": "success", "task_arn": arns["deferred"], "cluster": cluster.name}]

    assert arns["reattached"] == xcoms["left_running"]["return_value"]
    assert xcoms["reattached"]["return_value"] == "was left running"

    assert outcome["fails"]["error"].endswith("logs from Cloudwatch:\ncannot go on")
    assert "'exitCode': 3" in outcome["deferred_fails"]["error"]
    assert "Essential container in task exited" in outcome["deferred_fails"]["error"]
    assert "The task failed to start due to: CannotPullContainerError" in outcome["lacks"]["error"]


def calls(endpoint, name):
    """How often the emulator was asked for something."""
    with urlopen(f"{endpoint}/_emulator/requests") as answer:
        return json.load(answer)["requests"].get(name, 0)
