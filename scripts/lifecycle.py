"""An environment's life: up, plan, down. Each can be cut off anywhere and is continued by calling it again."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
from botocore.exceptions import ClientError

from scripts import airflow, images, local, plan_summary, providers, release, render, toolchain
from scripts.console import Step, Steps, console
from scripts.errors import OperatorError, PreflightError, StateLockedError, TerraformError
from scripts.locking import Busy, only_one
from scripts.plan_summary import PlanSummary
from scripts.settings import Settings
from scripts.terraform import Event
from scripts.workspace import Outputs, Workspace
from winbatch import spec

# MWAA brings the DAG prefix to its workers about this often, s; so does the emulator.
SYNC_SECONDS = 30.0


@dataclass(frozen=True)
class Up:
    """What `up` leaves: where things are, what it changed, and how long each step took."""

    workspace: Workspace
    outputs: Outputs
    changes: int
    released: int
    seconds: Mapping[str, float]


def up(settings: Settings, *, confirm: bool = True) -> Up:
    """Bring an environment to what the checkout says.

    Args:
        settings: which.
        confirm: ask before anything changes (never for the local one).

    Raises:
        OperatorError: it cannot go on; calling again continues.
    """
    steps = Steps()
    with only_one(settings, "up") as lock:
        preflight(settings)
        if settings.local:
            with steps.step("Emulator") as step:
                step.detail = local.start(settings, step).endpoint_url
        workspace = Workspace(settings, keep_open=[lock])
        with steps.step("Terraform") as step:
            if settings.local:
                _ensure_bucket(workspace)
            step.detail = "initialised" if workspace.init() else "was initialised"
        before = workspace.values()
        built = _build_images(workspace, steps) if settings.local else {}
        # An image has its digest before it has a registry: the first time, the repositories come with all the rest.
        pushed = built and _push_images(workspace, built, before.get("ecr_repositories") or {}, steps)
        changes = _converge(workspace, steps, confirm=confirm and not settings.local)
        outputs = workspace.outputs()
        if built and not pushed:
            _push_images(workspace, built, workspace.values()["ecr_repositories"], steps)
        released = _release(workspace, outputs, steps)
        with steps.step("Airflow serves the DAGs") as step:
            airflow.wait_for_dags(
                workspace.airflow(outputs),
                spec.names(),
                # An Airflow that was just made reads the files for the first time: it cannot serve older ones.
                released_at=time.time() if released and "mwaa_environment" in before else None,
                progress=step.update,
                settle=SYNC_SECONDS,
            )
            step.detail = ", ".join(spec.names())
    return Up(workspace, outputs, changes, released, steps.seconds)


def plan(settings: Settings) -> PlanSummary:
    """What `up` would change in AWS.

    Raises:
        OperatorError: it cannot be said.
    """
    steps = Steps()
    with only_one(settings, "plan") as lock:
        workspace = Workspace(settings, keep_open=[lock])
        with steps.step("Terraform") as step:
            step.detail = "initialised" if workspace.init() else "was initialised"
        return _planned(workspace, steps)


def down(settings: Settings, *, confirm: bool = True) -> None:
    """Take an environment down and look whether anything is left.

    The local one is its emulator: everything that it keeps, Terraform's state included, dies with it, so it is stopped
    and its state folder removed. Elsewhere Terraform destroys.

    Raises:
        OperatorError: something is left; calling again continues.
    """
    steps = Steps()
    if settings.local:
        _down_local(settings, steps)
        return
    with only_one(settings, "down") as lock:
        workspace = Workspace(settings, keep_open=[lock])
        if confirm:
            _ask(f"Destroy everything of environment {settings.environment}?", settings)
        with steps.step("Terraform") as step:
            step.detail = "initialised" if workspace.init() else "was initialised"
        cluster = workspace.values().get("cluster")
        if cluster is not None:
            with steps.step("Stop the jobs' ECS tasks") as step:
                step.detail = f"{stop_tasks(workspace.aws.client('ecs'), cluster)} stopped"
        with steps.step("Destroy") as step:
            workspace.terraform.destroy(var_files=workspace.var_files, on_event=_Progress(step))


def preflight(settings: Settings) -> None:
    """Find out in a second what would else fail after minutes.

    Raises:
        OperatorError: with what is wrong.
    """
    toolchain.find_terraform(settings)
    providers.config_file(settings)
    if settings.local:
        local.check_disk(settings)
        session = local.recorded(settings)
        if session is None:
            local.check_port(settings.port)


def release_dags(settings: Settings) -> release.ReleasePlan:
    """Release the DAGs to an environment that is up, and wait until Airflow serves them.

    Raises:
        OperatorError: it is not up, or Airflow does not serve them.
    """
    steps = Steps()
    with only_one(settings, "dags-release"):
        workspace = Workspace(settings)
        outputs = workspace.outputs()
        done = _release_plan(workspace, outputs, steps)
        with steps.step("Airflow serves the DAGs") as step:
            airflow.wait_for_dags(
                workspace.airflow(outputs),
                spec.names(),
                released_at=time.time() if done.changes else None,
                progress=step.update,
                settle=SYNC_SECONDS,
            )
    return done


def clean(settings: Settings) -> None:
    """Remove what can be made again: `build/` and the cache folder.

    Raises:
        PreflightError: the local environment is up and uses the cache.
    """
    if local.recorded(settings) is not None:
        raise PreflightError("the local environment is up and uses the cache folder: invoke down first")
    for folder in (settings.root / "build", settings.cache):
        if folder.exists():
            shutil.rmtree(folder)
            console.print(f"removed {folder}", markup=False, soft_wrap=True)


def stop_tasks(ecs: Any, cluster: str) -> int:
    """Stop every ECS task of a cluster; how many there were."""
    arns = [
        arn
        for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster, desiredStatus="RUNNING")
        for arn in page["taskArns"]
    ]
    for arn in arns:
        ecs.stop_task(cluster=cluster, task=arn, reason="the environment is taken down")
    return len(arns)


def _down_local(settings: Settings, steps: Steps) -> None:
    try:
        with only_one(settings, "down"):
            _stop_local(settings, steps)
    except Busy as busy:
        if psutil.pid_exists(busy.pid):
            raise
        # Who took the lock is dead; a Terraform command of its holds it still, and ends with the emulator.
        _stop_local(settings, steps)


def _stop_local(settings: Settings, steps: Steps) -> None:
    session = local.recorded(settings)
    if session is None and not settings.state.exists() and not local.ours(settings):
        console.print("The local environment is down.")
        return
    with steps.step("Stop the emulator and all that it started"):
        local.stop(settings)
    with steps.step("Remove its state"):
        local.remove_state(settings)


def _ensure_bucket(workspace: Workspace) -> None:
    """The bucket of Terraform's state in the emulator; elsewhere a person has made it."""
    s3 = workspace.aws.client("s3")
    name = workspace.settings.backend("bucket")
    try:
        s3.head_bucket(Bucket=name)
    except ClientError:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": workspace.settings.region})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def _build_images(workspace: Workspace, steps: Steps) -> dict[str, images.Image]:
    """Build the local images; what they are called goes to Terraform as a file."""
    with steps.step("Build images") as step:
        built = {workload: images.build(workspace.settings, workload) for workload in workspace.settings.workloads}
        digests = {workload: image.digest for workload, image in built.items()}
        text = json.dumps({"image_digests": digests}, indent=2, sort_keys=True) + "\n"
        workspace.digests_file.write_text(text, encoding="utf-8")
        step.detail = ", ".join(built)
    return built


