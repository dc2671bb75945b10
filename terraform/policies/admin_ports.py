"""Nobody logs in over the network: Session Manager is the way to an instance."""

from collections.abc import Mapping
from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.common.util.consts import TRUE_AFTER_UNKNOWN
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck
from reading import blocks, first

# SSH, RDP, WinRM over HTTP and HTTPS.
PORTS = (22, 3389, 5985, 5986)


class AdminPorts(BaseResourceCheck):  # type: ignore[misc]  # checkov has no types
    """Checks the rules of security groups, wherever they are written."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure no security group opens an administrator's port (22, 3389, 5985, 5986)",
            id="CKV_WB_7",
            categories=[CheckCategories.NETWORKING],
            supported_resources=[
                "aws_security_group",
                "aws_security_group_rule",
                "aws_vpc_security_group_ingress_rule",
            ],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Fail where a rule lets anybody in to an administrator's port."""
        if self.entity_type == "aws_security_group":
            rules = list(blocks(conf, "ingress"))
        elif self.entity_type == "aws_security_group_rule":
            rules = [conf] if first(conf.get("type")) == "ingress" else []
        else:
            rules = [conf]
        return CheckResult.FAILED if any(_opens(rule) for rule in rules) else CheckResult.PASSED


def _opens(rule: Mapping[str, Any]) -> bool:
    if _is_own_group(rule):
        return False
    if str(first(rule.get("protocol", rule.get("ip_protocol")))) in {"-1", "all"}:
        return True
    try:
        low, high = int(str(first(rule.get("from_port")))), int(str(first(rule.get("to_port"))))
    except ValueError:
        # Nobody can say before apply; a port of a variable is not one that somebody named.
        return True
    return any(low <= port <= high for port in PORTS)


def _is_own_group(rule: Mapping[str, Any]) -> bool:
    # MWAA asks for all ports among its own components.
    group = first(rule.get("security_group_id"))
    known = group not in (None, TRUE_AFTER_UNKNOWN)
    return first(rule.get("self")) is True or (known and first(rule.get("referenced_security_group_id")) == group)


check = AdminPorts()
