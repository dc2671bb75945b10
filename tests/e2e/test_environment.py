"""An environment by the command line: who listens, bad input, faults."""

import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.processes import words
from tests.waiting import wait_for

from .operators import INVOKE, ROOT, keeping_provider, make_operator

pytestmark = pytest.mark.slow


def test_everything_listens_on_loopback_only(operator):
    listening = {
        connection.laddr.ip
        for process in operator.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert listening <= {"127.0.0.1", "::1"}


def test_what_cannot_be_run_or_found_ends_in_a_line_and_starts_nothing(operator):
    """What else is refused, and in which words, the fast tests know; these have gone as far as Airflow would."""
    before = operator.json("status")["runs"]
    assert "unknown parameter 'num_itmes'" in operator.refused("run", "--param", "num_itmes=3")
    for words_ in (["results", "--run-id"], ["run", "--follow"]):
        assert "has no run 'ber-19990101-000000'" in operator.refused(*words_, "ber-19990101-000000")
    assert operator.json("status")["runs"] == before


def test_a_used_port_ends_in_a_line_and_leaves_nothing(operator, tmp_path):
    other = make_operator(tmp_path / "state")
    line = other.refused("up", WINBATCH_PORT=operator.environ["WINBATCH_PORT"])
    assert f"port {operator.environ['WINBATCH_PORT']} on 127.0.0.1 is in use" in line
    assert list(other.state.rglob("*")) == []


def applying(operator):
    """Whether Terraform is in the middle of its apply."""
    lines = [words(process) for process in operator.processes()]
    return any(line and Path(line[0]).name == "terraform" and "apply" in line for line in lines)


def test_an_emulator_that_died_is_said_to_be_dead_and_down_cleans_up(tmp_path):
    """Killed in the middle of an apply, Terraform and all: the worst half of an `up`."""
    with keeping_provider(make_operator(tmp_path / "state")) as other:
        with subprocess.Popen(
            [INVOKE, "up"],
            cwd=ROOT,
            env=other.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as up:
            try:
                wait_for(lambda: up.poll() is not None or applying(other))
                assert up.poll() is None
                time.sleep(2)
            finally:
                up.kill()
        for process in other.processes():
            if "serve" in words(process):
                process.kill()
        assert "died" in other.refused("status")
        assert "invoke down, then invoke up" in other.refused("run")
        down = other.call("down")
    assert down.returncode == 0, down.stderr
    assert other.processes() == []
    assert list(other.state.rglob("*")) == []
