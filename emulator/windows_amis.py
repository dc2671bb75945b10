"""AWS's ECS-optimized Windows AMIs and the public SSM parameters that name them, which moto lacks."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models import amis
from moto.ssm.models import Parameter, ParameterDict, SimpleSystemManagerBackend, ssm_backends

from emulator.context import Context
from emulator.patching import OwnUrls, keep_with

_PREFIX = "/aws/service/ami-windows-latest/"
_RELEASED = "2026.11.11"
_OWNER = "801119661308"  # Amazon's account for Windows AMIs
_AGENT = "1.98.0"


def _names() -> Iterator[str]:
    for version, edition in itertools.product(("2019", "2022", "2025"), ("Core", "Full")):
        yield f"Windows_Server-{version}-English-{edition}-ECS_Optimized"


def _ami_id(name: str) -> str:
    return f"ami-{hashlib.sha256(name.encode()).hexdigest()[:17]}"


def _ami(name: str) -> dict[str, Any]:
    return {
        "ami_id": _ami_id(name),
        "name": f"{name}-{_RELEASED}",
        "description": f"Microsoft {name.replace('_', ' ').replace('-', ' ')} by Amazon",
        "owner_id": _OWNER,
        "public": True,
        "virtualization_type": "hvm",
        "architecture": "x86_64",
        "state": "available",
        "platform": "windows",
        "image_type": "machine",
        "hypervisor": "xen",
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "sriov": "simple",
    }


class _Parameters(ParameterDict):
    """moto loads each family of public parameters when one of it is asked for; so does this."""

    _windows_loaded = False

    def _check_loading_status(self, key: str) -> None:
        super()._check_loading_status(key)
        if str(key or "").startswith(_PREFIX) and not self._windows_loaded:
            self._windows_loaded = True
            for name in _names():
                document = {
                    "image_id": _ami_id(name),
                    "image_name": f"{name}-{_RELEASED}",
                    "ecs_agent_version": _AGENT,
                }
                self._add(f"{_PREFIX}{name}", json.dumps(document), "text")
                self._add(f"{_PREFIX}{name}/image_id", document["image_id"], "aws:ec2:image")

    def _add(self, name: str, value: str, data_type: str) -> None:
        parameter = Parameter(  # type: ignore[abstract] # as moto makes it
            account_id=self.account_id,
            name=name,
            value=value,
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=utcnow(),
            version=1,
            data_type=data_type,
        )
        self[name].append(parameter)


class SsmBackend(OwnUrls, SimpleSystemManagerBackend):
    """moto's SSM with the Windows AMIs' parameters."""

    moto_service = "ssm"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._parameters = _Parameters(account_id, region_name)


def install(context: Context) -> None:  # noqa: ARG001 - every service is installed alike
    """Give every region the AMIs and their parameters."""
    amis.AMIS.extend(_ami(name) for name in _names())
    keep_with(ssm_backends, SsmBackend)


def shutdown() -> None:
    """Nothing runs."""
