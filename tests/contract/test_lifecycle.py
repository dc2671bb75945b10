"""Starting and stopping the emulator; nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from urllib.request import urlopen

import psutil
import pytest

from tests.emulated import ROOT
from tests.processes import runs
from tests.waiting import PATIENCE, wait_for

from . import world

pytestmark = pytest.mark.slow


def family(emulator):
    """Everything that the emulator started, the watchdog too."""
    return psutil.Process(emulator.process.pid).children(recursive=True)


@pytest.fixture
def busy(own_emulator, tmp_path):
    """An emulator with a program that ignores SIGTERM and has left its session by a child."""
    emulator = own_emulator()
    cluster = world.Cluster(lambda service: world.client(emulator.endpoint, service), f"t-{uuid.uuid4().hex[:12]}")
    cluster.scale(1)
    leave = f"{sys.executable} -c 'import os, time; os.setsid(); time.sleep(600)' &"
    arn = cluster.start(
        cluster.define(f"{leave} trap '' TERM; echo up; touch {tmp_path}/up; while :; do sleep 0.1; done")
    )
    cluster.reach(arn, "RUNNING")
    wait_for((tmp_path / "up").exists)
    time.sleep(0.3)  # until the child has its own session
    return emulator


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_however_it_ends(busy, number):
    started = family(busy)
    assert sum(map(runs, started)) >= 3
    busy.process.send_signal(number)
    code = busy.process.wait(PATIENCE)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    wait_for(lambda: not any(map(runs, started)))
    if number != signal.SIGKILL:
        assert not (busy.state / "ready.json").exists()
        assert not list((busy.state / "tasks").glob("*"))


def test_a_used_port_ends_with_one_line(own_emulator, tmp_path):
    emulator = own_emulator()
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "emulator",
            "serve",
            "--port",
            str(emulator.port),
            "--state",
            tmp_path / "s",
            "--cache",
            tmp_path / "c",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert second.stdout == ""
    lines = second.stderr.splitlines()
    assert len(lines) == 1
    assert str(emulator.port) in lines[0]
    with urlopen(f"{emulator.endpoint}/_emulator/health") as answer:
        assert json.load(answer)["status"] == "ok"


def test_it_says_when_it_is_ready_and_listens_on_loopback_only(own_emulator):
    emulator = own_emulator()
    assert json.loads((emulator.state / "ready.json").read_text()) == {
        "endpoint_url": emulator.endpoint,
        "pid": emulator.process.pid,
    }
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(emulator.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


def test_credentials_need_their_token(endpoint):
    request = subprocess.run(
        ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", f"{endpoint}/_emulator/credentials/guess"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert request.stdout == "403"


def test_it_starts_where_another_died(busy, own_emulator):
    busy.process.kill()
    busy.process.wait(PATIENCE)
    assert list((busy.state / "images").iterdir())

    again = own_emulator(folder=busy.state.parent)
    assert json.loads((again.state / "ready.json").read_text())["pid"] == again.process.pid
    assert not (again.state / "images").exists()
    assert world.client(again.endpoint, "ecs").list_clusters()["clusterArns"] == []
