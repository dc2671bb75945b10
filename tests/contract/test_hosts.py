"""How hosts come, are refused, and go."""

from __future__ import annotations

import contextlib
import json
import time
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from tests.emulated import emulating
from tests.waiting import wait_for

from . import world

GUIDE = "https://docs.aws.amazon.com/autoscaling/ec2/userguide"
MODEL = "botocore, autoscaling/2011-01-01/service-2.json"
# An instance is seen on its way out.
ENDING_SECONDS = 0.8


@pytest.fixture(scope="module")
def unshared(tmp_path_factory):
    """An emulator that no other file's tests share: faults hit whoever comes."""
    arguments = ("--instance-seconds", "0.1", "--terminate-seconds", str(ENDING_SECONDS))
    with emulating(tmp_path_factory.mktemp("hosts"), *arguments) as emulator:
        yield emulator.endpoint


@pytest.fixture
def fault(unshared):
    """Adds a fault; all end with the test."""

    def ask(method, body=None):
        data = None if body is None else json.dumps(body).encode()
        urlopen(Request(f"{unshared}/_emulator/faults", data=data, method=method)).close()

    yield lambda kind, **fields: ask("POST", {"kind": kind, **fields})
    ask("DELETE")


@pytest.fixture
def cluster(unshared, unique):
    made = world.Cluster(lambda service: world.client(unshared, service), unique)
    yield made
    if made.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[unique])["AutoScalingGroups"]:
        made.remove()


def members(cluster):
    return {item["InstanceId"]: item["LifecycleState"] for item in cluster.group()["Instances"]}


def desire(cluster, count):
    cluster.asg.set_desired_capacity(AutoScalingGroupName=cluster.name, DesiredCapacity=count)


def terminate(cluster, instance_id, *, decrement=True):
    return cluster.asg.terminate_instance_in_auto_scaling_group(
        InstanceId=instance_id, ShouldDecrementDesiredCapacity=decrement
    )["Activity"]


def protect(cluster, *ids, on=True):
    cluster.asg.set_instance_protection(
        AutoScalingGroupName=cluster.name, InstanceIds=list(ids), ProtectedFromScaleIn=on
    )


def activities(cluster, **given):
    answer = cluster.asg.describe_scaling_activities(AutoScalingGroupName=cluster.name, **given)
    return answer["Activities"]


def policy(*types, **distribution):
    return {
        "LaunchTemplate": {"Overrides": [kind if isinstance(kind, dict) else {"InstanceType": kind} for kind in types]},
        "InstancesDistribution": distribution,
    }


def update(cluster, mixed=None, **given):
    if mixed:
        named = {"LaunchTemplateName": cluster.name, "Version": "$Latest"}
        mixed["LaunchTemplate"]["LaunchTemplateSpecification"] = named
        given["MixedInstancesPolicy"] = mixed
    cluster.asg.update_auto_scaling_group(AutoScalingGroupName=cluster.name, **given)


def ec2(cluster, instance_id):
    return cluster.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


@contextlib.contextmanager
def refused(text, code="ValidationError"):
    with pytest.raises(ClientError, match=text) as raised:
        yield
    assert raised.value.response["Error"]["Code"] == code