def _push_images(
    workspace: Workspace, built: Mapping[str, images.Image], repositories: Mapping[str, str], steps: Steps
) -> bool:
    """Push images; False when there are no repositories for them yet."""
    if not set(built) <= set(repositories):
        return False
    with steps.step("Push images") as step:
        ecr = workspace.aws.client("ecr")
        pushed = [
            workload
            for workload, image in built.items()
            if images.push(ecr, images.repository_name(repositories[workload]), image)
        ]
        step.detail = f"pushed {', '.join(pushed)}" if pushed else "all there"
    return True


def _converge(workspace: Workspace, steps: Steps, *, confirm: bool) -> int:
    """Plan, show, apply; how many changes there were."""
    summary = _planned(workspace, steps)
    if not summary.changes:
        return 0
    if confirm:
        console.print(render.plan(summary))
        _ask(f"Apply this to environment {workspace.settings.environment}?", workspace.settings)
    with steps.step("Apply") as step:
        _apply_saved(workspace, step)
        step.detail = summary.sentence
    return summary.changes


def _planned(workspace: Workspace, steps: Steps) -> PlanSummary:
    with steps.step("Plan") as step:
        summary = _plan(workspace, step)
        step.detail = summary.sentence
    return summary


def _plan(workspace: Workspace, step: Step) -> PlanSummary:
    progress = _Progress(step)
    out = workspace.settings.state / "terraform" / "plan"

    def run() -> list[Event]:
        return workspace.terraform.plan(out, var_files=workspace.var_files, on_event=progress)

    try:
        events = run()
    except StateLockedError as locked:
        if not workspace.settings.local:
            raise
        # We hold the environment's own lock, and Terraform inherits it: whoever locked the state was killed.
        workspace.terraform.force_unlock(locked.lock_id)
        events = run()
    return plan_summary.summarize(events)


