"""Auto Scaling groups whose instances join and leave an ECS cluster."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.waiting import wait_for


def states(cluster):
    return [item["LifecycleState"] for item in cluster.group()["Instances"]]


def desire(cluster, count):
    cluster.asg.set_desired_capacity(AutoScalingGroupName=cluster.name, DesiredCapacity=count)


@pytest.mark.aws(
    does=(
        "An instance is Pending before it is InService, and registers with its cluster after that; the group "
        "has none when 0 are desired."
    ),
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html",
    sure="documented",
)
@pytest.mark.aws(
    does=(
        "A container instance that was terminated is INACTIVE, its agent disconnected, and still described by its ARN."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerInstance.html",
    sure="assumed",
)
def test_instances_come_with_time_and_go(cluster):
    desire(cluster, 2)
    assert states(cluster) == ["Pending", "Pending"]
    wait_for(lambda: states(cluster) == ["InService", "InService"])
    wait_for(lambda: len(cluster.instances()) == 2)
    ec2_ids = {item["ec2InstanceId"] for item in cluster.instances()}
    assert ec2_ids == {item["InstanceId"] for item in cluster.group()["Instances"]}
    described = cluster.ec2.describe_instances(InstanceIds=list(ec2_ids))["Reservations"]
    assert {item["InstanceType"] for entry in described for item in entry["Instances"]} == {"c5.xlarge"}

    gone = cluster.instances()[0]["containerInstanceArn"]
    desire(cluster, 0)
    wait_for(lambda: not cluster.group()["Instances"])
    wait_for(lambda: not cluster.instances())
    answer = cluster.ecs.describe_container_instances(cluster=cluster.name, containerInstances=[gone])
    assert [(item["status"], item["agentConnected"]) for item in answer["containerInstances"]] == [("INACTIVE", False)]


@pytest.mark.on_aws
@pytest.mark.aws(
    does="SetDesiredCapacity outside the group's bounds is a ValidationError.",
    source="https://github.com/kubernetes/autoscaler/issues/943",
    sure="reported",
)
@pytest.mark.parametrize(("count", "text"), [(5, "above max value 4"), (-1, "below min value 0")])
def test_the_desired_capacity_keeps_to_the_bounds(cluster, count, text):
    with pytest.raises(ClientError, match=text) as raised:
        desire(cluster, count)
    assert raised.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.on_aws
@pytest.mark.aws(
    does="UpdateAutoScalingGroup does not change what the request does not name.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html",
    sure="documented",
)
def test_an_update_leaves_what_it_does_not_name(cluster):
    template = cluster.ec2.describe_launch_templates(LaunchTemplateNames=[cluster.name])["LaunchTemplates"][0][
        "LaunchTemplateId"
    ]
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"},
            "Overrides": [{"InstanceType": "c5.xlarge"}, {"InstanceType": "m5.xlarge"}],
        },
        "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 100},
    }
    cluster.asg.update_auto_scaling_group(AutoScalingGroupName=cluster.name, MixedInstancesPolicy=policy)
    before = cluster.group()["MixedInstancesPolicy"]
    cluster.asg.update_auto_scaling_group(AutoScalingGroupName=cluster.name, MaxSize=3)
    assert cluster.group()["MaxSize"] == 3
    assert cluster.group()["MixedInstancesPolicy"] == before
    assert len(before["LaunchTemplate"]["Overrides"]) == 2


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A group that does not exist is a ValidationError.",
    source="https://github.com/aws/aws-sdk-go/issues/1151",
    sure="reported",
)
def test_an_unknown_group_is_a_validation_error(cluster):
    with pytest.raises(ClientError) as raised:
        cluster.asg.set_desired_capacity(AutoScalingGroupName="no-such-group", DesiredCapacity=1)
    assert raised.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.aws(
    does=(
        "ECS tasks of an instance that is terminated end with `Host EC2 (instance …) terminated.` and without "
        "an exit code."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html",
    sure="documented",
)
@pytest.mark.aws(
    does="A group replaces an instance that was terminated past it.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html",
    sure="documented",
)
def test_a_terminated_host_takes_its_tasks_along_and_is_replaced(cluster):
    host = cluster.scale(1)[0]
    arn = cluster.start(cluster.define("sleep 600"))
    cluster.reach(arn, "RUNNING")

    cluster.ec2.terminate_instances(InstanceIds=[host["ec2InstanceId"]])
    task = cluster.reach(arn, "STOPPED")

    assert task["stoppedReason"] == f"Host EC2 (instance {host['ec2InstanceId']}) terminated."
    assert "exitCode" not in task["containers"][0]
    wait_for(lambda: [item["ec2InstanceId"] for item in cluster.instances()] not in ([], [host["ec2InstanceId"]]))


@pytest.mark.aws(
    does=(
        "TerminateInstanceInAutoScalingGroup with decrement lowers the desired capacity by one and ends that instance."
    ),
    source="https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html",
    sure="documented",
)
def test_one_named_instance_goes_and_the_group_shrinks(cluster):
    first, second = (item["ec2InstanceId"] for item in cluster.scale(2))
    answer = cluster.asg.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=True)
    assert first in answer["Activity"]["Description"]
    assert cluster.group()["DesiredCapacity"] == 1
    wait_for(lambda: [item["InstanceId"] for item in cluster.group()["Instances"]] == [second])
    wait_for(lambda: [item["ec2InstanceId"] for item in cluster.instances()] == [second])

    with pytest.raises(ClientError, match="No managed instance found"):
        cluster.asg.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=True)


@pytest.mark.aws(
    does="An instance that is protected from scale-in stays when the group scales in.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html",
    sure="documented",
)
def test_a_protected_instance_survives_scale_in(cluster):
    ids = [item["ec2InstanceId"] for item in cluster.scale(2)]
    cluster.asg.set_instance_protection(
        InstanceIds=ids[:1], AutoScalingGroupName=cluster.name, ProtectedFromScaleIn=True
    )
    desire(cluster, 0)
    wait_for(lambda: [item["ec2InstanceId"] for item in cluster.instances()] == ids[:1])
    assert [item["InstanceId"] for item in cluster.group()["Instances"]] == ids[:1]


def terminate(cluster, instance):
    return cluster.asg.terminate_instance_in_auto_scaling_group(
        InstanceId=instance["ec2InstanceId"], ShouldDecrementDesiredCapacity=True
    )


def drain(cluster, *instances):
    return cluster.ecs.update_container_instances_state(
        cluster=cluster.name,
        containerInstances=[instance["containerInstanceArn"] for instance in instances],
        status="DRAINING",
    )


@pytest.mark.aws(
    does="A draining container instance gets no new ECS task.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html",
    sure="documented",
)
@pytest.mark.aws(
    does="Protection is from scale-in, not from TerminateInstanceInAutoScalingGroup.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html",
    sure="documented",
)
@pytest.mark.parametrize("protected", [False, True])
def test_an_idle_instance_is_drained_and_then_goes_for_good(cluster, protected):
    """How work ends one by one: drained, no ECS task can slip in; protection is from scale-in, not from being named."""
    idle, kept = cluster.scale(2)
    if protected:
        cluster.asg.set_instance_protection(
            InstanceIds=[idle["ec2InstanceId"]], AutoScalingGroupName=cluster.name, ProtectedFromScaleIn=True
        )
    answer = drain(cluster, idle)
    assert [(item["status"], item["runningTasksCount"]) for item in answer["containerInstances"]] == [("DRAINING", 0)]
    started = cluster.run(cluster.define("sleep 600"), count=5)
    assert {task["containerInstanceArn"] for task in started["tasks"]} == {kept["containerInstanceArn"]}
    assert len(started["tasks"]) == 4
    assert [failure["reason"] for failure in started["failures"]] == ["RESOURCE:CPU"]

    terminate(cluster, idle)

    assert cluster.group()["DesiredCapacity"] == 1
    wait_for(lambda: [item["containerInstanceArn"] for item in cluster.instances()] == [kept["containerInstanceArn"]])
    answer = cluster.ecs.describe_container_instances(
        cluster=cluster.name, containerInstances=[idle["containerInstanceArn"]]
    )
    assert [(item["status"], item["agentConnected"]) for item in answer["containerInstances"]] == [("INACTIVE", False)]
    (reservation,) = cluster.ec2.describe_instances(InstanceIds=[idle["ec2InstanceId"]])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] in {"shutting-down", "terminated"}
    assert [item["InstanceId"] for item in cluster.group()["Instances"]] == [kept["ec2InstanceId"]]
    live = cluster.ecs.list_tasks(cluster=cluster.name)["taskArns"]
    assert sorted(live) == sorted(task["taskArn"] for task in started["tasks"])


@pytest.mark.aws(
    does=(
        "TerminateInstanceInAutoScalingGroup with decrement at the minimum size is a ValidationError, `… will "
        "violate group's min size constraint`."
    ),
    source="https://github.com/buildkite/elastic-ci-stack-for-aws/issues/1261",
    sure="reported",
)
def test_a_named_instance_does_not_take_the_group_below_its_least_size(cluster):
    (host,) = cluster.scale(1)
    cluster.asg.update_auto_scaling_group(AutoScalingGroupName=cluster.name, MinSize=1)
    with pytest.raises(ClientError, match="will violate group's min size constraint") as raised:
        terminate(cluster, host)
    assert raised.value.response["Error"]["Code"] == "ValidationError"
    assert cluster.group()["DesiredCapacity"] == 1
    assert [item["ec2InstanceId"] for item in cluster.instances()] == [host["ec2InstanceId"]]


@pytest.mark.aws(
    does="UpdateContainerInstancesState takes ten container instances at most.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateContainerInstancesState.html",
    sure="documented",
)
def test_ten_instances_are_drained_at_once_at_most(cluster):
    (host,) = cluster.scale(1)
    with pytest.raises(ClientError) as raised:
        drain(cluster, *[host] * 11)
    assert raised.value.response["Error"]["Code"] == "InvalidParameterException"


@pytest.mark.aws(
    does="With managed draining an instance waits in Terminating:Wait, DRAINING, until its ECS tasks have ended.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instance-draining.html",
    sure="documented",
)
def test_managed_draining_waits_for_the_tasks(cluster, tmp_path):
    cluster.capacity_provider(managed_draining=True, suffix="-draining")
    cluster.scale(1)
    go = tmp_path / "go"
    arn = cluster.start(cluster.define(f"while [ ! -e {go} ]; do sleep 0.05; done"))
    cluster.reach(arn, "RUNNING")

    desire(cluster, 0)
    assert states(cluster) == ["Terminating:Wait"]
    assert cluster.instances()[0]["status"] == "DRAINING"
    assert cluster.task(arn)["lastStatus"] == "RUNNING"

    go.touch()
    assert cluster.reach(arn, "STOPPED")["containers"][0]["exitCode"] == 0
    wait_for(lambda: not cluster.group()["Instances"] and not cluster.instances())


@pytest.mark.aws(
    does="DeleteAutoScalingGroup of a group with instances is ResourceInUse without ForceDelete.",
    source="https://github.com/ansible/ansible/pull/8503",
    sure="reported",
)
def test_a_group_with_instances_is_deleted_by_force_only(cluster):
    cluster.scale(1)
    with pytest.raises(ClientError) as raised:
        cluster.asg.delete_auto_scaling_group(AutoScalingGroupName=cluster.name)
    assert raised.value.response["Error"]["Code"] == "ResourceInUse"
    cluster.asg.delete_auto_scaling_group(AutoScalingGroupName=cluster.name, ForceDelete=True)
    wait_for(lambda: not cluster.instances())
    cluster.create_group()


@pytest.mark.aws(
    does="DeleteCluster with registered container instances is a ClusterContainsContainerInstancesException.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html",
    sure="documented",
)
@pytest.mark.aws(
    does="A deleted cluster is INACTIVE when described, and in no list.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html",
    sure="documented",
)
def test_a_cluster_that_holds_something_is_not_deleted(cluster):
    cluster.scale(1)
    with pytest.raises(ClientError) as raised:
        cluster.ecs.delete_cluster(cluster=cluster.name)
    assert raised.value.response["Error"]["Code"] == "ClusterContainsContainerInstancesException"

    desire(cluster, 0)
    wait_for(lambda: not cluster.instances())
    cluster.ecs.delete_cluster(cluster=cluster.name)
    assert not [arn for arn in cluster.ecs.list_clusters()["clusterArns"] if arn.endswith(cluster.name)]
    described = cluster.ecs.describe_clusters(clusters=[cluster.name])["clusters"]
    assert [item["status"] for item in described] == ["INACTIVE"]
    cluster.ecs.create_cluster(clusterName=cluster.name)


def hook(cluster, **changes):
    cluster.asg.put_lifecycle_hook(
        AutoScalingGroupName=cluster.name,
        LifecycleHookName="initialised",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
        **{"HeartbeatTimeout": 300, "DefaultResult": "ABANDON", **changes},
    )


def complete(cluster, instance_id, result="CONTINUE"):
    cluster.asg.complete_lifecycle_action(
        AutoScalingGroupName=cluster.name,
        LifecycleHookName="initialised",
        InstanceId=instance_id,
        LifecycleActionResult=result,
    )


def pool(cluster):
    answer = cluster.asg.describe_warm_pool(AutoScalingGroupName=cluster.name)
    return {item["InstanceId"]: item["LifecycleState"] for item in answer["Instances"]}


def ec2_states(cluster, ids):
    reservations = cluster.ec2.describe_instances(InstanceIds=list(ids))["Reservations"]
    return {item["State"]["Name"] for reservation in reservations for item in reservation["Instances"]}


@pytest.mark.aws(
    does="A launch hook holds an instance in Pending:Wait until CompleteLifecycleAction.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html",
    sure="documented",
)
def test_a_launch_hook_holds_an_instance_until_it_is_completed(cluster):
    hook(cluster)
    desire(cluster, 1)
    wait_for(lambda: states(cluster) == ["Pending:Wait"])
    assert cluster.instances() == []
    complete(cluster, cluster.group()["Instances"][0]["InstanceId"])
    assert states(cluster) == ["InService"]
    wait_for(cluster.instances)


@pytest.mark.aws(
    does="ABANDON ends an instance in its launch, and the group launches another one.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html",
    sure="documented",
)
@pytest.mark.aws(
    does="A lifecycle action that is over cannot be completed: `No active Lifecycle Action found`.",
    source="https://github.com/convox/rack/issues/2432",
    sure="reported",
)
def test_an_abandoned_launch_is_replaced_and_completed_only_once(cluster):
    hook(cluster)
    desire(cluster, 1)
    wait_for(lambda: states(cluster) == ["Pending:Wait"])
    first = cluster.group()["Instances"][0]["InstanceId"]
    complete(cluster, first, "ABANDON")
    wait_for(lambda: states(cluster) == ["Pending:Wait"])
    assert cluster.group()["Instances"][0]["InstanceId"] != first
    with pytest.raises(ClientError, match="No active Lifecycle Action found"):
        complete(cluster, first)


@pytest.mark.aws(
    does="When a hook's heartbeat times out, its default result is what happens.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html",
    sure="documented",
)
def test_a_launch_that_says_nothing_gets_the_default_result(cluster):
    hook(cluster, HeartbeatTimeout=1, DefaultResult="CONTINUE")
    desire(cluster, 1)
    wait_for(lambda: states(cluster) == ["Pending:Wait"])
    wait_for(lambda: states(cluster) == ["InService"])


@pytest.mark.aws(
    does="A warm pool keeps stopped instances up to MaxGroupPreparedCapacity, and scaling out takes them first.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-warm-pools.html",
    sure="documented",
)
@pytest.mark.aws(
    does="Warmed instances go through the launch hook once more when they enter the group.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pool-instance-lifecycle.html",
    sure="documented",
)
def test_a_warm_pool_keeps_stopped_instances_and_gives_them_first(cluster):
    hook(cluster)
    cluster.name_image()
    cluster.asg.put_warm_pool(
        AutoScalingGroupName=cluster.name, MaxGroupPreparedCapacity=2, MinSize=0, PoolState="Stopped"
    )
    wait_for(lambda: sorted(pool(cluster).values()) == ["Warmed:Pending:Wait"] * 2)
    for instance_id in pool(cluster):
        complete(cluster, instance_id)
    warm = pool(cluster)
    assert set(warm.values()) == {"Warmed:Stopped"}
    assert ec2_states(cluster, warm) == {"stopped"}
    group = cluster.group()
    assert (group["WarmPoolSize"], group["Instances"], cluster.instances()) == (2, [], [])

    # Two of three come out of the pool; it is not filled up beyond what may be prepared.
    desire(cluster, 3)
    wait_for(lambda: states(cluster) == ["Pending:Wait"] * 3)
    taken = {item["InstanceId"] for item in cluster.group()["Instances"]}
    assert set(warm) < taken
    assert pool(cluster) == {}
    for instance_id in taken:
        complete(cluster, instance_id)
    wait_for(lambda: {item["ec2InstanceId"] for item in cluster.instances()} == taken)

    # And is filled again when they go.
    desire(cluster, 0)
    wait_for(lambda: len(pool(cluster)) == 2)
    with pytest.raises(ClientError) as raised:
        cluster.asg.delete_warm_pool(AutoScalingGroupName=cluster.name)
    assert raised.value.response["Error"]["Code"] == "ResourceInUse"
    left = pool(cluster)
    cluster.asg.delete_warm_pool(AutoScalingGroupName=cluster.name, ForceDelete=True)
    wait_for(lambda: ec2_states(cluster, left) == {"terminated"})
    assert "WarmPoolConfiguration" not in cluster.group()


@pytest.mark.aws(
    does="A group with `$Latest` launches from the launch template's newest version.",
    source="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html",
    sure="documented",
)
def test_instances_start_from_a_later_version_of_their_template(cluster):
    first = cluster.ec2.describe_launch_template_versions(LaunchTemplateName=cluster.name)["LaunchTemplateVersions"][0]
    cluster.ec2.create_launch_template_version(
        LaunchTemplateName=cluster.name, LaunchTemplateData=first["LaunchTemplateData"]
    )
    assert len(cluster.scale(1)) == 1
