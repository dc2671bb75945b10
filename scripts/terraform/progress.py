"""How far a Terraform command is, and the note of the lock that it holds meanwhile."""

from pathlib import Path
from typing import Self

from scripts.core.console import Step
from scripts.core.settings import Settings
from scripts.terraform import state
from scripts.terraform.cli import Event
from scripts.terraform.workspace import Workspace

# How many parts an action has whose end is told; what is imported or moved has none.
_PARTS = {"create": 1, "update": 1, "delete": 1, "replace": 2}


def lock_note(settings: Settings) -> Path:
    """Where the id of the state's lock is noted while a command of ours holds it."""
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
            lock_note(self._workspace.settings).unlink(missing_ok=True)

    def __call__(self, event: Event) -> None:
        """Take an event of Terraform's and show how far it is."""
        kind = event.get("type")
        hook = event.get("hook", {})
        if hook and not self._noted:
            self._note()
        if hook.get("action") == "read":
            return
        address = hook.get("resource", {}).get("addr", "")
        if kind == "planned_change":
            self._total += _PARTS.get(event["change"]["action"], 0)
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
            lock_note(settings).write_text(found.id, encoding="utf-8")
