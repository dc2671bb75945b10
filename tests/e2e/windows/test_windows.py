"""Jobs on Windows images, from the command line: one to its end, one that loses a host, and one that is cancelled."""

import json
import math

import pytest
from scipy.stats import binom

from tests.e2e.world import NAME
from tests.waiting import wait_for, wait_until_empty

pytestmark = pytest.mark.slow

ITEMS, FRAMES = 8, 50
POINTS = [0, 4]
BITS = ITEMS // len(POINTS) * FRAMES * 4096
# Of a worker that was told to stop.
STOPPED = 143


def test_a_job_counts_what_theory_says(world, tmp_path):
    """Two-sided exact binomial test at the parameter's seed, which is fixed: it cannot flake."""
    points = ",".join(map(str, POINTS))
    words = [f"num_items={ITEMS}", f"num_frames={FRAMES}", f"ebn0_db={points}"]
    job = world.operator.json("run", *(word for each in words for word in ("--param", each)))
    assert (job["state"], job["items"], job["failed_items"]) == ("succeeded", ITEMS, 0)
    assert world.items(job["run_id"]) == list(range(ITEMS))
    world.operator.json("results", "--run-id", job["run_id"], "--out", str(tmp_path))
    found = json.loads((tmp_path / "results.json").read_text())
    assert [point["ebn0_db"] for point in found["points"]] == POINTS
    for point in found["points"]:
        assert point["bits"] == BITS
        low, high = binom.interval(0.999, BITS, 0.5 * math.erfc(math.sqrt(10 ** (point["ebn0_db"] / 10))))
        assert low <= point["bit_errors"] <= high, point
    # By Windows' Python, with the kernel that is compiled.
    report = (tmp_path / "report.html").read_text()
    assert "Windows" in report
    assert "numba" in json.dumps(found)
    said = world.operator.call("logs", job["run_id"], "--item", "0")
    assert said.returncode == 0, said.stderr
    wait_until_empty(world.left)


def test_a_lost_host_costs_only_time(world):
    run_id = world.start("naps", num_items=24, shard_items=1, seconds=2)
    wait_for(lambda: len(world.results(run_id)) >= 2)
    world.lose_host()
    followed = world.operator.json("run", "--follow", run_id)
    assert (followed["state"], followed["items"], followed["failed_items"]) == ("succeeded", 24, 0)
    assert world.items(run_id) == list(range(24))
    wait_until_empty(world.left)


def test_a_cancelled_job_ends_all_containers_in_good_order(world):
    run_id = world.start("naps", num_items=ITEMS, shard_items=1, seconds=600)
    # Who has claimed something has got as far as to hear of a stop; a program that starts is ended by it.
    wait_for(lambda: len(marks(world, run_id, ".claim")) == ITEMS)
    arns = sorted({json.loads(world.get(key))["task"] for key in marks(world, run_id, ".claim")})
    done = world.operator.call("cancel", run_id)
    assert done.returncode == 0, done.stderr
    wait_until_empty(world.left)
    stopped = world.client("ecs").describe_tasks(cluster=NAME, tasks=arns)["tasks"]
    assert {container.get("exitCode") for task in stopped for container in task["containers"]} == {STOPPED}
    released = [key.rsplit(".", 1)[0] for key in marks(world, run_id, ".released")]
    assert released == [key.rsplit(".", 1)[0] for key in marks(world, run_id, ".claim")]
    assert not marks(world, run_id, ".failed")


def marks(world, run_id, kind):
    """The claims of a job's first stage, or their marks."""
    prefix = f"jobs/naps/{run_id}/nap/claims/"
    listed = world.client("s3").list_objects_v2(Bucket=world.bucket, Prefix=prefix).get("Contents", [])
    return sorted(entry["Key"] for entry in listed if entry["Key"].endswith(kind))
