"""What the account may have at most, against what the environment could need at most.

Codes and names of quotas are Service Quotas' own (`aws service-quotas list-service-quotas`), as people list them; that
AWS still gives them these codes is assumed, and one that it does not know is doubtful.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from scripts.environments.doctor.check import Check, Context, Finding, doubtful, fine, wrong

# The families that share one quota (EC2 User Guide, "On-Demand Instance quotas").
STANDARD = frozenset({"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"})
# One vCPU in ECS's units.
_VCPU = 1024


@dataclass(frozen=True)
class Quota:
    """A quota of Service Quotas, by its service's code and its own, with its name in the console."""

    service: str
    code: str
    name: str

    def value(self, quotas: Any) -> float | None:
        """What the account has: its own, else AWS's default; None where Service Quotas knows none of this code.

        Args:
            quotas: a client.
        """
        for ask in (quotas.get_service_quota, quotas.get_aws_default_service_quota):
            try:
                return float(ask(ServiceCode=self.service, QuotaCode=self.code)["Quota"]["Value"])
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchResourceException":
                    raise
        return None

    def more(self, value: float) -> str:
        """How to ask for more."""
        return (
            f"aws service-quotas request-service-quota-increase --service-code {self.service} --quota-code {self.code}"
            f" --desired-value {value:.0f}"
        )

    def unknown(self) -> Finding:
        """Give the finding that nobody knows how much it is."""
        return doubtful(f"Service Quotas knows no {self.code} of {self.service} ({self.name})", "look in its console")


ON_DEMAND = Quota("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")
SPOT = Quota("ec2", "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests")
ADDRESSES = Quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs")
INTERFACES = Quota("vpc", "L-DF5E4CA3", "Network interfaces per Region")
AIRFLOWS = Quota("airflow", "L-67D41C6B", "Environments per account per Region")


class Need:
    """What the environment's instances need at most, as its values say.

    Args:
        context: whose.
    """

    def __init__(self, context: Context) -> None:
        cluster = context.values["cluster"]
        purchase = cluster.get("purchase") or {}
        self._context = context
        self._smallest = min((int(one["cpu"]) for one in context.values["workloads"].values()), default=_VCPU)
        self.types: list[str] = list(cluster["instance_types"])
        self.instances = int(cluster["max_instances"])
        base = min(int(purchase.get("on_demand_base") or 0), self.instances)
        percentage = purchase.get("on_demand_percentage")
        # Auto Scaling rounds the On-Demand part up (InstancesDistribution, OnDemandPercentageAboveBaseCapacity).
        share = math.ceil((self.instances - base) * (100 if percentage is None else float(percentage)) / 100)
        self.on_demand = base + share
        self.spot = self.instances - self.on_demand

    @cached_property
    def _described(self) -> Sequence[dict[str, Any]]:
        answer = self._context.aws.client("ec2").describe_instance_types(InstanceTypes=self.types)
        found: Sequence[dict[str, Any]] = answer["InstanceTypes"]
        return found

    @property
    def vcpus(self) -> int:
        """Of the largest instance type."""
        return max(int(one["VCpuInfo"]["DefaultVCpus"]) for one in self._described)

    @property
    def interfaces(self) -> int:
        """Network interfaces of an instance, each with an address: its own, and one for each ECS task that fits."""
        return max(
            1
            + min(
                int(one["NetworkInfo"]["MaximumNetworkInterfaces"]) - 1,
                int(one["VCpuInfo"]["DefaultVCpus"]) * _VCPU // self._smallest,
            )
            for one in self._described
        )

    @property
    def others(self) -> list[str]:
        """The instance types that are of no standard family."""
        return [one for one in self.types if re.split(r"[0-9]", one, maxsplit=1)[0] not in STANDARD]


