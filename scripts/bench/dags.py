"""What the DAG folder costs whoever parses it, in the Airflow environment that the local MWAA uses.

An interpreter imports Airflow and parses a DAG of one Airflow task, which brings in what Airflow imports late; then the
DAG folder is timed. Each connection that is tried meanwhile is counted.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts import setup
from scripts.bench.figures import Figure
from scripts.errors import BenchError
from scripts.settings import Settings

MAX_PARSE_MS = 50.0

_TRIVIAL = """
from airflow.sdk import DAG, Param, get_current_context, task
import airflow.exceptions

with DAG("trivial", schedule=None, params={"n": Param(1, type="integer")}):

    @task
    def first():
        pass

    first().as_setup() >> task.sensor(task_id="second", mode="reschedule")(lambda: True)()
"""

_TIME = """
import json, socket, sys, time

tried = []
real = socket.socket.connect

def connect(self, address):
    tried.append(str(address))
    return real(self, address)

socket.socket.connect = connect

from airflow.models.dagbag import DagBag

trivial = DagBag(sys.argv[1], include_examples=False, safe_mode=True)
started = time.perf_counter()
bag = DagBag(sys.argv[2], include_examples=False, safe_mode=True)
seconds = time.perf_counter() - started
errors = {**trivial.import_errors, **bag.import_errors}
report = {"seconds": seconds, "tried": tried, "dags": sorted(bag.dags), "errors": errors}
print("REPORT" + json.dumps(report))
"""


def measure(settings: Settings, runs: int, progress: Callable[[str], None]) -> list[Figure]:
    """Parse the DAG folder in as many fresh interpreters.

    Raises:
        BenchError: it does not parse.
    """
    setup.install_airflow(settings, progress, version=settings.airflow_version)
    python = _python(settings)
    milliseconds, calls = [], []
    for number in range(runs):
        progress(f"{number + 1} of {runs}")
        with tempfile.TemporaryDirectory() as home:
            report = _report(settings, python, Path(home))
        milliseconds.append(report["seconds"] * 1000)
        calls.append(len(report["tried"]))
    compared = f"the same interpreter with Airflow imported and a DAG of one Airflow task; {len(report['dags'])} DAGs"
    return [
        Figure(
            name="dag.parse_ms_over_airflow_import",
            values=milliseconds,
            unit="ms",
            bound=MAX_PARSE_MS,
            compared_with=compared,
        ),
        Figure(name="dag.parse_aws_calls", values=calls, bound=0, compared_with="connections tried while parsing"),
    ]


def _python(settings: Settings) -> Path:
    """The interpreter of the Airflow environment; names with a second dash are those with a user's requirements."""
    found = [
        path
        for path in settings.cache.glob(f"airflow/{settings.airflow_version}-*/python/bin/python")
        if path.parents[2].name.count("-") == 1
    ]
    if not found:
        raise BenchError(f"Airflow {settings.airflow_version} is not in {settings.cache}: invoke setup")
    return max(found, key=lambda path: path.stat().st_mtime)


def _report(settings: Settings, python: Path, home: Path) -> dict[str, Any]:
    dags, trivial = home / "dags", home / "trivial"
    shutil.copytree(settings.root / "dags", dags, ignore=shutil.ignore_patterns("__pycache__", "deployment.json"))
    trivial.mkdir()
    (trivial / "trivial.py").write_text(_TRIVIAL, encoding="utf-8")
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(dags),
    }
    subprocess.run([python, "-m", "compileall", "-q", str(dags)], env=environ, check=True, capture_output=True)
    done = subprocess.run(
        [python, "-c", _TIME, str(trivial), str(dags)], env=environ, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("REPORT")]
    if done.returncode != 0 or len(lines) != 1:
        raise BenchError(f"Airflow cannot parse the DAG folder: {(done.stderr.splitlines() or ['no output'])[-1]}")
    report: dict[str, Any] = json.loads(lines[0].removeprefix("REPORT"))
    if report["errors"]:
        raise BenchError(f"Airflow cannot import the DAG folder: {report['errors']}")
    return report
