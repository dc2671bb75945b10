"""An environment's life by the command line: nothing to do the second time, bad input, faults."""

import subprocess
import time
from pathlib import Path

import psutil
import pytest

from .operators import INVOKE, ROOT, make_operator
from .world import wait_for, words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_second_plan_has_nothing_to_do(operator):
    plan = operator.json("plan")
    assert plan["changes"] == 0, plan["resources"]


def test_a_second_up_has_nothing_to_do(operator):
    done = operator.json("up")
    assert (done["changes"], done["released"]) == (0, 0)


def test_everything_listens_on_loopback_only(operator):
    listening = {
        connection.laddr.ip
        for process in operator.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert listening <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("parameter", "line"),
    [
        ("num_itmes=3", "unknown parameter 'num_itmes'"),
        ("ebn0_db=", "parameter ebn0_db"),
        ("ebn0_db=1,two,3", "parameter ebn0_db: 'two' is no number"),
        ("num_items=0", "parameter num_items"),
        ("num_items=-4", "parameter num_items"),
        ("frame_size=0", "parameter frame_size"),
        ("frame_size=999999999999", "parameter frame_size"),
        ("num_items", "key=value is expected"),
        ("max_instances=4000", "max_instances is 4000"),
    ],
)
def test_a_bad_parameter_ends_in_a_line_and_starts_nothing(operator, parameter, line):
    before = {run["run_id"] for run in operator.json("status")["runs"]}
    assert line in operator.refused("run", "--param", parameter)
    assert {run["run_id"] for run in operator.json("status")["runs"]} == before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["up", "--env", "nowhere"], "unknown environment 'nowhere'; there are dev, local, prod"),
        (["run", "--dag", "nothing"], "unknown DAG 'nothing'"),
        (["results", "--run-id", "ber-19990101-000000"], "has no run 'ber-19990101-000000'"),
        (["run", "--follow", "ber-19990101-000000"], "has no run 'ber-19990101-000000'"),
        (["image-build", "--workload", "nothing"], "unknown workload 'nothing'; there are ber"),
    ],
)
def test_bad_input_ends_in_a_line(operator, arguments, line):
    assert line in operator.refused(*arguments)


def test_a_used_port_ends_in_a_line_and_leaves_nothing(operator, tmp_path):
    other = make_operator(tmp_path / "state")
    line = other.refused("up", WINBATCH_PORT=operator.environ["WINBATCH_PORT"])
    assert f"port {operator.environ['WINBATCH_PORT']} on 127.0.0.1 is in use" in line
    assert list(other.state.rglob("*")) == []


def test_a_full_disk_ends_in_a_line_before_anything_starts(tmp_path):
    other = make_operator(tmp_path / "state")
    assert "MiB of free disk space" in other.refused("up", WINBATCH_MIN_FREE_MIB="1000000000")
    assert other.processes() == []


def test_a_missing_or_old_terraform_ends_in_a_line(tmp_path):
    other = make_operator(tmp_path / "state")
    old = tmp_path / "bin" / "terraform"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\necho \'{"terraform_version": "1.5.7"}\'\n')
    old.chmod(0o755)
    line = other.refused("up", PATH=str(old.parent), WINBATCH_CACHE=str(tmp_path / "cache"))
    assert f"({old} is 1.5.7, too old)" in line
    assert "is missing" in other.refused("up", PATH="/nonexistent", WINBATCH_CACHE=str(tmp_path / "cache"))


def test_without_an_up_everything_says_so_and_down_is_harmless(tmp_path):
    other = make_operator(tmp_path / "state")
    assert other.json("status")["state"] == "down"
    for verb in ("plan", "run", "results", "dags-release"):
        assert "the local environment is not up: invoke up" in other.refused(verb)
    for _ in range(2):
        assert other.call("down").returncode == 0


def applying(operator):
    """Whether Terraform is in the middle of its apply."""
    lines = [words(process) for process in operator.processes()]
    return any(line and Path(line[0]).name == "terraform" and "apply" in line for line in lines)


def test_an_emulator_that_died_is_said_to_be_dead_and_down_cleans_up(tmp_path):
    """Killed in the middle of an apply, Terraform and all: the worst half of an `up`."""
    other = make_operator(tmp_path / "state")
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
