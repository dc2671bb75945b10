"""EC2's networks and launch templates, where moto's answers make Terraform see changes that nobody made."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.models import security_groups
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response

from emulator.context import Context
from emulator.patching import serve_with


class Rule(SecurityGroupRule):
    """A rule keeps its description; moto forgets it for groups and prefix lists as the other end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # moto passes address range, group and prefix list as the last three positions.
        self._peer: dict[str, str] = next((peer for peer in args[5:8] if peer), {})

    @property
    def description(self) -> str | None:
        return self.ip_range.get("Description") or self._peer.get("Description")


class Ec2Response(EC2Response):
    """moto's handlers with what they confuse put right."""

    def create_launch_template(self) -> ActionResult:
        result = super().create_launch_template()
        created: dict[str, Any] = result.result["LaunchTemplate"]  # type: ignore[index] # moto's own dictionary
        # The template's own tags are no tags for what is launched from it; moto writes them into its data.
        version = self.ec2_backend.get_launch_template(created["LaunchTemplateId"]).latest_version()
        specifications = version.data.get("TagSpecifications", [])
        kept = [entry for entry in specifications if entry["ResourceType"] != "launch-template"]
        if kept:
            version.data["TagSpecifications"] = kept
        else:
            version.data.pop("TagSpecifications", None)
        return result

    def create_vpc_endpoint(self) -> ActionResult:
        result = super().create_vpc_endpoint()
        endpoint: Any = result.result["VpcEndpoint"]  # type: ignore[index] # moto's own dictionary
        for interface in map(self.ec2_backend.get_network_interface, endpoint.network_interface_ids):
            # moto leaves them `available`, as if anybody might delete them. On AWS the endpoint uses them.
            interface.status = "in-use"
            interface.interface_type = "vpc_endpoint"
            interface.requester_managed = True
            interface.description = f"VPC Endpoint Interface {endpoint.id}"
        return result

    def create_launch_template_version(self) -> ActionResult:
        result = super().create_launch_template_version()
        for template in self.ec2_backend.launch_templates.values():
            data = template.latest_version().data
            # moto keeps a later version's user data as mere text, and then cannot launch from it.
            if isinstance(text := data.get("UserData"), str):
                data["UserData"] = Base64EncodedString(text)
        return result


def install(context: Context) -> None:  # noqa: ARG001 - every service is installed alike
    """Mend moto's EC2."""
    security_groups.SecurityGroupRule = Rule  # type: ignore[misc] # where moto's backend looks for its class
    serve_with("ec2", Ec2Response, EC2Response)


def shutdown() -> None:
    """Nothing runs."""
