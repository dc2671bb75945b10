"""What AWS and Airflow call things, as the product interprets it: a new value fails here, and not in a job.

Where botocore's model has the enumeration, that is compared; else the documented values stand here with their source.
"""

import botocore.session
import pytest

from scripts.environments import teardown
from scripts.jobs import runs
from scripts.terraform import imports
from winbatch import ecs_tasks, scaling

# docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html; botocore has a plain string.
TASK_STATUSES = {
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
    "DELETED",
}
# docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html: RunTask, and DescribeTasks with
# TaskFailedToStart. MISSING and INACTIVE are StartTask's.
FAILURE_REASONS = {
    "RESOURCE:*",
    "AGENT",
    "LOCATION",
    "ATTRIBUTE",
    "MemberOf placement constraint unsatisfied",
    "NO ACTIVE INSTANCES",
    "EMPTY CAPACITY PROVIDER",
}
# airflow.apache.org, Public REST API v2, DagRunState.
RUN_STATES = {"queued", "running", "success", "failed"}


def enumeration(service, shape):
    return set(botocore.session.get_session().get_service_model(service).shape_for(shape).enum)


def test_task_statuses():
    assert set(ecs_tasks.STATUSES) == TASK_STATUSES


def test_stop_codes():
    assert set(ecs_tasks.STOP_CODES) == enumeration("ecs", "TaskStopCode")


@pytest.mark.parametrize("reason", sorted(FAILURE_REASONS))
def test_each_failure_reason_is_want_of_room_or_has_its_advice(reason):
    assert ecs_tasks.no_room(reason) != bool(ecs_tasks.advice(reason))


def test_lifecycle_states():
    assert set(scaling.LEAVING) == {state.partition(":")[0] for state in enumeration("autoscaling", "LifecycleState")}
    assert enumeration("autoscaling", "LifecycleState") > teardown.PROTECTABLE


def test_activities_that_came_to_nothing():
    known = enumeration("autoscaling", "ScalingActivityStatusCode")
    assert known > scaling.FAILED
    assert known - scaling.FAILED == {
        "InPlaceUpdateInProgress",
        "InProgress",
        "MidLifecycleAction",
        "PendingSpotBidPlacement",
        "PreInService",
        "Successful",
        "WaitingForConnectionDraining",
        "WaitingForELBConnectionDraining",
        "WaitingForInPlaceUpdateToFinalize",
        "WaitingForInPlaceUpdateToStart",
        "WaitingForInstanceId",
        "WaitingForInstanceWarmup",
        "WaitingForSpotInstanceId",
        "WaitingForSpotInstanceRequestId",
    }


def test_container_instances_that_are_listed_or_deliberately_not():
    # The engine lists the first two; nothing can be placed on the others.
    assert enumeration("ecs", "ContainerInstanceStatus") == {
        "ACTIVE",
        "DRAINING",
        "REGISTERING",
        "DEREGISTERING",
        "REGISTRATION_FAILED",
    }


def test_states_of_an_instance_that_down_waits_for():
    assert enumeration("ec2", "InstanceStateName") == {
        "pending",
        "running",
        "shutting-down",
        "terminated",
        "stopping",
        "stopped",
    }


def test_what_is_on_its_way_out():
    assert enumeration("ec2", "NatGatewayState") == {"pending", "failed", "available", "deleting", "deleted"}
    assert enumeration("ec2", "NatGatewayState") > teardown.GOING["natgateway"]
    assert enumeration("ec2", "InstanceStateName") > teardown.GOING["instance"]
    assert teardown.GOING["task"] == {status for status, ours in ecs_tasks.STATUSES.items() if ours == "stopped"}
    assert enumeration("autoscaling", "WarmPoolStatus") == {"PendingDelete"}


def test_states_of_airflows_environment():
    assert enumeration("mwaa", "EnvironmentStatus") - imports.AIRFLOW_READY - imports.AIRFLOW_GONE == {
        "CREATING",
        "CREATING_SNAPSHOT",
        "MAINTENANCE",
        "PENDING",
        "ROLLING_BACK",
        "UPDATING",
    }


def test_runs_that_have_ended():
    assert RUN_STATES - {"queued", "running"} == runs.ENDED
