"""A job taken in hand: cancelled, resumed, its items' logs read; its run's name is as bad as Airflow allows."""

import json

import pytest

from tests.e2e.world import run_path
from tests.waiting import wait_for
from winbatch import keys

pytestmark = pytest.mark.slow

ITEMS = 24
# As long as Airflow takes, and with every kind of character: no path of MWAA's API can name it.
RUN = "a_run+of:mine~" + "x" * 200


def results(s3, bucket):
    """The first stage's results: key to when it was written and the items that it holds."""
    prefix = f"sim/naps/naps/{keys.job_id(RUN)}/nap/"
    return {
        entry["Key"]: (
            entry["LastModified"],
            [
                item["item"]
                for item in json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())["items"]
            ],
        )
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    }


@pytest.fixture(scope="module")
def cancelled(operator, status, client, world, tmp_path_factory):
    """A job that was cancelled in its midst: what cancelling said, and the results that were there."""
    alarm = tmp_path_factory.mktemp("cancelled") / "alarm"
    world.trigger("naps", RUN, num_items=ITEMS, shard_items=1, max_instances=2, alarm=str(alarm))
    s3, bucket = client("s3"), status["data_bucket"]
    wait_for(lambda: results(s3, bucket))
    refused = operator.refused("resume", RUN)
    said = operator.json("cancel", RUN)
    there = results(s3, bucket)
    alarm.touch()
    return {"said": said, "results": there, "refused": refused}


@pytest.fixture(scope="module")
def resumed(operator, status, client, cancelled):
    assert cancelled["said"]["state"] == "cancelled"
    done = operator.json("resume", RUN)
    return {"done": done, "results": results(client("s3"), status["data_bucket"])}


def test_a_job_at_work_is_followed_and_not_resumed(cancelled):
    assert "is running" in cancelled["refused"]
    assert f"invoke run --follow {RUN}" in cancelled["refused"]


def test_a_cancelled_job_is_stopped_scaled_in_and_keeps_its_results(operator, world, cancelled):
    said = cancelled["said"]
    assert (said["dag"], said["state"], said["cancelled_now"], said["instances"]) == ("naps", "cancelled", True, 0)
    # A worker that is being stopped may still write the result at hand: it is there, and resuming counts it.
    assert 0 < said["items_done"] <= len(cancelled["results"]) < ITEMS
    assert (world.desired(), world.tasks()) == (0, [])
    assert operator.json("status", "--run-id", RUN)["state"] == "cancelled"


def test_airflow_calls_a_cancelled_run_failed(world, cancelled):
    (run,) = [each for each in world.runs("naps") if each["dag_run_id"] == RUN]
    assert run["state"] == "failed"


def test_cancelling_it_again_says_so(operator, cancelled):
    again = operator.call("cancel", RUN)
    assert again.returncode == 0
    assert "was cancelled already" in again.stderr
    assert f"invoke resume {RUN}" in again.stderr


def test_a_resumed_job_runs_what_is_missing_and_every_item_once(world, cancelled, resumed):
    done = resumed["done"]
    assert (done["state"], done["items"], done["failed_items"]) == ("succeeded", ITEMS, 0)
    kept = {key: resumed["results"][key] for key in cancelled["results"]}
    assert kept == cancelled["results"]
    assert sorted(item for _, items in resumed["results"].values() for item in items) == list(range(ITEMS))
    assert (world.desired(), world.tasks()) == (0, [])


def test_a_job_without_anything_missing_is_not_run_again(operator, resumed):
    again = operator.json("resume", RUN)
    assert (again["state"], again["seconds"]) == ("succeeded", resumed["done"]["seconds"])
    assert operator.json("run", "--follow", RUN)["state"] == "succeeded"


def test_its_results_are_fetched_by_its_name(operator, resumed, tmp_path):
    assert operator.json("results", "--run-id", RUN, "--out", str(tmp_path / "out"))["files"]


def test_the_status_of_a_job_holds_what_its_ledger_knows(operator, cancelled, resumed):
    one = operator.json("status", "--run-id", RUN)
    simulate = one["stages"]["nap"]
    assert simulate["items"] == {"total": ITEMS, "done": ITEMS, "failed": 0}
    assert simulate["failures"] == []
    assert simulate["instance_seconds"] > 0
    assert {"rate", "remaining_seconds", "cost", "groups"} <= simulate.keys()
    assert "engine" not in simulate
    assert (one["state"], one["items_done"], one["rate"], one["remaining_seconds"]) == ("succeeded", ITEMS, None, None)
    shown = operator.call("status", "--run-id", RUN).stdout
    assert f"{ITEMS}/{ITEMS}" in shown
    assert "instances so far: " in shown


def test_an_items_log_shows_its_attempts_and_lines(operator, cancelled, resumed):
    (first,) = next(items for _, items in cancelled["results"].values())
    missing = next(items for key, (_, items) in resumed["results"].items() if key not in cancelled["results"])[0]
    for item in (first, missing):
        found = operator.json("logs", RUN, "--item", str(item))
        assert (found["stage"], found["item"], found["shard"]) == ("nap", item, item)
        *before, last = found["attempts"]
        assert last["outcome"] == "done"
        assert any(line["text"].startswith("done in ") for line in last["lines"])
        assert {attempt["outcome"] for attempt in before} <= {"given back"}
    shown = operator.call("logs", RUN, "--item", "0", "--stage", "table")
    assert "done in " in shown.stdout
    assert "attempt 0, ECS task " in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--item", str(ITEMS)), f"has items 0 to {ITEMS - 1}"),
        (("--item", "0", "--stage", "naps"), "no stage 'naps' (did you mean `nap`?); there are nap, table"),
        (("--item", "one"), "an item is named by its number"),
    ],
)
def test_a_log_that_cannot_be_is_refused(operator, cancelled, arguments, line):
    assert line in operator.refused("logs", RUN, *arguments)


def test_a_job_that_is_cancelled_while_it_begins_costs_nothing(operator, world):
    """Airflow leaves the teardown out where it cuts the scale-out short; nobody must go on paying for that."""
    run_id = world.start("naps", num_items=ITEMS, seconds=600)
    said = operator.json("cancel", run_id)
    assert (said["state"], said["items_done"], said["instances"]) == ("cancelled", 0, 0)
    assert (world.desired(), world.tasks()) == (0, [])
    # On its page, too, where a path can name it.
    run = world.airflow("GET", run_path(run_id))
    assert run["state"] == "failed"
    assert "invoke cancel" in run["note"]
    if operator.json("status", "--run-id", run_id)["items"] == 0:
        assert "not planned" in operator.refused("logs", run_id, "--item", "0")


def test_runs_that_are_not_there_are_refused(operator):
    for verb in (("cancel",), ("logs", "--item", "0"), ("resume",)):
        assert "has no run 'ber-20200101-000000'" in operator.refused(*verb, "ber-20200101-000000")
    assert "does not say its DAG" in operator.refused("cancel", "manual__2026")
    assert "--param does not go with --resume" in operator.refused(
        "run", "--resume", "ber-20200101-000000", "--param", "num_items=2"
    )
