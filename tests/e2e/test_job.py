"""The main job on the local environment, from the command line to the curve."""

import csv
import json
import math
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from scipy.stats import binom

from scripts.core.settings import Settings
from scripts.tools import browser
from tests.waiting import PATIENCE, wait_for, wait_until_empty

from .operators import INVOKE
from .world import run_path

pytestmark = pytest.mark.slow

FRAMES = 200
# Of which the last counts no error.
POINTS = [0, 6, 12]
ITEMS = 2 * len(POINTS)
BITS = ITEMS // len(POINTS) * FRAMES * 4096


@pytest.fixture(scope="module")
def following(operator):
    """Somebody who starts a small job of the main kind and presses Ctrl-C: its id, their exit code, what they saw."""
    points = ",".join(map(str, POINTS))
    words = [f"num_items={ITEMS}", f"num_frames={FRAMES}", f"ebn0_db={points}"]
    with subprocess.Popen(
        [INVOKE, "run", *(word for each in words for word in ("--param", each))],
        cwd=operator.root,
        env=operator.environ,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            run_id = process.stderr.readline().removeprefix("Started ").strip()
            process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    return run_id, process.returncode, said


@pytest.fixture(scope="module")
def job(operator, following):
    """That job, followed to its end."""
    return operator.json("run", "--follow", following[0])


@pytest.fixture(scope="module")
def curve(operator, job, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    files = operator.json("results", "--run-id", job["run_id"], "--out", str(out))["files"]
    assert sorted(Path(file).name for file in files) == [
        "report.html",
        "results.csv",
        "results.json",
        "results.parquet",
        "results.png",
    ]
    return out


def theory(ebn0_db):
    return 0.5 * math.erfc(math.sqrt(10 ** (ebn0_db / 10)))


def test_the_job_says_what_it_did(job, status):
    assert job["state"] == "succeeded"
    assert (job["items"], job["failed_items"]) == (ITEMS, 0)
    assert job["seconds"] > 0
    assert job["results"].startswith(f"s3://{status['data_bucket']}/sim/aggregate_results/ber/{job['run_id']}/")


def test_every_item_is_in_s3_exactly_once(job, status, client):
    s3 = client("s3")
    prefix = f"sim/task_results/ber/{job['run_id']}/simulate/"
    listed = s3.list_objects_v2(Bucket=status["data_bucket"], Prefix=prefix)["Contents"]
    items = []
    for entry in listed:
        result = json.loads(s3.get_object(Bucket=status["data_bucket"], Key=entry["Key"])["Body"].read())
        items += [item["item"] for item in result["items"]]
    assert sorted(items) == list(range(ITEMS))


def test_cloudwatch_was_told_of_every_item(job, client):
    group = "/winbatch/local/engine/metrics"
    stream = f"ber/{job['run_id']}"
    events = client("logs").get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    told = [json.loads(event["message"]) for event in events]
    assert sum(event["ItemsDone"] for event in told if event["stage"] == "simulate") == ITEMS
    assert {event["stage"]: event["state"] for event in told} == {"simulate": "succeeded", "aggregate": "succeeded"}
    dimensions = [{"Name": "environment", "Value": "local"}, {"Name": "dag", "Value": "ber"}]
    done = client("cloudwatch").get_metric_statistics(
        Namespace="winbatch",
        MetricName="ItemsDone",
        Dimensions=dimensions,
        StartTime=datetime.now(UTC) - timedelta(hours=2),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=3 * 3600,
        Statistics=["Sum"],
    )
    assert sum(point["Sum"] for point in done["Datapoints"]) >= ITEMS


def test_every_point_is_what_theory_says(curve):
    """Two-sided exact binomial test at the parameter's seed, which is fixed: it cannot flake.

    Another seed would fail a right kernel with a probability of 0.1 % a point.
    """
    points = json.loads((curve / "results.json").read_text())["points"]
    assert [point["ebn0_db"] for point in points] == POINTS
    for point in points:
        assert point["bits"] == BITS
        low, high = binom.interval(0.999, BITS, theory(point["ebn0_db"]))
        assert low <= point["bit_errors"] <= high, point
        assert point["ber"] == pytest.approx(point["bit_errors"] / BITS)
        assert point["theory"] == pytest.approx(theory(point["ebn0_db"]), rel=1e-9)
        assert point["ci95"][0] <= point["ber"] <= point["ci95"][1]


def test_the_table_and_the_plot_are_there(curve):
    with (curve / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["ebn0_db"]) for row in rows] == POINTS
    assert (curve / "results.png").read_bytes().startswith(b"\x89PNG")


def test_the_cluster_is_at_zero_afterwards(operator, job):
    cluster = operator.json("status")["cluster"]
    assert job["state"] == "succeeded"
    assert {name: cluster[name] for name in cluster if name != "name"} == {
        "instances_desired": 0,
        "instances_registered": 0,
        "tasks_running": 0,
        "tasks_pending": 0,
    }


def test_status_knows_the_job(operator, job):
    runs = {run["run_id"]: run for run in operator.json("status")["runs"]}
    assert runs[job["run_id"]]["state"] == "succeeded"
    one = operator.json("status", "--run-id", job["run_id"])
    assert one["stages"]["simulate"]["items"] == {"total": ITEMS, "done": ITEMS, "failed": 0}


def test_ctrl_c_leaves_the_job_running_and_it_can_be_followed_later(following, job):
    run_id, code, said = following
    assert code == 130
    assert f"invoke run --follow {run_id}" in said
    assert "Traceback" not in said
    assert (job["run_id"], job["state"]) == (run_id, "succeeded")


def test_a_run_that_is_marked_failed_stops_its_tasks_and_scales_in(operator, world, tmp_path):
    """A job of hours: whoever stops it on Airflow's page must not go on paying for it."""
    run_id = world.start("naps", num_items=32, max_instances=2, alarm=tmp_path / "never")
    wait_for(lambda: len(world.tasks()) == 2)
    assert world.desired() == 2
    world.airflow("PATCH", run_path(run_id), {"state": "failed"})
    wait_until_empty(world.left)
    followed = operator.call("run", "--follow", run_id)
    assert followed.returncode == 1
    assert "cancelled" in followed.stderr
    assert operator.json("status", "--run-id", run_id)["state"] == "cancelled"


def test_the_airflow_page_shows_the_run(operator, job, status, tmp_path, monkeypatch):
    found = os.environ.get("WINBATCH_BROWSER") or browser.find(Settings.load("local"))
    assert found, "no browser: invoke setup --tests"
    # A browser keeps things in its home.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    login = status["airflow"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(found), args=["--no-sandbox", "--no-proxy-server"])
        page = chromium.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(status["airflow_url"])
        page.get_by_label("Username").fill(login["username"])
        page.get_by_label("Password").fill(login["password"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/auth/login" not in url)
        page.goto(f"{status['airflow_url']}/dags/ber/runs/{job['run_id']}")
        # The run's id itself is shown only until its times are there.
        expect(page.locator(f"a[href*='{job['run_id']}']").first).to_be_attached(timeout=PATIENCE * 1000)
        for text in ("simulate", "aggregate", "scale_in"):
            expect(page.get_by_text(text).first).to_be_visible(timeout=PATIENCE * 1000)
        expect(page.get_by_text("Success").first).to_be_visible(timeout=PATIENCE * 1000)
        picture = page.screenshot(path=tmp_path / "airflow.png")
        chromium.close()
    # A page that did not draw compresses to next to nothing.
    assert len(picture) > 20_000
