"""The condition keys that a call gives, in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.identity.mapping import ec2
from emulator.identity.mapping.world import Asked, Keys, Place

_TAGS = frozenset({"Tags", "tags", "TagList", "ResourceTags"})


def of_call(asked: Asked) -> Keys:
    """Condition keys that do not depend on the resource."""
    prefix, parameters, place = asked.prefix, asked.parameters, asked.place
    keys: Keys = {}
    tags = given_tags(parameters)
    if tags:
        keys |= {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()}
        keys["aws:tagkeys"] = tuple(tags)
    elif untagged := parameters.get("TagKeys") or parameters.get("tagKeys"):
        keys["aws:tagkeys"] = tuple(untagged)
    if prefix == "ecs":
        _keys_of_ecs(keys, parameters, place)
    elif prefix == "iam":
        for name, key in {
            "AWSServiceName": "iam:awsservicename",
            "PolicyArn": "iam:policyarn",
            "PermissionsBoundary": "iam:permissionsboundary",
        }.items():
            if value := parameters.get(name):
                keys[key] = value
    elif prefix == "sns":
        keys |= {f"sns:{name.lower()}": parameters[name] for name in ("Endpoint", "Protocol") if name in parameters}
    elif prefix == "cloudwatch" and "Namespace" in parameters:
        keys["cloudwatch:namespace"] = parameters["Namespace"]
    return keys


def _keys_of_ecs(keys: Keys, parameters: Mapping[str, Any], place: Place) -> None:
    cluster = parameters.get("cluster") or "default"
    keys["ecs:cluster"] = cluster if cluster.startswith("arn:") else place.arn_of("ecs", "cluster", cluster)
    if strategy := parameters.get("capacityProviderStrategy"):
        providers = (entry["capacityProvider"] for entry in strategy)
        keys["ecs:capacity-provider"] = tuple(place.arn_of("ecs", "capacity-provider", name) for name in providers)


def of_resource(asked: Asked, action: str, kind: str | None, arn: str) -> Keys:
    """Condition keys that belong to a resource."""
    prefix, parameters = asked.prefix, asked.parameters
    if prefix == "kms" and kind == "key":
        return of_key(parameters)
    if prefix == "iam" and kind == "role" and action not in {"iam:CreateRole", "iam:PutRolePermissionsBoundary"}:
        # What bounds the role as it is; to the two others the key is the boundary that is asked for.
        bound = asked.world.role_boundary(arn.rpartition("/")[2])
        return {"iam:permissionsboundary": bound} if bound else {}
    if prefix == "ec2" and kind is not None:
        tags = ec2.created_tags(parameters).get(kind, {}) if arn.endswith("/*") else {}
        if tags:
            return {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()} | {
                "aws:tagkeys": tuple(tags)
            }
    return {}


def of_key(parameters: Mapping[str, Any]) -> Keys:
    """Condition keys of a call that uses a key, but for those that are the key's own."""
    keys: Keys = {}
    context = parameters.get("EncryptionContext") or {}
    if context:
        keys |= {f"kms:encryptioncontext:{name.lower()}": value for name, value in context.items()}
        keys["kms:encryptioncontextkeys"] = tuple(context)
    if (name := parameters.get("KeyId")) and "alias/" in name:
        keys["kms:requestalias"] = name[name.index("alias/") :]
    return keys


def given_tags(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a call gives to what it makes or marks; EC2's by type are not among them."""
    tags: dict[str, str] = {}
    for name in _TAGS & parameters.keys():
        given = parameters.get(name)
        if isinstance(given, Mapping):
            tags |= {str(key): str(value) for key, value in given.items()}
        elif isinstance(given, list):
            for tag in given:
                if isinstance(tag, Mapping):
                    key = tag.get("Key", tag.get("key", tag.get("TagKey")))
                    if key is not None:
                        tags[str(key)] = str(tag.get("Value", tag.get("value", tag.get("TagValue"))) or "")
    return tags
