"""Says where and how a group asks EC2 for an instance, and EC2's words when it has none. Pure.

The words are those that people report: kubernetes/autoscaler's and 2i2c-org/infrastructure#3334 for
InsufficientInstanceCapacity, aws-parallelcluster's users' for Spot, eks-charts' users' for VcpuLimitExceeded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ON_DEMAND = "on-demand"
SPOT = "spot"
_ALL = 100


@dataclass(frozen=True)
class Place:
    """Names what EC2 is asked for: an instance type in a subnet's Availability Zone, on a market.

    `subnet` is None in a group that names zones only.
    """

    type: str
    zone: str
    subnet: str | None
    market: str


@dataclass(frozen=True)
class Refusal:
    """EC2 has no instance for a place: its error code and message."""

    place: Place
    code: str
    message: str

    def reason(self, *, mixed: bool) -> str:
        """What a scaling activity says about it; a group with a mixed instances policy asks through EC2 Fleet."""
        if not mixed:
            return f"{self.message} Launching EC2 instance failed."
        market = "Spot" if self.place.market == SPOT else "On-Demand"
        return f"Could not launch {market} Instances. {self.code} - {self.message} Launching EC2 instance failed."


def refusal(code: str, place: Place, zones: Sequence[str]) -> Refusal:
    """EC2's answer where there is no capacity; `zones` are the region's."""
    others = ", ".join(zone for zone in zones if zone != place.zone)
    if code == "InsufficientInstanceCapacity" and place.market == SPOT:
        message = "There is no Spot capacity available that matches your request."
    elif code == "InsufficientInstanceCapacity":
        message = (
            f"We currently do not have sufficient {place.type} capacity in the Availability Zone you requested "
            f"({place.zone}). Our system will be working on provisioning additional capacity. You can currently get "
            f"{place.type} capacity by not specifying an Availability Zone in your request or choosing {others}."
        )
    elif code == "MaxSpotInstanceCountExceeded":
        message = "Max spot instance count exceeded"
    elif code == "VcpuLimitExceeded":
        message = (
            "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket "
            "that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request "
            "to request an adjustment to this limit."
        )
    else:
        message = (
            "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again."
        )
    return Refusal(place, code, message)


@dataclass(frozen=True)
class Configuration:
    """What a group's launch template and mixed instances policy ask for.

    Attributes:
        weights: the instance types in their order, each with the capacity that one instance of it is
        base: the capacity that is On-Demand before any other
        percentage: of what is above the base, so much is On-Demand
        mixed: whether there is a mixed instances policy
    """

    weights: Mapping[str, int]
    base: int
    percentage: int
    mixed: bool

    @classmethod
    def of(cls, policy: Mapping[str, Any] | None, template_type: str, *, template_spot: bool) -> Configuration:
        """Read a mixed instances policy over a launch template.

        Raises:
            NotImplementedError: it describes instance types by attributes, or has a launch template for a type
        """
        overrides = ((policy or {}).get("LaunchTemplate") or {}).get("Overrides") or []
        for name in ("InstanceRequirements", "LaunchTemplateSpecification"):
            if any(name in override for override in overrides):
                raise NotImplementedError(f"MixedInstancesPolicy with {name} in an override")
        weights = {
            override["InstanceType"]: int(override.get("WeightedCapacity") or 1)
            for override in overrides
            if "InstanceType" in override
        }
        distribution = (policy or {}).get("InstancesDistribution") or {}
        whole = distribution.get("OnDemandPercentageAboveBaseCapacity")
        percentage = _ALL if whole is None else int(whole)
        return cls(
            weights or {template_type: 1},
            int(distribution.get("OnDemandBaseCapacity") or 0),
            0 if not policy and template_spot else percentage,
            mixed=bool(policy),
        )

    @property
    def wholly(self) -> str | None:
        """The one market on which everything is launched, or None where both are used."""
        if self.percentage == _ALL:
            return ON_DEMAND
        return SPOT if not self.percentage and not self.base else None

    def market(self, desired: int, on_demand: int) -> str:
        """The market of the next instance of a group that has so much On-Demand capacity.

        Fractions are On-Demand (Auto Scaling guide, "Create a mixed instances group": rounded up to On-Demand).
        """
        base = min(self.base, desired)
        wanted = base + math.ceil((desired - base) * self.percentage / _ALL)
        return ON_DEMAND if on_demand < wanted else SPOT
