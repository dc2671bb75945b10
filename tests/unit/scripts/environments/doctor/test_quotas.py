"""What the account may have, against what the environment's values could need."""

import pytest

from scripts.environments.doctor import quotas
from scripts.environments.doctor.check import State, look

C5 = {"InstanceType": "c5.xlarge", "VCpuInfo": {"DefaultVCpus": 4}, "NetworkInfo": {"MaximumNetworkInterfaces": 4}}


def values(**cluster):
    return {
        "cluster": {"instance_types": ["c5.xlarge"], "max_instances": 10, **cluster},
        "workloads": {"ber": {"cpu": 4096, "memory": 6144}, "small": {"cpu": 2048, "memory": 512}},
    }


def quota(aws, value, code):
    aws.answers("service-quotas", "get_service_quota", {"Quota": {"Value": value}}, code)


def asked(of):
    return {"ServiceCode": of.service, "QuotaCode": of.code}


@pytest.mark.parametrize(
    ("purchase", "on_demand", "spot"),
    [
        (None, 10, 0),
        ({"on_demand_percentage": 0}, 0, 10),
        ({"on_demand_base": 2, "on_demand_percentage": 50}, 6, 4),
        ({"on_demand_base": 1, "on_demand_percentage": 50}, 6, 4),
        ({"on_demand_base": 20, "on_demand_percentage": 0}, 10, 0),
    ],
)
def test_instances_are_bought_as_the_values_say(dev, purchase, on_demand, spot):
    dev.values = values(purchase=purchase)
    need = quotas.Need(dev)
    assert (need.on_demand, need.spot) == (on_demand, spot)


def test_an_instance_has_an_interface_for_itself_and_for_each_ecs_task_that_fits(dev, aws):
    dev.values = values()
    large = {"VCpuInfo": {"DefaultVCpus": 48}, "NetworkInfo": {"MaximumNetworkInterfaces": 15}}
    aws.answers("ec2", "describe_instance_types", {"InstanceTypes": [C5]}, {"InstanceTypes": ["c5.xlarge"]})
    assert quotas.Need(dev).interfaces == 1 + 2
    aws.answers("ec2", "describe_instance_types", {"InstanceTypes": [C5, large]})
    assert quotas.Need(dev).interfaces == 15


@pytest.mark.parametrize(
    ("check", "of", "purchase"),
    [
        (quotas.OnDemand(), quotas.ON_DEMAND, {}),
        (quotas.Spot(), quotas.SPOT, {"on_demand_percentage": 0}),
    ],
)
@pytest.mark.parametrize(("value", "state"), [(40.0, State.FINE), (39.0, State.DOUBTFUL), (3.0, State.WRONG)])
def test_a_quota_of_processors_is_enough_for_all_for_some_or_for_none(dev, aws, check, of, purchase, value, state):
    dev.values = values(purchase=purchase)
    aws.answers("ec2", "describe_instance_types", {"InstanceTypes": [C5]})
    quota(aws, value, asked(of))
    found = look(check, dev)
    assert (found.state, "10 instances need 40" in found.said) == (state, True)
    assert state is State.FINE or f"--quota-code {of.code} --desired-value 40" in found.advice


def test_what_is_not_bought_needs_no_quota_and_other_families_have_another(dev):
    dev.values = values()
    assert look(quotas.Spot(), dev).state is State.FINE
    dev.values = values(instance_types=["c5.xlarge", "g4dn.xlarge"])
    assert (look(quotas.OnDemand(), dev).state, "g4dn" in look(quotas.OnDemand(), dev).said) == (State.DOUBTFUL, True)


def test_a_quota_that_was_never_changed_is_awss_default_and_one_of_no_code_is_doubtful(dev, aws):
    dev.values = values()
    for known in (True, False):
        aws.answers("ec2", "describe_instance_types", {"InstanceTypes": [C5]})
        aws.refuses("service-quotas", "get_service_quota", "NoSuchResourceException")
        if known:
            aws.answers("service-quotas", "get_aws_default_service_quota", {"Quota": {"Value": 5000.0}})
        else:
            aws.refuses("service-quotas", "get_aws_default_service_quota", "NoSuchResourceException")
        assert look(quotas.Interfaces(), dev).state is (State.FINE if known else State.DOUBTFUL)


@pytest.mark.parametrize(("value", "state"), [(5000.0, State.FINE), (29.0, State.DOUBTFUL), (2.0, State.WRONG)])
def test_network_interfaces(dev, aws, value, state):
    dev.values = values()
    aws.answers("ec2", "describe_instance_types", {"InstanceTypes": [C5]})
    quota(aws, value, asked(quotas.INTERFACES))
    assert look(quotas.Interfaces(), dev).state is state


@pytest.mark.parametrize(
    ("names", "state"),
    [(["a"], State.FINE), (["a", "winbatch-dev"], State.FINE), (["a", "b"], State.WRONG)],
)
def test_mwaa_environments(dev, aws, names, state):
    quota(aws, 2.0, asked(quotas.AIRFLOWS))
    aws.answers("mwaa", "list_environments", {"Environments": names})
    assert look(quotas.Airflows(), dev).state is state


def test_a_quota_that_nobody_may_see_is_doubtful(dev, aws):
    for check in (quotas.Airflows(), quotas.Addresses()):
        aws.refuses("service-quotas", "get_service_quota", "AccessDeniedException")
        dev.values = {"network": {"egress": "nat"}}
        assert look(check, dev).state is State.DOUBTFUL


@pytest.mark.parametrize(
    ("network", "there", "state"),
    [
        ({"egress": "endpoints"}, None, State.FINE),
        ({"egress": "nat"}, [{}, {}, {}, {}], State.FINE),
        ({"egress": "nat_per_zone", "zones": ["a", "b", "c"]}, [{}, {}, {}], State.WRONG),
        ({"egress": "nat_per_zone"}, [{"Tags": [{"Key": "environment", "Value": "dev"}]}, {}, {}, {}], State.FINE),
        ({"egress": "nat"}, [{}, {}, {}, {}, {}], State.WRONG),
    ],
)
def test_elastic_ips_for_the_gateways_that_are_not_there_yet(dev, aws, network, there, state):
    dev.values = {"network": network}
    if there is not None:
        quota(aws, 5.0, asked(quotas.ADDRESSES))
        aws.answers("ec2", "describe_addresses", {"Addresses": there})
    assert look(quotas.Addresses(), dev).state is state
