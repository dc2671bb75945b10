"""The resources that a call names, by resource type: a finder a service, where names and ARNs alone do not say it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from emulator.identity import reference
from emulator.identity.mapping import ec2, names
from emulator.identity.mapping.world import Asked


def by_names(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    """Give the ARNs, by resource type, that names in the parameters alone say."""
    prefix, parameters, place = asked.prefix, asked.parameters, asked.place
    where = {"partition": place.partition, "region": place.region, "account": place.account}
    found = {kind: names.arns(prefix, kind, parameters, **where) for kind in action.types}
    found = {kind: arns for kind, arns in found.items() if arns}
    if len(found) > 1:
        # An ARN may fit formats of several types: it is of the one whose format says most.
        best = {arn: names.kinds_by_arn(action, prefix, arn) for arns in found.values() for arn in arns}
        found = {kind: [arn for arn in arns if best[arn] in {None, kind}] for kind, arns in found.items()}
        found = {kind: arns for kind, arns in found.items() if arns}
    return found


def _of_ecs(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    parameters, place, world = asked.parameters, asked.place, asked.world
    found = by_names(action, asked)
    if "cluster" in action.required and "cluster" not in found:
        found["cluster"] = [place.arn_of("ecs", "cluster", "default")]
    if "task-definition" in action.types:
        if name := parameters.get("taskDefinition"):
            definition = world.task_definition(place.region, name)
            found["task-definition"] = [definition.arn if definition else place.arn_of("ecs", "task-definition", name)]
        elif family := parameters.get("family"):
            found["task-definition"] = [place.all_of("ecs", "task-definition").replace("*:*", f"{family}:*")]
    return found


def _of_ec2(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    prefix, parameters, place, world = asked.prefix, asked.parameters, asked.place, asked.world
    found = ec2.resources(parameters, world, place.region)
    arns = {
        kind: [place.all_of(prefix, kind)[:-1] + one for one in dict.fromkeys(ids)]
        for kind, ids in found.items()
        if kind in action.types
    }
    # A rule counts for itself only when it gets tags.
    if "security-group-rule" in action.optional and "security-group-rule" in ec2.created_tags(parameters):
        arns["security-group-rule"] = [place.all_of(prefix, "security-group-rule")]
    return arns


def _of_iam(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    parameters, place, world = asked.parameters, asked.place, asked.world
    known: Mapping[str, tuple[str, Callable[[str], str | None]]] = {
        "role": ("RoleName", world.role_arn),
        "instance-profile": ("InstanceProfileName", world.instance_profile),
        "policy": ("PolicyName", world.policy_arn),
    }
    found = by_names(action, asked)
    for kind, (name, look_up) in known.items():
        if kind in action.types and kind not in found and (value := parameters.get(name)):
            path = parameters.get("Path") or "/"
            made = place.arn_of("iam", kind, path.removeprefix("/") + value)
            found[kind] = [(None if "Path" in parameters else look_up(value)) or made]
    if "oidc-provider" in action.types and (url := parameters.get("Url")):
        found["oidc-provider"] = [place.arn_of("iam", "oidc-provider", url.partition("://")[2] or url)]
    return found


def of_kms(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    """Give the ARNs of the key and of the alias that a call names, directly or by a ciphertext."""
    parameters, place, world = asked.parameters, asked.place, asked.world
    found = {}
    name = parameters.get("KeyId") or parameters.get("TargetKeyId") or parameters.get("AliasName")
    if name is None and (blob := parameters.get("CiphertextBlob")):
        # moto's ciphertexts begin with the id of their key; JSON has them in base64.
        name = base64.b64decode(blob)[:36].decode(errors="replace")
    if name and "key" in action.types:
        found["key"] = [world.key_arn(place.region, name) or place.arn_of("kms", "key", name.rpartition("/")[2])]
    if (alias := parameters.get("AliasName")) and "alias" in action.types:
        found["alias"] = [place.arn_of("kms", "alias", alias.removeprefix("alias/"))]
    return found


def _of_autoscaling(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    parameters, place, world = asked.parameters, asked.place, asked.world
    if "autoScalingGroup" not in action.types:
        return by_names(action, asked)
    listed = [tag.get("ResourceId") for tag in parameters.get("Tags") or () if isinstance(tag, Mapping)]
    name = parameters.get("AutoScalingGroupName") or next(filter(None, listed), None)
    if name is None and (instance := parameters.get("InstanceId")):
        name = world.group_of_instance(place.region, instance)
    if name is None and (policy := parameters.get("PolicyName")):
        name = world.policy_group(place.region, policy)
    if name is None:
        # Of what is not there AWS decides before it says so.
        return (
            {}
            if action.name.startswith("autoscaling:Create")
            else {"autoScalingGroup": [place.all_of("autoscaling", "autoScalingGroup")]}
        )
    made = place.all_of("autoscaling", "autoScalingGroup")[:-1] + name
    return {"autoScalingGroup": [world.group_arn(place.region, name) or made]}


def _of_logs(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    """A group's ARN ends in `:*` for everything but tags: here it is that of its streams.

    Source: CloudWatch Logs User Guide, "CloudWatch Logs resources and operations".
    """
    parameters, place = asked.parameters, asked.place
    group = parameters.get("logGroupName") or parameters.get("logGroupIdentifier")
    if "log-stream" in action.types and group:
        name = group.removesuffix(":*").rpartition("log-group:")[2]
        stream = parameters.get("logStreamName") or ""
        return {"log-stream": [f"{place.arn_of('logs', 'log-group', name)}:log-stream:{stream}"]}
    found = by_names(action, asked)
    if "Tag" not in action.name and "log-group" in found:
        found["log-group"] = [f"{arn.removesuffix(':*')}:log-stream:" for arn in found["log-group"]]
    return found


def _of_secrets(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    prefix, parameters, place, world = asked.prefix, asked.parameters, asked.place, asked.world
    if "Secret" in action.types and (name := parameters.get("SecretId")):
        return {"Secret": [world.secret_arn(place.region, name) or place.arn_of(prefix, "Secret", name)]}
    return by_names(action, asked)


def _of_airflow(action: reference.Action, asked: Asked) -> dict[str, list[str]]:
    prefix, parameters, place = asked.prefix, asked.parameters, asked.place
    if "rbac-role" in action.types and (name := parameters.get("Name")):
        return {"rbac-role": [place.all_of(prefix, "rbac-role").replace("*/*", f"{name}/Admin")]}
    return by_names(action, asked)


FINDERS: Mapping[str, Callable[[reference.Action, Asked], dict[str, list[str]]]] = {
    "airflow": _of_airflow,
    "autoscaling": _of_autoscaling,
    "ec2": _of_ec2,
    "ecs": _of_ecs,
    "iam": _of_iam,
    "kms": of_kms,
    "logs": _of_logs,
    "secretsmanager": _of_secrets,
}
