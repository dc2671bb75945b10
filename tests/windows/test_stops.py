"""A stop is what a Windows container gets: an event for all of its processes, and five seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.windows import host

pytestmark = pytest.mark.slow

SHUTDOWN = 6  # CTRL_SHUTDOWN_EVENT
CONTROL_C_EXIT = 0xC000013A
CREATE_NEW_PROCESS_GROUP = 0x200


@pytest.mark.parametrize("order", ["together", "newest-first"])
def test_every_process_is_told(windows, kit_image, order):
    with windows.running(kit_image, "both", "400", "143", hex(CREATE_NEW_PROCESS_GROUP), order=order) as started:
        started.says("parent waits")
        started.says("child waits")
        code = started.stopped()
    told = [line for line in started.lines if "waits" not in line]
    assert code == 143
    if order == "newest-first":
        assert told == ["child told 6", "child ends 9", "parent told 6", "parent ends 143"]
    else:
        # The child may be ended before it has said so: its parent's end is the container's.
        assert set(told[:2]) == {"child told 6", "parent told 6"}


def test_a_program_whose_handler_returns_is_ended(windows, kit_image):
    with windows.running(kit_image, "wait", "kit", "0", "-1") as started:
        started.says("waits")
        assert started.stopped() == CONTROL_C_EXIT
    assert f"kit told {SHUTDOWN}" in started.lines


@pytest.mark.parametrize("code", [143, 0, 5])
def test_a_program_that_ends_by_itself_and_tidies_up_meanwhile_keeps_its_exit_code(windows, kit, tmp_path, code):
    library = host.compiled(Path(__file__).with_name("tidy.c"), tmp_path / "tidy.dll")
    config = {"Entrypoint": ["kit.exe"], "WorkingDir": "C:\\app", "Env": ["PATH=C:\\app;C:\\Windows\\System32"]}
    image = windows.image({"app/kit.exe": kit, "app/tidy.dll": library}, **config)
    with windows.running(image, "wait", "kit", "0", str(code), "tidy.dll") as started:
        started.says("waits")
        assert started.stopped() == code
    assert started.lines[-1] == f"kit ends {code}"


def test_one_that_takes_longer_than_its_time_is_ended(windows, kit_image):
    with windows.running(kit_image, "wait", "kit", "60000", "0") as started:
        started.says("waits")
        began = time.monotonic()
        # DBG_TERMINATE_PROCESS: as containers end that Windows shuts down.
        assert started.stopped(1) == 0x40010004
        assert time.monotonic() - began >= 1
    assert started.lines[-1] == f"kit told {SHUTDOWN}"


def test_one_without_a_handler_ends_at_once(windows, kit_image):
    with windows.running(kit_image, "wait", "kit") as started:
        started.says("waits")
        began = time.monotonic()
        code = started.stopped()
        assert time.monotonic() - began < 5
    # Wine before 10 has its own default.
    assert code in ({CONTROL_C_EXIT} if windows.wine.major >= 10 else {0, CONTROL_C_EXIT})


def test_a_kill_is_no_stop(windows, kit_image):
    with windows.running(kit_image, "wait", "kit", "0", "143") as started:
        started.says("waits")
        started.container.kill()
        # ERROR_PROCESS_ABORTED.
        assert started.ended() == 1067
    assert "told" not in started.output
