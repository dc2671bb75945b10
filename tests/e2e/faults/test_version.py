"""The way from `up` to a job's curve on this version; the other files here go further on it."""

import pytest

from .conftest import VERSION

pytestmark = pytest.mark.slow


def test_a_job_runs_to_its_curve(world, tmp_path):
    assert world.airflow("GET", "/version")["version"] == VERSION
    world.check_a_job(tmp_path / "out")
