"""What ECS answers RunTask and ListTasks, as the engine takes it."""

import boto3
import pytest
from botocore.stub import ANY, Stubber

from winbatch.aws import AwsPorts
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload
from winbatch.ports import Refused, Throttled

WORKLOAD = Workload(
    task_definition="td:1", container="c", cpu=1024, memory=1024, image="i", log_group="g", log_stream_prefix="p"
)
DEPLOYMENT = Deployment(
    environment="test",
    region="eu-central-1",
    account_id="123456789012",
    data_bucket="b",
    data_prefixes=("jobs",),
    cluster=Cluster(
        name="c",
        capacity_provider="c",
        auto_scaling_group="g",
        max_instances=4,
        subnets=("s",),
        security_groups=("sg",),
        instance_types=(InstanceType(type="c5.xlarge", vcpus=4, memory_mib=8192, network_interfaces=4),),
    ),
    workloads={"w": WORKLOAD},
)


def client(service):
    return boto3.client(service, "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def ecs():
    ecs = client("ecs")
    with Stubber(ecs) as ecs.stub:
        yield ecs
        ecs.stub.assert_no_pending_responses()


@pytest.fixture
def ports(ecs):
    return AwsPorts(DEPLOYMENT, {"ecs": ecs, "s3": client("s3"), "autoscaling": client("autoscaling")}.__getitem__)


def run(ports):
    return ports.run(WORKLOAD, 2, "me", "token", "jobs/stage.json")


@pytest.mark.parametrize(
    "reason",
    ["RESOURCE:CPU", "RESOURCE:ENI", "AGENT", "EMPTY CAPACITY PROVIDER", "NO ACTIVE INSTANCES"],
)
def test_no_room_starts_nothing_and_is_no_error(ecs, ports, reason):
    ecs.stub.add_response("run_task", {"tasks": [], "failures": [{"arn": "a", "reason": reason}]})
    assert run(ports) == []


def test_what_has_started_counts_whatever_the_rest_failed_for(ecs, ports):
    ecs.stub.add_response("run_task", {"tasks": [{"taskArn": "t"}], "failures": [{"reason": "ATTRIBUTE"}]})
    assert run(ports) == ["t"]


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        ({"reason": "ATTRIBUTE"}, "the hosts lack"),
        ({"reason": "LOCATION"}, "other zones"),
        ({"reason": "SOMETHING NEW"}, ""),
        ({"detail": "without a reason"}, ""),
    ],
)
def test_a_failure_that_is_no_want_of_room_is_refused_with_what_to_do(ecs, ports, failure, advice):
    ecs.stub.add_response("run_task", {"tasks": [], "failures": [failure]})
    with pytest.raises(Refused, match="ECS cannot start td:1") as caught:
        run(ports)
    assert advice in caught.value.advice
    assert bool(advice) == bool(caught.value.advice)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ThrottlingException", "Rate exceeded"),
        ("ServerException", "Service Unavailable"),
        (
            "InvalidParameterException",
            "Error retrieving subnet information for [subnet-1]: Rate exceeded (ErrorCode: Throttling)",
        ),
    ],
)
def test_a_throttle_is_one_whatever_it_comes_as(ecs, ports, code, message):
    ecs.stub.add_client_error("run_task", code, message)
    with pytest.raises(Throttled):
        run(ports)


def test_a_throttle_among_the_failures_is_one_too(ecs, ports):
    ecs.stub.add_response("run_task", {"tasks": [], "failures": [{"reason": "Rate exceeded (ErrorCode: Throttling)"}]})
    with pytest.raises(Throttled):
        run(ports)


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("ClientException", "ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided", "the role"),
        ("InvalidParameterException", "TaskDefinition is inactive", "look at the cluster"),
        ("ClusterNotFoundException", "Cluster not found.", "look at the cluster"),
    ],
)
def test_a_call_that_is_refused_for_good_says_what_to_do(ecs, ports, code, message, advice):
    ecs.stub.add_client_error("run_task", code, message)
    with pytest.raises(Refused) as caught:
        run(ports)
    assert message in str(caught.value)
    assert advice in caught.value.advice


def test_a_right_that_is_missing_is_named_with_the_place_of_its_statement(ecs, ports):
    user = "arn:aws:sts::1:assumed-role/winbatch-dev-airflow/s"
    message = f"User: {user} is not authorized to perform: iam:PassRole on resource: arn:r because no policy allows it"
    ecs.stub.add_client_error("run_task", "AccessDeniedException", message)
    with pytest.raises(Refused, match=r"role winbatch-dev-airflow may not iam:PassRole on arn:r .*role\.tf") as caught:
        run(ports)
    assert caught.value.advice == "give it that right and apply again: invoke up"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidParameterException", "No Container Instances were found in your cluster."),
        # The call was sent before with another release's task definition, under the same token.
        ("ConflictException", "The client token is already in use with different request parameters."),
    ],
)
def test_what_starts_none_now_is_no_refusal(ecs, ports, code, message):
    ecs.stub.add_client_error("run_task", code, message)
    assert run(ports) == []


def test_ecs_tasks_are_listed_by_who_started_them_and_nothing_else(ecs, ports):
    # botocore, ListTasks: "it must be the only filter that you use".
    ecs.stub.add_response("list_tasks", {"taskArns": ["t"]}, {"cluster": "c", "startedBy": "me"})
    assert ports.live_task_arns("me") == ["t"]


def test_a_stop_that_is_throttled_or_of_one_that_is_forgotten_hinders_nothing(ecs, ports):
    for message in ("The referenced task was not found.", "Rate exceeded (ErrorCode: Throttling)"):
        ecs.stub.add_client_error("stop_task", "InvalidParameterException", message)
        ports.stop("t", "why")
    ecs.stub.add_response("stop_task", {}, {"cluster": "c", "task": "t", "reason": ANY})
    ports.stop("t", "why")
