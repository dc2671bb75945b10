"""A task definition says which Windows it is for; without it ECS places it on anything."""

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck
from reading import blocks, first


class WindowsPlatform(BaseResourceCheck):  # type: ignore[misc]  # checkov has no types
    """Checks the runtime platform of task definitions."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure an ECS task definition names its Windows version and X86_64",
            id="CKV_WB_4",
            categories=[CheckCategories.GENERAL_SECURITY],
            supported_resources=["aws_ecs_task_definition"],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Fail unless it is a version of Windows Server on X86_64."""
        for platform in blocks(conf, "runtime_platform"):
            family = str(first(platform.get("operating_system_family")))
            if family.startswith("WINDOWS_SERVER_") and first(platform.get("cpu_architecture")) == "X86_64":
                return CheckResult.PASSED
        return CheckResult.FAILED


check = WindowsPlatform()
