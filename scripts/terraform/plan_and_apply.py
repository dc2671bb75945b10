"""Terraform for an environment: planned, saved, applied, and mended after a run that was cut off.

What a run leaves when it is cut off: the state's lock, when Terraform was killed or its credentials expired, and then
also what it had made and could not note (`errored.tfstate`). Both are known by notes in the environment's state folder,
and the next run puts them right before it begins. What AWS made of requests that Terraform had given up by then is
looked for when the next run plans (`scripts.terraform.imports`), and becomes part of that plan.
"""

import dataclasses
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scripts.core.console import Step, Steps
from scripts.core.errors import OperatorError, PlanRefused, TerraformError
from scripts.core.settings import Settings
from scripts.terraform import imports, plan_summary, policy_findings, saved_plan, state
from scripts.terraform.cli import Terraform
from scripts.terraform.plan_summary import PlanSummary
from scripts.terraform.progress import Watched, lock_note
from scripts.terraform.saved_plan import SavedPlan, write_private
from scripts.terraform.workspace import Workspace
from scripts.tools import checkov, emulator

# Where Terraform leaves a state that it could not write, in its working folder.
ERRORED = "errored.tfstate"
# Until AWS has made what it had begun to make, s: Airflow's environment takes 20 to 40 minutes.
MAKING_SECONDS = 3600.0
LOOK_SECONDS = 5.0
_EXISTS = re.compile(r"Already|already exists|Duplicate")
_EXPIRED = ("ExpiredToken", "RequestExpired", "expired", "InvalidClientTokenId")


@dataclass(frozen=True)
class Planned:
    """A plan of Terraform's, in a file.

    Attributes:
        file: Terraform's own.
        summary: what it would do.
    """

    file: Path
    summary: PlanSummary


def prepare(workspace: Workspace, steps: Steps) -> None:
    """Initialise Terraform, and put right what a run that was cut off has left.

    Raises:
        StateLockedError: somebody else is at work.
        TerraformError: the state of an interrupted run cannot be noted.
    """
    with steps.step("Terraform") as step:
        step.detail = "initialised" if workspace.init() else "was initialised"
        _unlock(workspace)
        rescued = workspace.settings.state / ERRORED
        if rescued.is_file():
            _push(workspace, rescued)
            step.detail = "what the interrupted run had made is noted"


def plan(workspace: Workspace, steps: Steps, *, details: bool = False, judge: bool = False) -> Planned:
    """Plan.

    Args:
        workspace: of which environment.
        steps: where it is shown.
        details: read the plan even when there is nothing to do, for what has drifted.
        judge: say what the policies forbid of its changes, where their tools are set up.
    """
    settings = workspace.settings
    file = settings.state / "terraform" / "plan"
    with steps.step("Plan") as step:
        shown = _plan(workspace, workspace.terraform, file, step, details=details)
        summary = plan_summary.summarize(shown)
        step.detail = summary.sentence
    if summary.actions.get("create") and state.begun(workspace.aws.client("s3"), settings):
        with steps.step("Look for what an interrupted apply has made") as step:
            shown, existing = _take_over(workspace, file, shown, step)
            summary = plan_summary.summarize(shown)
            step.detail = f"{_listed(existing)}; {summary.sentence}" if existing else "nothing that is not noted"
    if judge and summary.changes and checkov.folder(settings).is_dir():
        with steps.step("Policies") as step:
            findings = _findings(settings, shown)
            summary = dataclasses.replace(summary, findings=findings)
            step.detail = f"{len(findings)} findings"
    return Planned(file, summary)


def keep_whole(workspace: Workspace, steps: Steps) -> None:
    """Keep what an interrupted apply was waiting for and what has ended well since: Terraform would make it anew.

    Only what takes AWS long: Airflow's environment, half an hour.
    """
    s3, settings = workspace.aws.client("s3"), workspace.settings
    if not state.begun(s3, settings):
        return
    for thing in state.tainted(s3, settings):
        if thing.kind not in imports.LONG:
            continue
        with steps.step(f"Wait for {thing.address}") as step:
            if _settled(partial(imports.whole, workspace.aws, thing.kind, thing.values), step):
                workspace.terraform.untaint(thing.address)
                step.detail = "it is there, and stays"
            else:
                step.detail = "it was not made well: it is made anew"


def apply(workspace: Workspace, file: Path, steps: Steps, detail: str) -> None:
    """Apply a plan of Terraform's.

    Raises:
        TerraformError: it failed; what it had made is noted, and calling again goes on.
    """
    s3 = workspace.aws.client("s3")
    with steps.step("Apply") as step:
        state.note_begun(s3, workspace.settings)
        _apply(workspace, file, step)
        state.note_ended(s3, workspace.settings)
        step.detail = detail


def note_made(workspace: Workspace, steps: Steps) -> None:
    """Note in the state what an interrupted apply has made, so that a destroy takes it along."""
    if not state.begun(workspace.aws.client("s3"), workspace.settings):
        return
    file = workspace.settings.state / "terraform" / "plan"
    with steps.step("Look for what an interrupted apply has made") as step:
        shown = _plan(workspace, workspace.terraform, file, step)
        _, existing = _take_over(workspace, file, shown, step, alone=True)
        if existing:
            _apply(workspace, file, step)
        step.detail = _listed(existing) if existing else "nothing that is not noted"


