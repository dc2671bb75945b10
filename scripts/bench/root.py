"""The life of the whole Terraform root on an emulator of its own: applied, planned again, destroyed."""

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from typing import Any

from scripts import local, plan_summary
from scripts.bench.environment import free_port
from scripts.bench.figures import Figure
from scripts.console import Steps
from scripts.errors import BenchError
from scripts.settings import Settings
from scripts.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class Life:
    """One life of the root.

    Attributes:
        resources: how many it makes.
        apply_seconds: planning and applying from nothing.
        replan_seconds: the plan after that, which finds nothing to do.
        destroy_seconds: until nothing is left.
    """

    resources: int
    apply_seconds: float
    replan_seconds: float
    destroy_seconds: float


def measure(settings: Settings, runs: int) -> tuple[list[Figure], dict[str, Any]]:
    """Let the root live.

    Args:
        settings: of the local environment; emulator and state are the bench's own.
        runs: how often.

    Raises:
        OperatorError: Terraform fails, or the second plan has something to do.
    """
    lives = [_life(settings) for _ in range(runs)]
    return figures(lives), {"lives": [dataclasses.asdict(life) for life in lives]}


def figures(lives: Sequence[Life]) -> list[Figure]:
    """What lives come to."""
    return [
        Figure(name="terraform.apply_seconds", values=[life.apply_seconds for life in lives], unit="s"),
        Figure(name="terraform.replan_seconds", values=[life.replan_seconds for life in lives], unit="s"),
        Figure(name="terraform.resources", values=[life.resources for life in lives]),
        Figure(name="terraform.destroy_seconds", values=[life.destroy_seconds for life in lives], unit="s"),
    ]


def _life(settings: Settings) -> Life:
    own = dataclasses.replace(settings, state_root=settings.state_root / "bench-terraform", port=free_port())
    steps = Steps()
    try:
        with steps.step("Emulator") as step:
            local.start(own, step)
        workspace = Workspace(own)
        workspace.aws.client("s3").create_bucket(
            Bucket=own.backend("bucket"), CreateBucketConfiguration={"LocationConstraint": own.region}
        )
        workspace.init()
        # Every workload has its task definition; no image is started.
        digests = dict.fromkeys(own.workloads, f"sha256:{'0' * 64}")
        workspace.digests_file.write_text(json.dumps({"image_digests": digests}), encoding="utf-8")
        terraform, plan, values = workspace.terraform, own.state / "terraform" / "plan", workspace.var_files
        with steps.step("Apply from nothing") as step:
            began = time.monotonic()
            terraform.plan(plan, var_files=values)
            terraform.apply(plan)
            applied = time.monotonic() - began
            made = sum(change.action == "create" for change in plan_summary.summarize(terraform.show(plan)).resources)
            step.detail = f"{made} resources"
        with steps.step("Plan again"):
            began = time.monotonic()
            to_do = terraform.plan(plan, var_files=values)
            planned = time.monotonic() - began
        if to_do:
            again = plan_summary.summarize(terraform.show(plan))
            raise BenchError(f"the second plan is not empty: {again.sentence}")
        with steps.step("Destroy"):
            began = time.monotonic()
            terraform.destroy(var_files=values)
            destroyed = time.monotonic() - began
        return Life(made, applied, planned, destroyed)
    finally:
        local.stop(own)
        shutil.rmtree(own.state_root, ignore_errors=True)
