import json
import os
import signal
import stat
import subprocess
import threading
import time

import pytest

from scripts.core.errors import StateLockedError, TerraformError
from scripts.terraform.cli import Terraform, problems


@pytest.fixture
def fake(tmp_path):
    """A Terraform whose command is a shell script of the test's."""

    def make(text, **options):
        command = tmp_path / "terraform"
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        environ = {"PATH": os.environ["PATH"], "MARK": "mine"}
        return Terraform(command, tmp_path, environ, log=tmp_path / "log", **options)

    return make


def test_a_typo_is_an_error_and_no_command(fake):
    with pytest.raises(AttributeError, match="appply"):
        fake("touch ran").appply()


def test_outputs_are_values_by_name(fake):
    assert fake("""echo '{"a": {"value": [1], "type": "x"}, "b": {"value": null}}'""").outputs() == {
        "a": [1],
        "b": None,
    }


def test_only_the_given_environment_reaches_the_command(fake, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "real")
    _, out, _ = fake("env").cmd("version")
    assert "MARK=mine" in out
    assert "AWS_PROFILE" not in out


def test_events_arrive_while_the_command_runs(fake, tmp_path):
    terraform = fake(
        """echo '{"type":"one"}'; while [ ! -e seen ]; do sleep 0.02; done; echo noise; echo '{"type":"two"}'"""
    )

    def on_event(event):
        if event["type"] == "one":
            (tmp_path / "seen").touch()

    events = terraform.apply(tmp_path / "plan", on_event=on_event)
    assert [event["type"] for event in events] == ["one", "two"]


def test_a_plan_with_changes_is_no_failure_and_its_options_are_terraforms(fake, tmp_path):
    terraform = fake("""echo "$@" > arguments; exit 2""")
    assert terraform.plan(tmp_path / "p", var_files=[tmp_path / "a", tmp_path / "b"]) is True
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[0] == "plan"
    assert {"-json", "-detailed-exitcode", "-input=false", f"-out={tmp_path / 'p'}"} <= set(arguments)
    assert [f"-var-file={tmp_path / name}" for name in "ab"] == [a for a in arguments if a.startswith("-var-file")]


def diagnostic(**fields):
    return json.dumps({"type": "diagnostic", "diagnostic": {"severity": "error", **fields}}) + "\n"


def test_a_failure_carries_its_evidence(fake, tmp_path):
    place = {"filename": "main.tf", "start": {"line": 4}}
    text = diagnostic(summary="creating X", detail="it\nbroke", address="a.b", range=place)
    (tmp_path / "events").write_text(text)
    line = r"failed with exit code 1: creating X: it broke \(a\.b main\.tf:4\)"
    with pytest.raises(TerraformError, match=line) as caught:
        fake("cat events; exit 1").apply(tmp_path / "plan")
    assert caught.value.exit_code == 1
    assert caught.value.command[:2] == ("terraform", "apply")
    assert caught.value.problems == ("creating X: it broke (a.b main.tf:4)",)
    assert "exit code 1" in (tmp_path / "log").read_text()
    assert "\n" not in str(caught.value)


def test_a_failure_in_words_for_people_becomes_a_line(fake, tmp_path):
    terraform = fake("printf '╷\n│ Error: No backend\n│ \n│ It is not there.\n╵\n' >&2; exit 1")
    with pytest.raises(TerraformError, match=r"terraform init failed with exit code 1: No backend: It is not there\."):
        terraform.init(tmp_path / "backend")


def test_a_locked_state_says_who_and_how_to_unlock(fake, tmp_path):
    detail = "Lock Info:\n  ID:        abc-1\n  Who:       me@there\n  Created:   2026-11-22 19:00\n"
    (tmp_path / "events").write_text(diagnostic(summary="Error acquiring the state lock", detail=detail))
    line = r"locked by me@there since 2026-11-22 19:00.*invoke unlock --id abc-1"
    with pytest.raises(StateLockedError, match=line) as caught:
        fake("cat events; exit 1").plan(tmp_path / "p", var_files=[])
    assert caught.value.lock_id == "abc-1"


def test_a_lock_that_could_not_be_given_back_is_nobody_elses(fake, tmp_path):
    detail = "Lock Info:\n  ID:        abc-1\n"
    (tmp_path / "events").write_text(diagnostic(summary="Error releasing the state lock", detail=detail))
    with pytest.raises(TerraformError) as caught:
        fake("cat events; exit 1").apply(tmp_path / "p")
    assert not isinstance(caught.value, StateLockedError)


def test_a_command_that_takes_too_long_is_stopped(fake):
    began = time.monotonic()
    with pytest.raises(TerraformError, match=r"did not end within 0 s and was stopped"):
        fake("trap 'exit 3' INT; while true; do sleep 0.05; done").cmd("apply", timeout=0.3)
    assert time.monotonic() - began < 20


def test_an_interrupt_reaches_terraform_once_and_is_passed_on(fake, tmp_path):
    terraform = fake(
        "trap 'echo x >> interrupts; sleep 0.3; echo saved > state; exit 1' INT\n"
        "touch up; while true; do sleep 0.05; done"
    )

    def interrupt():
        while not (tmp_path / "up").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        terraform.cmd("apply")
    thread.join()
    assert (tmp_path / "interrupts").read_text() == "x\n"
    assert (tmp_path / "state").read_text() == "saved\n"


@pytest.mark.parametrize("start", [subprocess.Popen.__init__, None], ids=["while it starts", "before it starts"])
def test_an_interrupt_while_terraform_starts_leaves_nothing_running(fake, tmp_path, monkeypatch, start):
    terraform = fake("trap 'touch ended; exit 1' INT\ntouch up; while true; do sleep 0.05; done")

    def interrupted(*arguments, **options):
        if start is None:
            os.kill(os.getpid(), signal.SIGINT)
            raise FileNotFoundError("terraform")
        start(*arguments, **options)
        while not (tmp_path / "up").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess.Popen, "__init__", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        terraform.cmd("apply")
    assert (tmp_path / "ended").exists() is (start is not None)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_lets_terraform_say_all_it_has_to(fake, tmp_path):
    # Far more than a pipe holds: 18 characters 100,000 times.
    terraform = fake(
        "trap 'yes interrupted_line | head -100000; touch ended; exit 1' INT\n"
        "kill -INT $PPID; while true; do sleep 0.05; done"
    )
    with pytest.raises(KeyboardInterrupt):
        terraform.cmd("apply")
    assert (tmp_path / "ended").exists()
    assert (tmp_path / "log").read_text().count("interrupted_line") == 100_000


def test_a_lock_outlives_us_as_long_as_terraform_runs(fake, tmp_path):
    with (tmp_path / "lock").open("w") as file:
        _, out, _ = fake(f"test -e /dev/fd/{file.fileno()} && echo open", keep_open=[file.fileno()]).cmd("version")
        assert out == "open\n"


def test_warnings_are_no_problems():
    assert problems([{"diagnostic": {"severity": "warning", "summary": "old"}}, {"type": "version"}]) == []
