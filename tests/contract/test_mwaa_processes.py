"""The emulated MWAA's handling of processes, without Airflow."""

import os
import subprocess
import sys
import time
from threading import Event

import pytest

from emulator import folders
from emulator.mwaa import components as mwaa_components
from emulator.mwaa import startup
from emulator.mwaa.commands import Runner
from emulator.mwaa.components import DEATHS, Component, Components
from emulator.mwaa.database import Database, free_port
from emulator.mwaa.errors import CancelledError, LaunchError
from emulator.processes import Supervisor
from tests.waiting import wait_for

ENVIRONMENT = {"PATH": os.defpath}


@pytest.fixture
def processes():
    supervisor = Supervisor()
    yield supervisor
    supervisor.stop_all()


@pytest.fixture
def runner(processes):
    return Runner(processes, Event())


def components(processes, tmp_path):
    home = tmp_path / "wb" / "airflow"
    home.mkdir(parents=True)
    return Components(processes, tmp_path, home)


def watch_until(wanted, running):
    seen = []
    wait_for(lambda: seen.append(running.watch()) or wanted(seen[-1]))
    return seen[-1]


def test_what_dies_is_started_again(processes, tmp_path):
    running = components(processes, tmp_path)
    running.start((Component("sleeper", ("/bin/sleep", "60"), ENVIRONMENT),))
    first = running.pids()["sleeper"]
    os.kill(first, 9)
    watch_until(lambda _: running.pids()["sleeper"] != first, running)
    assert running.watch() is None
    assert "sleeper ended with signal SIGKILL" in (tmp_path / "sleeper.log").read_text()
    running.stop(grace=1)
    assert running.pids() == {}


def test_what_dies_too_often_is_told_with_its_last_words(processes, tmp_path):
    running = components(processes, tmp_path)
    running.start((Component("failing", ("/bin/sh", "-c", "echo no such module; exit 3"), ENVIRONMENT),))
    wrong = watch_until(lambda wrong: wrong is not None, running)
    assert wrong == f"failing ended {DEATHS} times within a minute, last with exit code 3: no such module"
    assert running.watch() == wrong
    assert running.pids() == {}, "it is not started again at once"
    running.stop(grace=1)


def test_what_died_too_often_is_started_again_once_its_cause_is_gone(processes, tmp_path, monkeypatch):
    monkeypatch.setattr(mwaa_components, "PAUSES", (0.1, 0.2))
    running = components(processes, tmp_path)
    script = f"echo started >> {tmp_path}/starts; test -e {tmp_path}/room || exit 1; exec sleep 60"
    running.start((Component("wanting", ("/bin/sh", "-c", script), ENVIRONMENT),))
    watch_until(lambda wrong: wrong is not None, running)
    watch_until(lambda _: len((tmp_path / "starts").read_text().split()) >= DEATHS + 3, running)
    (tmp_path / "room").touch()
    monkeypatch.setattr(mwaa_components, "DEATHS_SECONDS", 0.5)
    watch_until(lambda wrong: wrong is None, running)
    assert running.pids().keys() == {"wanting"}
    running.stop(grace=1)


def test_a_scheduler_that_fails_ends_though_its_executors_processes_wait_for_work(processes, tmp_path):
    """As one whose log's disk is full: it must end to be started again. Airflow is stood in for, processes are not."""
    stand_in = tmp_path / "lib" / "airflow" / "providers" / "standard" / "decorators"
    stand_in.mkdir(parents=True)
    (stand_in / "python.py").touch()
    (tmp_path / "lib" / "boto3.py").touch()
    (tmp_path / "lib" / "airflow" / "__main__.py").write_text(
        "import multiprocessing\n"
        "def main():\n"
        "    fork = multiprocessing.get_context('fork')\n"
        "    fork.Process(target=fork.SimpleQueue().get).start()\n"
        "    raise OSError(27, 'File too large')\n"
    )
    running = components(processes, tmp_path)
    argv = (sys.executable, "-P", mwaa_components._SCHEDULER, "scheduler")
    running.start((Component("scheduler", tuple(map(str, argv)), ENVIRONMENT | {"PYTHONPATH": str(tmp_path / "lib")}),))
    first = running.pids()["scheduler"]
    watch_until(lambda _: running.pids().get("scheduler") != first, running)
    assert "File too large" in (tmp_path / "scheduler.log").read_text()
    running.stop(grace=1)


