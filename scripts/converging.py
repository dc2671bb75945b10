"""Terraform for an environment: planned, saved, applied, and mended after a run that was cut off.

What a run leaves when it is cut off: the state's lock, when Terraform was killed or its credentials expired, and then
also what it had made and could not note (`errored.tfstate`). Both are known by notes in the environment's state folder,
and the next run puts them right before it begins.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from scripts import local, plan_summary, plans, policies, setup, state
from scripts.console import Step, Steps
from scripts.errors import OperatorError, PlanRefused, TerraformError
from scripts.plan_summary import PlanSummary
from scripts.plans import SavedPlan, write_private
from scripts.settings import Settings
from scripts.terraform import Event
from scripts.workspace import Workspace

# Where Terraform leaves a state that it could not write, in its working folder.
ERRORED = "errored.tfstate"
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
    file = workspace.settings.state / "terraform" / "plan"
    with steps.step("Plan") as step:
        with Watched(workspace, step) as progress:
            to_do = workspace.terraform.plan(file, var_files=workspace.var_files, on_event=progress)
        shown = workspace.terraform.show(file) if to_do or details else {}
        summary = plan_summary.summarize(shown)
        step.detail = summary.sentence
    if judge and summary.changes and setup.checkov_folder(workspace.settings).is_dir():
        with steps.step("Policies") as step:
            findings = _findings(workspace.settings, shown)
            summary = dataclasses.replace(summary, findings=findings)
            step.detail = f"{len(findings)} findings"
    return Planned(file, summary)


def apply(workspace: Workspace, file: Path, steps: Steps, detail: str) -> None:
    """Apply a plan of Terraform's.

    Raises:
        TerraformError: it failed; what it had made is noted, and calling again goes on.
    """
    with steps.step("Apply") as step:
        try:
            with Watched(workspace, step) as progress:
                workspace.terraform.apply(file, on_event=progress)
        except TerraformError as error:
            raise _explained(workspace.settings, error) from error
        step.detail = detail


def _findings(settings: Settings, shown: Mapping[str, Any]) -> list[str]:
    file = settings.state / "terraform" / "plan.json"
    write_private(file, json.dumps(shown).encode())
    try:
        return [str(finding) for finding in policies.findings(file, settings)]
    finally:
        file.unlink()


def load(workspace: Workspace, file: Path) -> SavedPlan:
    """A saved plan that may be applied here and now; Terraform is not started for that.

    Raises:
        PlanRefused: it is another environment's or commit's, or stale; one that was applied already is no fault.
    """
    settings, s3 = workspace.settings, workspace.aws.client("s3")
    saved = plans.load(file, workspace.aws.client("kms"), settings)
    refusal = plans.refusal(saved.bound, plans.here(settings, state.identity(s3, settings)))
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
    note = _lock_note(settings)
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
        local.require(settings)
        if any("AlreadyExists" in problem or "already exists" in problem for problem in error.problems):
            return OperatorError(
                f"an earlier up was cut off before Terraform could note what it had made ({error.problems[0]}):"
                " invoke down, then invoke up"
            )
    return error


def _lock_note(settings: Settings) -> Path:
    return settings.state / "terraform" / "lock"


class Watched:
    """Shows how far a Terraform command is, from its events, and notes the lock that it holds meanwhile."""

    def __init__(self, workspace: Workspace, step: Step) -> None:
        self._workspace = workspace
        self._step = step
        self._noted = False
        self._total = 0
        self._done = 0
        self._refreshed = 0
        self._under_way: dict[str, None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # One that failed may have left its lock.
        if kind is None:
            _lock_note(self._workspace.settings).unlink(missing_ok=True)

    def __call__(self, event: Event) -> None:
        kind = event.get("type")
        hook = event.get("hook", {})
        if hook and not self._noted:
            self._note()
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

    def _note(self) -> None:
        """Terraform has begun, so the lock is ours now."""
        self._noted = True
        settings = self._workspace.settings
        found = state.lock(self._workspace.aws.client("s3"), settings)
        if found is not None:
            _lock_note(settings).write_text(found.id, encoding="utf-8")
