"""Nothing runs while there is no work: the smallest size of an Auto Scaling group is zero."""

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck
from reading import first


class MinimumSize(BaseResourceCheck):  # type: ignore[misc]  # checkov has no types
    """Checks the smallest size of Auto Scaling groups."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure an Auto Scaling group can be empty",
            id="CKV_WB_11",
            categories=[CheckCategories.GENERAL_SECURITY],
            supported_resources=["aws_autoscaling_group"],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Fail unless it is zero."""
        return CheckResult.PASSED if str(first(conf.get("min_size"))) == "0" else CheckResult.FAILED


check = MinimumSize()
