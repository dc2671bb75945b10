"""Shows people a plan: data in, rich's renderables or Markdown out."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from scripts.core.console import plain_table
from scripts.terraform.plan_summary import ACTIONS, Change, PlanSummary

# Of resources that are shown at most.
ROWS = 40
# A comment on GitHub has room for 65,536 characters.
COMMENT_ROWS = 250


def plan(summary: PlanSummary) -> list[RenderableType]:
    """A plan to decide on: by module, what is replaced, what that interrupts, what has drifted."""
    parts: list[RenderableType] = [drift(summary)] if summary.drift else []
    if not summary.changes:
        return [*parts, "No changes: the environment is what the checkout says."]
    used = [action for action in ACTIONS if summary.actions.get(action)]
    table = Table("module", *used, title=summary.sentence, title_justify="left")
    for module, actions in summary.modules.items():
        table.add_row(module or "(root)", *(str(actions.get(action, "")) for action in used))
    if summary.outputs:
        table.caption = f"outputs that change: {', '.join(summary.outputs)}"
        table.caption_justify = "left"
    parts.append(table)
    detailed = [change for change in summary.resources if change.action != "create"]
    if detailed:
        changes = plain_table("resource", "action", "what changes")
        for change in detailed[:ROWS]:
            changes.add_row(Text(change.address, overflow="fold"), change.action, _what(change))
        if len(detailed) > ROWS:
            changes.caption = f"and {len(detailed) - ROWS} more: --json lists all"
        parts.append(changes)
    if summary.interruptions:
        parts.append(Text("What that interrupts:"))
        parts += [Text(f"  {change.address}: {change.interrupts}") for change in summary.interruptions]
    if summary.findings:
        parts.append(Text("What the policies forbid of it:", style="red"))
        parts += [Text(f"  {finding}") for finding in summary.findings]
    else:
        parts.append(Text(_unforbidden(summary)))
    return parts


def plan_markdown(summary: PlanSummary, environment: str, commit: str) -> str:
    """The same for a pull request's comment; the first line tells a program which comment it is."""
    lines = [f"<!-- winbatch plan: {environment} -->", f"### Plan for `{environment}`: {summary.sentence}", ""]
    if summary.interruptions:
        lines += ["**What it interrupts**", ""]
        lines += [f"- `{change.address}`: {change.interrupts}" for change in summary.interruptions] + [""]
    if summary.findings:
        lines += ["**What the policies forbid of it**", "", *(f"- {finding}" for finding in summary.findings), ""]
    elif summary.changes:
        lines += [_unforbidden(summary), ""]
    if summary.drift:
        lines += [drift_markdown(summary), ""]
    if summary.changes:
        used = [action for action in ACTIONS if summary.actions.get(action)]
        lines += [f"| module | {' | '.join(used)} |", "| --- |" + " --- |" * len(used)]
        for module, actions in summary.modules.items():
            lines.append(f"| {module or '(root)'} | {' | '.join(str(actions.get(action, '')) for action in used)} |")
        shown = summary.resources[:COMMENT_ROWS]
        lines += ["", "<details><summary>Every resource</summary>", ""]
        lines += [f"- {change.action} `{change.address}`{_because(change)}" for change in shown]
        if len(summary.resources) > len(shown):
            lines.append(f"- and {len(summary.resources) - len(shown)} more")
        if summary.outputs:
            lines.append(f"- outputs: {', '.join(f'`{name}`' for name in summary.outputs)}")
        lines += ["", "</details>", ""]
    return "\n".join([*lines, f"Commit {commit or 'unknown'}."]) + "\n"


def drift_markdown(summary: PlanSummary) -> str:
    """What was changed behind Terraform's back, for a comment or an issue."""
    lines = [f"- `{change.address}` {_happened(change)}" for change in summary.drift[:COMMENT_ROWS]]
    return "\n".join(["**Changed behind Terraform's back; the next apply puts it back**", "", *lines])


def drift(summary: PlanSummary) -> Table:
    """What was changed behind Terraform's back, and would be put back."""
    table = plain_table("changed behind Terraform's back", "what")
    for change in summary.drift:
        table.add_row(Text(change.address, overflow="fold"), _happened(change))
    return table


def _unforbidden(summary: PlanSummary) -> str:
    """That there is no finding, and whether anybody looked."""
    if summary.findings is None:
        return "Nobody looked whether the policies forbid any of it: invoke plan does, after invoke setup --tests."
    return "The policies forbid nothing of it."


def _happened(change: Change) -> str:
    return "was deleted" if change.action == "delete" else f"has another {', '.join(change.attributes)}"


def _what(change: Change) -> str:
    return f"{', '.join(change.attributes)}{_because(change)}"


def _because(change: Change) -> str:
    return f" (replaced because of {', '.join(change.because)})" if change.because else ""
