"""Keys, network, Airflow and Windows of an environment that is up."""

import pytest

from scripts.environments.doctor import platform
from scripts.environments.doctor.check import State, look

C5 = {"InstanceType": "c5.xlarge", "VCpuInfo": {"DefaultVCpus": 4}, "NetworkInfo": {"MaximumNetworkInterfaces": 4}}
WORKLOADS = {"ber": {"cpu": 4096, "memory": 6144}}


@pytest.mark.parametrize(("check", "alias"), [(platform.StateKey(), "-tfstate"), (platform.EnvironmentKey(), "")])
@pytest.mark.parametrize(
    ("key", "state"), [("Enabled", State.FINE), ("Disabled", State.WRONG), ("PendingDeletion", State.WRONG)]
)
def test_a_key_is_enabled_or_nothing_can_be_read(dev, aws, check, alias, key, state):
    answer = {"KeyMetadata": {"KeyId": "k", "KeyState": key}}
    aws.answers("kms", "describe_key", answer, {"KeyId": f"alias/winbatch-dev{alias}"})
    found = look(check, dev)
    assert found.state is state
    assert ("cancel-key-deletion" in found.advice) is (key == "PendingDeletion")


def test_a_key_that_is_not_there_is_made_by_a_verb(dev, aws):
    for check, verb in ((platform.StateKey(), "bootstrap"), (platform.EnvironmentKey(), "up")):
        aws.refuses("kms", "describe_key", "NotFoundException")
        found = look(check, dev)
        assert (found.state, found.advice) == (State.DOUBTFUL, f"invoke {verb} --env dev")


@pytest.mark.parametrize(
    ("free", "running", "state"),
    [(20, 0, State.FINE), (2, 9, State.FINE), (0, 10, State.FINE), (19, 0, State.DOUBTFUL), (1, 0, State.WRONG)],
)
def test_subnets_have_addresses_for_the_instances_that_do_not_run_yet(dev, aws, free, running, state):
    dev.values = {"cluster": {"instance_types": ["c5.xlarge"], "max_instances": 10}, "workloads": WORKLOADS}
    aws.answers("ec2", "describe_subnets", {"Subnets": [{"AvailableIpAddressCount": free}]})
    group = {"AutoScalingGroupName": "g", "MinSize": 0, "MaxSize": 10, "DesiredCapacity": 0, "DefaultCooldown": 0}
    group |= {"AvailabilityZones": [], "HealthCheckType": "EC2", "CreatedTime": 0}
    instance = {"InstanceId": "i", "AvailabilityZone": "a", "LifecycleState": "InService", "HealthStatus": "HEALTHY"}
    group["Instances"] = [{**instance, "ProtectedFromScaleIn": False}] * running
    aws.answers("autoscaling", "describe_auto_scaling_groups", {"AutoScalingGroups": [group]})
    aws.answers("ec2", "describe_instance_types", {"InstanceTypes": [C5]})
    assert look(platform.Subnets(), dev).state is state


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["available", "Available"], State.FINE),
        (["available", "failed"], State.WRONG),
        ([], State.WRONG),
    ],
)
def test_endpoints_are_available(dev, aws, states, state):
    dev.values = {}
    aws.answers("ec2", "describe_subnets", {"Subnets": [{"VpcId": "vpc-1"}]}, {"SubnetIds": ["subnet-a"]})
    found = [{"ServiceName": f"com.amazonaws.x.{n}", "State": one} for n, one in enumerate(states)]
    here = {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1"]}]}
    aws.answers("ec2", "describe_vpc_endpoints", {"VpcEndpoints": found}, here)
    assert look(platform.WayOut(), dev).state is state


@pytest.mark.parametrize(
    ("states", "state"),
    [(["deleted", "available"], State.FINE), (["failed"], State.WRONG), (["deleted"], State.WRONG)],
)
def test_nat_gateways_are_available(dev, aws, states, state):
    dev.values = {"network": {"egress": "nat"}}
    aws.answers("ec2", "describe_subnets", {"Subnets": [{"VpcId": "vpc-1"}]})
    found = [{"NatGatewayId": f"nat-{n}", "State": one} for n, one in enumerate(states)]
    here = {"Filter": [{"Name": "vpc-id", "Values": ["vpc-1"]}]}
    aws.answers("ec2", "describe_nat_gateways", {"NatGateways": found}, here)
    assert look(platform.WayOut(), dev).state is state


def test_the_way_out_of_somebody_elses_network_is_not_judged_and_one_that_nobody_may_see_is_doubtful(dev, aws):
    dev.values = {"network": {"egress": "existing"}}
    assert look(platform.WayOut(), dev).state is State.FINE
    dev.values = {}
    aws.refuses("ec2", "describe_subnets", "UnauthorizedOperation")
    assert look(platform.WayOut(), dev).said == "not allowed to look (DescribeSubnets)"


@pytest.mark.parametrize(
    ("status", "errors", "state"),
    [
        ("AVAILABLE", [], State.FINE),
        ("UPDATE_FAILED", [], State.DOUBTFUL),
        ("AVAILABLE", [{"filename": "x.py", "stack_trace": "a\nSyntaxError"}], State.DOUBTFUL),
        ("UPDATING", None, State.DOUBTFUL),
        ("UNAVAILABLE", None, State.WRONG),
    ],
)
def test_airflow_is_available_and_answers(dev, aws, status, errors, state):
    aws.answers("mwaa", "get_environment", {"Environment": {"Status": status}}, {"Name": "winbatch-dev"})
    if errors is not None:
        answer = {"RestApiStatusCode": 200, "RestApiResponse": {"import_errors": errors}}
        aws.answers("mwaa", "invoke_rest_api", answer)
    assert look(platform.AirflowServes(), dev).state is state


@pytest.mark.parametrize(
    ("image", "build", "state"),
    [
        ({"Name": "Windows_Server-2022-English-Core-ECS_Optimized-2026.11.11"}, "10.0.20348.5499", State.FINE),
        ({"Name": "ours", "Tags": [{"Key": "windows", "Value": "2022-Core"}]}, "10.0.20348.1", State.FINE),
        ({"Name": "Windows_Server-2025-English-Core-ECS_Optimized-2026.11.11"}, "10.0.20348.5499", State.WRONG),
        ({"Name": "Windows_Server-2022-English-Core-ECS_Optimized-2026.11.11"}, "", State.WRONG),
        ({"Name": "ours"}, "10.0.20348.5499", State.DOUBTFUL),
        ({"Name": "Windows_Server-2022-English-Core-ECS_Optimized-2026.11.11"}, None, State.DOUBTFUL),
    ],
)
def test_images_and_hosts_have_the_same_windows(dev, aws, monkeypatch, image, build, state):
    monkeypatch.setattr(platform, "image_configs", lambda _: {} if build is None else {"ber": {"os.version": build}})
    versions = [{"LaunchTemplateData": {"ImageId": "resolve:ssm:/aws/x"}}]
    asked = {"LaunchTemplateName": "winbatch-dev", "Versions": ["$Latest"]}
    aws.answers("ec2", "describe_launch_template_versions", {"LaunchTemplateVersions": versions}, asked)
    aws.answers("ssm", "get_parameter", {"Parameter": {"Value": "ami-1"}}, {"Name": "/aws/x"})
    aws.answers("ec2", "describe_images", {"Images": [image]}, {"ImageIds": ["ami-1"]})
    assert look(platform.WindowsBuilds(), dev).state is state
