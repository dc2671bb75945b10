"""Analyses IAM policies: a JSON list of `address`, `kind`, `document` in, a list of `address`, `issue`, `detail` out.

parliament says what cannot work (no such action, a resource that no action takes, a condition that is never there),
cloudsplaining what is too wide (escalation, exfiltration, exposure). What they call low is left out: it is shown by
checkov's own checks, which know exceptions. This runs in checkov's environment and imports nothing of ours.
"""

import json
import sys
from collections.abc import Iterator

import parliament
from cloudsplaining.output.policy_finding import PolicyFinding
from cloudsplaining.scan.policy_document import PolicyDocument
from cloudsplaining.shared.exclusions import Exclusions

BELOW = {"mute", "low"}
# Low to parliament, since its list of actions ages; a misspelt action is a right that somebody will miss.
RAISED = {"UNKNOWN_ACTION", "UNKNOWN_PREFIX"}
# What AWS has brought since then. tests/terraform/test_authorization.py holds every action against a newer list.
NEWER = {"autoscaling:LaunchInstances"}
# ECS logs in to the registry with it. It takes no resource, and its token opens only what the role may pull.
NEEDED = Exclusions({"exclude-actions": ["ecr:GetAuthorizationToken"]})


def linted(address: str, document: str) -> Iterator[dict[str, str]]:
    """What parliament finds."""
    for found in parliament.analyze_policy_string(document, address, ignore_private_auditors=True).findings:
        finding = parliament.enhance_finding(found)
        if finding.issue == "UNKNOWN_ACTION" and any(finding.detail.endswith(action) for action in NEWER):
            continue
        if finding.severity.lower() not in BELOW or finding.issue in RAISED:
            statement = finding.location.get("sid") or finding.location.get("string") or ""
            yield {
                "address": address,
                "issue": finding.issue,
                "detail": f"{finding.title}: {finding.detail} {statement}",
            }


def assessed(address: str, document: str) -> Iterator[dict[str, str]]:
    """What cloudsplaining finds; it is about what an identity may do."""
    for issue, result in PolicyFinding(PolicyDocument(json.loads(document)), NEEDED).results.items():
        if isinstance(result, dict) and result["severity"] not in BELOW and result["findings"]:
            yield {"address": address, "issue": issue, "detail": json.dumps(result["findings"])}


def with_resource(document: str) -> str:
    """A role's trust as parliament wants it, which knows no policy without a resource; a trust's is the role itself."""
    trust = json.loads(document)
    statements = trust["Statement"] if isinstance(trust["Statement"], list) else [trust["Statement"]]
    return json.dumps(trust | {"Statement": [{"Resource": "*"} | statement for statement in statements]})


def main() -> None:
    """Read policies from the standard input, and write what is found in them to the standard output."""
    found = []
    for policy in json.load(sys.stdin):
        document = policy["document"] if policy["kind"] != "trust" else with_resource(policy["document"])
        found += linted(policy["address"], document)
        if policy["kind"] == "identity":
            found += assessed(policy["address"], policy["document"])
    json.dump(found, sys.stdout)


main()
