"""What a plan would do, from `terraform show -json`: what changes, what that interrupts, what has drifted.

Names of attributes are shown, never values: some are secret.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Our words for what a plan does to a resource, in the order in which they are shown.
ACTIONS = ("create", "update", "replace", "delete", "import", "move", "forget")
# What an action on a kind of resource costs whoever uses the environment; no words: nobody notices.
_DESTROYED = frozenset({"replace", "delete"})
_MWAA = "MWAA is updated for 20 to 40 minutes, and its workers are replaced: Airflow tasks that run may be killed"
_GONE = {
    "aws_autoscaling_group": "every instance ends, and the ECS tasks on it with it",
    "aws_cloudwatch_log_group": "its log events are lost",
    "aws_ecr_repository": "its images are lost",
    "aws_ecs_capacity_provider": "no ECS task starts until it is there again",
    "aws_ecs_cluster": "every ECS task ends",
    "aws_kms_key": "what it encrypts cannot be read any more once its waiting period is over",
    "aws_mwaa_environment": "Airflow's history is lost; making it anew takes 20 to 40 minutes more",
    "aws_nat_gateway": "connections to the outside are cut",
    "aws_s3_bucket": "its objects are lost, and a bucket that still holds some is not deleted",
    "aws_security_group": "connections through it are cut",
    "aws_subnet": "all that runs in it ends first",
    "aws_vpc": "all that runs in it ends first",
    "aws_vpc_endpoint": "AWS services are out of reach until it is there again",
}
_CHANGED = {
    "aws_autoscaling_group": "instances that run stay as they are",
    "aws_launch_template": "only instances that start from now on have it",
    "aws_mwaa_environment": _MWAA,
}
_TAGS = frozenset({"tags", "tags_all"})


@dataclass(frozen=True, order=True)
class Change:
    """What a plan does to one resource.

    Attributes:
        module: its address; empty for the root.
        address: the resource's.
        action: one of `ACTIONS`.
        kind: the resource's type.
        attributes: names of those that change; none for what is created or deleted.
        because: attributes that make a replacement necessary.
    """

    module: str
    address: str
    action: str
    kind: str = ""
    attributes: Sequence[str] = ()
    because: Sequence[str] = ()

    @property
    def interrupts(self) -> str:
        """What that costs whoever uses the environment, in words; empty where nobody notices."""
        if self.action in _DESTROYED:
            if self.kind == "aws_ecs_task_definition":
                return "jobs that run keep their revision; new ones take the new one from the next DAG release on"
            return _GONE.get(self.kind, "")
        if self.action in {"update", "import"} and not set(self.attributes) <= _TAGS:
            return _CHANGED.get(self.kind, "")
        return ""

    def as_json(self) -> dict[str, Any]:
        """Give it as `--json` shows it."""
        return {
            "module": self.module,
            "address": self.address,
            "action": self.action,
            "attributes": list(self.attributes),
            "because": list(self.because),
            "interrupts": self.interrupts or None,
        }


@dataclass(frozen=True)
class PlanSummary:
    """A plan's changes.

    Attributes:
        resources: sorted.
        outputs: names of the outputs that change.
        drift: what was changed behind Terraform's back and would be put back; sorted. The action is what happened.
        noticed: addresses that changed behind Terraform's back in a way that the configuration leaves open.
        findings: what the policies forbid of it, a line each; None: nobody looked.
    """

    resources: Sequence[Change] = ()
    outputs: Sequence[str] = ()
    drift: Sequence[Change] = ()
    noticed: Sequence[str] = ()
    findings: Sequence[str] | None = None

    @property
    def changes(self) -> int:
        """0 exactly when Terraform says that there is nothing to do."""
        return len(self.resources) + len(self.outputs)

    @property
    def actions(self) -> dict[str, int]:
        """How many resources an action is for; actions that are for none are left out."""
        return _counts(self.resources)

    @property
    def modules(self) -> dict[str, dict[str, int]]:
        """The same by module."""
        names = sorted({change.module for change in self.resources})
        return {name: _counts(change for change in self.resources if change.module == name) for name in names}

    @property
    def interruptions(self) -> list[Change]:
        """Give the changes that interrupt what runs."""
        return [change for change in self.resources if change.interrupts]

    @property
    def sentence(self) -> str:
        """Say in one line how much changes."""
        if not self.changes:
            return "No changes"
        words = [f"{count} to {action}" for action, count in self.actions.items()]
        if self.outputs:
            words.append(f"{len(self.outputs)} output{'s' if len(self.outputs) > 1 else ''} to change")
        return ", ".join(words)

    def as_json(self) -> dict[str, Any]:
        """Give it as `--json` shows it."""
        return {
            "changes": self.changes,
            "actions": self.actions,
            "modules": self.modules,
            "resources": [change.as_json() for change in self.resources],
            "outputs": list(self.outputs),
            "drift": [change.as_json() for change in self.drift],
            "noticed": list(self.noticed),
            "findings": None if self.findings is None else list(self.findings),
        }


def summarize(plan: Mapping[str, Any]) -> PlanSummary:
    """Read a plan's JSON; data sources that are read are no changes."""
    resources = _changes(plan.get("resource_changes", ()))
    planned = {change.address for change in resources}
    drifted = _changes(plan.get("resource_drift", ()), drifted=True)
    outputs = plan.get("output_changes") or {}
    return PlanSummary(
        resources=resources,
        outputs=sorted(name for name, change in outputs.items() if change["actions"] != ["no-op"]),
        drift=[change for change in drifted if change.address in planned],
        noticed=[change.address for change in drifted if change.address not in planned],
    )


def _counts(changes: Iterable[Change]) -> dict[str, int]:
    counts = Counter(change.action for change in changes)
    return {action: counts[action] for action in ACTIONS if counts[action]}


def _changes(entries: Iterable[Mapping[str, Any]], *, drifted: bool = False) -> list[Change]:
    found = []
    for entry in entries:
        action = _action(entry)
        if action is None or entry.get("mode", "managed") != "managed":
            continue
        change = entry["change"]
        attributes = _attributes(change) if action in {"update", "replace", "import"} else []
        if not attributes and action == "update" and drifted:
            # The provider reads back an empty map for none.
            continue
        found.append(
            Change(
                entry.get("module_address", ""),
                entry["address"],
                action,
                entry.get("type", ""),
                attributes,
                sorted({str(path[0]) for path in change.get("replace_paths", ()) if path}),
            )
        )
    return sorted(found)


def _action(entry: Mapping[str, Any]) -> str | None:
    actions = list(entry["change"]["actions"])
    if sorted(actions) == ["create", "delete"]:
        return "replace"
    if entry["change"].get("importing"):
        # What is taken over may have to be changed, too.
        return "import"
    if actions == ["no-op"]:
        return "move" if entry.get("previous_address") else None
    return actions[0] if actions[0] in ACTIONS else None


def _attributes(change: Mapping[str, Any]) -> list[str]:
    before, after = change.get("before") or {}, change.get("after") or {}
    unknown = change.get("after_unknown") or {}
    unknown = unknown if isinstance(unknown, Mapping) else {}

    def value(side: Mapping[str, Any], name: str) -> Any:
        found = side.get(name)
        return None if found in ({}, [], "") else found

    return sorted(
        name
        for name in {*before, *after, *unknown}
        if value(before, name) != value(after, name) or unknown.get(name) is True
    )
