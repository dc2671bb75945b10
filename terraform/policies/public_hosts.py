"""No host has an address that the internet can reach."""

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck
from reading import blocks, first


class PublicHosts(BaseResourceCheck):  # type: ignore[misc]  # checkov has no types
    """Checks what gives a host a public address."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure no instance gets a public address, by itself or by its subnet",
            id="CKV_WB_9",
            categories=[CheckCategories.NETWORKING],
            supported_resources=[
                "aws_eip_association",
                "aws_instance",
                "aws_launch_configuration",
                "aws_launch_template",
                "aws_subnet",
            ],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Fail where a host gets a public address: by itself, its subnet, or an Elastic IP address."""
        interfaces = [conf, *blocks(conf, "network_interfaces")]
        public = any(_is_true(interface.get("associate_public_ip_address")) for interface in interfaces)
        # An address of a NAT gateway is no host's: it is allocated, and associated by nobody but the gateway.
        if public or _is_true(conf.get("map_public_ip_on_launch")) or self.entity_type == "aws_eip_association":
            return CheckResult.FAILED
        return CheckResult.PASSED


def _is_true(value: Any) -> bool:
    return str(first(value)).lower() == "true"


check = PublicHosts()
