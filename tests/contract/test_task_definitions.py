"""What a task definition says about its containers, on a host of its kind."""

from __future__ import annotations

import json
import time

import pytest
from botocore.exceptions import ClientError

from .world import ACCOUNT, REGION

ECS = "https://docs.aws.amazon.com/AmazonECS/latest"
WINDOWS = {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "X86_64"}


@pytest.fixture
def role(cluster):
    """An execution role that may read what it is asked for."""
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = cluster.iam.create_role(RoleName=cluster.name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    actions = ["ssm:GetParameters", "secretsmanager:GetSecretValue", "s3:GetObject", "logs:*", "ecr:*", "kms:Decrypt"]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    cluster.iam.put_role_policy(RoleName=cluster.name, PolicyName="read", PolicyDocument=policy)
    return arn


def ended(cluster, definition):
    return cluster.reach(cluster.start(definition), "STOPPED")


@pytest.mark.aws(
    does=(
        "Secrets come from Parameter Store by name or ARN and from Secrets Manager whole or by a JSON key, in the "
        "execution role's name; environment files come from S3, below the environment of the definition."
    ),
    source=f"{ECS}/developerguide/specifying-sensitive-data.html, {ECS}/developerguide/use-environment-file.html",
    sure="documented",
)
def test_secrets_and_environment_files_are_in_the_environment(cluster, client, role):
    cluster.scale(1)
    name = cluster.name
    parameter = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name}/b"
    cluster.ssm.put_parameter(Name=f"/{name}/a", Value="secret a", Type="SecureString")
    cluster.ssm.put_parameter(Name=f"/{name}/b", Value="secret b", Type="String")
    document = json.dumps({"user": "me", "password": "hidden"})
    secret = client("secretsmanager").create_secret(Name=name, SecretString=document)["ARN"]
    s3 = client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=name, Key="one.env", Body=b'# a comment\nE="in quotes"\nGIVEN=file\nTWICE=first\n')
    s3.put_object(Bucket=name, Key="two.env", Body=b"TWICE=second\n")
    definition = cluster.define(
        'echo "$A|$B|$C|$D|$E|$GIVEN|$TWICE"',
        executionRoleArn=role,
        environment=[{"name": "GIVEN", "value": "definition"}],
        environmentFiles=[{"type": "s3", "value": f"arn:aws:s3:::{name}/{file}.env"} for file in ("one", "two")],
        secrets=[
            {"name": "A", "valueFrom": f"/{name}/a"},
            {"name": "B", "valueFrom": parameter},
            {"name": "C", "valueFrom": secret},
            {"name": "D", "valueFrom": f"{secret}:password::"},
        ],
    )
    arn = cluster.start(definition)
    assert cluster.reach(arn, "STOPPED")["containers"][0]["exitCode"] == 0
    assert cluster.lines(arn) == [f'secret a|secret b|{document}|hidden|"in quotes"|definition|first']


@pytest.mark.aws(
    does="A secret that is not there fails the ECS task before its image is pulled, in the agent's words.",
    source="https://github.com/aws/amazon-ecs-agent, agent/taskresource/ssmsecret/ssmsecret_test.go",
    sure="reported",
)
@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("/none", f"Fetching secret data from SSM Parameter Store in {REGION}: invalid parameters: /none"),
        (
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:none-abcdef",
            f"Fetching secret data from AWS Secrets Manager in region {REGION}: secret arn:aws:secretsmanager:",
        ),
    ],
)
def test_a_secret_that_is_not_there_fails_the_task(cluster, role, reference, reason):
    cluster.scale(1)
    secrets = [{"name": "A", "valueFrom": reference}]
    task = ended(cluster, cluster.define("true", executionRoleArn=role, secrets=secrets))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(reason)
    assert "pullStartedAt" not in task


@pytest.mark.aws(
    does="A secret that the execution role may not read fails the ECS task with IAM's words.",
    source=f"{ECS}/developerguide/task_execution_IAM_role.html",
    sure="documented",
)
def test_a_secret_that_may_not_be_read_fails_the_task(cluster, role):
    cluster.scale(1)
    cluster.iam.delete_role_policy(RoleName=cluster.name, PolicyName="read")
    cluster.ssm.put_parameter(Name=f"/{cluster.name}/a", Value="secret", Type="String")
    secrets = [{"name": "A", "valueFrom": f"/{cluster.name}/a"}]
    task = ended(cluster, cluster.define("true", executionRoleArn=role, secrets=secrets))
    where = f"Fetching secret data from SSM Parameter Store in {REGION}: AccessDeniedException: User: "
    assert task["stoppedReason"].startswith(where)
    assert f"assumed-role/{cluster.name}/" in task["stoppedReason"]
    assert "is not authorized to perform: ssm:GetParameters" in task["stoppedReason"]


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A task definition with secrets needs an execution role.",
    source=f"{ECS}/developerguide/specifying-sensitive-data.html",
    sure="documented",
)
def test_secrets_need_an_execution_role(cluster):
    with pytest.raises(ClientError, match="you must also specify a value for 'executionRoleArn'") as raised:
        cluster.define("true", secrets=[{"name": "A", "valueFrom": "/a"}])
    assert raised.value.response["Error"]["Code"] == "ClientException"


