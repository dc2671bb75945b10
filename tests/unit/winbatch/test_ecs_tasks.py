"""What the end of an ECS task means: for its claims, and for the stage. Texts as ECS writes them."""

import pytest

from winbatch.ecs_tasks import START_TIMEOUT, Worker

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
