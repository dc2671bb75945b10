"""`make demo`: from nothing to the curve, on one machine."""

from collections.abc import Sequence
from pathlib import Path

from scripts.cli import render
from scripts.core.console import console
from scripts.core.errors import JobFailed
from scripts.core.settings import Settings
from scripts.environments import lifecycle, setup, status
from scripts.jobs import results, runs
from winbatch import spec

DAG = "ber"


def run(settings: Settings) -> None:
    """Set up, up, the sample job with its own parameters, its results, the closing page.

    Raises:
        OperatorError: with what is wrong; calling again continues.
        JobFailed: the job failed.
    """
    console.rule("Set-up")
    setup.run(settings)
    console.rule("Platform")
    # The job is the check.
    up = lifecycle.up(settings, check=False)
    console.rule("Job")
    values = spec.load(DAG).validate({})
    run_id = runs.start(up.workspace, up.outputs, DAG, values)
    console.print(f"Started {run_id}", markup=False)
    with render.JobProgress() as progress:
        snapshot = runs.follow(up.workspace, up.outputs, DAG, run_id, progress)
    if snapshot.state != "succeeded":
        for line in snapshot.problems:
            console.print(line, markup=False, soft_wrap=True)
        raise JobFailed(f"job {run_id} {snapshot.state}; the environment is still up: invoke status, invoke down")
    files = results.fetch(up.workspace, up.outputs, snapshot, settings.root / "build" / "demo")
    _close(up, snapshot, files)


def _close(up: lifecycle.Up, snapshot: runs.Snapshot, files: Sequence[Path]) -> None:
    """The closing page: what was found, where it lies, how to look around and how to take all down."""
    login = status.airflow_login(up.workspace, up.outputs)
    console.rule("Result")
    console.print(render.curve_of(files))
    console.print(
        f"{snapshot.items} items in {render.clock(snapshot.seconds)}, job {snapshot.run_id}",
        markup=False,
    )
    for file in files:
        console.print(f"  {file}", markup=False, soft_wrap=True)
    console.print(f"Airflow    {login['url']}  user {login['username']}  password {login['password']}", markup=False)
    console.print(f"AWS        {up.workspace.endpoint_url} (the emulator)", markup=False)
    console.print("Look       .venv/bin/invoke status        Again  .venv/bin/invoke run")
    console.print("Take down  make down")
