"""The emulator's children, as whichever user the tests run."""

import os
from pathlib import Path

import pytest

from emulator.processes import Supervisor
from tests.waiting import wait_for


@pytest.fixture
def supervisor():
    made = Supervisor()
    yield made
    made.stop_all()


def test_children_that_are_started_together_all_start_and_give_way_with_their_sessions(supervisor, tmp_path):
    """Linux takes a session's priority each 0.1 s only from users other than root, and answers EAGAIN meanwhile."""
    children = [
        supervisor.start(("/bin/sleep", "600"), env={"PATH": os.defpath}, cwd=tmp_path, log=None, niceness=19)
        for _ in range(6)
    ]
    assert [os.getpriority(os.PRIO_PROCESS, child.pid) for child in children] == [19] * 6
    sessions = [Path(f"/proc/{child.pid}/autogroup") for child in children]
    if sessions[0].exists():
        wait_for(lambda: all(session.read_text().rstrip().endswith(" nice 19") for session in sessions))
    for child in children:
        child.stop()
        child.stdout.close()


def test_a_child_that_ends_at_once_has_started(supervisor, tmp_path):
    for _ in range(4):
        child = supervisor.start(("/bin/true",), env={"PATH": os.defpath}, cwd=tmp_path, log=None, niceness=19)
        assert child.reap() == 0
        child.stdout.close()