@pytest.mark.aws(
    does="workingDirectory takes the place of the image's; either is made where it is not.",
    source=f"{ECS}/APIReference/API_ContainerDefinition.html",
    sure="documented",
)
def test_a_working_directory_is_kept(cluster):
    cluster.scale(1)
    image = cluster.image("pwd", Entrypoint=["/app/main.sh"], WorkingDir="/nowhere")
    for given, folder in (({}, "/nowhere"), ({"workingDirectory": "/elsewhere"}, "/elsewhere")):
        arn = cluster.start(cluster.define("", image=image, **given))
        cluster.reach(arn, "STOPPED")
        (line,) = cluster.lines(arn)
        assert line.endswith(folder)


@pytest.mark.aws(
    does="Windows has no read-only root file system: such a container cannot be created.",
    source="https://github.com/moby/moby, runconfig/hostconfig_windows.go; botocore, ContainerDefinition",
    sure="reported",
)
def test_windows_has_no_read_only_root(cluster):
    cluster.scale(1)
    task = ended(cluster, cluster.define("true", readonlyRootFilesystem=True, runtimePlatform=WINDOWS))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "read-only mode is not supported for Windows containers" in task["containers"][0]["reason"]


@pytest.mark.aws(
    does="A Windows container gets 5 s to stop, whatever its stopTimeout says.",
    source="https://github.com/moby/moby/issues/25982, https://github.com/microsoft/Windows-Containers/issues/16",
    sure="reported",
)
def test_a_windows_container_has_five_seconds(cluster):
    cluster.scale(1)
    deaf = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
    arn = cluster.start(cluster.define(deaf, stopTimeout=60, runtimePlatform=WINDOWS))
    cluster.reach(arn, "RUNNING")
    began = time.monotonic()
    cluster.ecs.stop_task(cluster=cluster.name, task=arn)
    task = cluster.reach(arn, "STOPPED")
    assert 4.9 < time.monotonic() - began < 50
    assert task["containers"][0]["exitCode"] == 137


@pytest.mark.aws(
    does="An ECS task is placed only on hosts of its operating system family.",
    source=f"{ECS}/developerguide/windows_task_definitions.html",
    sure="documented",
)
def test_a_task_wants_a_host_of_its_family(cluster):
    (host,) = cluster.scale(1)
    core, full = (
        cluster.define(f"echo {edition}", runtimePlatform={"operatingSystemFamily": f"WINDOWS_SERVER_2022_{edition}"})
        for edition in ("CORE", "FULL")
    )
    assert cluster.run(core)["failures"] == []
    assert cluster.run(full)["failures"] == [{"arn": host["containerInstanceArn"], "reason": "ATTRIBUTE"}]


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A mount point names one of its task definition's volumes.",
    source="https://github.com/ansible/ansible/issues/35751",
    sure="reported",
)
def test_a_mount_point_has_its_volume(cluster):
    mount = {"sourceVolume": "none", "containerPath": "/data"}
    with pytest.raises(ClientError, match="Unknown volume 'none'") as raised:
        cluster.define("true", mountPoints=[mount])
    assert raised.value.response["Error"]["Code"] == "ClientException"


@pytest.mark.aws(
    does="Without an execution role an ECS task's image is pulled, and its lines are sent, by the role of its host.",
    source=f"{ECS}/developerguide/instance_IAM_role.html; {ECS}/developerguide/using_awslogs.html",
    sure="documented",
)
def test_a_task_without_an_execution_role_is_served_by_its_host(cluster):
    cluster.scale(1)
    definition = cluster.define("echo done")
    arn = cluster.start(definition)
    assert cluster.reach(arn, "STOPPED")["containers"][0]["exitCode"] == 0
    assert cluster.lines(arn) == ["done"]

    cluster.allow_hosts("ecs:*", "ecr:*")
    task = ended(cluster, definition)
    assert task["stopCode"] == "TaskFailedToStart"
    assert "failed to create Cloudwatch log stream: AccessDeniedException" in task["containers"][0]["reason"]
    assert f"assumed-role/{cluster.host_role}/i-" in task["containers"][0]["reason"]

    cluster.allow_hosts("ecs:*", "logs:*")
    task = ended(cluster, definition)
    assert task["stoppedReason"].startswith("CannotPullECRContainerError: AccessDeniedException: ")
    assert "is not authorized to perform: ecr:GetAuthorizationToken" in task["stoppedReason"]


