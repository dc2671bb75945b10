"""Runs that Airflow or a person named: each has its own results (test_operating.py takes such a one in hand)."""

import csv
import json
import math

import pytest

from scripts.tools import debian

pytestmark = pytest.mark.slow

# Of all of them: what tells them apart is the DAG and the run.
PREFIX = "sim/aggregate_results"
SMALL = {"num_items": 1, "max_instances": 1, "results_prefix": PREFIX}
ASKED = {
    ("naps", "offset+1"): SMALL | {"room": [1]},
    ("naps", "offset-1"): SMALL | {"room": [8]},
    ("ber-octave", "offset-1"): {
        "num_items": 4, "ebn0_db": [0.0, 6.0], "num_frames": 500, "max_instances": 1, "aggregate_prefix": PREFIX,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def named(operator, world, tmp_path_factory):
    """Three runs that end well: where their results were fetched to, by DAG and run id."""
    if debian.OCTAVE.find() is None:
        pytest.skip("no octave-cli on this machine: invoke setup --tests installs Debian's")
    for (dag, run_id), parameters in ASKED.items():
        world.trigger(dag, run_id, **parameters)
    fetched = {}
    for dag, run_id in ASKED:
        assert world.ended(run_id, dag) == "success"
        out = fetched[dag, run_id] = tmp_path_factory.mktemp(dag)
        operator.json("results", "--dag", dag, "--run-id", run_id, "--out", str(out))
    return fetched


def column(out, name):
    """A column of a table of results."""
    with (out / "results.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def test_runs_whose_ids_look_alike_or_are_of_two_dags_have_their_own_results(operator, named):
    for (dag, run_id), out in named.items():
        name = "room" if dag == "naps" else "ebn0_db"
        assert column(out, name) == ASKED[dag, run_id][name]
    shown = operator.call("status").stdout
    assert "  ber-octave  offset-1  succeeded" in shown
    assert "  naps  offset+1  succeeded" in shown
    # Its DAG is known by what lies in S3, unless there are two.
    assert operator.json("status", "--run-id", "offset+1")["dag"] == "naps"
    assert "name it with --dag (ber-octave, naps)" in operator.refused("status", "--run-id", "offset-1")


def test_octave_scripts_end_in_the_curve_of_ber(named):
    """Within five deviations of theory; the seed is fixed, so it cannot flake."""
    out = named["ber-octave", "offset-1"]
    curve = json.loads((out / "results.json").read_text())
    assert [(point["ebn0_db"], point["bits"]) for point in curve["points"]] == [(0.0, 4096000), (6.0, 4096000)]
    for point in curve["points"]:
        deviation = math.sqrt(point["theory"] / point["bits"])
        assert abs(point["ber"] - point["theory"]) < 5 * deviation
    assert all(kernel.startswith("waveform/octave-") for kernel in curve["kernels"])
    assert curve["items"] == 4
    assert (out / "report.html").stat().st_size > 0


def test_a_run_that_is_deleted_and_made_anew_with_other_parameters_does_not_get_the_old_results(operator, world, named):
    there = kept(world)
    assert there
    world.airflow("DELETE", "/dags/naps/dagRuns/offset-1")
    world.trigger("naps", "offset-1", **SMALL | {"room": [10]})
    assert world.ended("offset-1", "naps") == "failed"
    job = operator.json("status", "--dag", "naps", "--run-id", "offset-1")
    assert (job["state"], job["items_done"]) == ("failed", 0)
    log = world.airflow_log("offset-1", "scale_out", "naps")
    assert "its room is [8], not [10]" in log
    assert "another run id" in log
    assert "what lies in s3://" in operator.call("status", "--dag", "naps", "--run-id", "offset-1").stdout
    # Nothing of the first one was touched.
    assert kept(world) == there


def kept(world):
    """What lies in S3 of the run of `naps`: key to ETag."""
    listed = world.client("s3").list_objects_v2(Bucket=world.bucket, Prefix=f"{PREFIX}/naps/offset-1/")
    return {entry["Key"]: entry["ETag"] for entry in listed.get("Contents", [])}
