"""The whole way, from `up` to `down`, on each Airflow that MWAA runs beside the one of the local environment."""

import re

import pytest

from emulator.mwaa import versions

from .operators import copy_checkout, make_operator
from .world import World, clients, wait_until_empty

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ITEMS = 8


@pytest.fixture(params=[version for version in versions.SUPPORTED if version != versions.DEFAULT])
def world(request, tmp_path):
    """An environment of somebody who has changed the version in their checkout."""
    root = tmp_path / "checkout"
    copy_checkout(root)
    file = root / "terraform" / "environments" / "local.tfvars"
    text, changed = re.subn(r'(\bversion\s*= )"3\.[0-9.]+"', rf'\g<1>"{request.param}"', file.read_text())
    assert changed == 1
    file.write_text(text)
    operator = make_operator(tmp_path / "state", root)
    try:
        up = operator.call("up", "--no-smoke", timeout=500)
        assert up.returncode == 0, up.stderr
        status = operator.json("status")
        made = World(operator, status, clients(status))
        assert made.airflow("GET", "/version")["version"] == request.param
        yield made
    finally:
        down = operator.call("down", timeout=200)
    assert down.returncode == 0, down.stderr
    assert operator.processes() == []


def test_a_job_runs_to_its_curve(world, tmp_path):
    job = world.operator.json("run", "--param", f"num_items={ITEMS}", "--param", "num_frames=20", timeout=300)
    assert (job["state"], job["items"], job["failed_items"]) == ("succeeded", ITEMS, 0)
    assert world.run_state(job["run_id"]) == "success"
    assert world.items(job["run_id"]) == list(range(ITEMS))
    files = world.operator.json("results", "--run-id", job["run_id"], "--out", str(tmp_path / "out"))["files"]
    assert len(files) == 5
    wait_until_empty(world.left)
