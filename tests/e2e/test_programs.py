"""Jobs that are a file each and no code: a program over files in S3, two programs in a row; of bad items, too."""

import csv
import hashlib
import json
import math

import pytest
from scipy.stats import norm

pytestmark = pytest.mark.slow

FILES = {"a.txt": b"one\ntwo\n", "b/c.bin": bytes(range(256)) * 64, "empty": b""}
VOLATILITIES = [0.1, 0.3]
REPETITIONS = 2
PATHS = 4000
# What the spy asks for in vain.
REFUSED = 9


@pytest.fixture(scope="module")
def run_ids(operator, status, client, tmp_path_factory):
    """The runs of all jobs, which have succeeded, by DAG."""
    s3, bucket = client("s3"), status["data_bucket"]
    folder = tmp_path_factory.mktemp("inputs")
    for name, body in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(body)
    assert operator.json("upload", str(folder), "sim/inputs/e2e")["moved"] == len(FILES)
    for item in range(40):
        kept = "GLACIER" if item == 21 else "STANDARD"
        s3.put_object(Bucket=bucket, Key=f"sim/inputs/bad-items/{item:02}", Body=b"x", StorageClass=kept)
    parameters = {
        "files": ["input_prefix=sim/inputs/e2e"],
        "chain": ["volatility=0.1,0.3", f"repetitions={REPETITIONS}", f"count={PATHS}"],
        # One of its items takes 40 s, in which the other jobs run.
        "bad-items": ["max_failed_items=3", "max_attempts=1"],
    }

    def start(dag, pairs):
        words = [word for pair in pairs for word in ("--param", pair)]
        return operator.json("run", "--dag", dag, "--no-wait", *words)["run_id"]

    # Any job of another workload, such as the main one of the tests beside these.
    others = [run["run_id"] for run in operator.json("status")["runs"] if run["dag"] == "ber"]
    victim = others[0] if others else start("ber", ["num_items=2", "num_frames=10", "ebn0_db=0", "max_instances=1"])
    runs = {dag: start(dag, pairs) for dag, pairs in parameters.items()}
    runs["spy"] = start("spy", [f"bucket={bucket}", f"victim={victim}"])
    assert operator.json("run", "--follow", victim)["state"] == "succeeded"
    for dag, run_id in runs.items():
        followed = operator.json("run", "--follow", run_id)
        assert (followed["state"], followed["failed_items"]) == ("succeeded", 3 if dag == "bad-items" else 0)
    return runs | {"ber": victim}


@pytest.fixture(scope="module")
def tables(operator, run_ids, tmp_path_factory):
    """The rows of the tables of the jobs that nothing is wrong with, by DAG."""
    rows = {}
    for dag in ("files", "chain"):
        out = tmp_path_factory.mktemp(dag)
        operator.json("results", "--run-id", run_ids[dag], "--out", str(out))
        with (out / "results.csv").open(newline="") as file:
            rows[dag] = list(csv.DictReader(file))
    return rows


def test_a_program_runs_once_over_each_file(tables):
    found = {row["key"].removeprefix("sim/inputs/e2e/"): row for row in tables["files"]}
    assert found.keys() == FILES.keys()
    assert len(tables["files"]) == len(FILES)
    for name, body in FILES.items():
        assert found[name]["sha256"] == hashlib.sha256(body).hexdigest()
        assert int(found[name]["bytes"]) == len(body)


def test_files_that_were_sent_can_be_fetched(operator, run_ids, tmp_path):
    assert run_ids
    assert operator.json("download", "sim/inputs/e2e", str(tmp_path))["moved"] == len(FILES)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


@pytest.mark.parametrize(("dag", "stage", "item"), [("files", "digest", 1), ("chain", "price", 2)])
def test_an_item_that_is_tried_here_comes_to_the_values_of_the_job(operator, run_ids, tmp_path, dag, stage, item):
    """By its inputs: an object that the item names, and the files that the item of an earlier stage has left."""
    words = ("--run-id", run_ids[dag], "--stage", stage, "--item", str(item), "--out", str(tmp_path / "tried"))
    tried = operator.json("try", *words)
    assert tried["values"] == tried["job_values"]
    assert (tried["succeeded"], tried["different"]) == (True, [])
    assert any((tmp_path / "tried" / "item" / "inputs").iterdir())


