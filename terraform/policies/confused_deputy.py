"""A service may assume a role only on behalf of our own account."""

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.data.base_check import BaseDataCheck
from reading import allows, blocks, condition_keys, first, strings

# EC2 sets neither key when it assumes an instance's role; who may hand one over is decided by iam:PassRole.
WITHOUT_SOURCE = "ec2."
SOURCES = {"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid"}


class ConfusedDeputy(BaseDataCheck):  # type: ignore[misc]  # checkov has no types
    def __init__(self) -> None:
        super().__init__(
            name="Ensure a service's trust names the account or resource that it acts for",
            id="CKV_WB_2",
            categories=[CheckCategories.IAM],
            supported_data=["aws_iam_policy_document"],
        )

    def scan_data_conf(self, conf: dict[str, Any]) -> CheckResult:
        for statement in blocks(conf, "statement"):
            if not allows(statement) or "sts:AssumeRole" not in strings(statement.get("actions")):
                continue
            services = [
                service
                for principal in blocks(statement, "principals")
                if first(principal.get("type")) == "Service"
                for service in strings(principal.get("identifiers"))
            ]
            exposed = [service for service in services if not service.startswith(WITHOUT_SOURCE)]
            if exposed and not SOURCES & condition_keys(statement):
                return CheckResult.FAILED
        return CheckResult.PASSED


check = ConfusedDeputy()
