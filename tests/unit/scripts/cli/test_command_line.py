"""The verbs as a person calls them, in this process: what is refused early ends in one line and exit code 1."""

import json
import re
import signal
import socket
import subprocess
import sys

import pytest
from invoke.program import Program

from emulator.mwaa.database import free_port
from scripts.cli import OLD, collection
from scripts.core.settings import ROOT, Settings
from scripts.tools import emulator


def called(capsys, words):
    """Call a verb; exit code, standard output and standard error."""
    capsys.readouterr()
    code = 0
    try:
        Program(namespace=collection(), version="0").run(["invoke", *words])
    except SystemExit as ended:
        code = ended.code or 0
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def invoke(tmp_path, monkeypatch, capsys):
    """Calls a verb with a state folder of the test's own; exit code, standard output and standard error."""
    ours = {"WINBATCH_STATE": str(tmp_path / "state"), "WINBATCH_PORT": str(free_port()), "COLUMNS": "200"}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    for name in ("WINBATCH_ENV", "WINBATCH_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings.load("local")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    yield lambda *words: called(capsys, words)
    # A defect may have started what these tests are there to see refused.
    emulator.stop(settings)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def refused(invoke):
    """Calls a verb that must fail; the one line with which it ends."""

    def call(*words):
        code, _, err = invoke(*words)
        assert code == 1, err
        lines = err.rstrip().splitlines()
        assert [line for line in lines if line.startswith("error: ")] == lines[-1:], err
        assert "Traceback" not in err
        return lines[-1].removeprefix("error: ")

    return call


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["up", "--env", "nowhere"], "unknown environment 'nowhere'; there are dev, local, prod"),
        (["run", "--dag", "nothing"], "unknown DAG 'nothing'"),
        (["run", "--dag", "ber_octave"], "unknown DAG 'ber_octave' (did you mean `ber-octave`?); there are ber"),
        (["up", "--env", "pord"], "unknown environment 'pord' (did you mean `prod`?); there are dev, local, prod"),
        (["check", "--only", "lnit"], "--only lnit (did you mean `lint`?): there are"),
        (["images.build", "--workload", "nothing"], "unknown workload 'nothing'; there are ber"),
        (["run", "--param", "num_itmes=3"], "unknown parameter 'num_itmes' (did you mean `num_items`?); there are"),
        (
            ["run", "--param", "num_items=6.022e23"],
            "parameter num_items: '6.022e23' is beyond 64 bits; a whole number from",
        ),
        (
            ["run", "--dag", "chain", "--param", "spot=6.022e23"],
            "spot: 6.022e+23 is beyond 64 bits; a number above 0 to 9223",
        ),
        (["run", "--dag", "chain", "--param", "spot=1e999"], "'1e999' is beyond what a double can hold; a number"),
        (["run", "--dag", "chain", "--param", f"spot={'1' * 400}"], "is beyond what a double can hold; a number"),
        (["run", "--dag", "chain", "--param", f"volatility=0.1,{'1' * 400}"], "is beyond what a double can hold"),
        (["run", "--param", "num_items"], "key=value is expected"),
        (["run", "--resume", "ber-20200101-000000", "--param", "num_items=2"], "--param does not go with --resume"),
        (["cancel", "a/b"], "is no run id"),
        (["replay", "ber-20200101-000000", "--why", "x"], "--why 'x': an item is named by its number, from 0"),
        (
            ["replay", "ber-20200101-000000", "--at", "noon"],
            "--at 'noon': a time is expected, in UTC, such as 19:00:42",
        ),
        (["replay", "ber-20200101-000000", "--why", "1", "--at", "12:00"], "--why tells of an item and --at of a time"),
        (["why", "--run-id", "a/b"], "is no run id"),
        (["jobs", "--diff", "ber-20200101-000000"], "two run ids with a comma between are expected"),
        (["jobs", "--limit", "0"], "--limit 0: from 1 to 500 jobs are listed"),
        (["check", "--only", "nothing"], "--only nothing: there are"),
        (["check", "--only", "lint", "--changed"], "choose one"),
    ],
)
def test_bad_input_ends_in_a_line(refused, words, line):
    assert line in refused(*words)


def test_a_used_port_ends_in_a_line_and_leaves_nothing(refused, tmp_path, monkeypatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.setenv("WINBATCH_PORT", str(port))
        assert f"port {port} on 127.0.0.1 is in use by process" in refused("up")
    assert list((tmp_path / "state").rglob("*")) == []


def test_a_full_disk_ends_in_a_line_before_anything_starts(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("WINBATCH_MIN_FREE_MIB", "1000000000")
    assert "MiB of free disk space" in refused("up")
    assert list((tmp_path / "state").rglob("*")) == []


def test_a_missing_or_old_terraform_ends_in_a_line(refused, tmp_path, monkeypatch):
    old = tmp_path / "bin" / "terraform"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\necho \'{"terraform_version": "1.5.7"}\'\n')
    old.chmod(0o755)
    monkeypatch.setenv("WINBATCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(old.parent))
    assert f"({old} is 1.5.7, too old)" in refused("up")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "is missing" in refused("up")


@pytest.mark.parametrize("verb", ["plan", "run", "results", "dags.release"])
def test_without_an_up_a_verb_says_so(refused, verb):
    assert "the local environment is not up: invoke up" in refused(verb)


def test_without_an_up_status_is_down_and_down_is_harmless(invoke):
    code, out, _ = invoke("status", "--json")
    assert (code, json.loads(out)["state"]) == (0, "down")
    for _ in range(2):
        assert invoke("down")[0] == 0


def test_a_defect_of_ours_is_one_line_too(refused, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(sys.modules["scripts.cli.jobs"].Settings, "load", broken)
    assert refused("status").startswith("a defect: ZeroDivisionError: of ours (WINBATCH_DEBUG=1")


def test_each_documented_target_of_make_is_a_verb_of_that_name():
    targets = set(re.findall(r"^([a-z.-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert "dags.rollback" in targets
    assert targets - {"help"} <= set(collection().task_names)


@pytest.mark.parametrize(
    ("words", "new"),
    [
        *(([old], new) for old, new in OLD.items() if new.startswith("dags.")),
        (["image-build", "--workload", "nothing"], "images.build"),
        (["plan", "--drift-only"], "drift"),
        (["run", "--resume", "ber-20200101-000000"], "resume"),
    ],
)
def test_an_old_name_works_and_says_the_new_one(invoke, words, new):
    code, _, err = invoke(*words)
    assert code == 1
    said, *_, line = err.splitlines()
    assert said.endswith(f" is called {new} now: invoke {new}")
    assert line.startswith(("error: the local environment is not up", "error: unknown workload 'nothing'"))


@pytest.mark.parametrize(("old", "new"), [("ci", "test"), ("images", "images.push"), ("rollback", "dags.rollback")])
def test_an_old_target_of_make_works_and_says_the_new_one(old, new):
    recipe = subprocess.run(["make", "--dry-run", old], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"make {old} is called make {new} now" in recipe
    assert re.search(rf"^\.venv/bin/invoke setup .*{re.escape(new)}", recipe, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "said"), [(["status"], "Environment local is down: invoke up"), (["run", "--params"], "num_frames")]
)
def test_what_was_asked_for_is_on_standard_output_and_nothing_else_is(invoke, words, said):
    code, out, err = invoke(*words)
    assert (code, err) == (0, "")
    assert said in out
