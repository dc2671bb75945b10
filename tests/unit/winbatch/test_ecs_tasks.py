"""What the end of an ECS task means: for its claims, and for the stage. Texts as ECS writes them."""

import pytest

from winbatch.ecs_tasks import START_TIMEOUT, Worker, advice

PULL = (
    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref"
    " docker.io/library/nothing:1: not found"
)
LIMIT = (
    "CannotPullContainerError: inspect image has been retried 5 time(s): httpReadSeeker: failed open: unexpected status"
    " code https://registry/v2: 429 Too Many Requests - toomanyrequests: You have reached your pull rate limit"
)
NETWORK = "ResourceInitializationError: failed to set up network namespace: no available network interface"
MEMORY = "Essential container in task exited; OutOfMemoryError: Container killed due to memory usage"
HOST = "Host EC2 (instance i-0123456789abcdef0) terminated."


@pytest.mark.parametrize(
    ("exit_code", "stop_code", "reason", "fault", "verdict"),
    [
        (0, "EssentialContainerExited", "", None, "invalid"),
        (1, "EssentialContainerExited", "", "worker", "crash"),
        (139, "EssentialContainerExited", "", "worker", "crash"),
        (3221225477, "EssentialContainerExited", "", "worker", "crash"),
        (3, "EssentialContainerExited", "", "worker", "lost"),
        (137, "EssentialContainerExited", MEMORY, "worker", "memory"),
        (137, "EssentialContainerExited", "", None, "lost"),
        (143, "UserInitiated", "winbatch: the stage cancelled", None, "lost"),
        (3221225786, "UserInitiated", "", None, "lost"),
        (None, "SpotInterruption", "Your Spot Task was interrupted.", None, "lost"),
        (None, "TerminationNotice", HOST, None, "lost"),
        (None, "", HOST, None, "lost"),
        (None, "TaskFailedToStart", PULL, "image", "lost"),
        (None, "TaskFailedToStart", LIMIT, "throttled", "lost"),
        (None, "TaskFailedToStart", NETWORK, "unstarted", "lost"),
        (None, "TaskFailedToStart", "DockerTimeoutError: Could not transition to created; timed out", "start", "lost"),
        # The host goes down, or its end is all that ECS knows.
        (-1, "EssentialContainerExited", "", "host", "lost"),
        (4294967295, "EssentialContainerExited", "", "host", "lost"),
        (-1073741502, "EssentialContainerExited", "", "host", "lost"),
        (0xC0000142, "EssentialContainerExited", "", "host", "lost"),
        (1073807364, "EssentialContainerExited", "", "host", "lost"),
        (-1, "SpotInterruption", "", None, "lost"),
        (None, "InfrastructureHealth", "", None, "lost"),
        # There is no place for it now.
        (None, "TaskFailedToStart", "EMPTY CAPACITY PROVIDER", None, "lost"),
        (None, "TaskFailedToStart", "TaskFailedToStart: RESOURCE:MEMORY", None, "lost"),
        (None, "TaskFailedToStart", "AGENT", None, "lost"),
        # A stop code that is new: its reason decides.
        (None, "SomethingNew", HOST, None, "lost"),
        (None, "SomethingNew", "", "unstarted", "lost"),
        (None, "UserInitiated", f"{START_TIMEOUT} (1200 s)", "start", "lost"),
    ],
)
def test_the_end_of_an_ecs_task(exit_code, stop_code, reason, fault, verdict):
    worker = Worker(arn="a", status="stopped", exit_code=exit_code, stop_code=stop_code, reason=reason)
    assert (worker.fault, worker.verdict) == (fault, verdict)
    assert not worker.live


@pytest.mark.parametrize("status", ["pending", "running"])
def test_one_that_lives_has_done_nothing_wrong(status):
    worker = Worker(arn="a", status=status)
    assert worker.live
    assert (worker.fault, worker.lost) == (None, False)


def test_one_that_ecs_has_forgotten_is_lost():
    worker = Worker(arn="a", status="missing")
    assert (worker.fault, worker.verdict, worker.lost) == (None, "lost", True)


@pytest.mark.parametrize(
    ("task", "status"),
    [
        ({"lastStatus": "RUNNING"}, "running"),
        ({"lastStatus": "DELETED", "stopCode": "UserInitiated"}, "stopped"),
        # One that AWS may add is taken to be at work as long as nothing says that it has ended.
        ({"lastStatus": "HIBERNATING"}, "running"),
        ({"lastStatus": "EVAPORATED", "stopCode": "UserInitiated"}, "stopped"),
    ],
)
def test_a_status_that_is_new_raises_nothing(task, status):
    assert Worker.of({"taskArn": "a", **task}).status == status


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("0xc0370101: The container operating system does not match the host operating system.", "another Windows"),
        (
            "CannotPullContainerError: no matching manifest for windows/amd64 10.0.20348 in the manifest list entries",
            "another Windows",
        ),
        (PULL, "push it"),
        (
            "CannotPullContainerError: User: arn:aws:sts::142971234567:assumed-role/x is not authorized to perform: x",
            "the execution role",
        ),
        (
            "ECS was unable to assume the role 'arn:aws:iam::142971234567:role/x' that was provided for this task.",
            "the role is missing",
        ),
        ("ATTRIBUTE", "task definition asks for"),
        ("TaskFailedToStart: MemberOf placement constraint unsatisfied", "placement constraints"),
        # What may pass.
        (LIMIT, ""),
        (NETWORK, ""),
        ("CannotPullContainerError: dial tcp 10.0.0.1:443: i/o timeout", ""),
        ("CannotStartContainerError: context deadline exceeded", ""),
    ],
)
def test_what_no_further_attempt_mends_comes_with_what_to_do(reason, words):
    assert words in advice(reason)
    assert bool(words) == bool(advice(reason))
