"""What an Airflow task is told of its run's start when people clear something, by each Airflow that MWAA runs."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from winbatch.starts import Start

ROOT = Path(__file__).resolve().parents[2]

# The run goes from its table to the task's process as the execution API gives it.
CLEAR = """
import datetime as dt, json, uuid

import airflow
import airflow.models
from airflow import settings
from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun as Given
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRun as Taken
from sqlalchemy import text

from winbatch.starts import Start

airflow.models.import_all_models()
settings.configure_orm()
Base.metadata.create_all(settings.engine)
session = settings.Session()
# The DAG itself is not in the database.
session.execute(text("PRAGMA foreign_keys=OFF"))
with DAG("d", schedule=None):
    task = EmptyOperator(task_id="t")
run = DagRun(dag_id="d", run_id="r", run_type="manual", state="running", run_after=dt.datetime.now(dt.UTC))
run.start_date = run.run_after
session.add(run)
session.flush()
failed = TaskInstance(task=task, run_id="r", dag_version_id=uuid.uuid4(), state="failed")
session.add(failed)
session.flush()

def told():
    given = Given.model_validate(run, from_attributes=True).model_dump_json()
    return Start.of(Taken.model_validate_json(given)).to_object()

starts = [told()]
clear_task_instances([failed], session)
starts.append(told())
run.state = "failed"
clear_task_instances([failed], session)
# As the scheduler begins it.
run.state, run.start_date = "running", dt.datetime.now(dt.UTC)
starts.append(told())
print("REPORT" + json.dumps({"version": airflow.__version__, "starts": starts}))
"""


@pytest.fixture(scope="module")
def report(airflow_python, tmp_path_factory):
    """Starts of a run: its first, one after something of it was cleared while it ran, one after it was cleared."""
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT / "dags"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [airflow_python, "-c", CLEAR], env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("REPORT"))
    return json.loads(line.removeprefix("REPORT"))


def test_a_run_that_is_cleared_after_its_end_has_a_later_start(report):
    first, cleared, again = map(Start.from_object, report["starts"])
    assert first.begun == cleared.begun == again.begun
    assert again.is_after(first)
    assert again.is_after(cleared)
    assert not first.is_after(again)


def test_clearing_something_of_a_run_at_work_makes_a_later_start_but_on_airflow_3_0(report):
    first, cleared, _ = map(Start.from_object, report["starts"])
    assert cleared.at == first.at
    assert cleared.is_after(first) is not report["version"].startswith("3.0.")