class Vcpus(Check):
    """Processors of the standard families, of one way to buy them."""

    quota: Quota
    words: str

    def instances(self, need: Need) -> int:
        """How many instances are bought so at most."""
        raise NotImplementedError

    def run(self, context: Context) -> Finding:
        """Compare the quota with all instances at once."""
        need = Need(context)
        wanted = self.instances(need)
        if not wanted:
            return fine(f"no instance is bought {self.words}")
        if need.others:
            return doubtful(f"{', '.join(need.others)} has a quota of another family", "look it up in Service Quotas")
        return _judge(context, self.quota, wanted, need.vcpus, "vCPUs")


class OnDemand(Vcpus):
    """Compares the quota of On-Demand vCPUs with what the environment may need."""

    name = "quota of On-Demand vCPUs"
    quota = ON_DEMAND
    words = "On-Demand"

    def instances(self, need: Need) -> int:
        """Say how many instances are of this market."""
        return need.on_demand


class Spot(Vcpus):
    """Compares the quota of Spot vCPUs with what the environment may need."""

    name = "quota of Spot vCPUs"
    quota = SPOT
    words = "as Spot"

    def instances(self, need: Need) -> int:
        """Say how many instances are of this market."""
        return need.spot


class Interfaces(Check):
    """Compares the quota of network interfaces with what the environment may need."""

    name = "quota of network interfaces"

    def run(self, context: Context) -> Finding:
        """Compare it with those of all instances and their ECS tasks."""
        need = Need(context)
        return _judge(context, INTERFACES, need.instances, need.interfaces, "network interfaces")


class Airflows(Check):
    """Compares the quota of MWAA environments with those that there are."""

    name = "quota of MWAA environments"

    def run(self, context: Context) -> Finding:
        """See that there is one left, unless this environment's is there."""
        quota = AIRFLOWS.value(context.aws.client("service-quotas"))
        if quota is None:
            return AIRFLOWS.unknown()
        pages = context.aws.client("mwaa").get_paginator("list_environments")
        names = {name for page in pages.paginate() for name in page["Environments"]}
        ours = f"winbatch-{context.settings.environment}"
        said = f"{len(names)} of {quota:.0f} are there"
        if ours not in names and len(names) >= quota:
            return wrong(f"{said}, and {ours} is none of them", AIRFLOWS.more(len(names) + 1))
        return fine(said)


class Addresses(Check):
    """Compares the quota of Elastic IPs with what the environment may need."""

    name = "quota of Elastic IPs"

    def run(self, context: Context) -> Finding:
        """See that there are enough left for the NAT gateways that are not there yet."""
        network = context.values.get("network") or {}
        zones = network.get("zones") or ["a", "b"]  # modules/network's default
        wanted = {"nat": 1, "nat_per_zone": len(zones)}.get(str(network.get("egress")), 0)
        if not wanted:
            return fine("no NAT gateway needs one")
        quota = ADDRESSES.value(context.aws.client("service-quotas"))
        if quota is None:
            return ADDRESSES.unknown()
        found = context.aws.client("ec2").describe_addresses()["Addresses"]
        ours = {"Key": "environment", "Value": context.settings.environment}
        missing = max(wanted - sum(ours in one.get("Tags", ()) for one in found), 0)
        said = f"{len(found)} of {quota:.0f} are there, {missing} are still to be made"
        if len(found) + missing > quota:
            return wrong(said, f"release some, or {ADDRESSES.more(len(found) + missing)}")
        return fine(said)


def _judge(context: Context, quota: Quota, instances: int, each: int, what: str) -> Finding:
    """Compare a quota with what some instances need of it; others of the account have a share of it, too."""
    value = quota.value(context.aws.client("service-quotas"))
    if value is None:
        return quota.unknown()
    wanted = instances * each
    said = f"the account may have {value:.0f} {what}, {instances} instances need {wanted}"
    if value < each:
        return wrong(f"{said}: not one starts", quota.more(wanted))
    if value < wanted:
        return doubtful(f"{said}: {value // each:.0f} start at once", quota.more(wanted))
    return fine(said)