def _plan(
    workspace: Workspace,
    terraform: Terraform,
    file: Path,
    step: Step,
    *,
    targets: Iterable[str] = (),
    details: bool = False,
) -> Mapping[str, Any]:
    """Plan into a file; its JSON, empty when there is nothing to do and no details are wanted."""
    with Watched(workspace, step) as progress:
        to_do = terraform.plan(file, var_files=workspace.var_files, targets=targets, on_event=progress)
    return terraform.show(file) if to_do or details else {}


def _apply(workspace: Workspace, file: Path, step: Step) -> None:
    try:
        with Watched(workspace, step) as progress:
            workspace.terraform.apply(file, on_event=progress)
    except TerraformError as error:
        raise _explained(workspace.settings, error) from error


def _take_over(
    workspace: Workspace, file: Path, shown: Mapping[str, Any], step: Step, *, alone: bool = False
) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Plan again with what is there, until the plan creates nothing that is; alone: and do nothing else.

    Returns:
        The plan's JSON, and what it takes over: address to import id.
    """
    existing: dict[str, str] = {}
    with workspace.copied_root() as (terraform, folder):
        while found := _settled(partial(imports.unnoted, workspace.aws, shown), step):
            existing |= found
            (folder / "adopt.tf").write_text(imports.blocks(existing), encoding="utf-8")
            shown = _plan(workspace, terraform, file, step, targets=existing if alone else ())
    return shown, existing


def _settled[T](look: Callable[[], T], step: Step) -> T:
    """What a look at AWS sees once nothing of it is being made any more."""
    began = time.monotonic()
    while True:
        try:
            return look()
        except imports.NotYet as making:
            if time.monotonic() - began > MAKING_SECONDS:
                raise OperatorError(f"{making} still, after {MAKING_SECONDS / 60:.0f} minutes: call again") from making
            step.update(str(making))
            time.sleep(LOOK_SECONDS)


def _listed(existing: Mapping[str, str], most: int = 3) -> str:
    names = list(existing)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} taken over: {', '.join(names[:most])}{more}"


def _findings(settings: Settings, shown: Mapping[str, Any]) -> list[str]:
    file = settings.state / "terraform" / "plan.json"
    write_private(file, json.dumps(shown).encode())
    try:
        return [str(finding) for finding in policy_findings.findings([file], settings)]
    finally:
        file.unlink()


def load(workspace: Workspace, file: Path) -> SavedPlan:
    """A saved plan that may be applied here and now; Terraform is not started for that.

    Raises:
        PlanRefused: it is another environment's or commit's, or stale; one that was applied already is no fault.
    """
    settings, s3 = workspace.settings, workspace.aws.client("s3")
    saved = saved_plan.load(file, workspace.aws.client("kms"), settings)
    refusal = saved_plan.refusal(saved.bound, saved_plan.here(settings, state.identity(s3, settings)))
    if refusal is not None and not _was_applied(workspace, saved):
        raise PlanRefused(refusal)
    return saved


def apply_saved(workspace: Workspace, saved: SavedPlan, steps: Steps) -> int:
    """Apply exactly a saved plan, as `load` gave it; how many changes there were."""
    settings = workspace.settings
    changes = int(saved.summary["changes"])
    if _was_applied(workspace, saved):
        with steps.step("Apply") as step:
            step.detail = "this plan was applied before"
        return changes
    if changes:
        file = settings.state / "terraform" / "saved-plan"
        write_private(file, saved.content)
        try:
            apply(workspace, file, steps, str(saved.summary["sentence"]))
        finally:
            file.unlink()
    state.note_applied(workspace.aws.client("s3"), settings, saved.digest)
    return changes


def _was_applied(workspace: Workspace, saved: SavedPlan) -> bool:
    settings, s3 = workspace.settings, workspace.aws.client("s3")
    return state.applied(s3, settings) == (saved.digest, state.identity(s3, settings).serial)


def _unlock(workspace: Workspace) -> None:
    """Take away a lock that nobody alive holds: one of ours, since we have the environment's own lock now.

    Raises:
        StateLockedError: it is somebody else's.
    """
    settings = workspace.settings
    found = state.lock(workspace.aws.client("s3"), settings)
    note = lock_note(settings)
    if found is not None:
        # The local state is nobody else's: whoever locked it was killed.
        if not settings.local and (not note.is_file() or note.read_text(encoding="utf-8") != found.id):
            raise found.error(settings.environment)
        workspace.terraform.force_unlock(found.id)
    note.unlink(missing_ok=True)


def _push(workspace: Workspace, rescued: Path) -> None:
    try:
        workspace.terraform.push_state(rescued)
    except TerraformError as error:
        raise OperatorError(
            f"{rescued} holds what an interrupted run had made, and cannot become the state"
            f" ({error.problems[0] if error.problems else error}): if the environment is mended by now, remove it"
        ) from error
    rescued.unlink()


def _explained(settings: Settings, error: TerraformError) -> OperatorError:
    """The line for a failed apply; a state that Terraform could not write is kept for the next run."""
    left = settings.terraform_root / ERRORED
    if left.is_file():
        left.replace(settings.state / ERRORED)
    if any(word in problem for problem in error.problems for word in _EXPIRED):
        return OperatorError(
            "the AWS credentials expired in the middle of the apply; what it had made is noted: log in again, and call"
            " again to go on"
        )
    if settings.local:
        # Whatever Terraform says of a call that nobody answered, this is why.
        emulator.require(settings)
    exists = next((problem for problem in error.problems if _EXISTS.search(problem)), None)
    if exists is not None:
        return OperatorError(
            f"{exists}: made by somebody else, or by an apply that was cut off after this was planned; a new plan takes"
            " over what carries this environment's tags: call invoke up, or invoke plan"
        )
    return error
