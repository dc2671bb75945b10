"""This machine: each thing that is there, and each that is not."""

import dataclasses
import json
import os
import socket

import psutil
import pytest

from scripts.core.errors import OperatorError
from scripts.core.settings import Settings
from scripts.environments.doctor import machine
from scripts.environments.doctor.check import Context, State, look
from scripts.tools import emulator, uv


@pytest.fixture
def found(settings, monkeypatch, tmp_path):
    """Runs a check on a machine that has these programs and nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def run(check, programs=(), **changed):
        for name, text in dict(programs).items():
            program = tmp_path / "bin" / name
            program.write_text(f"#!/bin/sh\necho '{text}'\n")
            program.chmod(0o755)
        return look(check, Context(dataclasses.replace(settings, **changed)))

    return run


def test_terraform_has_to_be_new_enough(found):
    assert found(machine.Terraform()).state is State.WRONG
    assert "1.2.3, too old" in found(machine.Terraform(), {"terraform": '{"terraform_version": "1.2.3"}'}).said
    assert found(machine.Terraform(), {"terraform": '{"terraform_version": "1.99.0"}'}).said.startswith("1.99.0, ")


def test_uv_and_the_provider_come_with_the_set_up(found, settings, monkeypatch):
    monkeypatch.setattr(uv.bootstrap, "find_uv", lambda *_: None)
    assert "make setup" in found(machine.Uv()).said
    monkeypatch.setattr(uv.bootstrap, "find_uv", lambda *_: "/bin/uv")
    assert (found(machine.Uv()).state, found(machine.Uv()).said) == (State.FINE, "/bin/uv")
    assert "make setup" in found(machine.Provider()).said
    settings.cache.mkdir(parents=True)
    (settings.cache / "terraform.tfrc").touch()
    assert found(machine.Provider()).state is State.FINE


def test_octave_can_be_done_without_and_wine_where_nobody_asks_for_it(found):
    assert (found(machine.Octave()).state, found(machine.Octave()).advice) == (State.DOUBTFUL, "apt-get install octave")
    assert found(machine.Octave(), {"octave-cli": ""}).state is State.FINE
    assert found(machine.Wine()).state is State.FINE
    assert found(machine.Wine(), wine=True).state is State.WRONG
    programs = {"wine64": "", "x86_64-w64-mingw32-gcc": ""}
    assert found(machine.Wine(), programs, wine=True).state is State.FINE


def test_folders_and_disk(found, tmp_path):
    (tmp_path / "file").touch()
    assert found(machine.StateFolder()).state is State.FINE
    assert found(machine.StateFolder(), state_root=tmp_path / "file").state is State.WRONG
    assert found(machine.Folders()).state is State.FINE
    assert found(machine.Folders(), cache=tmp_path / "50%").state is State.WRONG
    assert found(machine.Disk(), min_free_mib=0).state is State.FINE
    assert found(machine.Disk(), min_free_mib=2**40).state is State.WRONG


def test_a_port_is_free_ours_or_anothers(found, settings):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} on 127.0.0.1 is in use" in found(machine.Port(), port=port).said
    assert found(machine.Port(), port=port).said == f"{port} is free"
    record(settings, os.getpid())
    assert found(machine.Port()).said == "the emulator has 5999"


def test_the_emulator_answers_is_not_up_or_has_died(found, settings, monkeypatch):
    assert (found(machine.Emulator()).state, found(machine.Emulator()).advice) == (State.DOUBTFUL, "invoke up")
    record(settings, os.getpid(), started=1.0)
    assert (found(machine.Emulator()).state, "died" in found(machine.Emulator()).said) == (State.WRONG, True)
    record(settings, os.getpid())
    monkeypatch.setattr(emulator, "_healthy", lambda _: True)
    assert found(machine.Emulator()).said == "it answers at http://127.0.0.1:5999"


def test_requirements_are_held_against_the_version_of_airflow():
    class Odd(Settings):
        airflow_version = "3.9.9"

    settings = Settings.load("dev", environ={})
    assert look(machine.Requirements(), Context(settings)).state is State.FINE
    odd = Odd(**{name: getattr(settings, name) for name in Settings.__dataclass_fields__})
    assert "is none that MWAA runs" in look(machine.Requirements(), Context(odd)).said


@pytest.mark.parametrize("environment", ["local", "dev"])
def test_what_is_needed_raises_so_that_up_does_not_begin(environment, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    environ = {"WINBATCH_STATE": str(tmp_path / "state"), "WINBATCH_CACHE": str(tmp_path / "cache")}
    context = Context(Settings.load(environment, environ=environ))
    with pytest.raises(OperatorError, match="Terraform"):
        machine.needed(context.settings)[0].run(context)


def record(settings, pid, started=None):
    settings.state.mkdir(parents=True, exist_ok=True)
    session = {"pid": pid, "started": started or psutil.Process(pid).create_time(), "port": 5999}
    (settings.state / "emulator.json").write_text(json.dumps(session))
