"""What is asked of every plan's policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from scripts.core.settings import Settings
from scripts.terraform import policy_findings

# Resources that are a policy, or have one.
POLICIES = {
    "aws_iam_policy",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_kms_key_policy",
    "aws_s3_bucket_policy",
    "aws_sns_topic_policy",
    "aws_sqs_queue_policy",
}


def check_policies(plans: Mapping[Path, str | None]) -> None:
    """The plans keep to the policies, and each IAM policy that they must know is rendered and so was looked at.

    Args:
        plans: as JSON; and of each which addresses' policies it must know: after an apply all of them, "", and None:
            some.
    """
    found = policy_findings.findings(list(plans), Settings.load("local"))
    assert not found, "\n".join(map(str, found))
    for plan, rendered_below in plans.items():
        document = json.loads(plan.read_text())
        wanted = {change["address"] for change in document["resource_changes"] if change["type"] in POLICIES}
        rendered = {policy.address.rsplit(".", 1)[0] for policy in policy_findings.rendered(document)}
        assert len(wanted) > 10
        if rendered_below is None:
            assert wanted & rendered
            continue
        known = {address for address in wanted if address.startswith(rendered_below)}
        assert known
        assert known <= rendered, known - rendered
