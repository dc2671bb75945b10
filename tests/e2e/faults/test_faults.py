"""What dies in the middle of a job, what is wrong before it begins, and how it goes on: every item once, nothing left.

Processes are killed by their ids with SIGKILL. What counts is what is there afterwards.
"""

import os
import signal
import time

import pytest

from tests.e2e.world import run_path
from tests.waiting import wait_for, wait_until_empty

pytestmark = pytest.mark.slow

ITEMS = 40


@pytest.fixture
def deployment(world):
    """The release's deployment.json in S3, to be spoilt; afterwards it is what it was."""
    s3, bucket, release = world.client("s3"), world.status["dags_bucket"], world.release()
    key = f"dags/releases/{release}/deployment.json"
    good = s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def write(body):
        """Have Airflow see this file; one of another length would not pass for a part of the release."""
        body = body.ljust(len(good))
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
        wait_for(lambda: world.deployment_file(release).read_bytes() == body)

    write.good = good
    yield write
    write(good)


def test_whatever_dies_in_the_middle_of_a_job_costs_only_time(world, deployment, tmp_path):
    """A tick, a worker, a host, deployment.json for a while, the triggerer, and then all of Airflow at once."""
    alarm = tmp_path / "alarm"
    run_id = world.start("naps", num_items=ITEMS, shard_items=1, max_instances=3, alarm=alarm)
    wait_for(lambda: len(world.results(run_id)) >= 4)

    world.kill_tick(run_id, "nap")
    world.workers()[0].kill()
    world.lose_host()
    os.kill(world.components()["triggerer"], signal.SIGKILL)
    deployment(deployment.good[:100])
    time.sleep(5)
    deployment(deployment.good)
    assert world.run_state(run_id) == "running"
    # The database is no part of Airflow: MWAA's is a service of its own.
    before = {name: process for name, process in world.components().items() if name != "postgres"}
    for process in before.values():
        os.kill(process, signal.SIGKILL)
    wait_for(lambda: not set(before.values()) & set(world.components().values()))
    wait_for(world.answers)
    alarm.touch()

    followed = world.operator.json("run", "--follow", run_id)
    assert (followed["state"], followed["items"], followed["failed_items"]) == ("succeeded", ITEMS, 0)
    assert world.run_state(run_id) == "success"
    assert world.items(run_id) == list(range(ITEMS))
    wait_until_empty(world.left)


@pytest.fixture(scope="module")
def poisoned(world, tmp_path_factory):
    """A job whose item 5 fails until a file is there; run until it fails."""
    cure = tmp_path_factory.mktemp("ill") / "cure"
    run_id = world.start("ill", num_items=8, shard_items=1, max_attempts=1, max_instances=2, cure=cure)
    return {"run_id": run_id, "state": world.ended(run_id), "cure": cure, "results": world.results(run_id)}


def test_a_poisoned_item_fails_the_run_and_is_named(world, poisoned):
    assert poisoned["state"] == "failed"
    status = world.operator.json("status", "--run-id", poisoned["run_id"])
    assert (status["state"], status["stages"]["work"]["items"]["failed"]) == ("failed", 1)
    (failure,) = status["stages"]["work"]["failures"]
    assert failure["item"] == 5
    assert any("item 5 is ill" in line for line in failure["log"])
    assert 5 not in world.items(poisoned["run_id"])
    wait_until_empty(world.left)


@pytest.fixture(scope="module")
def cleared(world, poisoned):
    """That job once its item is cured and what failed is cleared, as on Airflow's page."""
    poisoned["cure"].touch()
    run_id = poisoned["run_id"]
    world.airflow("POST", f"{run_path(run_id)}/clear", {"dry_run": False, "only_failed": True})
    return {"state": world.ended(run_id), "results": world.results(run_id)}


def test_clearing_only_failed_runs_what_is_missing_and_scales_in(world, poisoned, cleared):
    """Airflow leaves scale-out and scale-in out: the work finds the cluster at zero, and has to bring it back there."""
    assert cleared["state"] == "success"
    assert world.items(poisoned["run_id"]) == list(range(8))
    assert {key: cleared["results"][key] for key in poisoned["results"]} == poisoned["results"]
    wait_until_empty(world.left)


def test_clearing_one_map_index_runs_nothing_again(world, poisoned, cleared):
    run_id = poisoned["run_id"]

    def last():
        """The last map index of the stage, or the stage itself, and the number of its try."""
        return max(
            (instance["map_index"], instance["try_number"])
            for instance in world.airflow_tasks(run_id)
            if instance["task_id"] == "work"
        )

    index, tries = last()
    one = ["work", index] if index >= 0 else "work"
    body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True, "task_ids": [one]}
    assert world.airflow("POST", "/dags/ill/clearTaskInstances", body)["task_instances"]
    assert world.ended(run_id) == "success"
    assert last() > (index, tries)
    assert world.results(run_id) == cleared["results"]
    wait_until_empty(world.left)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda good: good[: len(good) // 2], id="half-written"),
        pytest.param(lambda good: good.replace(b'"schema":1', b'"schema":0'), id="older"),
    ],
)
def test_a_run_without_a_sound_deployment_file_fails_early_and_asks_for_nothing(world, deployment, spoil):
    deployment(spoil(deployment.good))
    run_id = world.start(num_items=4, num_frames=5)
    assert world.ended(run_id) == "failed"
    said = world.airflow_log(run_id, "scale_out")
    assert "deployment.json" in said
    assert "invoke up" in said
    assert world.get(f"jobs/ber/{run_id}/job.json") is None
    assert world.left() == {}
