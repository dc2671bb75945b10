"""Room on container instances: who gets it, and what those hear who do not."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.waiting import wait_for


def free(instance, name):
    return next(item["integerValue"] for item in instance["remainingResources"] if item["name"] == name)


@pytest.mark.aws(
    does="A container instance offers its instance type's CPU and memory without ECS_RESERVED_MEMORY.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/memory-management.html",
    sure="documented",
)
def test_a_host_registers_what_its_instance_type_has_less_what_is_reserved(cluster):
    instance = cluster.scale(1)[0]
    assert (free(instance, "CPU"), free(instance, "MEMORY")) == (4096, 8192 - 1024)
    assert instance["status"] == "ACTIVE"
    assert instance["agentConnected"] is True
    assert instance["capacityProviderName"] == cluster.name
    attributes = {item["name"]: item.get("value") for item in instance["attributes"]}
    assert attributes["ecs.instance-type"] == "c5.xlarge"
    assert attributes["ecs.os-type"] == "windows"


@pytest.mark.aws(
    does="An ECS task takes its CPU and memory from its container instance until it has stopped.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerInstance.html",
    sure="documented",
)
def test_room_is_taken_and_given_back(cluster):
    cluster.scale(1)
    definition = cluster.define("sleep 600", cpu=1024, memory=1000)
    arn = cluster.start(definition)
    cluster.reach(arn, "RUNNING")
    instance = cluster.instances()[0]
    assert (free(instance, "CPU"), free(instance, "MEMORY")) == (3072, 6168)
    assert (instance["runningTasksCount"], instance["pendingTasksCount"]) == (1, 0)

    cluster.ecs.stop_task(cluster=cluster.name, task=arn)
    cluster.reach(arn, "STOPPED")
    assert free(cluster.instances()[0], "CPU") == 4096


@pytest.mark.aws(
    does="RunTask starts what there is room for; the rest are failures, RESOURCE:CPU or RESOURCE:MEMORY.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html",
    sure="documented",
)
@pytest.mark.parametrize(
    ("container", "fit", "reason"),
    [({"cpu": 2048}, 2, "RESOURCE:CPU"), ({"cpu": 1, "memory": 3000}, 2, "RESOURCE:MEMORY")],
)
def test_without_room_the_rest_fails_with_the_resource_that_lacks(cluster, container, fit, reason):
    instance = cluster.scale(1)[0]
    answer = cluster.run(cluster.define("sleep 600", **container), 5)
    assert len(answer["tasks"]) == fit
    assert answer["failures"] == [{"arn": instance["containerInstanceArn"], "reason": reason}]


@pytest.mark.aws(
    does=(
        "An awsvpc ECS task takes a network interface, the host has one itself, and Windows has no trunking: "
        "RESOURCE:ENI."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-networking-awsvpc.html",
    sure="documented",
)
def test_awsvpc_takes_one_network_interface_a_task(cluster):
    cluster.scale(1)
    definition = cluster.define("sleep 600", network="awsvpc", cpu=64, memory=64)
    network = {"awsvpcConfiguration": {"subnets": [cluster.subnet], "securityGroups": [cluster.security_group]}}
    answer = cluster.run(definition, 5, networkConfiguration=network)
    # c5.xlarge has four interfaces, and the first is the host's.
    assert len(answer["tasks"]) == 3
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:ENI"]
    interfaces = cluster.ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [cluster.subnet]}])
    of_tasks = [item for item in interfaces["NetworkInterfaces"] if ":task/" in item["Description"]]
    assert len(of_tasks) == 3
    details = {item["name"]: item["value"] for item in answer["tasks"][0]["attachments"][0]["details"]}
    assert details["subnetId"] == cluster.subnet

    for task in answer["tasks"]:
        cluster.ecs.stop_task(cluster=cluster.name, task=task["taskArn"])
        cluster.reach(task["taskArn"], "STOPPED")
    left = cluster.ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [cluster.subnet]}])
    assert not [item for item in left["NetworkInterfaces"] if ":task/" in item["Description"]]


@pytest.mark.aws(
    does="RunTask of an awsvpc task definition needs a networkConfiguration.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html",
    sure="documented",
)
def test_awsvpc_needs_a_network_that_exists(cluster):
    cluster.scale(1)
    definition = cluster.define("true", network="awsvpc")
    with pytest.raises(ClientError, match="Network Configuration must be provided"):
        cluster.run(definition)
    with pytest.raises(ClientError, match="subnet-00000000") as raised:
        cluster.run(definition, networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-00000000"]}})
    assert raised.value.response["Error"]["Code"] == "InvalidParameterException"


@pytest.mark.on_aws
@pytest.mark.aws(
    does=(
        "RunTask without container instances is an InvalidParameterException, `No Container Instances were "
        "found in your cluster.` or `… capacity provider.`."
    ),
    source="https://github.com/aws/aws-cdk/issues/30171",
    sure="reported",
)
def test_an_empty_cluster_refuses(cluster):
    definition = cluster.define("true")
    with pytest.raises(ClientError, match=r"No Container Instances were found in your cluster\.") as raised:
        cluster.run(definition, launchType="EC2")
    assert raised.value.response["Error"]["Code"] == "InvalidParameterException"
    with pytest.raises(ClientError, match=r"No Container Instances were found in your capacity provider\."):
        cluster.run(definition)


@pytest.mark.aws(
    does="ECS tasks of RunTask without a placement strategy spread over the container instances.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html",
    sure="assumed",
)
def test_tasks_spread_over_the_hosts(cluster):
    cluster.scale(2)
    cluster.run(cluster.define("sleep 600", cpu=64, memory=64), 6)
    wait_for(lambda: [item["runningTasksCount"] for item in cluster.instances()] == [3, 3])


@pytest.mark.aws(
    does="With managed scaling an ECS task waits in PROVISIONING for a container instance.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-auto-scaling.html",
    sure="documented",
)
def test_with_managed_scaling_a_task_waits_for_a_host(cluster):
    cluster.capacity_provider(managed_draining=False, managed_scaling=True, suffix="-managed")
    definition = cluster.define("exit 0")
    arn = cluster.start(definition)
    doomed = cluster.start(definition)
    assert cluster.task(arn)["lastStatus"] == "PROVISIONING"
    assert "containerInstanceArn" not in cluster.task(arn)

    cluster.ecs.stop_task(cluster=cluster.name, task=doomed, reason="not needed")
    assert cluster.task(doomed)["lastStatus"] == "STOPPED"
    cluster.scale(1)
    assert cluster.reach(arn, "STOPPED")["containers"][0]["exitCode"] == 0


@pytest.mark.aws(
    does="A draining container instance keeps its standalone ECS tasks and gets no new one.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html",
    sure="documented",
)
def test_a_draining_host_gets_nothing_and_keeps_what_it_has(cluster):
    instance = cluster.scale(1)[0]["containerInstanceArn"]
    definition = cluster.define("sleep 600")
    arn = cluster.start(definition)
    cluster.reach(arn, "RUNNING")

    cluster.ecs.update_container_instances_state(cluster=cluster.name, containerInstances=[instance], status="DRAINING")
    assert [item["containerInstanceArn"] for item in cluster.instances(status="DRAINING")] == [instance]
    assert cluster.instances(status="ACTIVE") == []
    with pytest.raises(ClientError, match="No Container Instances"):
        cluster.run(definition)
    assert cluster.task(arn)["lastStatus"] == "RUNNING"

    cluster.ecs.update_container_instances_state(cluster=cluster.name, containerInstances=[instance], status="ACTIVE")
    cluster.start(definition)


@pytest.mark.aws(
    does="DeregisterContainerInstance with running ECS tasks needs `force`.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeregisterContainerInstance.html",
    sure="documented",
)
def test_a_busy_host_is_deregistered_by_force_only(cluster):
    instance = cluster.scale(1)[0]["containerInstanceArn"]
    cluster.reach(cluster.start(cluster.define("sleep 600")), "RUNNING")
    with pytest.raises(ClientError, match="running tasks"):
        cluster.ecs.deregister_container_instance(cluster=cluster.name, containerInstance=instance)
    cluster.ecs.deregister_container_instance(cluster=cluster.name, containerInstance=instance, force=True)
    assert cluster.instances() == []


@pytest.mark.aws(
    does="A host takes only what its agent offers: log drivers, roles for ECS tasks, logs by the execution role.",
    source=(
        "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html; requiresAttributes of "
        "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskDefinition.html"
    ),
    sure="documented",
)
@pytest.mark.parametrize(
    "told",
    [
        """ -LoggingDrivers '["awslogs"]'""",
        " -EnableTaskIAMRole",
        "[Environment]::SetEnvironmentVariable('ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE', 'true', 'Machine')",
    ],
)
def test_a_host_offers_what_its_agent_was_told(cluster, told):
    role = cluster.iam.get_role(RoleName=cluster.host_role)["Role"]["Arn"]
    definition = cluster.define("true", taskRoleArn=role, executionRoleArn=role)
    cluster.change_user_data(lambda script: script.replace(told, ""))
    (host,) = cluster.scale(1)
    failure = {"arn": host["containerInstanceArn"], "reason": "ATTRIBUTE"}
    assert cluster.run(definition)["failures"] == [failure]
