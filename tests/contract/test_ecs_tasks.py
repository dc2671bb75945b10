"""ECS tasks from RunTask to STOPPED."""

from __future__ import annotations

import json
import sys
import time
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from scripts.environments import teardown
from tests.processes import runs
from tests.waiting import wait_for

from .world import ACCOUNT, REGION


@pytest.mark.aws(
    does="An override's environment wins over the task definition's, that one over the image's.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerOverride.html",
    sure="documented",
)
@pytest.mark.aws(
    does=(
        "An ECS task whose essential container has ended has the stop code EssentialContainerExited and "
        "`Essential container in task exited`."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html",
    sure="documented",
)
@pytest.mark.aws(
    does="The log stream is `<prefix>/<container>/<task id>`.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html",
    sure="documented",
)
def test_a_program_runs_with_its_environment_and_its_output_is_logged(cluster):
    cluster.scale(1)
    definition = cluster.define(
        'echo "$FROM $IN $GIVEN $WHERE"; pwd; echo "home $HOME"; [ -z "$VIRTUAL_ENV" ] && echo clean; exit 3',
        environment=[{"name": "FROM", "value": "definition"}, {"name": "GIVEN", "value": "definition"}],
    )

    override = {
        "name": "main",
        "environment": [{"name": "WHERE", "value": "override"}, {"name": "GIVEN", "value": "override"}],
    }
    arn = cluster.start(definition, overrides={"containerOverrides": [override]}, startedBy="tests")
    task = cluster.reach(arn, "STOPPED")

    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert task["desiredStatus"] == "STOPPED"
    assert task["containers"][0]["exitCode"] == 3
    assert task["containers"][0]["lastStatus"] == "STOPPED"
    moments = [
        "createdAt",
        "pullStartedAt",
        "pullStoppedAt",
        "startedAt",
        "stoppingAt",
        "executionStoppedAt",
        "stoppedAt",
    ]
    assert [task[name] for name in moments] == sorted(task[name] for name in moments)
    first, folder, home, clean = cluster.lines(arn)
    assert first == "definition image override override"
    assert folder.endswith("/app")
    assert task["taskArn"].rpartition("/")[2] in home
    assert clean == "clean"


@pytest.mark.aws(
    does="A container finds its task role's credentials by AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html",
    sure="documented",
)
@pytest.mark.aws(
    does="`${ECS_CONTAINER_METADATA_URI_V4}/task` tells the ECS task's ARN.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html",
    sure="documented",
)
def test_the_task_role_s_credentials_are_given_and_the_metadata_tells_the_arn(cluster, unique):
    cluster.scale(1)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = cluster.iam.create_role(RoleName=unique, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    # The SDK finds everything it needs in the environment, as in a container on AWS.
    program = (
        "import boto3, json, os, urllib.request\n"
        "print(boto3.client('sts').get_caller_identity()['Arn'])\n"
        "print(json.load(urllib.request.urlopen(os.environ['ECS_CONTAINER_METADATA_URI_V4'] + '/task'))['TaskARN'])\n"
        "print(json.load(urllib.request.urlopen(os.environ['ECS_CONTAINER_METADATA_URI_V4']))['Name'])\n"
    )
    definition = cluster.define(
        f'exec {sys.executable} -c "$PROGRAM"', taskRoleArn=role, environment=[{"name": "PROGRAM", "value": program}]
    )

    arn = cluster.start(definition)
    assert cluster.reach(arn, "STOPPED")["containers"][0]["exitCode"] == 0, cluster.lines(arn)

    identity, told, name = cluster.lines(arn)
    assert f"assumed-role/{unique}/{arn.rpartition('/')[2]}" in identity
    assert told == arn
    assert name == "main"


@pytest.mark.aws(
    does="RunTask with a task role that ECS cannot assume is a ClientException, `ECS was unable to assume the role …`.",
    source="https://github.com/aws-samples/aws-modern-application-workshop/issues/149",
    sure="reported",
)
def test_a_role_that_does_not_exist_cannot_be_passed(cluster):
    cluster.scale(1)
    definition = cluster.define("true", taskRoleArn=f"arn:aws:iam::{ACCOUNT}:role/nobody")
    with pytest.raises(ClientError, match="unable to assume the role") as raised:
        cluster.run(definition)
    assert raised.value.response["Error"]["Code"] == "ClientException"


@pytest.mark.aws(
    does="StopTask sends SIGTERM, and its reason and UserInitiated are what the ECS task ends with.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html",
    sure="documented",
)
def test_stop_task_terminates_and_the_program_may_clean_up(cluster):
    cluster.scale(1)
    arn = cluster.start(cluster.define("trap 'echo bye; exit 143' TERM; echo up; while :; do sleep 0.1; done"))
    cluster.reach(arn, "RUNNING")
    wait_for(lambda: cluster.lines(arn) == ["up"])  # output is there while the program runs

    stopping = cluster.ecs.stop_task(cluster=cluster.name, task=arn, reason="enough")["task"]
    assert stopping["desiredStatus"] == "STOPPED"
    task = cluster.reach(arn, "STOPPED")

    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 143
    assert cluster.lines(arn) == ["up", "bye"]


@pytest.mark.aws(
    does="A container that ignores SIGTERM is killed after its stopTimeout (Linux).",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html",
    sure="documented",
)
def test_a_program_that_ignores_sigterm_is_killed_after_its_stop_timeout(cluster):
    cluster.scale(1)
    arn = cluster.start(cluster.define("trap '' TERM; echo deaf; while :; do sleep 0.1; done", stopTimeout=2))
    wait_for(lambda: cluster.task(arn)["lastStatus"] == "RUNNING" and cluster.lines(arn))

    began = time.monotonic()
    cluster.ecs.stop_task(cluster=cluster.name, task=arn)
    task = cluster.reach(arn, "STOPPED")

    assert 1.9 < time.monotonic() - began < 25, "not after the 30 s of a container without a time-out of its own"
    assert task["containers"][0]["exitCode"] == 137
    assert task["stoppedReason"] == "Task stopped by user"


def test_what_a_program_leaves_behind_ends_with_it(cluster, tmp_path):
    cluster.scale(1)
    arn = cluster.start(cluster.define(f"sleep 600 & echo $! > {tmp_path}/child; exit 0"))
    cluster.reach(arn, "STOPPED")
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not runs(child))


@pytest.mark.aws(
    does="An ECS task is RUNNING as long as its program runs.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html",
    sure="documented",
)
def test_a_status_is_driven_by_the_program_not_by_looking(cluster, tmp_path):
    cluster.scale(1)
    go = tmp_path / "go"
    arn = cluster.start(cluster.define(f"while [ ! -e {go} ]; do sleep 0.05; done"))
    cluster.reach(arn, "RUNNING")
    for _ in range(20):
        assert cluster.task(arn)["lastStatus"] == "RUNNING"
    go.touch()
    assert cluster.reach(arn, "STOPPED")["containers"][0]["exitCode"] == 0


@pytest.mark.aws(
    does=(
        "An image that cannot be pulled ends the ECS task with TaskFailedToStart and "
        "CannotPullContainerError, without an exit code."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html",
    sure="documented",
)
@pytest.mark.parametrize(
    "image",
    [
        "{repository}@sha256:" + "0" * 64,
        "{repository}:nothing",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/nowhere:latest",
        "docker.io/library/busybox:latest",
    ],
)
def test_an_image_that_cannot_be_pulled_fails_the_task(cluster, image):
    cluster.scale(1)
    uri = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{cluster.repository}"
    task = cluster.reach(cluster.start(cluster.define("", image=image.format(repository=uri))), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError")
    assert task["containers"][0]["reason"].startswith("CannotPullContainerError")
    assert "exitCode" not in task["containers"][0]
    assert "startedAt" not in task


@pytest.mark.aws(
    does="An entry point that is not there ends the ECS task with CannotStartContainerError.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cannot-start-container.html",
    sure="documented",
)
def test_an_entry_point_that_is_not_there_fails_the_task(cluster):
    cluster.scale(1)
    image = cluster.image("true", Entrypoint=["/no/such/program"])
    task = cluster.reach(cluster.start(cluster.define("", image=image)), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["containers"][0]["reason"].startswith("CannotStartContainerError")


@pytest.mark.aws(
    does="A log group that does not exist ends the ECS task before it starts.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html",
    sure="documented",
)
def test_a_missing_log_group_fails_the_task(cluster):
    cluster.scale(1)
    log = {"logDriver": "awslogs", "options": {"awslogs-group": "no-such-group", "awslogs-stream-prefix": "p"}}
    task = cluster.reach(cluster.start(cluster.define("true", logConfiguration=log)), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert "no-such-group" in task["containers"][0]["reason"]


@pytest.mark.aws(
    does=(
        "Equal RunTask requests with one client token start one ECS task in a cluster; with it and other parameters it "
        "is a ConflictException."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html",
    sure="documented",
)
def test_equal_requests_with_one_client_token_start_one_task(cluster):
    cluster.scale(1)
    definition = cluster.define("sleep 600")
    first = cluster.run(definition, clientToken="token-1", startedBy="a")["tasks"]
    again = cluster.run(definition, clientToken="token-1", startedBy="a")["tasks"]
    assert [task["taskArn"] for task in first] == [task["taskArn"] for task in again]
    assert len(cluster.ecs.list_tasks(cluster=cluster.name)["taskArns"]) == 1

    with pytest.raises(ClientError) as raised:
        cluster.run(definition, clientToken="token-1", startedBy="b")
    assert raised.value.response["Error"]["Code"] == "ConflictException"


@pytest.mark.aws(
    does=(
        "RunTask takes at most ten tasks, 8,192 characters of overrides, capacity providers or a launch type, "
        "letters, digits, `-`, `/`, `_` as startedBy, and 64 characters of ASCII without blanks as clientToken."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html",
    sure="documented",
)
@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"count": 11}, "InvalidParameterException"),
        ({"count": 0}, "InvalidParameterException"),
        ({"startedBy": "not allowed!"}, "InvalidParameterException"),
        ({"clientToken": "x" * 65}, "InvalidParameterException"),
        ({"clientToken": "not allowed"}, "InvalidParameterException"),
        ({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "x"}]}, "InvalidParameterException"),
        ({"capacityProviderStrategy": [{"capacityProvider": "no-such-provider"}]}, "InvalidParameterException"),
        ({"overrides": {"containerOverrides": [{"name": "stranger"}]}}, "InvalidParameterException"),
        (
            {"overrides": {"containerOverrides": [{"name": "main", "command": ["x" * 8192]}]}},
            "InvalidParameterException",
        ),
        ({"taskDefinition": "no-such-family"}, "ClientException"),
        ({"cluster": "no-such-cluster"}, "ClusterNotFoundException"),
    ],
)
def test_a_bad_request_is_refused(cluster, settings, code):
    cluster.scale(1)
    request = {"cluster": cluster.name, "taskDefinition": cluster.define("true"), **settings}
    with pytest.raises(ClientError) as raised:
        cluster.ecs.run_task(**request)
    assert raised.value.response["Error"]["Code"] == code


@pytest.mark.aws(
    does=(
        "ListTasks shows those with the desired status RUNNING unless another one is asked for, in pages of maxResults."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html",
    sure="documented",
)
def test_tasks_are_listed_by_what_they_have_in_common_and_in_pages(cluster):
    cluster.scale(1)
    definition = cluster.define("sleep 600", cpu=64, memory=64)
    many = {task["taskArn"] for task in cluster.run(definition, 7, startedBy="many")["tasks"]}
    one = cluster.start(definition, startedBy="one")
    listed = lambda **by: cluster.ecs.list_tasks(cluster=cluster.name, **by)["taskArns"]  # noqa: E731

    assert set(listed(startedBy="many")) == many
    assert set(listed(family=cluster.name)) == many | {one}
    assert set(listed(containerInstance=cluster.instances()[0]["containerInstanceArn"])) == many | {one}
    assert listed(family="other") == []
    assert listed(desiredStatus="STOPPED") == []

    pages = list(
        cluster.ecs.get_paginator("list_tasks").paginate(cluster=cluster.name, PaginationConfig={"PageSize": 3})
    )
    sizes = [len(page["taskArns"]) for page in pages]
    assert sizes == [3, 3, 2]
    assert {arn for page in pages for arn in page["taskArns"]} == many | {one}

    cluster.ecs.stop_task(cluster=cluster.name, task=one)
    assert listed(desiredStatus="STOPPED") == [one]


@pytest.mark.aws(
    does="DescribeTasks names what it does not know as a failure, MISSING, and takes a hundred at most.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html",
    sure="documented",
)
def test_unknown_tasks_are_missing(cluster):
    cluster.scale(1)
    arn = cluster.start(cluster.define("sleep 600"))
    unknown = arn[:-4] + "0000"
    answer = cluster.ecs.describe_tasks(cluster=cluster.name, tasks=[arn, unknown])
    assert [task["taskArn"] for task in answer["tasks"]] == [arn]
    assert answer["failures"] == [{"arn": unknown, "reason": "MISSING"}]

    with pytest.raises(ClientError, match="100"):
        cluster.ecs.describe_tasks(cluster=cluster.name, tasks=[arn] * 101)


@pytest.mark.aws(
    does=(
        "Tags of an ECS task come from the request, from the task definition by propagateTags, and from ECS "
        "by enableECSManagedTags; they are shown with `include` TAGS only."
    ),
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html",
    sure="documented",
)
def test_tags_come_from_the_definition_the_request_and_ecs_and_are_shown_on_request(cluster):
    cluster.scale(1)
    definition = cluster.define("sleep 600")
    cluster.ecs.tag_resource(resourceArn=definition, tags=[{"key": "from", "value": "definition"}])
    arn = cluster.start(
        definition, propagateTags="TASK_DEFINITION", enableECSManagedTags=True, tags=[{"key": "job", "value": "j1"}]
    )
    described = cluster.ecs.describe_tasks(cluster=cluster.name, tasks=[arn], include=["TAGS"])["tasks"][0]
    assert {tag["key"]: tag["value"] for tag in described["tags"]} == {
        "from": "definition",
        "job": "j1",
        "aws:ecs:clusterName": cluster.name,
    }
    assert not cluster.task(arn).get("tags")


@pytest.mark.aws(
    does="When an essential container ends, all others of the ECS task are stopped.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html",
    sure="documented",
)
def test_a_second_container_ends_with_the_essential_one(cluster):
    cluster.scale(1)
    container = {"image": cluster.image(""), "memory": 64, "cpu": 64}
    definition = cluster.ecs.register_task_definition(
        family=cluster.name,
        containerDefinitions=[
            {**container, "name": "main", "entryPoint": ["sh", "-c"], "command": ["sleep 0.3; exit 5"]},
            {
                **container,
                "name": "side",
                "entryPoint": ["sh", "-c"],
                "command": ["exec sleep 600"],
                "essential": False,
            },
        ],
    )["taskDefinition"]["taskDefinitionArn"]
    task = cluster.reach(cluster.start(definition), "STOPPED")
    assert {item["name"]: item["exitCode"] for item in task["containers"]} == {"main": 5, "side": 143}


@pytest.mark.aws(
    does="DescribeTasks takes a hundred ECS tasks, and shows stopped ones for an hour at least.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html",
    sure="documented",
)
def test_a_hundred_tasks_are_described_at_once(cluster):
    cluster.scale(1)
    definition = cluster.define("true", cpu=16, memory=16)
    arns = [task["taskArn"] for _ in range(10) for task in cluster.run(definition, 10)["tasks"]]
    wait_for(lambda: not cluster.ecs.list_tasks(cluster=cluster.name)["taskArns"])

    found = cluster.ecs.describe_tasks(cluster=cluster.name, tasks=arns)["tasks"]
    assert sorted(task["taskArn"] for task in found) == sorted(arns)


def test_programs_leave_the_processors_to_everything_else(cluster):
    cluster.scale(1)
    arn = cluster.start(cluster.define("sleep 0.5; nice"))
    cluster.reach(arn, "STOPPED")
    assert cluster.lines(arn) == ["19"]


def test_down_calls_a_task_left_until_it_has_stopped(cluster, client):
    environment = cluster.name
    tags = [{"key": "environment", "value": environment}, {"key": "root", "value": "winbatch"}]
    target = teardown.Target(cluster.name, environment, cluster.name, cluster.name)
    aws = SimpleNamespace(client=client)
    cluster.scale(1)
    arn = cluster.start(cluster.define("exec sleep 600"), tags=tags)
    cluster.reach(arn, "RUNNING")
    assert teardown.left(aws, target) == [arn]
    cluster.ecs.stop_task(cluster=cluster.name, task=arn)
    cluster.reach(arn, "STOPPED")
    assert teardown.left(aws, target) == []
