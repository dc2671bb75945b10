"""EC2: resources by the beginning of their ids, created ones as `type/*`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from emulator.identity.mapping.world import World

# Source: the resource types' ARNs in the reference, and the ids in the EC2 API reference's examples.
_KINDS = {
    "acl": "network-acl", "ami": "image", "cr": "capacity-reservation", "dopt": "dhcp-options",
    "eipalloc": "elastic-ip",
    "eni": "network-interface", "fl": "vpc-flow-log", "i": "instance", "igw": "internet-gateway", "key": "key-pair",
    "lt": "launch-template", "nat": "natgateway", "pl": "prefix-list", "rtb": "route-table", "sg": "security-group",
    "sgr": "security-group-rule", "snap": "snapshot", "subnet": "subnet", "vol": "volume", "vpc": "vpc",
    "vpce": "vpc-endpoint", "eigw": "egress-only-internet-gateway", "pcx": "vpc-peering-connection",
}  # fmt: skip
_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,17}")
# What links two things has an id of its own, and no ARN.
_LINKS = re.compile(r"(rtbassoc|eipassoc|aclassoc)-[0-9a-f]+")


def resources(parameters: Mapping[str, Any], world: World, region: str) -> dict[str, list[str]]:
    """The ids that a call names, by resource type."""
    ids: dict[str, list[str]] = {}
    for text in _texts(parameters):
        for one in world.associated(region, text) if _LINKS.fullmatch(text) else (text,):
            match = _ID.fullmatch(one)
            if match and (kind := _KINDS.get(match[1])):
                ids.setdefault(kind, []).append(one)
    for name in (
        parameters.get("LaunchTemplateName"),
        (parameters.get("LaunchTemplate") or {}).get("LaunchTemplateName"),
    ):
        template = world.launch_template(region, name) if name else None
        if template is not None:
            ids.setdefault("launch-template", []).append(template.id)
    return ids


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            # What tags say names nothing.
            if name not in {"TagSpecifications", "Tags", "Description", "Filters", "UserData", "ClientToken"}:
                yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def created_tags(parameters: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The tags that a call gives to what it makes, by resource type."""
    return {
        "".join(entry.get("ResourceType", "")): {tag["Key"]: tag.get("Value", "") for tag in entry.get("Tags", ())}
        for entry in parameters.get("TagSpecifications") or ()
        if entry.get("Tags")
    }
