"""The network interfaces of ECS tasks in awsvpc mode."""

from __future__ import annotations

import uuid

from moto.core.exceptions import ServiceException
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ecs.exceptions import InvalidParameterException

from emulator.ecs.model import EcsTask
from emulator.ecs.requests import RunRequest


class Interfaces:
    """One for each ECS task that wants its own."""

    def __init__(self, ec2: EC2Backend) -> None:
        self._ec2 = ec2
        self._interfaces: dict[str, NetworkInterface] = {}  # by the task's id

    def create(self, task: EcsTask, request: RunRequest) -> None:
        """Give an ECS task an interface in one of the request's subnets.

        Raises:
            InvalidParameterException: EC2 refuses
        """
        subnet_id = request.subnets[task.sequence % len(request.subnets)]
        try:
            interface = self._ec2.create_network_interface(
                subnet_id,
                private_ip_address="",
                group_ids=list(request.security_groups),
                description=task.arn,
            )
        except ServiceException as error:
            raise InvalidParameterException(
                f"Error retrieving subnet information for [{subnet_id}]: {error.message} (ErrorCode: {error.code})"
            ) from error
        interface.status = "in-use"
        self._interfaces[task.id] = interface
        # Only a VPC with DNS hostnames names its interfaces; moto leaves the attribute out in any other.
        name = getattr(interface, "private_dns_name", None)
        names = [{"name": "privateDnsName", "value": name}] if name else []
        task.attachments.append(
            {
                "id": str(uuid.uuid4()),
                "type": "ElasticNetworkInterface",
                "status": "ATTACHED",
                "details": [
                    {"name": "subnetId", "value": subnet_id},
                    {"name": "networkInterfaceId", "value": interface.id},
                    {"name": "macAddress", "value": interface.mac_address},
                    *names,
                    {"name": "privateIPv4Address", "value": interface.private_ip_address},
                ],
            }
        )

    def delete(self, task: EcsTask) -> None:
        """Take an ECS task's interface away, if it has one."""
        interface = self._interfaces.pop(task.id, None)
        if interface is not None:
            interface.status = "available"
            self._ec2.delete_network_interface(interface.id)
            for attachment in task.attachments:
                attachment["status"] = "DELETED"
