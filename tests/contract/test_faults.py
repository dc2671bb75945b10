"""Misbehaviour on request."""

from __future__ import annotations

import json
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from tests.emulated import emulating
from tests.waiting import wait_for

from . import world
from .conftest import QUICK


def ask(endpoint, method="GET", path="faults", body=None):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{endpoint}/_emulator/{path}", data=data, method=method)) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def unshared(tmp_path_factory):
    """An emulator that no other file's tests share: faults hit whoever comes."""
    with emulating(tmp_path_factory.mktemp("faults"), *QUICK) as emulator:
        yield emulator.endpoint


@pytest.fixture
def alone(unshared):
    """The same, without a fault."""
    yield unshared
    ask(unshared, "DELETE")


@pytest.fixture
def own_cluster(alone, unique):
    made = world.Cluster(lambda service: world.client(alone, service), unique)
    yield made
    made.remove()


@pytest.mark.aws(
    does="Too many calls are ThrottlingException in JSON protocols, Throttling in the query protocol, SlowDown in S3.",
    source="botocore, retryhandler and _retry.json: throttling error codes",
    sure="documented",
)
@pytest.mark.parametrize(
    ("service", "action", "call", "code"),
    [
        ("ecs", "RunTask", lambda client: client.run_task(taskDefinition="x"), "ThrottlingException"),
        ("autoscaling", "*", lambda client: client.describe_auto_scaling_groups(), "Throttling"),
        ("s3", "PutObject", lambda client: client.put_object(Bucket="b12", Key="k"), "SlowDown"),
    ],
)
def test_so_many_calls_are_throttled(alone, service, action, call, code):
    ask(alone, "POST", body={"kind": "throttle", "service": service, "action": action, "times": 2})
    client = world.client(alone, service)

    def outcome():
        try:
            call(client)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "served"

    assert [outcome(), outcome()] == [code, code]
    assert outcome() != code
    assert ask(alone)["faults"] == []


@pytest.mark.aws(
    does="Expired credentials are ExpiredTokenException (JSON), ExpiredToken (query, S3), RequestExpired (EC2).",
    source="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html",
    sure="documented",
)
@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("ecs", lambda client: client.list_clusters(), "ExpiredTokenException"),
        ("iam", lambda client: client.list_roles(), "ExpiredToken"),
        ("ec2", lambda client: client.describe_vpcs(), "RequestExpired"),
        ("s3", lambda client: client.list_buckets(), "ExpiredToken"),
    ],
)
def test_credentials_have_expired_until_they_are_renewed(alone, service, call, code):
    client = world.client(alone, service)
    call(client)
    ask(alone, "POST", body={"kind": "expire", "service": "*", "action": "*"})
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            call(client)
        assert caught.value.response["Error"]["Code"] == code
    ask(alone, "DELETE")
    call(client)


def test_an_answer_comes_late(alone):
    ask(alone, "POST", body={"kind": "answer-late", "service": "sts", "action": "*", "seconds": 0.5, "times": 1})
    began = time.monotonic()
    world.client(alone, "sts").get_caller_identity()
    assert time.monotonic() - began > 0.5
    assert ask(alone) == {"faults": []}, "it was for one answer"


def test_a_rate_is_kept_and_a_seed_repeats_it(alone):
    client = world.client(alone, "ecs")

    def pattern():
        fault = ask(
            alone, "POST", body={"kind": "throttle", "service": "ecs", "action": "ListClusters", "rate": 0.5, "seed": 7}
        )
        served = []
        for _ in range(40):
            try:
                client.list_clusters()
            except ClientError:
                served.append(False)
            else:
                served.append(True)
        ask(alone, "DELETE", f"faults/{fault['id']}")
        return served

    first = pattern()
    assert first == pattern()
    assert 5 < sum(first) < 35  # a fair coin leaves this less than once in 10⁵ seeds, and the seed is fixed


def test_a_task_starts_late_is_killed_and_is_hidden(alone, own_cluster):
    own_cluster.scale(1)
    definition = own_cluster.define("sleep 600")
    ask(alone, "POST", body={"kind": "delay-start", "seconds": 1.5, "times": 1})
    began = time.monotonic()
    arn = own_cluster.start(definition)
    own_cluster.reach(arn, "RUNNING")
    assert time.monotonic() - began > 1.4

    ask(alone, "POST", body={"kind": "kill-task", "task": arn})
    task = own_cluster.reach(arn, "STOPPED")
    assert task["containers"][0]["exitCode"] == 137
    assert task["stopCode"] == "EssentialContainerExited"

    fault = ask(alone, "POST", body={"kind": "hide-task", "task": arn})
    answer = own_cluster.ecs.describe_tasks(cluster=own_cluster.name, tasks=[arn])
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]
    assert ask(alone)["faults"] == [fault]
    ask(alone, "DELETE")
    assert own_cluster.task(arn)["lastStatus"] == "STOPPED"


