"""From parameters to the ARNs of the resources that an action concerns, by the reference's ARN formats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from emulator.identity import reference

_VARIABLE = re.compile(r"\$\{(\w+)\}")

# Where the name or the ARN of a resource of a type stands, by service and type.
PATHS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("airflow", "environment"): ("Name",),
    ("autoscaling", "launchConfiguration"): ("LaunchConfigurationName",),
    ("budgets", "budget"): ("BudgetName", "Budget.BudgetName", "NewBudget.BudgetName"),
    ("cloudformation", "stack"): ("StackName",),
    ("cloudwatch", "alarm"): ("AlarmName", "AlarmNames[]"),
    ("cloudwatch", "dashboard"): ("DashboardName", "DashboardNames[]"),
    ("ecr", "repository"): ("repositoryName", "repositoryNames[]"),
    ("ecs", "capacity-provider"): ("capacityProvider", "name", "capacityProviders[]"),
    ("ecs", "cluster"): ("cluster", "clusterName", "clusters[]"),
    ("ecs", "container-instance"): ("containerInstance", "containerInstances[]"),
    ("ecs", "task"): ("task", "tasks[]"),
    ("events", "event-bus"): ("EventBusName", "Name"),
    ("events", "rule-on-default-event-bus"): ("Rule", "Name"),
    ("iam", "user"): ("UserName",),
    ("iam", "group"): ("GroupName",),
    ("lambda", "function"): ("FunctionName",),
    ("logs", "log-group"): ("logGroupName", "logGroupIdentifier", "logGroupNames[]", "logGroupIdentifiers[]"),
    ("s3", "bucket"): ("Bucket",),
    ("scheduler", "schedule"): ("Name",),
    ("scheduler", "schedule-group"): ("Name", "GroupName"),
    ("secretsmanager", "Secret"): ("SecretId", "Name"),
    ("sns", "topic"): ("TopicArn", "Name", "TargetArn", "ResourceArn"),
    ("sqs", "queue"): ("QueueUrl", "QueueName"),
    ("ssm", "parameter"): ("Name", "Names[]", "ResourceId", "Path"),
    ("states", "statemachine"): ("stateMachineArn", "name"),
    ("dynamodb", "table"): ("TableName",),
}
# In these an ARN has further names in front of the last, which stand elsewhere in the call.
OUTER: Mapping[str, tuple[str, str]] = {
    "ClusterName": ("cluster", "default"),
    "EnvironmentName": ("Name", "*"),
    "GroupName": ("GroupName", "default"),
}


def found(parameters: Mapping[str, Any], path: str) -> Iterator[str]:
    """The texts at a path, such as `Budget.BudgetName` or `tasks[]`."""
    value: Any = parameters
    for part in path.removesuffix("[]").split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if path.endswith("[]"):
        yield from (str(one) for one in value or ())
    elif isinstance(value, str) and value:
        yield value


def arns(
    service: str, kind: str, parameters: Mapping[str, Any], *, partition: str, region: str, account: str
) -> list[str]:
    """The ARNs of a type's resources that a call names."""
    expected = _expression(service, kind)
    named: dict[str, None] = {}
    for path in PATHS.get((service, kind), ()):
        for text in found(parameters, path):
            if text.startswith("arn:"):
                if expected.fullmatch(text):
                    named[text] = None
            else:
                named[made(service, kind, text, parameters, partition=partition, region=region, account=account)] = None
        if named:
            break
    # What is named by an ARN is named in many ways: ResourceArn, resourceARN, TargetArn…
    for name, value in parameters.items():
        values = value if isinstance(value, list) else [value]
        if name.lower().endswith(("arn", "arns", "identifier")):
            named.update({text: None for text in values if isinstance(text, str) and expected.fullmatch(text)})
    return list(named)


def made(
    service: str, kind: str, name: str, parameters: Mapping[str, Any], *, partition: str, region: str, account: str
) -> str:
    """The ARN of a resource by its name, after the reference's format."""
    if service == "sqs":
        name = name.rpartition("/")[2]
    if service == "ssm":
        # AWS's public parameters belong to no account.
        account = "" if name.startswith("/aws/service/") else account
        name = name.removeprefix("/")
    if service == "ecs":
        name = name.rpartition("/")[2]
    values = {"Partition": partition, "Region": region, "Account": account}
    form = reference.arn_format(service, kind)
    inner = [variable for variable in _VARIABLE.findall(form) if variable not in values]
    for variable in inner[:-1]:
        path, default = OUTER.get(variable, ("", "*"))
        outer = next(found(parameters, path), default) if path else default
        values[variable] = outer.rpartition("/")[2]
    values[inner[-1]] = name
    return _VARIABLE.sub(lambda match: values[match[1]], form)


def every(service: str, kind: str, *, partition: str, region: str, account: str) -> str:
    """The ARN that stands for what does not exist yet, or for all of a type."""
    values = {"Partition": partition, "Region": region, "Account": account}
    form = reference.arn_format(service, kind)
    return _VARIABLE.sub(lambda match: values.get(match[1], "*"), form)


@lru_cache(maxsize=1024)
def _expression(service: str, kind: str) -> re.Pattern[str]:
    form = reference.arn_format(service, kind)
    parts = _VARIABLE.split(form)
    # Every second part is a variable.
    return re.compile(
        "".join(
            re.escape(part) if number % 2 == 0 else "[^:]*" if part in {"Partition", "Region", "Account"} else ".+"
            for number, part in enumerate(parts)
        )
    )


def kinds_by_arn(action: reference.Action, service: str, arn: str) -> str | None:
    """The type of the resource of an ARN, of those that an action concerns: the one whose format says most."""
    fitting = [kind for kind in action.types if _expression(service, kind).fullmatch(arn)]
    return max(fitting, key=lambda kind: len(reference.arn_format(service, kind)), default=None)
