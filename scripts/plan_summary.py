"""What a plan would change, from the events of `terraform plan -json`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Terraform's words for what a plan does to a resource, in the order in which they are shown.
ACTIONS = ("create", "update", "replace", "delete", "import", "move", "forget")


@dataclass(frozen=True)
class PlanSummary:
    """A plan's changes.

    Attributes:
        resources: (module, address, action), sorted; the root is the module "".
        outputs: names of the outputs that change.
    """

    resources: Sequence[tuple[str, str, str]]
    outputs: Sequence[str]

    @property
    def changes(self) -> int:
        """0 exactly when Terraform says that there is nothing to do."""
        return len(self.resources) + len(self.outputs)

    @property
    def actions(self) -> dict[str, int]:
        """How many resources an action is for; actions that are for none are left out."""
        counts = Counter(action for _, _, action in self.resources)
        return {action: counts[action] for action in ACTIONS if counts[action]}

    @property
    def modules(self) -> dict[str, dict[str, int]]:
        """The same by module."""
        names = sorted({module for module, _, _ in self.resources})
        return {
            name: PlanSummary([change for change in self.resources if change[0] == name], ()).actions for name in names
        }

    @property
    def sentence(self) -> str:
        if not self.changes:
            return "No changes"
        words = [f"{count} to {action}" for action, count in self.actions.items()]
        if self.outputs:
            words.append(f"{len(self.outputs)} output{'s' if len(self.outputs) > 1 else ''} to change")
        return ", ".join(words)

    def as_json(self) -> dict[str, Any]:
        return {
            "changes": self.changes,
            "actions": self.actions,
            "modules": self.modules,
            "resources": [
                {"module": module, "address": address, "action": action} for module, address, action in self.resources
            ],
            "outputs": list(self.outputs),
        }


def summarize(events: Iterable[Mapping[str, Any]]) -> PlanSummary:
    """Read the changes out of a plan's events; drift that Terraform merely noticed and data sources are none."""
    resources = set()
    outputs = set()
    for event in events:
        if event.get("type") == "planned_change":
            change = event["change"]
            if change["action"] in ACTIONS:
                resource = change["resource"]
                resources.add((resource.get("module", ""), resource["addr"], change["action"]))
        elif event.get("type") == "outputs":
            outputs |= {
                name for name, value in event["outputs"].items() if value.get("action", "noop") not in {"noop", ""}
            }
    return PlanSummary(sorted(resources), sorted(outputs))
