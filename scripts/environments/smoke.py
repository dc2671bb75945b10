"""The smoke check: a small real job from end to end, its result judged by what it says."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.core.console import Steps
from scripts.core.errors import JobFailed
from scripts.core.settings import Settings
from scripts.jobs import results, runs
from scripts.jobs.runs import Snapshot
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import spec

DAG = "ber"
# One Eb/N0, two items, small enough that orchestration is all that takes time.
FRAME = 4096
PARAMETERS: dict[str, Any] = {
    "ebn0_db": [4.0],
    "num_items": 2,
    "num_frames": 20,
    "frame_size": FRAME,
    "max_instances": 1,
}
# About 2,000 errors are counted: seven standard deviations.
TOLERANCE = 0.15
# A Windows instance takes up to eight minutes and its image as long again.
TIMEOUT = 2700.0


def run(settings: Settings) -> dict[str, Any]:
    """Run the smoke check of an environment that is up; what came of it.

    Raises:
        JobFailed: it did not succeed.
    """
    steps = Steps()
    workspace = Workspace(settings)
    outputs = workspace.outputs()
    with steps.step("Smoke check") as step:
        snapshot = _run(workspace, outputs, step.update)
        step.detail = _words(snapshot)
    return {"run_id": snapshot.run_id, "state": snapshot.state, "items": snapshot.items, "seconds": snapshot.seconds}


def check(workspace: Workspace, outputs: Outputs, release: str, steps: Steps) -> None:
    """The same at the end of `up`, unless nothing has changed since it passed.

    Raises:
        JobFailed: it did not succeed.
    """
    note = workspace.settings.state / "smoked.json"
    checked = json.dumps({"release": release, "deployment": outputs.deployment}, sort_keys=True)
    if note.is_file() and note.read_text(encoding="utf-8") == checked:
        return
    with steps.step("Smoke check") as step:
        workload = spec.load(DAG).workload
        if workload not in outputs.deployment["workloads"]:
            step.detail = f"left out: workload {workload} has no image here yet"
            return
        snapshot = _run(workspace, outputs, step.update)
        step.detail = _words(snapshot)
    note.write_text(checked, encoding="utf-8")


def _run(workspace: Workspace, outputs: Outputs, progress: Callable[[str], None]) -> Snapshot:
    run_id = runs.start(workspace, outputs, DAG, spec.load(DAG).validate(PARAMETERS))
    began = time.monotonic()

    def look(snapshot: Snapshot) -> None:
        progress(f"{run_id} {snapshot.state}, {time.monotonic() - began:.0f} s")
        if time.monotonic() - began > TIMEOUT:
            raise JobFailed(f"the smoke job {run_id} has not ended after {TIMEOUT:.0f} s; look at it: invoke status")

    snapshot = runs.follow(workspace, outputs, DAG, run_id, look)
    if snapshot.state != "succeeded":
        reason = next(iter(snapshot.problems), "its Airflow tasks say why")
        raise JobFailed(
            f"the smoke job {run_id} {snapshot.state}: {reason}; the release before is served again by:"
            " invoke dags.rollback"
        )
    with tempfile.TemporaryDirectory() as folder:
        files = results.fetch(workspace, outputs, snapshot, Path(folder))
        judge(run_id, *(file.read_bytes() for file in files if file.name == "results.json"))
    return snapshot


def judge(run_id: str, result: bytes = b"{}") -> None:
    """Whether a smoke job's curve is what its parameters ask for.

    Raises:
        JobFailed: bits are missing, or the rate is not near theory.
    """
    points = json.loads(result).get("points", [])
    bits = PARAMETERS["num_items"] * PARAMETERS["num_frames"] * FRAME
    if len(points) != 1 or points[0]["bits"] != bits:
        raise JobFailed(f"the smoke job {run_id} succeeded, but its result is not one point of {bits} bits: {points}")
    rate, theory = points[0]["ber"], points[0]["theory"]
    if abs(rate / theory - 1) > TOLERANCE:
        raise JobFailed(f"the smoke job {run_id} found a bit error rate of {rate:.4g} where theory says {theory:.4g}")


def _words(snapshot: Snapshot) -> str:
    return f"{snapshot.run_id}, {snapshot.items} items, the rate that theory says"
