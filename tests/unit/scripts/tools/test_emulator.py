import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from scripts.core.errors import EmulatorError, PreflightError
from scripts.tools import emulator
from scripts.tools.emulator import Session
from tests.processes import unprivileged


@pytest.fixture
def sleeper():
    """A process of somebody else's."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def record(settings, session):
    settings.state.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"pid": session.pid, "started": session.started, "port": session.port})
    (settings.state / "emulator.json").write_text(text)


def test_a_process_id_that_is_somebody_elses_by_now_is_never_stopped(settings, sleeper):
    created = psutil.Process(sleeper.pid).create_time()
    record(settings, Session(sleeper.pid, created - 100, 1))
    assert emulator.recorded(settings).process is None
    emulator.stop(settings)
    assert sleeper.poll() is None
    assert not (settings.state / "emulator.json").exists()


def test_a_dead_emulator_is_said_to_be_dead_and_what_to_do(settings):
    record(settings, Session(2**22 + 1, 0.0, 1))
    with pytest.raises(EmulatorError, match=r"died .*emulator\.log says why.*invoke down, then invoke up"):
        emulator.require(settings)


def test_without_an_up_the_line_says_up(settings):
    with pytest.raises(EmulatorError, match=r"is not up: invoke up"):
        emulator.require(settings)


def test_a_record_that_was_cut_off_counts_for_nothing(settings):
    settings.state.mkdir(parents=True)
    (settings.state / "emulator.json").write_text('{"pid": 1')
    assert emulator.recorded(settings) is None
    emulator.stop(settings)


def test_a_used_port_names_who_uses_it_and_another_one():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        line = rf"port {port} on 127\.0\.0\.1 is in use by process {os.getpid()} .*WINBATCH_PORT={port + 1} invoke up"
        with pytest.raises(PreflightError, match=line):
            emulator.check_port(port)
    emulator.check_port(port)


def test_a_disk_that_is_nearly_full_is_refused(settings):
    emulator.check_disk(replace(settings, min_free_mib=0))
    with pytest.raises(PreflightError, match=r"MiB of free disk space, the local environment wants 1099511627776"):
        emulator.check_disk(replace(settings, min_free_mib=2**40))


def test_what_an_emulator_started_is_known_and_killed_when_its_watchdog_did_not(settings, sleeper):
    settings.state.mkdir(parents=True)
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"],
        cwd=settings.state,
        env={**os.environ, emulator.FAMILY: "0123"},
    )
    try:
        assert [process.pid for process in emulator.ours(settings)] == [orphan.pid]
        emulator.stop(settings, patience=0.5)
        assert orphan.wait(5) == -signal.SIGKILL
        assert sleeper.poll() is None
    finally:
        orphan.kill()
        orphan.wait()


REMOVE = """
import sys
from pathlib import Path
from scripts.tools import emulator
from scripts.core.errors import EmulatorError
from scripts.core.settings import Settings

settings = Settings.load("local", environ={"WINBATCH_STATE": sys.argv[1], "WINBATCH_CACHE": sys.argv[1]})
task = settings.state / "emulator" / "tasks" / "1" / "ro"
task.mkdir(parents=True)
(task / "x").touch()
task.chmod(0o555)
settings.state_root.chmod(int(sys.argv[2], 8))
try:
    emulator.remove_state(settings)
except EmulatorError as error:
    print(error)
"""


@pytest.mark.parametrize(("mode", "words"), [("755", ""), ("555", "cannot be removed")])
def test_what_a_task_left_read_only_is_taken_away(tmp_path, mode, words):
    state = tmp_path / "state"
    command = [*unprivileged(), sys.executable, "-c", REMOVE, str(state), mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    state.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert bool(done.stdout) == (state / "local").exists() == bool(words)
    assert not (state / "local" / "emulator").exists()


@pytest.mark.parametrize("name", ["state_root", "cache"])
def test_a_folder_that_airflow_does_not_take_is_refused(settings, tmp_path, name):
    emulator.check_folders(settings)
    emulator.check_folders(replace(settings, **{name: tmp_path / "ü ' # &"}))
    with pytest.raises(PreflightError, match=r"50% done: Airflow does not start.*WINBATCH_STATE and WINBATCH_CACHE"):
        emulator.check_folders(replace(settings, **{name: tmp_path / "50% done"}))
