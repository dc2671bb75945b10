"""Instances answer for their role by session tokens only, and not to containers."""

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck
from reading import blocks, first


class InstanceMetadata(BaseResourceCheck):  # type: ignore[misc]  # checkov has no types
    """Checks the metadata options of launch templates."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure a launch template requires IMDSv2 and keeps it one hop from containers",
            id="CKV_WB_6",
            categories=[CheckCategories.GENERAL_SECURITY],
            supported_resources=["aws_launch_template"],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Fail unless tokens are required and stay within one hop."""
        for options in blocks(conf, "metadata_options"):
            near = str(first(options.get("http_put_response_hop_limit"))) == "1"
            if first(options.get("http_tokens")) == "required" and near:
                return CheckResult.PASSED
        return CheckResult.FAILED


check = InstanceMetadata()