def test_stopping_kills_what_ignores_the_signal(processes, tmp_path):
    running = components(processes, tmp_path)
    script = "trap '' TERM; while :; do sleep 0.1; done"
    running.start((Component("deaf", ("/bin/sh", "-c", script), ENVIRONMENT),))
    pid = running.pids()["deaf"]
    time.sleep(0.2)
    running.stop(grace=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_failed_program_is_told_with_its_output(runner, tmp_path):
    with pytest.raises(LaunchError, match=r"counting: sh ended with exit code 4: one\ntwo"):
        runner.run(["/bin/sh", "-c", "echo one; echo two >&2; exit 4"], env={}, cwd=tmp_path, what="counting")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_takes_too_long_is_stopped(runner, tmp_path):
    with pytest.raises(LaunchError, match="waiting: sleep did not end within"):
        runner.run(["/bin/sleep", "60"], env={}, cwd=tmp_path, what="waiting", timeout=0.3)


def test_a_program_stops_when_its_environment_is_deleted(runner, tmp_path):
    runner.cancelled.set()
    with pytest.raises(CancelledError):
        runner.run(["/bin/sleep", "60"], env={}, cwd=tmp_path, what="waiting")


def test_the_startup_scripts_exports(runner, tmp_path):
    script = tmp_path / "startup.sh"
    script.write_text('export ADDED="two\nlines" CHANGED=after\nLOCAL=1\n')
    env = {**ENVIRONMENT, "CHANGED": "before", "SAME": "1"}
    assert startup.run(script, env, runner) == {"ADDED": "two\nlines", "CHANGED": "after"}


def test_a_failing_startup_script_is_told(runner, tmp_path):
    script = tmp_path / "startup.sh"
    script.write_text("echo no licence\nfalse\n")
    with pytest.raises(LaunchError, match="the startup script: bash ended with exit code 1: no licence"):
        startup.run(script, ENVIRONMENT, runner)


def test_the_database_runs_in_a_closed_folder_and_keeps_its_data_when_copied(runner, processes, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    template = Database(closed / "template", free_port())
    template.create(runner)
    copy = Database(closed / "copy", free_port())
    copy.copy(template.folder)
    assert copy.password == template.password
    assert (copy.folder / "password").stat().st_mode & 0o077 == 0
    server = processes.start(copy.argv, env=copy.environment, cwd=closed, log=closed / "log")
    try:
        copy.wait(runner)
        assert server.poll() is None, (closed / "log").read_text()
    finally:
        server.stop(grace=5)
    assert closed.stat().st_mode & 0o077 == 0, "the folder is as closed as before"


def test_an_unknown_version_is_one_line_whatever_the_developers_aws_is(tmp_path):
    argv = [sys.executable, "-m", "emulator", "install-airflow", "--version", "1.10", "--cache", str(tmp_path)]
    broken = tmp_path / "broken"
    broken.write_text("[default\nthis is no configuration")
    environ = {**os.environ, "AWS_PROFILE": "nope", "AWS_CONFIG_FILE": str(broken)}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "emulator: Airflow 1.10 cannot be installed: Airflow 1.10 is not supported: choose one of 3.0.6, 3.2.1, 3.3.1"
    ]


def test_a_half_made_folder_is_made_again(runner, tmp_path):
    folder = tmp_path / "airflow" / "one"

    def break_off():
        with folders.making(folder, runner.check) as made:
            (made / "half").touch()
            raise LaunchError("broken off")

    with pytest.raises(LaunchError, match="broken off"):
        break_off()
    assert not folder.exists()
    with folders.making(folder, runner.check) as made:
        assert list(made.iterdir()) == []
        (made / "whole").touch()
    with folders.making(folder, runner.check) as made:
        assert made is None
    assert [path.name for path in folder.iterdir()] == ["whole"]