@pytest.mark.aws(
    does="Docker knows `mode` blocking and non-blocking, and a buffer's size where the mode does not block.",
    source="https://github.com/moby/moby, daemon/logger/factory.go, ValidateLogOpts",
    sure="reported",
)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "sometimes"}, "logger: logging mode not supported: sometimes"),
        (
            {"mode": "blocking", "max-buffer-size": "1m"},
            "max-buffer-size option is only supported with 'mode=non-block",
        ),
        ({"mode": "non-blocking", "max-buffer-size": "much"}, "error parsing option max-buffer-size: invalid size"),
    ],
)
def test_a_log_driver_s_mode_is_looked_at(cluster, options, words):
    cluster.scale(1)
    log = {"logDriver": "awslogs", "options": {"awslogs-group": cluster.name, "awslogs-stream-prefix": "p", **options}}
    task = ended(cluster, cluster.define("true", logConfiguration=log))
    assert task["stopCode"] == "TaskFailedToStart"
    assert words in task["containers"][0]["reason"]


@pytest.mark.aws(
    does="A driver that does not block drops lines that come when its buffer is full; one that blocks keeps all.",
    source="https://github.com/moby/moby, daemon/logger/ring.go; botocore, LogConfiguration",
    sure="documented",
)
def test_a_log_that_does_not_block_may_have_holes(cluster):
    cluster.scale(1)
    options = {"awslogs-group": cluster.name, "awslogs-stream-prefix": "p"}
    image = cluster.image("seq 10000 10999")
    seen = {}
    for mode in ({"mode": "blocking"}, {"mode": "non-blocking", "max-buffer-size": "1k"}):
        log = {"logDriver": "awslogs", "options": {**options, **mode}}
        arn = cluster.start(cluster.define("", image=image, logConfiguration=log))
        cluster.reach(arn, "STOPPED")
        seen[mode["mode"]] = cluster.lines(arn)
    assert len(seen["blocking"]) == 1000
    # Some 170 of six bytes fit, each time that the buffer has been emptied.
    assert 100 < len(seen["non-blocking"]) < 1000


@pytest.mark.parametrize("given", [{"volumes": [{"name": "data"}]}, {"volumes": [{"name": "d", "host": {}}]}])
def test_volumes_are_not_ignored(cluster, given):
    cluster.scale(1)
    container = {"name": "main", "image": cluster.image("true"), "memory": 128}
    definition = cluster.ecs.register_task_definition(family=cluster.name, containerDefinitions=[container], **given)
    with pytest.raises(ClientError, match="RunTask of a task definition with `volumes`") as raised:
        cluster.run(definition["taskDefinition"]["taskDefinitionArn"])
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_services_are_not_emulated(cluster):
    with pytest.raises(ClientError, match="CreateService: nothing keeps a service's ECS tasks running") as raised:
        cluster.ecs.create_service(cluster=cluster.name, serviceName="web", taskDefinition=cluster.define("true"))
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize(
    ("container", "name"),
    [
        ({"user": "app"}, "user"),
        ({"readonlyRootFilesystem": True}, "readonlyRootFilesystem"),
        ({"volumesFrom": [{"sourceContainer": "main"}]}, "volumesFrom"),
    ],
)
def test_what_is_not_emulated_is_not_ignored(cluster, container, name):
    cluster.scale(1)
    with pytest.raises(ClientError, match=name) as raised:
        cluster.run(cluster.define("true", **container))
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.on_aws
@pytest.mark.aws(
    does="ListTasks with startedBy takes no other filter; RUNNING, the default status, may stand beside it.",
    source="https://github.com/aws/aws-sdk-go-v2/issues/1893; botocore, ListTasks",
    sure="reported",
)
def test_started_by_is_the_only_filter(cluster):
    listed = lambda **by: cluster.ecs.list_tasks(cluster=cluster.name, startedBy="job", **by)["taskArns"]  # noqa: E731
    assert listed() == listed(desiredStatus="RUNNING") == []
    for by in ({"family": "f"}, {"desiredStatus": "STOPPED"}):
        with pytest.raises(ClientError, match="cannot specify startedBy with other arguments") as raised:
            listed(**by)
        assert raised.value.response["Error"]["Code"] == "InvalidParameterException"
