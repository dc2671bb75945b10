"""EC2's networks and launch templates, where moto's answers make Terraform see changes that nobody made."""

from __future__ import annotations

import logging
from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.models import security_groups
from moto.ec2.models.flow_logs import FlowLogs
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response
from moto.logs.models import logs_backends

from emulator.context import Context
from emulator.identity.gate import Identity, Refused
from emulator.patching import serve_with

log = logging.getLogger(__name__)


class Rule(SecurityGroupRule):
    """A rule keeps its description; moto forgets it for groups and prefix lists as the other end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # moto passes address range, group and prefix list as the last three positions.
        self._peer: dict[str, str] = next((peer for peer in args[5:8] if peer), {})

    @property
    def description(self) -> str | None:
        """Give the description, whatever the other end is: addresses, a group or a prefix list."""
        return self.ip_range.get("Description") or self._peer.get("Description")


class Ec2Response(EC2Response):
    """moto's handlers with what they confuse put right."""

    identity: Identity

    def create_flow_logs(self) -> ActionResult:
        """Answer CreateFlowLogs, and see whether the flow logs may be delivered."""
        result = super().create_flow_logs()
        made: list[str] = result.result["FlowLogIds"]  # type: ignore[index] # moto's own dictionary
        for flow in self.ec2_backend.describe_flow_logs(made, None) if made else ():
            if flow.deliver_logs_permission_arn:
                self._deliver(flow)
        return result

    def _deliver(self, flow: FlowLogs) -> None:
        """See that the service gets the flow log's role, and may write by it.

        Source: VPC User Guide, "IAM role for publishing flow logs to CloudWatch Logs"; "Troubleshoot VPC flow logs".
        """
        where = f"{self.region}:{self.current_account}"
        source = f"arn:{self.partition}:ec2:{where}:vpc-flow-log/{flow.id}"
        # A group is named, or is the destination; moto looks for those alone that are named.
        name = flow.log_group_name or str(flow.log_destination).rpartition(":log-group:")[2].removesuffix(":*")
        if name in logs_backends[self.current_account][self.region].groups:
            flow.deliver_logs_status, flow.deliver_logs_error_message = "SUCCESS", None
        group = f"arn:{self.partition}:logs:{where}:log-group:{name}"
        role = str(flow.deliver_logs_permission_arn)
        try:
            service = self.identity.service("vpc-flow-logs.amazonaws.com", source=source)
            service.require("sts:AssumeRole", role, "role", self.region)
            if (acting := self.identity.acting(role, flow.id)) is not None:
                acting.require("logs:DescribeLogStreams", f"{group}:log-stream:", "log-group", self.region)
                for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                    acting.require(action, f"{group}:log-stream:{flow.id}", "log-stream", self.region)
        except Refused as error:
            log.warning("flow log %s: %s", flow.id, error)
            flow.deliver_logs_status, flow.deliver_logs_error_message = "FAILED", "Access error"

    def create_launch_template(self) -> ActionResult:
        """Answer CreateLaunchTemplate, and keep the template's own tags out of its data.

        They are no tags for what is launched from it; moto writes them into the data.
        """
        result = super().create_launch_template()
        created: dict[str, Any] = result.result["LaunchTemplate"]  # type: ignore[index] # moto's own dictionary
        version = self.ec2_backend.get_launch_template(created["LaunchTemplateId"]).latest_version()
        specifications = version.data.get("TagSpecifications", [])
        kept = [entry for entry in specifications if entry["ResourceType"] != "launch-template"]
        if kept:
            version.data["TagSpecifications"] = kept
        else:
            version.data.pop("TagSpecifications", None)
        return result

    def create_vpc_endpoint(self) -> ActionResult:
        """Answer CreateVpcEndpoint with network interfaces that are in use.

        moto leaves them `available`, as if anybody might delete them. On AWS the endpoint uses them.
        """
        result = super().create_vpc_endpoint()
        endpoint: Any = result.result["VpcEndpoint"]  # type: ignore[index] # moto's own dictionary
        for interface in map(self.ec2_backend.get_network_interface, endpoint.network_interface_ids):
            interface.status = "in-use"
            interface.interface_type = "vpc_endpoint"
            interface.requester_managed = True
            interface.description = f"VPC Endpoint Interface {endpoint.id}"
        return result

    def create_launch_template_version(self) -> ActionResult:
        """Answer CreateLaunchTemplateVersion, and keep its user data in base64."""
        result = super().create_launch_template_version()
        for template in self.ec2_backend.launch_templates.values():
            data = template.latest_version().data
            # moto keeps a later version's user data as mere text, and then cannot launch from it.
            if isinstance(text := data.get("UserData"), str):
                data["UserData"] = Base64EncodedString(text)
        return result


def install(context: Context) -> None:
    """Mend moto's EC2."""
    Ec2Response.identity = context.identity
    security_groups.SecurityGroupRule = Rule  # type: ignore[misc] # where moto's backend looks for its class
    serve_with("ec2", Ec2Response, EC2Response)


def shutdown() -> None:
    """Nothing runs."""