def _apply_saved(workspace: Workspace, step: Step) -> None:
    try:
        workspace.terraform.apply(workspace.settings.state / "terraform" / "plan", on_event=_Progress(step))
    except TerraformError as error:
        if workspace.settings.local:
            # Whatever Terraform says of a call that nobody answered, this is why.
            local.require(workspace.settings)
            if any("AlreadyExists" in problem or "already exists" in problem for problem in error.problems):
                raise OperatorError(
                    f"an earlier up was cut off before Terraform could note what it had made ({error.problems[0]}):"
                    " invoke down, then invoke up"
                ) from error
        raise


def _release(workspace: Workspace, outputs: Outputs, steps: Steps) -> int:
    return _release_plan(workspace, outputs, steps).changes


def _release_plan(workspace: Workspace, outputs: Outputs, steps: Steps) -> release.ReleasePlan:
    with steps.step("Release the DAGs") as step:
        prefix = str(outputs.deployment["dags_prefix"])
        folder = workspace.settings.dags
        done = release.release(workspace.aws.client("s3"), outputs.dags_bucket, prefix, folder, step.update)
        step.detail = done.sentence
    return done


class _Progress:
    """Shows how far a Terraform command is, from its events."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._total = 0
        self._done = 0
        self._refreshed = 0
        self._under_way: dict[str, None] = {}

    def __call__(self, event: Event) -> None:
        kind = event.get("type")
        hook = event.get("hook", {})
        if hook.get("action") == "read":
            return
        address = hook.get("resource", {}).get("addr", "")
        if kind == "planned_change" and event["change"]["action"] not in {"noop", "read"}:
            self._total += 1
        elif kind == "refresh_complete":
            self._refreshed += 1
            self._step.update(f"{self._refreshed} resources read")
        elif kind == "apply_start":
            self._under_way[address] = None
        elif kind in {"apply_complete", "apply_errored"}:
            self._under_way.pop(address, None)
            self._done += 1
        if kind in {"apply_start", "apply_complete", "apply_progress"}:
            waiting = next(iter(self._under_way), "")
            self._step.update(f"{self._done} of {self._total}{f', {waiting}' if waiting else ''}")


def _ask(question: str, settings: Settings) -> None:
    if not console.is_terminal:
        raise PreflightError(
            f"{question} There is nobody to ask: call with --yes if it is meant (environment {settings.environment})"
        )
    if console.input(f"{question} \\[y/N] ").strip().lower() not in {"y", "yes"}:
        raise PreflightError("nothing was changed")
