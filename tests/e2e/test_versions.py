"""The whole way, from `up` to `down`, on the Airflows that MWAA runs beside the local environment's and the newest."""

import pytest

from emulator.mwaa import versions

from .operators import choose_airflow, copy_checkout, make_operator
from .world import World

pytestmark = pytest.mark.slow

# The newest is test_interrupts'.
OTHERS = [version for version in versions.SUPPORTED[:-1] if version != versions.DEFAULT]


@pytest.fixture(params=OTHERS)
def world(request, tmp_path):
    """An environment of somebody who has changed the version in their checkout."""
    root = tmp_path / "checkout"
    copy_checkout(root)
    choose_airflow(root, request.param)
    operator = make_operator(tmp_path / "state", root)
    try:
        up = operator.call("up", "--no-smoke")
        assert up.returncode == 0, up.stderr
        made = World.of(operator)
        assert made.airflow("GET", "/version")["version"] == request.param
        yield made
    finally:
        down = operator.call("down")
    assert down.returncode == 0, down.stderr
    assert operator.processes() == []


def test_a_job_runs_to_its_curve(world, tmp_path):
    world.check_a_job(tmp_path / "out")
