"""A container's image is named by its digest: a tag may change under a running job."""

import re
from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck
from reading import containers

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
# What is left of an expression that only an apply can resolve.
UNRESOLVED = re.compile(r"\$\{|^(var|local|module|data|each)\.")


class ImageDigest(BaseResourceCheck):  # type: ignore[misc]  # checkov has no types
    """Checks the images of a task definition's containers."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure ECS containers name their images by digest",
            id="CKV_WB_5",
            categories=[CheckCategories.SUPPLY_CHAIN],
            supported_resources=["aws_ecs_task_definition"],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Fail where an image has no digest; one that is not known before apply passes."""
        found = containers(conf.get("container_definitions"))
        if found is None:
            return CheckResult.UNKNOWN
        images = [str(container.get("image")) for container in found]
        if any(not DIGEST.search(image) and not UNRESOLVED.search(image) for image in images):
            return CheckResult.FAILED
        return CheckResult.PASSED


check = ImageDigest()
