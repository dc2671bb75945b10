"""What a call needs: each action on each resource, with the condition keys that the call gives.

The reference says which resource types an action concerns and what their ARNs look like; `names` finds them in the
parameters. What no table of AWS's has stands here: operations whose action has another name, roles that are handed
over, keys that a service uses in its caller's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from emulator.calls import Call
from emulator.identity import reference
from emulator.identity.mapping import dependents, finding, keys, s3
from emulator.identity.mapping.world import Asked, Need, Place, World

# IAM's prefix of a service, where botocore calls it otherwise.
_PREFIXES = {
    "mwaa": "airflow",
    "resourcegroupstaggingapi": "tag",
    "stepfunctions": "states",
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
    "efs": "elasticfilesystem",
}
# Operations that are an action of another name. Source: the service authorization reference's descriptions.
_RENAMED = {
    **{
        f"budgets:{operation}": "ViewBudget"
        for operation in (
            "DescribeBudget", "DescribeBudgets", "DescribeNotificationsForBudget", "DescribeSubscribersForNotification",
            "DescribeBudgetPerformanceHistory",
        )
    },
    **{
        f"budgets:{verb}{thing}": "ModifyBudget"
        for verb in ("Create", "Update", "Delete")
        for thing in ("Budget", "Notification", "Subscriber")
    },
    "logs:ListTagsLogGroup": "ListTagsLogGroup",
}  # fmt: skip
# Who anybody is, everybody may ask (STS API reference, GetCallerIdentity); the web identity is asked for by its trust.
_FREE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
# Authorized on `*` alone, whatever the reference says. Source: facts 5 and 6 (KensioSoftware/yulin#662,
# cdklabs/construct-hub#1207).
_WITHOUT_RESOURCE = frozenset(
    {
        "ecs:DeregisterTaskDefinition",
        "ecs:ListTasks",
        "ecs:ListTaskDefinitionFamilies",
        "sns:GetSubscriptionAttributes",
        "sns:SetSubscriptionAttributes",
        "sns:Unsubscribe",
    }
)
_LOOKS = ("Describe", "List", "Get", "BatchGet", "Search")
_MAKES = ("Create", "Allocate", "Run", "Register", "Put", "Import", "Copy", "Request", "Start", "Add", "Modify")


class UnmappedCallError(NotImplementedError):
    """A call of which nobody knows what it needs."""


def needs(call: Call, place: Place, world: World) -> list[Need]:
    """Everything that a call takes.

    Raises:
        UnmappedCallError: nobody knows
    """
    prefix = _PREFIXES.get(call.service, call.service)
    asked = Asked(prefix, call.operation, call.parameters, place, world)
    if prefix == "s3":
        own = list(_of_s3(asked))
    else:
        name = _RENAMED.get(f"{prefix}:{call.operation}", call.operation)
        if f"{prefix}:{name}" in _FREE:
            return []
        special = _SPECIAL.get(f"{prefix}:{name}")
        action = reference.action(prefix, name)
        if special is not None:
            own = list(special(asked))
        elif action is not None:
            own = list(_of_action(action, asked))
        else:
            raise UnmappedCallError(f"which IAM action {call.service} {call.operation} is, is not known")
    return [*own, *dependents.of(asked, own)]


def _of_action(action: reference.Action, asked: Asked) -> Iterator[Need]:
    given = keys.of_call(asked)
    if not action.types or action.name in _WITHOUT_RESOURCE:
        yield Need(action.name, None, "*", given)
        return
    for kind, arn in _resources(action, asked):
        yield Need(action.name, kind, arn, given | keys.of_resource(asked, action.name, kind, arn))


def _resources(action: reference.Action, asked: Asked) -> list[tuple[str | None, str]]:
    by_type = finding.FINDERS.get(asked.prefix, finding.by_names)(action, asked)
    resources: list[tuple[str | None, str]] = [(kind, arn) for kind, arns in by_type.items() for arn in arns]
    for kind in action.required:
        if kind in by_type:
            continue
        if asked.operation.startswith((*_MAKES, *_LOOKS)):
            resources.append((kind, asked.place.all_of(asked.prefix, kind)))
        elif not resources:
            given = ", ".join(sorted(asked.parameters)) or "none"
            raise UnmappedCallError(f"which {kind} {action.name} is about, its parameters ({given}) do not say")
    return resources or [(None, "*")]


def _re_encrypt(asked: Asked) -> Iterator[Need]:
    parameters = asked.parameters
    for name, key in (("From", parameters.get("SourceKeyId")), ("To", parameters.get("DestinationKeyId"))):
        given = {"CiphertextBlob": parameters.get("CiphertextBlob")} if key is None else {"KeyId": key}
        action = reference.action("kms", f"ReEncrypt{name}")
        assert action is not None
        for arn in finding.of_kms(action, replace(asked, parameters=given))["key"]:
            yield Need(action.name, "key", arn, keys.of_key(parameters))


_SPECIAL: Mapping[str, Callable[[Asked], Iterator[Need]]] = {"kms:ReEncrypt": _re_encrypt}


def _of_s3(asked: Asked) -> Iterator[Need]:
    parameters, place = asked.parameters, asked.place
    bucket = f"arn:{place.partition}:s3:::{parameters.get('Bucket')}"
    given = s3.keys(parameters)
    if asked.operation == "DeleteObjects":
        for name, deleted in s3.deleted(parameters):
            yield Need(f"s3:{name}", "object", f"{bucket}/{deleted}", given)
        return
    action = reference.action("s3", s3.action(asked.operation, parameters))
    if action is None:
        raise UnmappedCallError(f"which IAM action S3's {asked.operation} is, is not known")
    key = parameters.get("Key")
    if parameters.get("Bucket") is None:
        yield Need(action.name, None, "*", given)
    elif key is None:
        yield Need(action.name, "bucket", bucket, given)
    else:
        yield Need(action.name, "object", f"{bucket}/{key}", given)
        if asked.operation == "PutObject" and parameters.get("Tagging"):
            yield Need("s3:PutObjectTagging", "object", f"{bucket}/{key}", given)
    if (source := s3.copied(parameters)) is not None:
        from_bucket, from_key, version = source
        read = "s3:GetObjectVersion" if version else "s3:GetObject"
        yield Need(read, "object", f"arn:{place.partition}:s3:::{from_bucket}/{from_key}", {})
