"""Who may pass a role may pass named roles, and to one service."""

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.data.base_check import BaseDataCheck
from reading import allows, blocks, condition_keys, strings


class PassRole(BaseDataCheck):  # type: ignore[misc]  # checkov has no types
    def __init__(self) -> None:
        super().__init__(
            name="Ensure iam:PassRole names its roles and the service that it passes them to",
            id="CKV_WB_3",
            categories=[CheckCategories.IAM],
            supported_data=["aws_iam_policy_document"],
        )

    def scan_data_conf(self, conf: dict[str, Any]) -> CheckResult:
        for statement in blocks(conf, "statement"):
            actions = {action.lower() for action in strings(statement.get("actions"))}
            if not allows(statement) or not actions & {"iam:passrole", "iam:pass*", "iam:*"}:
                continue
            anywhere = any("*" in resource for resource in strings(statement.get("resources")))
            if anywhere or "iam:passedtoservice" not in condition_keys(statement):
                return CheckResult.FAILED
        return CheckResult.PASSED


check = PassRole()
