"""Whether a plan keeps to the policies: checkov's checks and our own on the plan, an analyser on its IAM policies.

What is shown of a plan is pure; both tools run in checkov's own environment, as commands.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scripts.core.errors import ToolError
from scripts.core.settings import Settings
from scripts.tools import checkov

Kind = Literal["identity", "resource", "trust"]
# checkov follows variables from module to module in rounds, and gives up after four that bring little: in the larger
# modules it then looks at variables' names instead of their values. A dozen reach them all.
SOURCE_ENVIRONMENT = {"RENDER_EDGES_DUPLICATE_ITER_COUNT": "12"}
# What would make the tools talk to a service, or hide findings.
_FOREIGN = ("AWS_", "BC_", "CKV_", "CHECKOV_", "PRISMA_", "REPO_ID")
# The resource types whose policies say what their principal may do; every other policy stands at what is used.
_IDENTITIES = ("aws_iam_",)
_TRUST = "assume_role_policy"


@dataclass(frozen=True, order=True)
class Finding:
    """Something that a policy forbids.

    Attributes:
        check: the check's id, such as `CKV_WB_3`, or the analyser's name of the issue.
        resource: the address.
        says: what the check wants, or what the analyser says.
    """

    check: str
    resource: str
    says: str

    def __str__(self) -> str:
        return f"{self.check} {self.resource}: {self.says}"


@dataclass(frozen=True, order=True)
class RenderedPolicy:
    """An IAM policy as a plan renders it.

    Attributes:
        address: the resource, and the attribute.
        kind: whose: an identity's, a resource's, or a role's trust.
        document: JSON.
    """

    address: str
    kind: Kind
    document: str


def findings(plans: Sequence[Path], settings: Settings) -> list[Finding]:
    """What the policies forbid of plans, sorted; empty when they keep to them.

    Args:
        plans: what `terraform show -json` says of saved plans. They hold every value, secret ones too: the caller
            removes them.
        settings: whose checkov, and whose checkout the plan was made of; exceptions stand in the code, at the resource.

    Raises:
        ToolError: checkov is not there, or cannot read the plan.
    """
    found = _checkov(plans, settings)
    found += analysed((policy for plan in plans for policy in rendered(json.loads(plan.read_text("utf-8")))), settings)
    return sorted(set(found))


def rendered(plan: Mapping[str, Any]) -> list[RenderedPolicy]:
    """Every IAM policy in a plan's values, sorted by address; those that only an apply knows are left out."""
    return sorted(
        RenderedPolicy(f"{resource['address']}.{name}", _kind(resource["type"], name), value)
        for resource in _resources(plan.get("planned_values", {}).get("root_module", {}))
        for name, value in resource.get("values", {}).items()
        if _is_policy(value)
    )


def analysed(policies: Iterable[RenderedPolicy], settings: Settings) -> list[Finding]:
    """What the analyser says above "low" of policies.

    Raises:
        ToolError: it cannot be run.
    """
    given = json.dumps([{"address": one.address, "kind": one.kind, "document": one.document} for one in policies])
    python = checkov.folder(settings) / "bin" / "python"
    script = settings.terraform_root / "policies" / "analyser" / "analyse.py"
    answer = _run([str(python), str(script)], settings, given=given, folder=script.parent)
    return sorted(Finding(one["issue"], one["address"], one["detail"]) for one in json.loads(answer))


def _checkov(plans: Sequence[Path], settings: Settings) -> list[Finding]:
    root = settings.terraform_root
    command = [
        str(checkov.folder(settings) / "bin" / "checkov"),
        *("--file", *(str(plan.resolve()) for plan in plans), "--framework", "terraform_plan"),
        # Exceptions stand in the source.
        *("--repo-root-for-plan-enrichment", str(root)),
        *("--external-checks-dir", str(root / "policies")),
        *("--skip-download", "--output", "json", "--quiet", "--compact", "--soft-fail"),
    ]
    # Not in the root: its configuration file is for the source.
    answer = _run(command, settings, given="", folder=root / "policies")
    named = ", ".join(map(str, plans))
    try:
        report = json.loads(answer)
    except ValueError as error:
        raise ToolError(
            f"checkov cannot read the plan {named}: {answer.strip()[-300:] or 'it says nothing'}"
        ) from error
    # A plan without resources has a summary only.
    if report.get("summary", report)["parsing_errors"]:
        raise ToolError(f"checkov cannot read the plan {named}: make it by `terraform show -json`")
    failed = report.get("results", {}).get("failed_checks", [])
    return [Finding(one["check_id"], one["resource"], one["check_name"]) for one in failed]


def _run(command: list[str], settings: Settings, *, given: str, folder: Path) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    environ |= {
        # Values that only the apply knows are there all the same, for the checks that ask whether they are.
        "EVAL_TF_PLAN_AFTER_UNKNOWN": "1",
        # A configuration of the user's own is none of ours.
        "HOME": str(checkov.folder(settings)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        done = subprocess.run(
            command, input=given, cwd=folder, env=environ, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError as error:
        raise ToolError(f"{command[0]} is missing: invoke setup --tests") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ToolError(f"{Path(command[0]).name} failed with exit code {done.returncode}: {last}")
    return done.stdout


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource in module.get("resources", []):
        if resource.get("mode") == "managed":
            yield resource
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _is_policy(value: Any) -> bool:
    if not isinstance(value, str) or '"Statement"' not in value:
        return False
    try:
        document = json.loads(value)
    except ValueError:
        return False
    return isinstance(document, dict) and "Statement" in document


def _kind(resource_type: str, attribute: str) -> Kind:
    if attribute == _TRUST:
        return "trust"
    return "identity" if resource_type.startswith(_IDENTITIES) else "resource"
