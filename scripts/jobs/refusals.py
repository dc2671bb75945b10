"""Tells by AWS's own words what kind of refusal they are: of an instance, or of an ECS task.

Codes and words of instances are those of botocore's LaunchInstances, EC2's error codes and Auto Scaling's guide
"Troubleshoot"; the words of ECS tasks are sorted by `winbatch.ecs_tasks` first, as the engine judges by them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from winbatch.ledger import Fault
from winbatch.throttling import throttled

_GROUP = "the Auto Scaling group's activities"


@dataclass(frozen=True)
class Refusal:
    """A kind of refusal.

    Attributes:
        code: for a program.
        words: what is the matter.
        advice: what to do.
        pattern: by which AWS's words are known.
    """

    code: str
    words: str
    advice: str
    pattern: str = ""


# The first that is found counts: where Spot has nothing, the words name the zone, too.
_LAUNCHES = (
    Refusal(
        "spot-quota",
        "the account's quota of Spot Instances is used up",
        "raise the quota All Standard Spot Instance Requests (Service Quotas, EC2), or wait until other instances end",
        r"MaxSpotInstanceCountExceeded|max spot instance count",
    ),
    Refusal(
        "on-demand-quota",
        "the account's quota of On-Demand vCPUs is used up",
        "raise the quota Running On-Demand Standard instances (Service Quotas, EC2), or wait until other instances end",
        r"VcpuLimitExceeded|InstanceLimitExceeded|vcpu (capacity|limit)",
    ),
    Refusal(
        "subnet-addresses",
        "a subnet has no free address left",
        "free addresses in the subnets, or give the environment larger ones (terraform/modules/network)",
        r"InsufficientFreeAddressesInSubnet|not (have )?enough free addresses|insufficient free addresses",
    ),
    Refusal(
        "spot-capacity",
        "EC2 has no Spot capacity of these types",
        "wait, name more types in instance_types, or let the group take On-Demand ones (terraform/environments)",
        r"no Spot capacity|SpotMaxPriceTooLow|Spot Instances\. (Unfulfillable|Insufficient)",
    ),
    Refusal(
        "zone-capacity",
        "EC2 has no capacity of this type in the zone",
        "wait, or name more types in instance_types, or more zones (terraform/environments)",
        r"Insufficient\w*Capacity|not have (sufficient|enough) .*capacity|UnfulfillableCapacity"
        r"|unable to fulfill capacity",
    ),
    Refusal(
        "launch-refused",
        "EC2 refuses the launch template or its role",
        "apply the environment again: invoke up; and look whether the AMI, the key and the instance profile that the"
        " words name are there and may be used",
        r"launch ?template|IamInstanceProfile|instance profile|UnauthorizedOperation|not authorized|AccessDenied"
        r"|AuthFailure|InvalidAMI|image id|Client\.InternalError|InvalidKMSKey|ServiceLinkedRole",
    ),
)
_LAUNCH_THROTTLED = Refusal(
    "launch-throttled", "AWS asks to try again more slowly", "wait: it is asked again by itself"
)
_LAUNCH = Refusal("no-instances", "AWS has not given them", f"look at AWS's words, and at {_GROUP}")

_TASKS = {
    "image": Refusal(
        "image-pull",
        "their image cannot be pulled",
        "see whether ECR has the image and the hosts reach it; push it and apply: invoke up",
    ),
    "start": Refusal(
        "start-timeout",
        "they did not start in time",
        "look at the hosts: a large image on a small disk, or an agent that hangs; a larger start_timeout gives it more"
        " time",
    ),
    "unstarted": Refusal("unstarted", "they cannot start", "look at ECS's words, and at the cluster's page in ECS"),
    "worker": Refusal(
        "worker",
        "their worker ended by a fault of its surroundings",
        "look at the workload's log group, stream of the last ECS task: rights, configuration, or an image without the"
        " stage's code",
    ),
    "throttled": Refusal("throttled", "ECS asks for a pause", "wait: it is asked again by itself"),
    "host": Refusal(
        "hosts-lost",
        "they ended with their host",
        "if they are Spot Instances, wait or take On-Demand ones; else look at what ends the hosts",
    ),
}
# What `winbatch.ecs_tasks` has an advice for, told apart.
_PERMANENT = (
    Refusal(
        "windows-build",
        "their image is of another Windows than the hosts",
        "",
        r"operating system does not match|0xc0370101|no matching manifest for windows",
    ),
    Refusal(
        "rights",
        "a right is missing",
        "",
        r"unable to assume the role|cannot be assumed|not authorized|AccessDenied|may not|pull access denied",
    ),
    Refusal("misfit", "no host fits them", "", r"\b(ATTRIBUTE|LOCATION|MemberOf)"),
)


def of_launch(said: str) -> Refusal:
    """Tell what kind of refusal it is that instances stay away for.

    Args:
        said: AWS's words, of several refusals in one line.
    """
    for kind in _LAUNCHES:
        if re.search(kind.pattern, said, re.IGNORECASE):
            return kind
    return _LAUNCH_THROTTLED if throttled(said) or "in progress" in said else _LAUNCH


def of_tasks(faults: Sequence[Fault]) -> tuple[Refusal, Fault]:
    """Tell what kind of fault keeps ECS tasks from their work, and the fault that says it best.

    Args:
        faults: since the last progress, at least one; one that waiting does not mend comes before those that it may.
    """
    fault = next((fault for fault in reversed(faults) if fault.advice), faults[-1])
    if fault.kind != "throttled":
        for kind in _PERMANENT:
            if re.search(kind.pattern, fault.reason, re.IGNORECASE):
                return kind, fault
    return _TASKS[fault.kind], fault
