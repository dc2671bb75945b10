"""Runs that Airflow or a person named: each has its own results, and is operated like any other."""

import csv
import io

import pytest

from tests.waiting import PATIENCE, wait_for
from winbatch import keys

from .world import ENDED

pytestmark = pytest.mark.slow

SMALL = {"num_items": 2, "num_frames": 10, "max_instances": 1}
# As long as Airflow takes, and with every kind of character: no path of MWAA's API can name it.
LONG = "a_run+of:mine~" + "x" * 200


def trigger(world, dag, run_id, **conf):
    world.airflow("POST", f"/dags/{dag}/dagRuns", {"dag_run_id": run_id, "conf": conf, "logical_date": None})


def ended(world, dag, run_id):
    """The state in which a run ends."""

    def state():
        runs = world.airflow("POST", "/dags/~/dagRuns/list", {"dag_ids": [dag]})["dag_runs"]
        return next(run["state"] for run in runs if run["dag_run_id"] == run_id)

    wait_for(lambda: state() in ENDED, 3 * PATIENCE)
    return state()


def points(operator, dag, run_id, out):
    """The Eb/N0 of a job's curve, dB."""
    files = operator.json("results", "--dag", dag, "--run-id", run_id, "--out", str(out))["files"]
    (table,) = [file for file in files if file.endswith("results.csv")]
    with open(table, encoding="utf-8", newline="") as file:  # noqa: PTH123
        return [float(row["ebn0_db"]) for row in csv.DictReader(io.StringIO(file.read()))]


def test_runs_whose_ids_look_alike_or_are_of_two_dags_have_their_own_results(operator, world, tmp_path):
    asked = {
        ("ber", "offset+1"): 1.0,
        ("ber", "offset-1"): 8.0,
        ("ber-octave", "offset-1"): 7.0,
    }
    for (dag, run_id), point in asked.items():
        trigger(world, dag, run_id, ebn0_db=[point], **SMALL)
    for number, ((dag, run_id), point) in enumerate(asked.items()):
        assert ended(world, dag, run_id) == "success"
        assert points(operator, dag, run_id, tmp_path / str(number)) == [point]
    shown = operator.call("status").stderr
    assert "  ber-octave  offset-1  succeeded" in shown
    assert "  ber  offset+1  succeeded" in shown
    # Its DAG is known by what lies in S3, unless there are two.
    assert operator.json("status", "--run-id", "offset+1")["dag"] == "ber"
    assert "name it with --dag (ber, ber-octave)" in operator.refused("status", "--run-id", "offset-1")


def test_a_run_that_is_deleted_and_made_anew_with_other_parameters_does_not_get_the_old_results(operator, world):
    trigger(world, "ber", "weekly", ebn0_db=[0.0], **SMALL)
    assert ended(world, "ber", "weekly") == "success"
    world.airflow("DELETE", "/dags/ber/dagRuns/weekly")
    trigger(world, "ber", "weekly", ebn0_db=[10.0], **SMALL)
    assert ended(world, "ber", "weekly") == "failed"
    job = operator.json("status", "--dag", "ber", "--run-id", "weekly")
    assert (job["state"], job["items_done"]) == ("failed", 0)
    log = world.airflow_log("weekly", "scale_out", "ber")
    assert "its ebn0_db is [0.0], not [10.0]" in log
    assert "another run id" in log
    assert "what lies in s3://" in operator.call("status", "--dag", "ber", "--run-id", "weekly").stderr
    # Nothing of the first one was touched.
    table = world.get("sim/aggregate_results/ber/weekly/results.csv")
    assert [row["ebn0_db"] for row in csv.DictReader(io.StringIO(table.decode()))] == ["0.0"]


def test_a_run_that_no_path_can_name_is_operated_like_any_other(operator, world, tmp_path):
    alarm = tmp_path / "alarm"
    trigger(world, "naps", LONG, num_items=12, shard_items=1, alarm=str(alarm))
    results = f"sim/naps/naps/{keys.job_id(LONG)}/nap/"
    wait_for(lambda: world.client("s3").list_objects_v2(Bucket=world.bucket, Prefix=results).get("Contents"))
    said = operator.json("cancel", LONG)
    assert (said["dag"], said["state"], said["cancelled_now"], said["instances"]) == ("naps", "cancelled", True, 0)
    assert (world.desired(), world.tasks()) == (0, [])
    alarm.touch()
    done = operator.json("run", "--resume", LONG)
    assert (done["state"], done["items"], done["failed_items"]) == ("succeeded", 12, 0)
    assert operator.json("run", "--follow", LONG)["state"] == "succeeded"
    assert operator.json("logs", LONG, "--item", "0")["attempts"][-1]["outcome"] == "done"
    assert operator.json("results", "--run-id", LONG, "--out", str(tmp_path / "out"))["files"]
