"""The plain AWS command line: nothing but AWS_ENDPOINT_URL tells it that this is not AWS."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys

import pytest

from tests.waiting import wait_for

from .world import ACCOUNT, AMI, REGION

pytestmark = pytest.mark.slow


@pytest.fixture
def aws(endpoint, tmp_path):
    """Runs `aws` in the test's folder; its standard output, parsed when it is JSON.

    `failing` is the exit code that is expected; the error is given then. `proxy` sends it through the emulator as a
    proxy.
    """
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_MAX_ATTEMPTS": "1",
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
    }

    def run(*arguments, failing=0, proxy=False, given=None):
        ended = subprocess.run(
            [sys.executable, "-m", "awscli", *arguments],
            env=environment | ({"HTTP_PROXY": endpoint} if proxy else {}),
            cwd=tmp_path,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == failing, ended.stdout + ended.stderr
        if failing:
            return ended.stderr
        return json.loads(ended.stdout) if ended.stdout.startswith("{") else ended.stdout

    return run


def test_objects_are_copied_listed_and_synchronised(aws, tmp_path, unique):
    bucket = f"s3://{unique}"
    aws("s3", "mb", bucket)
    large = os.urandom(9 << 20)  # above 8 MiB the command line sends parts
    (tmp_path / "large").write_bytes(large)
    aws("s3", "cp", "large", f"{bucket}/large")
    aws("s3", "cp", f"{bucket}/large", "back")
    assert (tmp_path / "back").read_bytes() == large
    aws("s3", "cp", "-", f"{bucket}/folder/piped", given="from a pipe")
    assert aws("s3", "cp", f"{bucket}/folder/piped", "-") == "from a pipe"

    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "b ü.txt").write_text("b")
    (folder / "a.txt").write_text("aa")
    # S3 says whole seconds: what is written and uploaded within one looks newer than its copy.
    for file in (folder / "a.txt", folder / "deep" / "b ü.txt"):
        os.utime(file, (0, 0))
    aws("s3", "sync", "folder", f"{bucket}/folder", "--delete")
    listed = aws("s3", "ls", f"{bucket}/folder/", "--recursive").splitlines()
    assert [line.split(maxsplit=2)[2] for line in listed] == ["2 folder/a.txt", "1 folder/deep/b ü.txt"]
    assert aws("s3", "sync", "folder", f"{bucket}/folder", "--delete") == "", "nothing has changed"
    aws("s3", "sync", f"{bucket}/folder", "mirror")
    assert (tmp_path / "mirror" / "deep" / "b ü.txt").read_text() == "b"

    aws("s3", "rb", bucket, "--force")
    assert "NoSuchBucket" in aws("s3", "ls", bucket, failing=255)


def test_an_ecs_task_from_scaling_out_to_its_log(aws, cluster):
    cluster.define('echo "hello $WHO"; exit 3')
    here = ("--cluster", cluster.name)
    text = ("--output", "text")
    assert cluster.name in aws("ecs", "list-clusters", "--query", "clusterArns", *text)

    scale = ("autoscaling", "set-desired-capacity", "--auto-scaling-group-name", cluster.name, "--desired-capacity")
    aws(*scale, "1")
    wait_for(lambda: len(aws("ecs", "list-container-instances", *here)["containerInstanceArns"]) == 1)
    assert "ValidationError" in aws(*scale, "99", failing=255)

    overrides = {"containerOverrides": [{"name": "main", "environment": [{"name": "WHO", "value": "operator"}]}]}
    run = ("ecs", "run-task", *here, "--task-definition", cluster.name, "--overrides", json.dumps(overrides))
    strategy = f"capacityProvider={cluster.name},weight=1"
    started = aws(*run, "--capacity-provider-strategy", strategy, "--started-by", "aws")
    assert started["failures"] == []
    arn = started["tasks"][0]["taskArn"]
    aws("ecs", "wait", "tasks-stopped", *here, "--tasks", arn)
    task = aws("ecs", "describe-tasks", *here, "--tasks", arn)["tasks"][0]
    assert task["containers"][0]["exitCode"] == 3
    assert task["stopCode"] == "EssentialContainerExited"
    stopped = ("ecs", "list-tasks", *here, "--desired-status", "STOPPED", "--family", cluster.name)
    assert aws(*stopped)["taskArns"] == [arn]

    stream = f"p/main/{arn.rpartition('/')[2]}"
    log = ("--log-group-name", cluster.name)
    read = aws("logs", "get-log-events", *log, "--log-stream-name", stream, "--query", "events[].message", *text)
    assert read == "hello operator\n"
    # What `aws logs tail`, which the second version of the command line has, asks for.
    found = aws("logs", "filter-log-events", *log, "--log-stream-name-prefix", "p/main", "--filter-pattern", "hello")
    assert [(event["logStreamName"], event["message"]) for event in found["events"]] == [(stream, "hello operator")]


def test_a_cluster_is_made_and_deleted(aws, unique):
    made = aws("ecs", "create-cluster", "--cluster-name", unique)["cluster"]
    assert (made["clusterName"], made["status"]) == (unique, "ACTIVE")
    aws("ecs", "delete-cluster", "--cluster", unique)
    shown = aws("ecs", "describe-clusters", "--clusters", unique)
    assert [found["status"] for found in shown["clusters"]] == ["INACTIVE"]


@pytest.mark.aws(
    does="An authorization token for the registry is valid for twelve hours.",
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html",
    sure="documented",
)
def test_images_and_the_registry_s_password(aws, cluster):
    digest = cluster.image("exit 0").rpartition("@")[2]
    shown = aws("ecr", "describe-images", "--repository-name", cluster.repository)["imageDetails"]
    assert [image["imageDigest"] for image in shown] == [digest]
    assert aws("ecr", "get-login-password").strip()
    token = aws("ecr", "get-authorization-token")["authorizationData"][0]
    left = dt.datetime.fromtimestamp(token["expiresAt"], dt.UTC) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=11) < left <= dt.timedelta(hours=12)


def test_who_calls_and_which_windows(aws, client):
    assert aws("sts", "get-caller-identity")["Account"] == ACCOUNT
    image = aws("ssm", "get-parameter", "--name", AMI, "--query", "Parameter.Value", "--output", "text").strip()
    assert client("ec2").describe_images(ImageIds=[image])["Images"][0]["Platform"] == "windows"


@pytest.mark.aws(
    does="MWAA's calls go to a host with `api.` before it.",
    source="botocore, mwaa-2020-07-01, endpoint.hostPrefix",
    sure="documented",
)
def test_airflow_s_environments_need_the_emulator_as_a_proxy(aws):
    # MWAA's calls put `api.` before the endpoint's host, and no name stands before an IP address.
    assert "http://api.127.0.0.1" in aws("mwaa", "list-environments", failing=255)
    assert aws("mwaa", "list-environments", proxy=True) == {"Environments": []}
    error = aws("mwaa", "get-environment", "--name", "none", proxy=True, failing=255)
    assert "ResourceNotFoundException" in error
