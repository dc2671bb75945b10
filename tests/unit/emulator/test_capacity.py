"""Where a group asks EC2 for an instance."""

from __future__ import annotations

import pytest

from emulator.autoscaling.backend import adjusted
from emulator.autoscaling.capacity import ON_DEMAND, SPOT, Configuration


def mixed(*overrides, **distribution):
    policy = {"LaunchTemplate": {"Overrides": list(overrides)}, "InstancesDistribution": distribution}
    return Configuration.of(policy, "t3.micro", template_spot=False)


def test_a_template_alone_is_one_type_on_one_market():
    assert Configuration.of(None, "c5.large", template_spot=False).wholly == ON_DEMAND
    assert Configuration.of(None, "c5.large", template_spot=True).wholly == SPOT
    assert mixed().weights == {"t3.micro": 1}


@pytest.mark.parametrize(
    ("base", "share", "wholly", "markets"),
    [
        (0, 100, ON_DEMAND, [ON_DEMAND] * 3),
        (0, 0, SPOT, [SPOT] * 3),
        (1, 0, None, [ON_DEMAND, SPOT, SPOT]),
        # Half of three is rounded up to On-Demand.
        (0, 50, None, [ON_DEMAND, ON_DEMAND, SPOT]),
    ],
)
def test_a_share_is_on_demand(base, share, wholly, markets):
    asked = mixed(OnDemandBaseCapacity=base, OnDemandPercentageAboveBaseCapacity=share)
    found: list[str] = []
    while len(found) < 3:
        found.append(asked.market(3, found.count(ON_DEMAND)))
    assert (asked.wholly, found) == (wholly, markets)


@pytest.mark.parametrize("name", ["InstanceRequirements", "LaunchTemplateSpecification"])
def test_what_is_not_emulated_says_so(name):
    with pytest.raises(NotImplementedError, match=name):
        mixed({name: {}})


@pytest.mark.parametrize(
    ("kind", "adjustment", "least", "wanted"),
    [
        ("ExactCapacity", 7, 0, 7),
        ("ChangeInCapacity", -3, 0, 7),
        ("PercentChangeInCapacity", 25, 0, 12),
        ("PercentChangeInCapacity", -25, 0, 8),
        ("PercentChangeInCapacity", 1, 0, 11),
        ("PercentChangeInCapacity", 1, 3, 13),
    ],
)
def test_a_policy_s_adjustment(kind, adjustment, least, wanted):
    assert adjusted(kind, 10, adjustment, least) == wanted
