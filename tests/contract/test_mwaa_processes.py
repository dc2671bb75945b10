"""The emulated MWAA's handling of processes, without Airflow."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from threading import Event

import psutil
import pytest

from emulator import folders
from emulator.mwaa import components as mwaa_components
from emulator.mwaa import startup
from emulator.mwaa.commands import Runner
from emulator.mwaa.components import DEATHS, Component, Components, template_component
from emulator.mwaa.database import Database, free_port
from emulator.mwaa.errors import CancelledError, LaunchError
from emulator.processes import Supervisor
from tests.emulated import ROOT
from tests.processes import runs
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


@pytest.fixture
def airflow(tmp_path):
    """What makes an Airflow that does what it is told; it stands in for Airflow, the processes are what they are."""

    def make(main):
        package = tmp_path / "lib" / "airflow"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"open({str(tmp_path / 'imports')!r}, 'a').write('once ')\n")
        (package / "settings.py").write_text(
            "configure_vars = prepare_syspath_for_config_and_plugins = lambda: None\n"
            "initialize = lambda: print('initialized', flush=True)\n"
        )
        (package / "__main__.py").write_text("import os, sys, time\ndef main():\n" + textwrap.indent(main, "    "))
        # As beside Airflow's own command.
        (tmp_path / "python").symlink_to(sys.executable)
        return template_component(str(tmp_path / "airflow"), ENVIRONMENT | {"PYTHONPATH": str(tmp_path / "lib")})

    return make


def forks(*names):
    return tuple(Component(name, (name, "--words"), {}, fork=True) for name in names)


def test_components_are_forks_of_one_process_that_has_imported_airflow(processes, tmp_path, airflow):
    running = components(processes, tmp_path)
    says = "print(sys.argv, os.environ['MWAA_AIRFLOW_COMPONENT'], os.getsid(0) == os.getpid(), flush=True)\n"
    running.start((airflow(says + "time.sleep(60)\n"), *forks("one", "two")))
    watch_until(lambda _: running.pids().keys() == {"one", "two"}, running)
    for name in ("one", "two"):
        log = tmp_path / f"{name}.log"
        wait_for(lambda log=log: log.exists() and len(log.read_text().splitlines()) == 2)
        assert log.read_text() == f"initialized\n['airflow', '{name}', '--words'] {name} True\n"
    assert (tmp_path / "imports").read_text() == "once "
    first = running.pids()
    os.kill(first["one"], signal.SIGKILL)
    watch_until(lambda _: running.pids().get("one") not in {None, first["one"]}, running)
    assert running.pids()["two"] == first["two"]
    assert "one ended with signal SIGKILL" in (tmp_path / "one.log").read_text()
    assert (tmp_path / "imports").read_text() == "once "
    last = running.pids()
    running.stop(grace=1)
    assert not any(runs(pid) for pid in last.values())


def test_a_fork_that_dies_too_often_is_told_with_its_last_words(processes, tmp_path, airflow):
    running = components(processes, tmp_path)
    running.start((airflow("sys.exit('no such option')\n"), *forks("failing")))
    wrong = watch_until(lambda wrong: wrong is not None, running)
    assert wrong == f"failing ended {DEATHS} times within a minute, last with exit code 1: no such option"
    assert running.pids() == {}
    running.stop(grace=1)


def test_an_airflow_that_cannot_be_imported_is_told_by_its_components(processes, tmp_path, airflow):
    running = components(processes, tmp_path)
    template = airflow("time.sleep(60)\n")
    (tmp_path / "lib" / "airflow" / "settings.py").write_text("raise ValueError('bad value')\n")
    (tmp_path / "lib" / "airflow" / "__init__.py").write_text("from airflow import settings\n")
    running.start((template, *forks("failing")))
    wrong = watch_until(lambda wrong: wrong is not None, running)
    assert wrong.endswith("exit code 1: ValueError: bad value")
    running.stop(grace=1)


def test_a_template_that_dies_takes_its_forks_along_and_all_start_again(processes, tmp_path, airflow):
    running = components(processes, tmp_path)
    running.start((airflow("time.sleep(60)\n"), *forks("one", "two")))
    watch_until(lambda _: len(running.pids()) == 2, running)
    first = running.pids()
    (template,) = {psutil.Process(pid).ppid() for pid in first.values()}
    os.kill(template, signal.SIGKILL)
    wait_for(lambda: not any(runs(pid) for pid in first.values()))
    watch_until(lambda _: len(set(running.pids().values()) - set(first.values())) == 2, running)
    assert "template ended with signal SIGKILL" in (tmp_path / "template.log").read_text()
    running.stop(grace=1)


def test_a_template_that_dies_too_often_is_told(processes, tmp_path, airflow):
    running = components(processes, tmp_path)
    template = airflow("time.sleep(60)\n")
    (tmp_path / "lib" / "airflow" / "__init__.py").write_text("import os\nos.write(2, b'no room\\n')\nos._exit(7)\n")
    running.start((template, *forks("one")))
    wrong = watch_until(lambda wrong: wrong is not None, running)
    assert wrong == f"template ended {DEATHS} times within a minute, last with exit code 7: no room"
    running.stop(grace=1)


@pytest.mark.parametrize("eager", [False, True])
def test_code_of_users_that_airflow_loads_when_it_is_imported_is_loaded_by_each_component(
    processes, tmp_path, airflow, eager
):
    running = components(processes, tmp_path)
    template = airflow("time.sleep(60)\n")
    with (tmp_path / "lib" / "airflow" / "__main__.py").open("a") as main:
        main.write(f"open({str(tmp_path / 'mains')!r}, 'a').write('+')")
    if eager:
        template = replace(template, env={**template.env, "AIRFLOW__CORE__LAZY_LOAD_PLUGINS": "False"})
    else:
        (tmp_path / "lib" / "airflow_local_settings.py").touch()
    running.start((template, *forks("one", "two")))
    watch_until(lambda _: len(running.pids()) == 2, running)
    wait_for(lambda: (tmp_path / "mains").exists() and (tmp_path / "mains").read_text() == "++")
    running.stop(grace=1)


def test_no_fork_outlives_an_emulator_that_is_killed(tmp_path, airflow):
    template = airflow("time.sleep(60)\n")
    script = (
        "import sys, time; from pathlib import Path; from emulator.mwaa.components import Component, Components\n"
        "from emulator.processes import Supervisor; folder = Path(sys.argv[1])\n"
        "running = Components(Supervisor(), folder, folder)\n"
        f"running.start((Component('template', {template.argv!r}, {template.env!r}),\n"
        "               Component('one', ('one',), {}, fork=True)))\n"
        "while not running.pids():\n"
        "    running.watch(), time.sleep(0.01)\n"
        "print(running.pids()['one'], flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], cwd=ROOT, stdout=subprocess.PIPE) as emulator:
        assert emulator.stdout is not None
        fork = psutil.Process(int(emulator.stdout.readline()))
        family = (fork, fork.parent())
        emulator.kill()
    wait_for(lambda: not any(runs(process) for process in family))


def test_a_scheduler_that_fails_ends_though_its_executors_processes_wait_for_work(processes, tmp_path, airflow):
    """As one whose log's disk is full: it must end to be started again."""
    running = components(processes, tmp_path)
    main = (
        "import multiprocessing\n"
        "fork = multiprocessing.get_context('fork')\n"
        "fork.Process(target=fork.SimpleQueue().get).start()\n"
        "raise OSError(27, 'File too large')\n"
    )
    running.start((airflow(main), *forks("scheduler")))
    watch_until(lambda wrong: wrong is not None, running)
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
