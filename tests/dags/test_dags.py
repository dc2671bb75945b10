"""What the DAG folder means to each Airflow that MWAA runs, parsed by that Airflow itself.

Every connection that the interpreter tries while it parses is noted, and every warning that one of our files causes.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from winbatch import spec
from winbatch.errors import SpecError

ROOT = Path(__file__).resolve().parents[2]

INSPECT = """
import json, os, socket, sys, time, warnings

import airflow.sdk  # what Airflow itself costs is not the DAG's
from airflow.sdk.execution_time.task_runner import _airflow_parsing_context_manager as asking

tried = []
real = socket.socket.connect
def connect(self, address):
    tried.append(str(address))
    return real(self, address)
socket.socket.connect = connect

try:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization as SerializedDAG
except ImportError:  # Airflow 3.0
    from airflow.models.dagbag import DagBag
    from airflow.serialization.serialized_objects import SerializedDAG

def inspect(folder, asked):
    started = time.perf_counter()
    # As Airflow's task runner does, for one of the DAGs.
    with asking(dag_id=asked or None), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bag = DagBag(folder, safe_mode=True)
    seconds = time.perf_counter() - started

    dags = {}
    for dag in bag.dags.values():
        serialized = SerializedDAG.to_dict(dag)
        SerializedDAG.from_dict(serialized)
        dags[dag.dag_id] = {
            "params": {
                name: {**param.schema, "description": param.description}
                for name, param in ((name, dag.params.get_param(name)) for name in dag.params)
            },
            "doc": dag.doc_md,
            "schedule": dag.schedule,
            "tasks": {
                task.task_id: {
                    "upstream": sorted(task.upstream_task_ids),
                    "setup": task.is_setup,
                    "teardown": task.is_teardown,
                    "fails_run": getattr(task, "on_failure_fail_dagrun", False),
                    "mode": getattr(task, "mode", None) or getattr(task, "partial_kwargs", {}).get("mode"),
                    "deferrable": getattr(task, "deferrable", False),
                    "retries": task.retries,
                    "trigger_rule": str(getattr(task.trigger_rule, "value", task.trigger_rule)),
                }
                for task in dag.tasks
            },
        }

    def takes(dag, name, value):
        try:
            bag.dags[dag].params.get_param(name).resolve(value)
        except Exception:
            return False
        return True

    numbers = [105, 1e18, 2.0**63, 6.022e23, 10**30, 0]
    print("REPORT" + json.dumps({
        "taken": [value for value in numbers if not bag.import_errors and takes("chain", "spot", value)],
        "errors": bag.import_errors, "dags": dags, "seconds": seconds, "tried": tried,
        "warnings": [str(warning.message) for warning in caught if warning.filename.startswith(folder)],
        "loaded": sorted(name for name in sys.modules if name in ("boto3", "numpy", "jsonschema")),
    }))

# Each folder in a process of its own, which has imported none of ours yet.
for word in sys.argv[1:]:
    folder, _, asked = word.partition("#")
    child = os.fork()
    if not child:
        sys.path.insert(0, folder)
        inspect(folder, asked)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, folder
"""


WRONG = {"x.yaml": b"dag: x\ntitle:\ntitel: X\n", "._x.yaml": b"Mac OS X\0"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two DAG folders: ours, and one with some more files of jobs."""
    home = tmp_path_factory.mktemp("airflow")
    for name in ("dags", "wrong"):
        shutil.copytree(ROOT / "dags", home / name, ignore=shutil.ignore_patterns("__pycache__", "deployment.json"))
    for name, content in WRONG.items():
        (home / "wrong" / "jobs" / name).write_bytes(content)
    return home


@pytest.fixture(scope="module")
def reports(airflow_python, home):
    """What Airflow says of the DAG folders, of one as a task of `ber` sees it; its start takes most of the time."""
    seen = ("dags", "wrong", "wrong#ber")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "none"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [airflow_python, "-c", INSPECT, *(str(home / name) for name in seen)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.removeprefix("REPORT") for line in done.stdout.splitlines() if line.startswith("REPORT")]
    return dict(zip(seen, map(json.loads, lines), strict=True))


@pytest.fixture(scope="module")
def report(reports):
    return reports["dags"]


def test_every_specification_is_a_dag_and_nothing_else_is(report):
    assert report["errors"] == {}
    assert set(report["dags"]) == {path.stem for path in (ROOT / "dags" / "jobs").glob("*.yaml")}


def test_a_job_file_that_is_wrong_is_named_in_the_words_of_the_command_line(reports, home):
    found = reports["wrong"]
    with pytest.raises(SpecError) as caught:
        spec.load("x", home / "wrong" / "jobs")
    (trace,) = found["errors"].values()
    assert trace.strip().endswith(f"\nwinbatch.errors.SpecError: {caught.value}")
    assert str(caught.value).startswith("jobs/x.yaml: 5 mistakes\njobs/x.yaml:1: 'workload' is a required property")


def test_an_airflow_task_parses_its_own_dag_alone(reports):
    found = reports["wrong#ber"]
    assert found["errors"] == {}
    assert set(found["dags"]) == {"ber"}
    assert found["dags"]["ber"] == reports["dags"]["dags"]["ber"]


def test_nothing_that_we_use_is_deprecated(report):
    assert report["warnings"] == []


def test_parsing_calls_nobody_and_loads_nothing_heavy(report):
    assert report["tried"] == []
    assert "numpy" not in report["loaded"]


def test_ber_scales_out_first_and_scales_in_always(report):
    tasks = report["dags"]["ber"]["tasks"]
    assert list(tasks["scale_in"]["upstream"]) == ["aggregate", "scale_out"]
    assert tasks["scale_out"]["setup"]
    assert tasks["scale_in"]["teardown"]
    assert tasks["scale_in"]["trigger_rule"] == "all_done_setup_success"
    # With it the teardown would be the run's only leaf, and a failed run would end as a success.
    assert not tasks["scale_in"]["fails_run"]
    assert tasks["plan"]["upstream"] == ["scale_out"]
    assert tasks["simulate"]["upstream"] == ["plan"]
    assert tasks["aggregate"]["upstream"] == ["simulate"]


def test_waiting_holds_no_worker_slot_and_needs_no_triggerer(report):
    for dag in report["dags"].values():
        for name, task in dag["tasks"].items():
            assert not task["deferrable"]
            if name not in ("scale_out", "plan", "scale_in"):
                assert task["mode"] == "reschedule"


def test_every_airflow_task_is_tried_again(report):
    assert all(task["retries"] >= 1 for dag in report["dags"].values() for task in dag["tasks"].values())


def test_the_form_is_typed_and_documented_and_covers_the_seeds_parameters(report):
    params = report["dags"]["ber"]["params"]
    assert all(schema["type"] and schema["title"] and schema["description"] for schema in params.values())
    # What Airflow's messages cannot hold is refused by its form.
    of_chain = report["dags"]["chain"]["params"]
    assert (of_chain["spot"]["exclusiveMinimum"], of_chain["spot"]["maximum"]) == (0, 2**63 - 1)
    assert of_chain["strike"]["maximum"] == 2**63 - 1
    assert report["taken"] == [105, 1e18]
    assert {
        "num_items",
        "num_frames",
        "frame_size",
        "ebn0_db",
        "seed",
        "results_prefix",
        "aggregate_prefix",
        "max_instances",
        "idle_instances",
        "instance_timeout",
    } <= set(params)


def test_dags_are_documented_and_run_only_when_asked(report):
    for dag in report["dags"].values():
        assert "scale_out" in dag["doc"]
        assert dag["schedule"] is None
