"""Policy statements, as a data source writes them and as a plan renders them: one check tells both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.data.base_check import BaseDataCheck
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck
from reading import blocks, first, strings

# Where a rendered policy stands, by resource type. An endpoint's is not here: it lets through, and grants nothing.
RENDERED = {
    "aws_cloudwatch_log_resource_policy": "policy_document",
    "aws_ecr_repository_policy": "policy",
    "aws_iam_policy": "policy",
    "aws_iam_role": "assume_role_policy",
    "aws_iam_role_policy": "policy",
    "aws_kms_key": "policy",
    "aws_kms_key_policy": "policy",
    "aws_s3_bucket_policy": "policy",
    "aws_sns_topic_policy": "policy",
    "aws_sqs_queue_policy": "policy",
}


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        allows: whether it allows.
        actions: in lower case; `*` where it says what it is not about.
        resources: as they stand there.
        services: the principals that are services.
        condition_keys: what its conditions test, in lower case, as IAM compares them.
    """

    allows: bool
    actions: frozenset[str]
    resources: tuple[str, ...]
    services: tuple[str, ...]
    condition_keys: frozenset[str]


def written(configuration: Mapping[str, Any]) -> Iterator[Statement]:
    """The statements of an `aws_iam_policy_document`."""
    for block in blocks(configuration, "statement"):
        yield Statement(
            # It allows when it does not say.
            allows=first(block.get("effect")) in (None, "Allow"),
            actions=frozenset(text.lower() for text in strings(block.get("actions"))) | _all_but(block, "not_actions"),
            resources=tuple(strings(block.get("resources"))),
            services=tuple(
                service
                for principal in blocks(block, "principals")
                if first(principal.get("type")) == "Service"
                for service in strings(principal.get("identifiers"))
            ),
            condition_keys=frozenset(
                text.lower() for test in blocks(block, "condition") for text in strings(test.get("variable"))
            ),
        )


def rendered(value: Any) -> list[Statement] | None:
    """The statements of a policy in JSON; None when it is not known before apply."""
    value = first(value)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return None
    if not isinstance(value, dict) or "Statement" not in value:
        return None
    found = value["Statement"]
    return [_rendered(one) for one in (found if isinstance(found, list) else [found])]


def register(*, check_id: str, name: str, is_bad: Callable[[Statement], bool]) -> list[object]:
    """Make a check of what no statement may say, for the source and for the plan.

    Args:
        check_id: checkov's name of it.
        name: what it ensures.
        is_bad: tells.
    """
    return [
        _Written(
            name=name, id=check_id, categories=[CheckCategories.IAM], supported_data=["aws_iam_policy_document"]
        ).telling(is_bad),
        _Rendered(
            name=name, id=check_id, categories=[CheckCategories.IAM], supported_resources=sorted(RENDERED)
        ).telling(is_bad),
    ]


class _Written(BaseDataCheck):  # type: ignore[misc]  # checkov has no types
    is_bad: Callable[[Statement], bool]

    def telling(self, is_bad: Callable[[Statement], bool]) -> _Written:
        self.is_bad = is_bad
        return self

    def scan_data_conf(self, conf: dict[str, Any]) -> CheckResult:
        return CheckResult.FAILED if any(self.is_bad(one) for one in written(conf)) else CheckResult.PASSED


class _Rendered(BaseResourceCheck):  # type: ignore[misc]  # checkov has no types
    is_bad: Callable[[Statement], bool]

    def telling(self, is_bad: Callable[[Statement], bool]) -> _Rendered:
        self.is_bad = is_bad
        return self

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        statements = rendered(conf.get(RENDERED[self.entity_type]))
        if statements is None:
            return CheckResult.UNKNOWN
        return CheckResult.FAILED if any(self.is_bad(one) for one in statements) else CheckResult.PASSED


def _rendered(one: Mapping[str, Any]) -> Statement:
    principal = one.get("Principal")
    conditions = one.get("Condition") or {}
    return Statement(
        allows=one.get("Effect") == "Allow",
        actions=frozenset(text.lower() for text in strings(one.get("Action"))) | _all_but(one, "NotAction"),
        resources=tuple(strings(one.get("Resource"))),
        services=tuple(strings(principal.get("Service"))) if isinstance(principal, dict) else (),
        condition_keys=frozenset(key.lower() for test in conditions.values() for key in test),
    )


def _all_but(statement: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset({"*"}) if strings(statement.get(name)) else frozenset()