@pytest.mark.aws(
    does=(
        "A terminated instance is shutting-down and Terminating for a while, its agent disconnected, and its ECS "
        "tasks are shown as they were until ECS notices."
    ),
    source=f"{GUIDE}/ec2-auto-scaling-lifecycle.html",
    sure="assumed",
)
def test_an_instance_takes_its_time_to_go(cluster):
    host = cluster.scale(1)[0]
    instance_id = host["ec2InstanceId"]
    arn = cluster.start(cluster.define("sleep 600"))
    cluster.reach(arn, "RUNNING")
    other = cluster.define("true")
    desire(cluster, 0)

    assert members(cluster) == {instance_id: "Terminating"}
    assert ec2(cluster, instance_id)["State"]["Name"] == "shutting-down"
    assert [(item["status"], item["agentConnected"]) for item in cluster.instances()] == [("ACTIVE", False)]
    assert cluster.task(arn)["lastStatus"] == "RUNNING"
    answer = cluster.run(other)
    assert answer["failures"] == [{"arn": host["containerInstanceArn"], "reason": "AGENT"}]

    wait_for(lambda: not members(cluster))
    assert ec2(cluster, instance_id)["State"]["Name"] == "terminated"
    task = cluster.reach(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == (
        "TerminationNotice",
        f"Host EC2 (instance {instance_id}) terminated.",
    )
    assert "exitCode" not in task["containers"][0]
    wait_for(lambda: not cluster.instances())


@pytest.mark.aws(
    does="SetInstanceProtection fails as a whole unless each instance is InService, EnteringStandby or Standby.",
    source="https://github.com/guardian/riff-raff/pull/510, https://github.com/infrahouse/infrahouse-toolkit/issues/223",
    sure="reported",
)
def test_protection_is_for_instances_in_service(cluster):
    (kept,) = (item["ec2InstanceId"] for item in cluster.scale(1))
    cluster.asg.put_lifecycle_hook(
        AutoScalingGroupName=cluster.name,
        LifecycleHookName="hello",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
    )
    desire(cluster, 2)
    (coming,) = set(members(cluster)) - {kept}
    with refused(f"The instance {coming} is not in InService or EnteringStandby or Standby"):
        protect(cluster, kept, coming)
    assert not any(item["ProtectedFromScaleIn"] for item in cluster.group()["Instances"])
    with refused("The instance i-00000000 is not part of Auto Scaling group"):
        protect(cluster, "i-00000000")


@pytest.mark.aws(
    does="An instance in Standby is none of the group's capacity, may be protected, and comes back.",
    source=f"{GUIDE}/as-enter-exit-standby.html",
    sure="documented",
)
def test_an_instance_stands_by(cluster):
    (host,) = (item["ec2InstanceId"] for item in cluster.scale(1))
    named = {"AutoScalingGroupName": cluster.name, "InstanceIds": [host]}
    cluster.asg.enter_standby(**named, ShouldDecrementDesiredCapacity=True)
    protect(cluster, host)
    assert (members(cluster), cluster.group()["DesiredCapacity"]) == ({host: "Standby"}, 0)
    cluster.asg.exit_standby(**named)
    assert (members(cluster), cluster.group()["DesiredCapacity"]) == ({host: "InService"}, 1)


@pytest.mark.aws(
    does="TerminateInstanceInAutoScalingGroup decrements again for an instance that is on its way out already.",
    source="https://github.com/kubernetes/autoscaler/pull/5411",
    sure="reported",
)
def test_who_terminates_twice_shrinks_the_group_twice(cluster):
    first = cluster.scale(2)[0]["ec2InstanceId"]
    activity = terminate(cluster, first)
    assert activity["Description"] == f"Terminating EC2 instance: {first}"
    assert "in response to a user request, shrinking the capacity from 2 to 1" in activity["Cause"]
    assert activity["StatusCode"] == "InProgress"
    again = terminate(cluster, first)
    assert again["ActivityId"] == activity["ActivityId"]
    assert cluster.group()["DesiredCapacity"] == 0
    wait_for(lambda: not members(cluster))


@pytest.mark.aws(
    does="A group that is scaled in has protected instances until they are not protected any more; then they go.",
    source=f"{GUIDE}/ec2-auto-scaling-instance-protection.html",
    sure="documented",
)
def test_an_instance_that_is_not_protected_any_more_goes(cluster):
    (host,) = cluster.scale(1)
    protect(cluster, host["ec2InstanceId"])
    desire(cluster, 0)
    assert set(members(cluster).values()) == {"InService"}
    protect(cluster, host["ec2InstanceId"], on=False)
    wait_for(lambda: not members(cluster))


@pytest.mark.aws(
    does="A group makes up for what it did not do while a process was suspended.",
    source=f"{GUIDE}/as-suspend-resume-processes.html",
    sure="documented",
)
def test_a_resumed_group_goes_on(cluster):
    cluster.asg.suspend_processes(AutoScalingGroupName=cluster.name, ScalingProcesses=["Launch", "Terminate"])
    desire(cluster, 1)
    assert members(cluster) == {}
    cluster.asg.resume_processes(AutoScalingGroupName=cluster.name, ScalingProcesses=["Launch"])
    wait_for(lambda: list(members(cluster).values()) == ["InService"])
    desire(cluster, 0)
    assert list(members(cluster).values()) == ["InService"]
    cluster.asg.resume_processes(AutoScalingGroupName=cluster.name)
    wait_for(lambda: not members(cluster))


@pytest.mark.aws(
    does="An unhealthy instance is replaced, in the grace period only if the call says not to respect it.",
    source=f"{MODEL}, SetInstanceHealth",
    sure="documented",
)
def test_an_unhealthy_instance_is_replaced(cluster):
    (host,) = (item["ec2InstanceId"] for item in cluster.scale(1))
    cluster.asg.set_instance_health(InstanceId=host, HealthStatus="Unhealthy")
    assert cluster.group()["Instances"][0]["HealthStatus"] == "Healthy"
    cluster.asg.set_instance_health(InstanceId=host, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    assert members(cluster)[host] == "Terminating"
    wait_for(lambda: list(members(cluster).values()) == ["InService"])
    assert host not in members(cluster)
    causes = " ".join(item["Cause"] for item in activities(cluster))
    assert "taken out of service in response to a user health-check" in causes


@pytest.mark.aws(
    does="Initialize-ECSAgent fails now and then; its instance stays and counts unless it is reported unhealthy.",
    source="https://github.com/aws/amazon-ecs-agent/issues/2416",
    sure="reported",
)
def test_an_instance_without_an_agent_stays_unless_it_says_so(cluster, fault):
    fault("fail-agent", times=1)
    desire(cluster, 1)
    wait_for(lambda: list(members(cluster).values()) == ["InService"])
    (host,) = members(cluster)
    desire(cluster, 2)
    wait_for(lambda: len(cluster.instances()) == 1)
    assert cluster.instances()[0]["ec2InstanceId"] != host
    assert members(cluster)[host] == "InService"

    report = "Set-ASInstanceHealth -InstanceId $id -HealthStatus Unhealthy -ShouldRespectGracePeriod $false"
    cluster.change_user_data(lambda script: f"{script}\n{report}")
    fault("fail-agent", times=1)
    desire(cluster, 3)
    wait_for(lambda: len(cluster.instances()) == 2)
    assert len([item for item in activities(cluster) if "user health-check" in item["Cause"]]) == 1


@pytest.mark.aws(
    does="A terminating hook holds an instance in Terminating:Wait until it is completed, with either result.",
    source=f"{GUIDE}/lifecycle-hooks-overview.html",
    sure="documented",
)
def test_a_terminating_hook_holds_an_instance(cluster):
    hook = {"AutoScalingGroupName": cluster.name, "LifecycleHookName": "goodbye"}
    cluster.asg.put_lifecycle_hook(
        **hook, LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING", HeartbeatTimeout=300
    )
    hosts = {item["ec2InstanceId"] for item in cluster.scale(2)}
    desire(cluster, 0)
    assert members(cluster) == dict.fromkeys(hosts, "Terminating:Wait")
    assert activities(cluster)[0]["StatusCode"] == "MidLifecycleAction"
    for host, result in zip(hosts, ("CONTINUE", "ABANDON"), strict=True):
        assert ec2(cluster, host)["State"]["Name"] == "running"
        cluster.asg.complete_lifecycle_action(**hook, InstanceId=host, LifecycleActionResult=result)
        assert members(cluster)[host] == "Terminating"
    wait_for(lambda: not members(cluster))


@pytest.mark.aws(
    does="Each launch and each end is a scaling activity with its cause, the newest first, and is there in pages.",
    source=f"{GUIDE}/as-verify-scaling-activity.html, https://github.com/hjacobs/kube-aws-autoscaler/issues/7",
    sure="documented",
)
def test_what_a_group_did_is_written_down(cluster):
    desire(cluster, 1)
    (launch,) = activities(cluster)
    (instance_id,) = members(cluster)
    assert launch["Description"] == f"Launching a new EC2 instance: {instance_id}"
    # It may be there already.
    assert (launch["StatusCode"], launch["Progress"]) in {("PreInService", 30), ("Successful", 100)}
    assert (
        "a user request explicitly set group desired capacity changing the desired capacity from 0 to 1."
        in (launch["Cause"])
    )
    assert (
        "in response to a difference between desired and actual capacity, increasing the capacity from 0 to 1."
        in (launch["Cause"])
    )
    assert json.loads(launch["Details"]) == {"Subnet ID": cluster.subnet, "Availability Zone": f"{world.REGION}a"}
    wait_for(lambda: activities(cluster)[0]["StatusCode"] == "Successful")
    done = activities(cluster)[0]
    assert done["Progress"] == 100
    assert done["StartTime"] <= done["EndTime"]

    desire(cluster, 0)
    wait_for(lambda: not members(cluster))
    end, start = activities(cluster)
    assert start["ActivityId"] == launch["ActivityId"]
    assert end["Description"] == f"Terminating EC2 instance: {instance_id}"
    assert "shrinking the capacity from 1 to 0." in end["Cause"]
    assert f"instance {instance_id} was selected for termination." in end["Cause"]
    assert end["StatusCode"] == "Successful"
    assert activities(cluster, ActivityIds=[end["ActivityId"]]) == [end]
    pages = cluster.asg.get_paginator("describe_scaling_activities").paginate(
        AutoScalingGroupName=cluster.name, PaginationConfig={"PageSize": 1}
    )
    assert [item["ActivityId"] for page in pages for item in page["Activities"]] == [
        end["ActivityId"],
        start["ActivityId"],
    ]


@pytest.mark.aws(
    does="Where EC2 has no capacity the activity fails with EC2's words, and the group tries again by itself.",
    source="https://github.com/2i2c-org/infrastructure/issues/3334, https://github.com/hashicorp/terraform/issues/9074",
    sure="reported",
)
def test_capacity_is_refused_in_ec2_s_words(cluster, fault):
    for code, market, words in (
        (
            "InsufficientInstanceCapacity",
            "On-Demand",
            "We currently do not have sufficient c5.xlarge capacity in the Availability Zone you requested",
        ),
        ("InsufficientInstanceCapacity", "Spot", "There is no Spot capacity available that matches your request."),
        ("MaxSpotInstanceCountExceeded", "Spot", "Max spot instance count exceeded"),
        ("VcpuLimitExceeded", "On-Demand", "You have requested more vCPU capacity than your current vCPU limit of 32"),
    ):
        update(cluster, policy("c5.xlarge", OnDemandPercentageAboveBaseCapacity=0 if market == "Spot" else 100))
        fault("no-capacity", code=code, market=market.lower(), times=1)
        there = set(members(cluster))
        desire(cluster, len(there) + 1)
        assert set(members(cluster)) == there
        failed = activities(cluster)[0]
        assert failed["StatusCode"] == "Failed"
        assert failed["StatusMessage"].startswith(f"Could not launch {market} Instances. {code} - {words}")
        assert failed["StatusMessage"].endswith("Launching EC2 instance failed.")
        assert failed["Description"] == f"Launching a new EC2 instance.  Status Reason: {failed['StatusMessage']}"
        wait_for(lambda: len(members(cluster)) > len(there))  # noqa: B023 - it is waited for here
        (new,) = set(members(cluster)) - there
        assert ec2(cluster, new).get("InstanceLifecycle", "on-demand") == market.lower()


@pytest.mark.aws(
    does="An instance type that there is none of gives way to the next one of the mixed instances policy.",
    source=f"{GUIDE}/allocation-strategies.html",
    sure="documented",
)
def test_another_type_is_taken_where_the_first_is_missing(cluster, fault):
    update(cluster, policy("c5.xlarge", "m5.xlarge"))
    fault("no-capacity", code="InsufficientInstanceCapacity", type="c5.xlarge")
    cluster.scale(1)
    assert [item["InstanceType"] for item in cluster.group()["Instances"]] == ["m5.xlarge"]


@pytest.mark.aws(
    does="With weights, a group's capacity is the sum of its instances' weights.",
    source=f"{GUIDE}/ec2-auto-scaling-mixed-instances-groups-instance-weighting.html",
    sure="documented",
)
def test_weights_count(cluster):
    update(cluster, policy({"InstanceType": "c5.2xlarge", "WeightedCapacity": "2"}))
    desire(cluster, 3)
    group = cluster.group()
    assert [item["WeightedCapacity"] for item in group["Instances"]] == ["2", "2"]
    wait_for(lambda: set(members(cluster).values()) == {"InService"})
    desire(cluster, 2)
    wait_for(lambda: len(members(cluster)) == 1)


@pytest.mark.aws(
    does="Of the capacity above the base, a percentage is On-Demand and the rest Spot.",
    source=f"{MODEL}, InstancesDistribution",
    sure="documented",
)
def test_on_demand_has_its_share(cluster):
    update(cluster, policy("c5.xlarge", OnDemandBaseCapacity=1, OnDemandPercentageAboveBaseCapacity=50))
    desire(cluster, 4)
    found = [ec2(cluster, instance_id).get("InstanceLifecycle", "on-demand") for instance_id in members(cluster)]
    assert sorted(found) == ["on-demand"] * 3 + ["spot"]


@pytest.mark.aws(
    does="LaunchInstances answers with instance ids, and raises the desired capacity by what it launched.",
    source=f"{MODEL}, LaunchInstances; {GUIDE}/launch-instances-synchronously.html",
    sure="documented",
)
def test_instances_are_launched_at_once(cluster):
    request = {"AutoScalingGroupName": cluster.name, "RequestedCapacity": 2, "ClientToken": "one"}
    answer = cluster.asg.launch_instances(**request)
    (launched,) = answer["Instances"]
    assert answer.get("Errors", []) == []
    assert {name: launched[name] for name in ("InstanceType", "MarketType", "SubnetId", "AvailabilityZone")} == {
        "InstanceType": "c5.xlarge",
        "MarketType": "OnDemand",
        "SubnetId": cluster.subnet,
        "AvailabilityZone": f"{world.REGION}a",
    }
    assert set(launched["InstanceIds"]) == set(members(cluster))
    assert cluster.group()["DesiredCapacity"] == 2
    # The same request again is the same launch.
    assert cluster.asg.launch_instances(**request)["Instances"] == answer["Instances"]
    with refused("do not match the parameters from a previous request", "IdempotentParameterMismatch"):
        cluster.asg.launch_instances(**{**request, "RequestedCapacity": 1})
    with refused("above its max size 4"):
        cluster.asg.launch_instances(AutoScalingGroupName=cluster.name, RequestedCapacity=3)


@pytest.mark.aws(
    does="LaunchInstances answers at once with EC2's error; the desired capacity grows only with a retry strategy.",
    source=f"{MODEL}, LaunchInstances",
    sure="documented",
)
def test_a_refusal_is_known_at_once(cluster, fault):
    named = {"AutoScalingGroupName": cluster.name, "RequestedCapacity": 1}
    for strategy, desired in (("none", 0), ("retry-with-group-configuration", 1)):
        fault("no-capacity", code="InsufficientInstanceCapacity", times=1 + desired)
        answer = cluster.asg.launch_instances(**named, RetryStrategy=strategy)
        assert answer.get("Instances", []) == []
        (error,) = answer["Errors"]
        assert (error["ErrorCode"], error["InstanceType"]) == ("InsufficientInstanceCapacity", "c5.xlarge")
        assert "sufficient c5.xlarge capacity" in error["ErrorMessage"]
        assert cluster.group()["DesiredCapacity"] == desired
    wait_for(lambda: len(members(cluster)) == 1)


@pytest.mark.aws(
    does="LaunchInstances is for groups that are wholly On-Demand or wholly Spot.",
    source=f"{GUIDE}/launch-instances-synchronously.html",
    sure="documented",
)
def test_a_mixed_group_is_not_launched_at_once(cluster):
    update(cluster, policy("c5.xlarge", OnDemandPercentageAboveBaseCapacity=50))
    with refused("combine On-Demand and Spot"):
        cluster.asg.launch_instances(AutoScalingGroupName=cluster.name, RequestedCapacity=1)


@pytest.mark.aws(
    does=(
        "Two minutes before EC2 takes a Spot Instance back, an agent with ECS_ENABLE_SPOT_INSTANCE_DRAINING lets it "
        "drain; standalone ECS tasks go on until the end."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-spot.html",
    sure="documented",
)
def test_a_spot_instance_is_noticed_and_then_lost(cluster, fault):
    update(cluster, policy("c5.xlarge", OnDemandPercentageAboveBaseCapacity=0))
    host = cluster.scale(1)[0]["ec2InstanceId"]
    arn = cluster.start(cluster.define("sleep 600"))
    cluster.reach(arn, "RUNNING")
    fault("spot-notice", instance=host, seconds=1)
    began = time.monotonic()
    assert [item["status"] for item in cluster.instances()] == ["DRAINING"]
    assert members(cluster)[host] == "InService"
    assert cluster.task(arn)["lastStatus"] == "RUNNING"
    task = cluster.reach(arn, "STOPPED")
    assert time.monotonic() - began > 1
    assert host in task["stoppedReason"]
    wait_for(lambda: list(members(cluster).values()) == ["InService"])
    assert host not in members(cluster)


@pytest.mark.aws(
    does="ExecutePolicy keeps the desired capacity within the group's bounds.",
    source=f"{GUIDE}/as-scaling-simple-step.html",
    sure="documented",
)
def test_a_policy_keeps_to_the_bounds(cluster):
    named = {"AutoScalingGroupName": cluster.name, "PolicyName": "p"}
    found = []
    for kind, adjustment in (
        ("ChangeInCapacity", 9),
        ("ExactCapacity", 1),
        ("PercentChangeInCapacity", 10),
        ("ChangeInCapacity", -9),
    ):
        cluster.asg.put_scaling_policy(**named, AdjustmentType=kind, ScalingAdjustment=adjustment)
        cluster.asg.execute_policy(**named)
        found.append(cluster.group()["DesiredCapacity"])
    assert found == [4, 1, 2, 0]


@pytest.mark.aws(
    does="A group's bounds and desired capacity must fit each other; new bounds alone move the desired capacity.",
    source=f"{MODEL}, UpdateAutoScalingGroup; https://github.com/pulumi/pulumi-eks, README",
    sure="documented",
)
def test_bounds_and_capacity_fit(cluster):
    with refused("Desired capacity:9 must be between the specified min size:0 and max size:4"):
        update(cluster, DesiredCapacity=9)
    with refused("Max bound, 1, must be greater than or equal to min bound, 2"):
        update(cluster, MinSize=2, MaxSize=1)
    update(cluster, MinSize=2)
    assert cluster.group()["DesiredCapacity"] == 2
    update(cluster, MinSize=0, MaxSize=1)
    assert cluster.group()["DesiredCapacity"] == 1
    with refused("already exists", "AlreadyExists"):
        cluster.create_group()


@pytest.mark.aws(
    does="A group that is deleted by force is there, as `Delete in progress`, until its last instance has ended.",
    source=f"{MODEL}, DeleteAutoScalingGroup and AutoScalingGroup.Status",
    sure="documented",
)
def test_a_group_goes_with_its_last_instance(cluster):
    (host,) = (item["ec2InstanceId"] for item in cluster.scale(1))
    protect(cluster, host)
    cluster.asg.delete_auto_scaling_group(AutoScalingGroupName=cluster.name, ForceDelete=True)
    assert cluster.group()["Status"] == "Delete in progress"
    named = {"AutoScalingGroupNames": [cluster.name]}
    wait_for(lambda: not cluster.asg.describe_auto_scaling_groups(**named)["AutoScalingGroups"])
    assert activities(cluster) == []
    assert len(activities(cluster, IncludeDeletedGroups=True)) == 2


@pytest.mark.aws(
    does="A warm pool is refused where the launch template names its AMI by a Systems Manager parameter.",
    source=f"{GUIDE}/using-systems-manager-parameters.html, Limitations",
    sure="documented",
)
def test_a_warm_pool_wants_an_ami_by_its_id(cluster):
    with refused("warm pool"):
        cluster.asg.put_warm_pool(AutoScalingGroupName=cluster.name)
    cluster.name_image()
    cluster.asg.put_warm_pool(AutoScalingGroupName=cluster.name, MaxGroupPreparedCapacity=1)


@pytest.mark.aws(
    does="An ECS task is DEPROVISIONING while its network interface is detached, and has its room until it is STOPPED.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html",
    sure="documented",
)
def test_a_network_interface_takes_time_to_go(cluster):
    cluster.scale(1)
    network = {"awsvpcConfiguration": {"subnets": [cluster.subnet], "securityGroups": [cluster.security_group]}}
    arn = cluster.start(cluster.define("true", network="awsvpc"), networkConfiguration=network)
    seen = []
    while not seen or seen[-1] != "STOPPED":
        seen.append(cluster.task(arn)["lastStatus"])
    task = cluster.task(arn)
    # However seldom a busy machine looks, the times say it.
    assert (task["stoppedAt"] - task["executionStoppedAt"]).total_seconds() >= ENDING_SECONDS / 2
    assert set(seen) <= {"PROVISIONING", "PENDING", "RUNNING", "STOPPING", "DEPROVISIONING", "STOPPED"}


@pytest.mark.aws(
    does="CloudFormation changes and deletes a group that has instances, whatever its least size is.",
    source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-autoscaling-autoscalinggroup.html",
    sure="assumed",
)
def test_a_stack_s_group_goes_with_its_stack(cluster, unshared):
    def body(least):
        template = {"LaunchTemplateName": cluster.name, "Version": "1"}
        settings = {"MinSize": str(least), "MaxSize": "2", "VPCZoneIdentifier": [cluster.subnet]}
        group = {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {**settings, "LaunchTemplate": template}}
        return json.dumps({"Resources": {"Group": group}})

    def sizes():
        groups = cluster.asg.describe_auto_scaling_groups()["AutoScalingGroups"]
        return [group["MinSize"] for group in groups if group["AutoScalingGroupName"].startswith(f"{cluster.name}-")]

    stacks = world.client(unshared, "cloudformation")
    stacks.create_stack(StackName=cluster.name, TemplateBody=body(1))
    wait_for(lambda: sizes() == [1])
    stacks.update_stack(StackName=cluster.name, TemplateBody=body(2))
    wait_for(lambda: sizes() == [2])
    stacks.delete_stack(StackName=cluster.name)
    wait_for(lambda: sizes() == [])


@pytest.mark.aws(
    does="An instance without an instance profile runs, and joins no cluster: its agent has no credentials.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/instance_IAM_role.html",
    sure="documented",
)
def test_an_instance_without_a_profile_joins_no_cluster(cluster):
    versions = cluster.ec2.describe_launch_template_versions(LaunchTemplateName=cluster.name, Versions=["$Latest"])
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    profile = data.pop("IamInstanceProfile")
    cluster.ec2.create_launch_template_version(LaunchTemplateName=cluster.name, LaunchTemplateData=data)
    desire(cluster, 1)
    wait_for(lambda: set(members(cluster).values()) == {"InService"})
    assert cluster.instances() == []
    data["IamInstanceProfile"] = profile
    cluster.ec2.create_launch_template_version(LaunchTemplateName=cluster.name, LaunchTemplateData=data)
    desire(cluster, 2)
    # The one that has it joins, after the one that has not.
    wait_for(lambda: len(cluster.instances()) == 1)
