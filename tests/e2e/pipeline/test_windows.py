"""After an update to the newest Airflow: jobs on Windows images, from the command line, where this machine has Wine."""

import json
import math
import shutil
from dataclasses import replace

import pytest
from scipy.stats import binom

from emulator.mwaa import versions
from scripts.chaos.faults import choose_airflow
from scripts.core.errors import PreflightError
from scripts.images import wine
from tests.e2e.operators import JOBS
from tests.e2e.pipeline.conftest import commit
from tests.e2e.world import NAME, World
from tests.waiting import wait_for, wait_until_empty

pytestmark = pytest.mark.slow

ITEMS, FRAMES = 4, 100
POINTS = [0, 4]
BITS = ITEMS // len(POINTS) * FRAMES * 4096
# Of a worker that was told to stop.
STOPPED = 143
NOT_RELEASED = "claims not released within"
MISSING = "no Wine on this machine: invoke setup --tests installs Debian's"


@pytest.fixture(scope="module")
def windows():
    """Whether ECS tasks run Windows images, under Wine, or else those for Linux."""
    try:
        wine.require()
    except PreflightError:
        return False
    return True


@pytest.fixture(scope="module")
def world(pipeline, windows):
    """The environment, updated, with the tests' own jobs."""
    choose_airflow(pipeline.root, versions.SUPPORTED[-1])
    shutil.copytree(JOBS, pipeline.root / "dags" / "jobs", dirs_exist_ok=True)
    commit(pipeline.root, "The newest Airflow")
    variables = {"WINBATCH_WINDOWS": "wine"} if windows else {}
    operator = replace(pipeline.operator, environ=pipeline.operator.environ | variables)
    done = operator.call("up", "--no-smoke")
    assert done.returncode == 0, done.stderr
    return World.of(operator)


@pytest.fixture(scope="module")
def job(world):
    """A job of the main kind, run to its end."""
    points = ",".join(map(str, POINTS))
    words = [f"num_items={ITEMS}", f"num_frames={FRAMES}", f"ebn0_db={points}", "max_instances=1"]
    return world.operator.json("run", *(word for each in words for word in ("--param", each)))


@pytest.fixture(scope="module")
def results(world, job, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    world.operator.json("results", "--run-id", job["run_id"], "--out", str(out))
    return out


def test_an_update_keeps_airflows_runs_and_a_job_counts_what_theory_says(world, job, results):
    """Two-sided exact binomial test at the parameter's seed, which is fixed: it cannot flake."""
    assert world.airflow("GET", "/version")["version"] == versions.SUPPORTED[-1]
    assert len(world.airflow("GET", "/dags/ber/dagRuns")["dag_runs"]) > 1
    assert (job["state"], job["items"], job["failed_items"]) == ("succeeded", ITEMS, 0)
    assert world.items(job["run_id"]) == list(range(ITEMS))
    found = json.loads((results / "results.json").read_text())
    assert [point["ebn0_db"] for point in found["points"]] == POINTS
    for point in found["points"]:
        assert point["bits"] == BITS
        low, high = binom.interval(0.999, BITS, 0.5 * math.erfc(math.sqrt(10 ** (point["ebn0_db"] / 10))))
        assert low <= point["bit_errors"] <= high, point
    wait_until_empty(world.left)


def test_that_job_ran_by_windows_python_with_the_kernel_that_is_compiled(world, job, results, windows):
    if not windows:
        pytest.skip(MISSING)
    assert "Windows" in (results / "report.html").read_text()
    assert "numba" in (results / "results.json").read_text()
    said = world.operator.call("logs", job["run_id"], "--item", "0")
    assert said.returncode == 0, said.stderr


def test_a_lost_host_costs_only_time(world):
    items = 12
    run_id = world.start("naps", num_items=items, shard_items=1, seconds=2, room=1, max_instances=2)
    wait_for(lambda: len(world.results(run_id)) >= 2)
    world.lose_host()
    followed = world.operator.json("run", "--follow", run_id)
    assert (followed["state"], followed["items"], followed["failed_items"]) == ("succeeded", items, 0)
    assert world.items(run_id) == list(range(items))
    wait_until_empty(world.left)


def test_a_cancelled_job_ends_all_containers_in_good_order(world, windows):
    if not windows:
        pytest.skip(MISSING)
    items = 8
    run_id = world.start("naps", num_items=items, shard_items=1, seconds=600, max_instances=2)
    # Who has claimed something has got as far as to hear of a stop; a program that starts is ended by it.
    wait_for(lambda: len(marks(world, run_id, ".claim")) == items)
    arns = sorted({json.loads(world.get(key))["task"] for key in marks(world, run_id, ".claim")})
    done = world.operator.call("cancel", run_id)
    assert done.returncode == 0, done.stderr
    wait_until_empty(world.left)
    stopped = world.client("ecs").describe_tasks(cluster=NAME, tasks=arns)["tasks"]
    assert {container.get("exitCode") for task in stopped for container in task["containers"]} == {STOPPED}
    claimed, released = (
        {key.rsplit(".", 1)[0] for key in marks(world, run_id, kind)} for kind in (".claim", ".released")
    )
    # Where the machine has too much to do, Windows' five seconds can be over before: then it is said. Under Wine before
    # 10 a program that is told a second before its worker counts as done, for its exit code is 0.
    held = len(claimed - released)
    assert held <= len(world.results(run_id)) or any(NOT_RELEASED in line for line in logged(world, arns))
    assert released <= claimed
    assert not marks(world, run_id, ".failed")


def marks(world, run_id, kind):
    """The claims of a job's first stage, or their marks."""
    prefix = f"jobs/naps/{run_id}/nap/claims/"
    listed = world.client("s3").list_objects_v2(Bucket=world.bucket, Prefix=prefix).get("Contents", [])
    return sorted(entry["Key"] for entry in listed if entry["Key"].endswith(kind))


def logged(world, arns):
    """What ECS tasks have logged."""
    logs, ids = world.client("logs"), {arn.rsplit("/", 1)[-1] for arn in arns}
    for group in logs.describe_log_groups(logGroupNamePrefix="/winbatch/local/")["logGroups"]:
        name = group["logGroupName"]
        for stream in logs.describe_log_streams(logGroupName=name)["logStreams"]:
            if stream["logStreamName"].rsplit("/", 1)[-1] in ids:
                found = logs.get_log_events(logGroupName=name, logStreamName=stream["logStreamName"])
                yield from (event["message"] for event in found["events"])
