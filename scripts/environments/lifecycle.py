"""An environment's life: up, plan, apply, down. Each can be cut off anywhere and is continued by calling it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from botocore.exceptions import ClientError

from scripts.core import airflow
from scripts.core.console import Steps, console
from scripts.core.errors import OperatorError, PreflightError
from scripts.core.locking import Busy, only_one
from scripts.core.settings import Settings
from scripts.dag_releases import publish
from scripts.environments import preflight, repair, smoke, teardown
from scripts.images import linux, wine, workload_images
from scripts.terraform import encryption, plan_and_apply, plan_tables, saved_plan, state
from scripts.terraform.plan_summary import PlanSummary
from scripts.terraform.progress import Watched
from scripts.terraform.saved_plan import SavedPlan
from scripts.terraform.workspace import Outputs, Workspace
from scripts.tools import emulator
from winbatch.working import folders

# Files of others that the question of `down` names.
_NAMED = 5


@dataclass(frozen=True)
class Up:
    """What `up` leaves: where things are, what it changed, and how long each step took."""

    workspace: Workspace
    outputs: Outputs
    changes: int
    released: int
    release: str
    seconds: Mapping[str, float]


def up(settings: Settings, *, confirm: bool = True, plan: Path | None = None, check: bool = True) -> Up:
    """Bring an environment to what the checkout says.

    Images are built first, since a plan names them by their digests, and pushed when their repositories are there.

    Args:
        settings: which.
        confirm: ask before anything changes (never for the local one).
        plan: a saved plan, applied instead of a new one; nobody is asked, since it was reviewed.
        check: end with a small job, when something has changed since the last one.

    Raises:
        OperatorError: it cannot go on; calling again continues.
    """
    steps = Steps()
    with only_one(settings, "up") as lock:
        doubts = preflight.check(settings, steps)
        _refuse_doubts(doubts, settings, asked=confirm and plan is None)
        if settings.wine:
            with steps.step("Wine") as step:
                step.detail = wine.prepare(settings, step.update)
        if settings.local:
            with steps.step("Emulator") as step:
                step.detail = emulator.start(settings, step).endpoint_url
        workspace = Workspace(settings, keep_open=[lock])
        if settings.local:
            _ensure_bucket(workspace)
        saved = plan_and_apply.load(workspace, plan) if plan else None
        plan_and_apply.prepare(workspace, steps)
        built = workload_images.build(settings, steps)
        workspace.tell_terraform(workload_images.digests(built), publish.workload_dags(workspace))
        if saved is not None:
            saved_plan.require_images(saved, workload_images.digests(built))
        changes = _converge(workspace, saved, doubts, steps, confirm=confirm and not settings.local)
        outputs = workspace.outputs()
        repair.airflow(workspace, outputs, steps)
        # The repositories are there now, and no job knows the new task definitions before the release.
        workload_images.push(workspace, built, outputs.ecr_repositories, steps)
        done = publish.release(workspace, outputs, steps)
        publish.wait(workspace, outputs, done, steps)
        if check:
            smoke.check(workspace, outputs, done.release, steps)
    return Up(workspace, outputs, changes, done.changes, done.release, steps.seconds)


def plan(settings: Settings, out: Path | None = None, *, seal: bool = False, judge: bool = True) -> PlanSummary:
    """What `up` would change in AWS.

    Args:
        settings: which environment.
        out: file to save the plan in, for `apply`; it must be of a commit.
        seal: encrypt that file with the key of Terraform's state, since others may come by it.
        judge: say what the policies forbid of it, too.

    Raises:
        OperatorError: it cannot be said.
    """
    steps = Steps()
    with only_one(settings, "plan") as lock:
        if not settings.local:
            doubts = preflight.check(settings, steps)
            if out is not None:
                _refuse_doubts(doubts, settings, asked=False)
        workspace = Workspace(settings, keep_open=[lock])
        plan_and_apply.prepare(workspace, steps)
        digests = workload_images.digests(workload_images.build(settings, steps))
        workspace.tell_terraform(digests, publish.workload_dags(workspace))
        planned = plan_and_apply.plan(workspace, steps, details=True, judge=judge)
        if out is not None:
            with steps.step("Save the plan") as step:
                summary = {**planned.summary.as_json(), "sentence": planned.summary.sentence}
                packed = saved_plan.pack(planned.file, settings, summary, digests)
                if seal:
                    kms, key = workspace.aws.client("kms"), settings.state_key_alias
                    packed = encryption.seal(kms, key, packed, saved_plan.purpose(settings))
                saved_plan.save(out, packed)
                step.detail = f"{out}, {'sealed' if seal else 'every value in the clear, secrets included'}"
        return planned.summary


def apply(settings: Settings, plan: Path) -> SavedPlan:
    """Apply exactly a saved plan, and nothing else of `up`.

    Raises:
        PlanRefused: it is another environment's or commit's, or stale. Terraform has not been started then.
        OperatorError: it failed.
    """
    steps = Steps()
    with only_one(settings, "apply") as lock:
        _refuse_doubts(preflight.check(settings, steps), settings, asked=False)
        workspace = Workspace(settings, keep_open=[lock])
        saved = plan_and_apply.load(workspace, plan)
        plan_and_apply.prepare(workspace, steps)
        plan_and_apply.apply_saved(workspace, saved, steps)
    return saved


def unlock(settings: Settings, lock_id: str, *, confirm: bool = True) -> None:
    """Take the lock of Terraform's state from somebody who is gone.

    Raises:
        PreflightError: the lock is another one by now, or there is none.
    """
    with only_one(settings, "unlock") as lock:
        workspace = Workspace(settings, keep_open=[lock])
        found = state.lock(workspace.aws.client("s3"), settings)
        if found is None:
            raise PreflightError(f"nobody holds the Terraform state of {settings.environment}: nothing to do")
        if found.id != lock_id:
            raise PreflightError(f"that lock is gone, and there is another one: {found.error(settings.environment)}")
        if confirm:
            preflight.ask(f"{found.who} holds it since {found.created}. Is that run dead?", settings)
        workspace.init()
        workspace.terraform.force_unlock(lock_id)


def down(settings: Settings, *, confirm: bool = True, delete_data: bool = False) -> None:
    """Take an environment down and look whether anything is left.

    The local one is its emulator: everything that it keeps, Terraform's state included, dies with it, so it is stopped
    and its state folder removed. Elsewhere Terraform destroys what is emptied before, and what it leaves is swept.

    Args:
        settings: which environment.
        confirm: ask before anything is destroyed.
        delete_data: do not ask whether buckets and repositories may be emptied either.

    Raises:
        OperatorError: something is left; calling again continues.
    """
    steps = Steps()
    if settings.local:
        _down_local(settings, steps)
        return
    with only_one(settings, "down") as lock:
        preflight.check(settings, steps)
        if confirm:
            preflight.ask(f"Destroy everything of environment {settings.environment}?", settings)
        workspace = Workspace(settings, keep_open=[lock])
        plan_and_apply.prepare(workspace, steps)
        destroy(workspace, steps, confirm=confirm, delete_data=delete_data)


def destroy(workspace: Workspace, steps: Steps, *, confirm: bool, delete_data: bool) -> None:
    """Empty, destroy, sweep and look, step by step.

    Raises:
        OperatorError: something is left; calling again continues.
    """
    settings, aws = workspace.settings, workspace.aws
    values = workspace.values()
    name = f"winbatch-{settings.environment}"
    target = teardown.Target(name, settings.environment, values.get("cluster") or name, name)
    if values.get("mwaa_environment"):
        with steps.step("Stop the jobs") as step:
            served = airflow.Airflow(aws.client("mwaa"), values["mwaa_environment"])
            step.detail = f"{teardown.stop_jobs(served)} marked failed"
    with steps.step("Drain the cluster") as step:
        step.detail = teardown.drain(aws, target, step.update)
    buckets = [values[key] for key in ("dags_bucket", "data_bucket") if values.get(key)]
    repositories = [linux.repository_name(url) for url in (values.get("ecr_repositories") or {}).values()]
    _empty(workspace, buckets, repositories, steps, confirm=confirm, delete_data=delete_data)
    plan_and_apply.note_made(workspace, steps)
    with steps.step("Destroy") as step, Watched(workspace, step) as progress:
        teardown.sweep(aws, target)
        workspace.terraform.destroy(var_files=workspace.var_files, on_event=progress)
    state.note_ended(aws.client("s3"), settings)
    with steps.step("Remove what Terraform leaves") as step:
        swept = teardown.sweep(aws, target)
        step.detail = ", ".join(swept) or "nothing"
    with steps.step("Look for what is left") as step:
        left = teardown.left(aws, target)
        if left:
            raise OperatorError(
                f"{len(left)} things of environment {settings.environment} are left: {', '.join(left)}; call"
                " invoke down again, and delete by hand what stays"
            )
        step.detail = "nothing carries this environment's tags"


def clean(settings: Settings) -> None:
    """Remove what can be made again: `build/` and the cache folder.

    Raises:
        PreflightError: the local environment is up and uses the cache.
    """
    if emulator.recorded(settings) is not None:
        raise PreflightError("the local environment is up and uses the cache folder: invoke down first")
    for folder in (settings.root / "build", settings.cache):
        if folder.exists():
            folders.remove(folder)
            console.print(f"removed {folder}", markup=False, soft_wrap=True)


def _empty(
    workspace: Workspace,
    buckets: Sequence[str],
    repositories: Sequence[str],
    steps: Steps,
    *,
    confirm: bool,
    delete_data: bool,
) -> None:
    held = teardown.held(workspace.aws, buckets, repositories)
    if not held:
        return
    words = ", ".join(f"{name} ({count}{' or more' if count >= 1000 else ''})" for name, count in held.items())  # noqa: PLR2004 - a page of a listing
    if not delete_data:
        others = publish.strangers(workspace, held)
        if others:
            words += f", of no release {', '.join(others[:_NAMED])}{' and more' if len(others) > _NAMED else ''},"
        if not confirm:
            raise PreflightError(f"{words} still hold something: call with --delete-data if all of it may go")
        preflight.ask(f"{words} still hold something. Delete all of it, every version?", workspace.settings)
    with steps.step("Empty buckets and repositories") as step:
        teardown.empty(
            workspace.aws,
            [name for name in buckets if name in held],
            [name for name in repositories if name in held],
            step.update,
        )


def _refuse_doubts(doubts: Sequence[str], settings: Settings, *, asked: bool) -> None:
    """What a person could wave away stops whoever asks nobody.

    Raises:
        PreflightError: there is a doubt, and nobody is asked.
    """
    if doubts and not asked:
        raise PreflightError(f"environment {settings.environment}: {'; '.join(doubts)}")


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
    session = emulator.recorded(settings)
    if session is None and not settings.state.exists() and not emulator.ours(settings):
        console.print("The local environment is down.")
        return
    with steps.step("Stop the emulator and all that it started"):
        emulator.stop(settings)
    with steps.step("Remove its state"):
        emulator.remove_state(settings)


def _ensure_bucket(workspace: Workspace) -> None:
    """The bucket of Terraform's state in the emulator; elsewhere a person has made it."""
    s3 = workspace.aws.client("s3")
    name = workspace.settings.backend("bucket")
    try:
        s3.head_bucket(Bucket=name)
    except ClientError:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": workspace.settings.region})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def _converge(
    workspace: Workspace, saved: SavedPlan | None, doubts: Sequence[str], steps: Steps, *, confirm: bool
) -> int:
    """Plan, show, apply, or apply what was planned before; how many changes there were."""
    if saved is not None:
        return plan_and_apply.apply_saved(workspace, saved, steps)
    plan_and_apply.keep_whole(workspace, steps)
    planned = plan_and_apply.plan(workspace, steps)
    if not planned.summary.changes:
        return 0
    if confirm:
        console.print(*plan_tables.plan(planned.summary), sep="\n")
        for doubt in doubts:
            console.print(f"Mind: {doubt}", style="yellow", markup=False, soft_wrap=True)
        preflight.ask(f"Apply this to environment {workspace.settings.environment}?", workspace.settings)
    plan_and_apply.apply(workspace, planned.file, steps, planned.summary.sentence)
    return planned.summary.changes