def black_scholes(volatility, *, spot=100.0, strike=105.0, rate=0.02, years=1.0):
    """Black and Scholes, 1973: the exact price of a European call."""
    spread = volatility * math.sqrt(years)
    above = (math.log(spot / strike) + (rate + volatility**2 / 2) * years) / spread
    return spot * norm.cdf(above) - strike * math.exp(-rate * years) * norm.cdf(above - spread)


def test_each_item_of_the_second_stage_works_on_what_the_first_left_of_it(tables):
    """Within five standard errors of the exact price; the seed is fixed, so it cannot flake."""
    rows = tables["chain"]
    assert sorted(float(row["volatility"]) for row in rows) == sorted(VOLATILITIES * REPETITIONS)
    for row in rows:
        exact = black_scholes(float(row["volatility"]))
        assert abs(float(row["price"]) - exact) < 5 * float(row["standard_error"])
        assert int(row["paths"]) == PATHS
    assert len({row["price"] for row in rows}) == len(rows)


def test_three_bad_items_among_forty_leave_thirty_seven_results_and_three_named_failures(operator, run_ids, tmp_path):
    run_id = run_ids["bad-items"]
    operator.json("results", "--run-id", run_id, "--out", str(tmp_path))
    table = json.loads((tmp_path / "results.json").read_text())
    assert (table["items"], [failure["item"] for failure in table["failed_items"]]) == (37, [7, 21, 30])
    stage = operator.json("status", "--run-id", run_id)["stages"]["copy"]
    reasons = {tuple(cause["items"]): (cause["reason"], cause["lines"]) for cause in stage["causes"]}
    assert reasons.keys() == {(7,), (21,), (30,)}
    assert "output '\\udcff' has a name that is no UTF-8" in reasons[7,][0]
    assert "sim/inputs/bad-items/21: S3 answers GetObject with InvalidObjectState" in reasons[21,][0]
    assert "did not end within 40 s and was ended" in reasons[30,][0]
    assert reasons[30,][1][-1].endswith("this hangs")
    replayed = operator.json("replay", run_id, "--why", "30")
    copied = replayed["stages"][0]
    assert (replayed["same"], copied["same_code"], copied["unread"]) == (True, True, [])
    assert copied["stage"] == "copy"
    assert copied["replayed"] == copied["ticks"] > 2
    story = [sentence["text"] for sentence in replayed["story"]]
    assert any("ended for the item: failed: " in text and "did not end within 40 s" in text for text in story)
    assert any("gave the shard up after attempt 0: its program failed 1 time, and 1 end the shard" in t for t in story)
    assert story[-1].startswith("item 30 has failed for good (program: ")
    ended = operator.call("replay", run_id, "--at", replayed["story"][-1]["at"], "--stage", "copy")
    assert ended.returncode == 0, ended.stderr
    assert f"stage copy: {copied['ticks']} ticks, the same actions" in ended.stderr
    assert "  it ends the stage as succeeded: 3 items failed" in ended.stdout


def test_a_workload_reaches_nothing_of_another_s_jobs(world, run_ids):
    """With its ECS task's own credentials; what it asks for is there, or was while it asked."""
    victim = f"ber/{run_ids['ber']}/simulate/"
    assert world.get(f"jobs/{victim}claims/000000/00.claim")
    assert world.get(f"sim/task_results/{victim}000000.json")
    (item,) = json.loads(world.get(f"sim/spy/spy/{run_ids['spy']}/pry/000000.json"))["items"]
    said = {name: value for name, value in item["values"].items() if name not in {"exit_code", "outputs"}}
    allowed = {name for name, value in said.items() if value == "allowed"}
    assert allowed == {"its own stage", "names of its own job", "an input"}
    assert list(said.values()).count("AccessDenied") == REFUSED == len(said) - len(allowed)


def test_the_cluster_is_at_zero_when_all_have_ended(operator, run_ids):
    cluster = operator.json("status")["cluster"]
    assert run_ids
    assert (cluster["instances_desired"], cluster["tasks_running"], cluster["tasks_pending"]) == (0, 0, 0)
