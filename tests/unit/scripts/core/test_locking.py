import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from scripts.core.locking import Busy, only_one


def test_only_one_command_changes_an_environment(settings):
    busy = rf"invoke up \(process {os.getpid()}\) is at work"
    with only_one(settings, "up"), pytest.raises(Busy, match=busy), only_one(settings, "down"):
        pass
    with only_one(settings, "down"):
        pass


def test_other_environments_are_not_held_up(settings):
    with only_one(settings, "up"), only_one(replace(settings, environment="dev"), "up"):
        pass


def test_who_inherits_the_lock_keeps_it(settings):
    with only_one(settings, "up") as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    try:
        with pytest.raises(Busy), only_one(settings, "down"):
            pass
    finally:
        child.communicate(b"\n")
    deadline = time.monotonic() + 60
    while True:
        try:
            with only_one(settings, "down"):
                break
        except Busy:
            assert time.monotonic() < deadline
            time.sleep(0.05)
