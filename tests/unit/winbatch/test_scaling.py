"""Asking an Auto Scaling group, in AWS's words: answers as botocore's model has them, texts as AWS writes them."""

import datetime as dt

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from winbatch.deployment import Cluster
from winbatch.errors import ClusterError
from winbatch.scaling import Scaling

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
CLUSTER = Cluster(
    name="c",
    capacity_provider="c",
    auto_scaling_group="g",
    max_instances=9,
    subnets=("s-a", "s-b", "s-c"),
    security_groups=(),
    instance_types=(),
)
ON_DEMAND = {"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 100}


@pytest.fixture
def client():
    return boto3.client("autoscaling", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def stub(client):
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def group(desired=0, states=(), distribution=ON_DEMAND, **changes):
    described = {
        "AutoScalingGroupName": "g",
        "MinSize": 0,
        "MaxSize": 9,
        "DesiredCapacity": desired,
        "DefaultCooldown": 300,
        "AvailabilityZones": ["eu-central-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": NOW,
        "VPCZoneIdentifier": "s-c,s-a,s-b",
        "MixedInstancesPolicy": {
            "LaunchTemplate": {"Overrides": [{"InstanceType": "c5.xlarge"}]},
            "InstancesDistribution": distribution,
        },
        "Instances": [
            {
                "InstanceId": f"i-{number}",
                "AvailabilityZone": "eu-central-1a",
                "LifecycleState": state,
                "HealthStatus": "Healthy",
                "ProtectedFromScaleIn": False,
            }
            for number, state in enumerate(states)
        ],
    }
    return {name: value for name, value in {**described, **changes}.items() if value is not None}


def describes(stub, **changes):
    stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [group(**changes)]})


def launches(stub, count, subnet, launched, *, last=False, errors=()):
    stub.add_response(
        "launch_instances",
        {
            "AutoScalingGroupName": "g",
            "Instances": [{"InstanceType": "c5.xlarge", "InstanceIds": [f"i-{n}" for n in range(launched)]}],
            "Errors": [
                {
                    "InstanceType": "c5.xlarge",
                    "AvailabilityZone": "eu-central-1a",
                    "ErrorCode": code,
                    "ErrorMessage": "There is not enough capacity.",
                }
                for code in errors
            ],
        },
        {
            "AutoScalingGroupName": "g",
            "RequestedCapacity": count,
            "SubnetIds": [subnet],
            "RetryStrategy": "retry-with-group-configuration" if last else "none",
        },
    )


def sets(stub, count):
    stub.add_response(
        "set_desired_capacity",
        {},
        {"AutoScalingGroupName": "g", "DesiredCapacity": count, "HonorCooldown": False},
    )


def test_instances_are_shared_evenly_over_the_zones_in_the_deployments_order(client, stub):
    describes(stub, desired=1)
    launches(stub, 2, "s-a", 2)
    launches(stub, 2, "s-b", 2)
    launches(stub, 1, "s-c", 1, last=True)
    assert Scaling(client, CLUSTER).ask(6) == ""


def test_what_a_zone_lacks_the_next_ones_are_asked_for_and_a_refusal_is_no_news_then(client, stub):
    describes(stub)
    launches(stub, 1, "s-a", 0, errors=["InsufficientInstanceCapacity"])
    launches(stub, 2, "s-b", 2)
    launches(stub, 1, "s-c", 1, last=True)
    assert Scaling(client, CLUSTER).ask(3) == ""


def test_what_no_zone_has_is_said_at_once_and_the_group_goes_on_trying(client, stub):
    describes(stub)
    launches(stub, 1, "s-a", 0, errors=["InsufficientInstanceCapacity"])
    launches(stub, 1, "s-b", 0, errors=["InsufficientInstanceCapacity"])
    launches(stub, 2, "s-c", 0, last=True, errors=["MaxSpotInstanceCountExceeded"])
    assert Scaling(client, CLUSTER).ask(2) == (
        "InsufficientInstanceCapacity (c5.xlarge in eu-central-1a): There is not enough capacity.;"
        " MaxSpotInstanceCountExceeded (c5.xlarge in eu-central-1a): There is not enough capacity."
    )


def test_no_call_asks_for_more_than_a_hundred(client, stub):
    describes(stub, VPCZoneIdentifier="s-a")
    launches(stub, 100, "s-a", 100, last=True)
    launches(stub, 50, "s-a", 50, last=True)
    assert Scaling(client, CLUSTER).ask(150) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"distribution": {"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 0}},
        {"distribution": {"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 50}},
        {"WarmPoolConfiguration": {"MinSize": 1}},
        {"MixedInstancesPolicy": {"LaunchTemplate": {"Overrides": [{"WeightedCapacity": "2"}]}}},
        {"MixedInstancesPolicy": None, "LaunchConfigurationName": "old"},
    ],
)
def test_groups_that_launchinstances_does_not_take_are_given_a_desired_capacity(client, stub, changes):
    describes(stub, **changes)
    sets(stub, 3)
    assert Scaling(client, CLUSTER).ask(3) == ""


def test_a_wholly_spot_group_is_launched_into(client, stub):
    distribution = {"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 0}
    describes(stub, distribution=distribution, VPCZoneIdentifier="s-a")
    launches(stub, 3, "s-a", 3, last=True)
    assert Scaling(client, CLUSTER).ask(3) == ""


def test_a_boto3_that_is_older_than_launchinstances_does_without(client, stub, monkeypatch):
    # MWAA's Airflow 3.0.6 has boto3 1.39.11, of July 2025; the call is of November.
    monkeypatch.delattr(type(client), "launch_instances")
    describes(stub)
    sets(stub, 3)
    assert Scaling(client, CLUSTER).ask(3) == ""


@pytest.mark.parametrize("code", ["AccessDenied", "ValidationError", "ResourceContention", "UnsupportedOperation"])
def test_a_launchinstances_that_fails_is_made_good_by_the_desired_capacity(client, stub, code):
    describes(stub)
    stub.add_client_error("launch_instances", code, "no")
    sets(stub, 3)
    assert Scaling(client, CLUSTER).ask(3) == ""


def test_a_group_that_is_at_something_else_says_so_and_is_asked_again_and_a_scale_in_fails(client, stub):
    for desired in (0, 3):
        describes(stub, desired=desired, WarmPoolConfiguration={})
        stub.add_client_error("launch_instances", "ResourceContention", "no") if not desired else None
        stub.add_client_error("set_desired_capacity", "ScalingActivityInProgress", "at something else")
    assert Scaling(client, CLUSTER).ask(2) == "at something else"
    with pytest.raises(ClientError, match="at something else"):
        Scaling(client, CLUSTER).ask(0)


def test_scaling_in_sets_the_desired_capacity(client, stub):
    describes(stub, desired=3)
    sets(stub, 0)
    assert Scaling(client, CLUSTER).ask(0) == ""


def test_who_is_on_the_way_out_is_told_by_the_group(client, stub):
    states = ["InService", "Terminating", "Terminating:Wait", "Pending", "Detached", "NewlyInvented"]
    describes(stub, desired=2, states=states)
    found = Scaling(client, CLUSTER).group()
    assert (found.desired, found.leaving) == (2, {"i-1", "i-2", "i-4"})


def test_a_group_that_is_not_there_is_named(client, stub):
    stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": []})
    with pytest.raises(ClusterError, match="there is no Auto Scaling group g"):
        Scaling(client, CLUSTER).group()


@pytest.mark.parametrize(
    ("code", "message", "done"),
    [
        ("ResourceContention", "You already have a pending update to an Amazon EC2 Auto Scaling resource", False),
        ("ScalingActivityInProgress", "Scaling activity … is in progress", False),
        ("Throttling", "Rate exceeded", False),
        ("ValidationError", "Instance Id not found - No managed instance found for instance ID: i-1", True),
    ],
)
def test_an_order_to_terminate_is_given_again_only_where_it_was_not_taken(client, stub, code, message, done):
    order = {"InstanceId": "i-1", "ShouldDecrementDesiredCapacity": True}
    stub.add_client_error("terminate_instance_in_auto_scaling_group", code, message, expected_params=order)
    stub.add_response("terminate_instance_in_auto_scaling_group", {}, order)
    scaling = Scaling(client, CLUSTER)
    assert scaling.terminate("i-1") is done
    assert scaling.terminate("i-1")


def activity(code, minutes, message="", *, ended=True):
    at = NOW + dt.timedelta(minutes=minutes)
    found = {
        "ActivityId": "a",
        "AutoScalingGroupName": "g",
        "Cause": "…",
        "StartTime": at,
        "StatusCode": code,
        "Description": "Launching a new EC2 instance.  Status Reason: …",
    }
    return found | ({"EndTime": at} if ended else {}) | ({"StatusMessage": message} if message else {})


VCPU = (
    "You have requested more vCPU capacity than your current vCPU limit of 32 allows.  Launching EC2 instance failed."
)


@pytest.mark.parametrize(
    ("activities", "said"),
    [
        ([activity("Failed", 1, VCPU)], " ".join(VCPU.split())),
        ([activity("InProgress", 2, ended=False), activity("Failed", 1, "no capacity")], "no capacity"),
        ([activity("Successful", 2), activity("Failed", 1, "no capacity")], ""),
        ([activity("Failed", -1, "of the job before")], ""),
        ([activity("Cancelled", 1)], "Launching a new EC2 instance. Status Reason: …"),
        ([], ""),
    ],
)
def test_what_the_last_activity_says_explains_what_is_missing(client, stub, activities, said):
    stub.add_response(
        "describe_scaling_activities",
        {"Activities": activities},
        {"AutoScalingGroupName": "g", "MaxRecords": 20},
    )
    assert Scaling(client, CLUSTER).why_short(NOW) == said


def test_an_explanation_that_may_not_be_read_hinders_nothing(client, stub):
    stub.add_client_error("describe_scaling_activities", "AccessDenied", "not authorized")
    assert "cannot be read" in Scaling(client, CLUSTER).why_short(NOW)