def test_a_container_does_not_start_and_an_exit_code_is_told(alone, own_cluster):
    own_cluster.scale(1)
    definition = own_cluster.define("sleep 600")
    reason = "CannotStartContainerError: Error response from daemon: hcs::System::Start: the host's build is another"
    ask(alone, "POST", body={"kind": "fail-start", "reason": reason, "times": 1})
    task = own_cluster.reach(own_cluster.start(definition), "STOPPED")
    assert (task["stopCode"], task["containers"][0]["reason"]) == ("TaskFailedToStart", reason)

    arn = own_cluster.start(definition)
    own_cluster.reach(arn, "RUNNING")
    ask(alone, "POST", body={"kind": "kill-task", "task": arn, "exit_code": -1073741502})
    assert own_cluster.reach(arn, "STOPPED")["containers"][0]["exitCode"] == -1073741502

    arn = own_cluster.start(definition)
    own_cluster.reach(arn, "RUNNING")
    ask(alone, "POST", body={"kind": "end-task", "task": arn, "code": "InfrastructureHealth", "reason": "lost"})
    task = own_cluster.reach(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("InfrastructureHealth", "lost")


@pytest.mark.aws(
    does="RunTask wraps EC2's throttling in an InvalidParameterException.",
    source="https://github.com/dagster-io/dagster/pull/33439",
    sure="reported",
)
def test_a_call_is_refused_with_any_error(alone, own_cluster):
    own_cluster.scale(1)
    definition = own_cluster.define("true")
    message = "Error retrieving subnet information for [subnet-1]: Rate exceeded (ErrorCode: Throttling)"
    error = {"code": "InvalidParameterException", "message": message, "times": 1}
    ask(alone, "POST", body={"kind": "refuse", "service": "ecs", "action": "RunTask", **error})
    with pytest.raises(ClientError, match="Rate exceeded") as raised:
        own_cluster.run(definition)
    assert raised.value.response["Error"]["Code"] == "InvalidParameterException"
    own_cluster.start(definition)

    error = {"code": "ResourceContention", "message": "a pending update", "status": 500, "times": 1}
    ask(alone, "POST", body={"kind": "refuse", "service": "autoscaling", "action": "*", **error})
    with pytest.raises(ClientError) as raised:
        own_cluster.group()
    assert raised.value.response["Error"]["Code"] == "ResourceContention"


@pytest.mark.aws(
    does="ECS tasks of a lost instance end with a reason that names it, and the group replaces the instance.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html",
    sure="documented",
)
def test_an_instance_is_lost_and_replaced(alone, own_cluster):
    host = own_cluster.scale(1)[0]["ec2InstanceId"]
    arn = own_cluster.start(own_cluster.define("sleep 600"))
    own_cluster.reach(arn, "RUNNING")
    ask(alone, "POST", body={"kind": "lose-instance", "instance": host})
    assert host in own_cluster.reach(arn, "STOPPED")["stoppedReason"]
    wait_for(lambda: [item["ec2InstanceId"] for item in own_cluster.instances()] not in ([], [host]))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "nonsense"}, 400),
        ({"kind": "throttle", "service": "ecs"}, 400),
        ({"kind": "delay-start", "seconds": -1}, 400),
        ({"kind": "delay-start", "seconds": 1, "colour": "red"}, 400),
        ({"kind": "hide-task", "task": 5}, 400),
        ([], 400),
        ({"kind": "kill-task", "task": "arn:aws:ecs:eu-central-1:123456789012:task/c/none"}, 404),
        ({"kind": "lose-instance", "instance": "i-0"}, 404),
    ],
)
def test_what_is_no_fault_is_refused(endpoint, body, status):
    with pytest.raises(HTTPError) as raised:
        ask(endpoint, "POST", body=body)
    assert raised.value.code == status
    assert "error" in json.load(raised.value)


def test_calls_are_counted(alone):
    client = world.client(alone, "ecs")
    ask(alone, "DELETE", "requests")
    for _ in range(3):
        client.list_clusters()
    world.client(alone, "sts").get_caller_identity()
    assert ask(alone, path="requests")["requests"] == {"ecs.ListClusters": 3, "sts.GetCallerIdentity": 1}
