import os
import subprocess
import sys

import psutil
import pytest

from emulator import marks
from tests.waiting import wait_for

MARK = "EMULATOR_TEST_MARK"
SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
# The first thread ends by the system call that ends no other one, as a thread of Windows does under Wine.
HEADLESS = """
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
print("ready", flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@pytest.fixture
def started():
    """Starts programs of Python with a mark, and ends them."""
    processes = []

    def start(code, value):
        process = subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, MARK: value}, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return psutil.Process(process.pid)

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_is_known_by_what_it_was_started_with(started):
    process = started(SLEEP, "mine")
    assert marks.has(process, MARK, "mine")
    assert not marks.has(process, MARK, "min")
    assert not marks.has(process, "ANOTHER", "mine")


@pytest.mark.skipif(sys.platform != "linux", reason="threads show their environment in /proc")
def test_one_whose_first_thread_has_ended_is_known_by_the_others_and_can_be_killed(started):
    process = started(HEADLESS, "mine")
    wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE)
    assert marks.has(process, MARK, "mine")
    assert not marks.has(process, MARK, "other")
    process.kill()
    wait_for(lambda: not marks.has(process, MARK, "mine"))


def test_one_that_is_all_over_has_no_mark(started):
    process = started("print('ready', flush=True)", "mine")
    wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE)
    assert not marks.has(process, MARK, "mine")
