"""Logs end: a group without a retention keeps everything for ever, and is paid for ever."""

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck
from reading import first


class LogRetention(BaseResourceCheck):  # type: ignore[misc]  # checkov has no types
    """Checks how long log groups keep what is in them."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure a log group has an end",
            id="CKV_WB_10",
            categories=[CheckCategories.LOGGING],
            supported_resources=["aws_cloudwatch_log_group"],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Fail where they keep it for ever: without a number of days, or with 0."""
        # CloudWatch takes 0 for "never".
        kept_for_ever = first(conf.get("retention_in_days")) in (None, 0, "0")
        return CheckResult.FAILED if kept_for_ever else CheckResult.PASSED


check = LogRetention()
