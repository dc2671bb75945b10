"""A Windows container: what its program finds, and that nothing of it stays."""

from __future__ import annotations

import os
from dataclasses import replace

import psutil
import pytest

from emulator.ecs.windows.wine import Wine

pytestmark = pytest.mark.slow

# To write to a file, and to take away first what keeps it from being written to.
WRITING = [
    "write",
    pytest.param("unlock", marks=pytest.mark.skipif(os.geteuid() != 0, reason="wants files of two users")),
]
WORDS = ["plain", "", "two words", 'a "quoted" word', "50%", "%PATH%", "a^b&c|d", "Größe 漢字", "tail\\", '\\"', "a\tb"]


def test_words_arrive_as_they_are(windows, kit_image):
    code, output = windows.run(kit_image, "words", *WORDS)
    assert code == 0
    assert output.splitlines() == [f"[{word}]" for word in WORDS]


def test_a_program_finds_what_its_image_says(windows, kit_image):
    code, output = windows.run(kit_image, "where")
    assert (code, output.splitlines()) == (0, ["C:\\app", "ContainerUser"])


def test_the_environment_is_windows_own_and_then_the_images(windows, kit_image):
    _, output = windows.run(kit_image, "environment", environment={"path": "C:\\app;C:\\mine", "GRÖSSE": "漢 = %X%"})
    found = dict(line.split("=", 1) for line in output.splitlines() if not line.startswith("WINE"))
    assert found["Path"] == "C:\\app;C:\\mine"
    assert found["GRÖSSE"] == "漢 = %X%"
    assert found["TEMP"] == "C:\\Users\\ContainerUser\\AppData\\Local\\Temp"
    assert not found.keys() & {"HOME", "LANG", "EMULATOR_FAMILY", "PWD"}


def test_it_takes_itself_for_windows_server_2022(windows, kit_image):
    # 3: VER_NT_SERVER.
    assert windows.run(kit_image, "version") == (0, "10.0.20348 3\n")


def test_redistributable_libraries_are_not_there_before_an_image_brings_them(windows, kit_image):
    # 126: ERROR_MOD_NOT_FOUND.
    assert windows.run(kit_image, "load", "msvcp140.dll") == (1, "kit cannot load 126\n")
    assert windows.run(kit_image, "load", "bcryptprimitives.dll") == (0, "")


@pytest.mark.parametrize("verb", WRITING)
@pytest.mark.parametrize(
    ("user", "error"),
    # 5: ERROR_ACCESS_DENIED.
    [("ContainerUser", 5), ("ContainerAdministrator", 0)],
)
def test_nobody_changes_an_image_and_an_administrator_only_its_own_copy(windows, kit_image, verb, user, error):
    image = replace(kit_image, user=user)
    assert windows.run(image, verb, "C:\\app\\data.txt", "mine") == (0, f"kit wrote {error}\n")
    assert windows.run(image, verb, "C:\\app\\new.txt", "mine") == (0, "kit wrote 0\n")
    assert windows.run(image, "type", "data.txt") == (0, "whole")
    assert windows.run(image, "type", "new.txt") == (1, "")


@pytest.mark.parametrize("verb", WRITING)
@pytest.mark.parametrize("user", ["ContainerUser", "ContainerAdministrator"])
def test_nobody_changes_windows_own_files(windows, kit_image, verb, user):
    image, file = replace(kit_image, user=user), "C:\\Windows\\win.ini"
    before = windows.run(image, "type", file)
    assert windows.run(image, verb, file, "mine") == (0, "kit wrote 5\n")
    assert windows.run(image, "type", file) == before != (1, "")


def test_what_wines_services_say_is_not_the_programs(windows, kit_image, monkeypatch):
    of_wine = Wine.environment
    monkeypatch.setattr(Wine, "environment", lambda *given: of_wine(*given) | {"WINEDEBUG": "+service"})
    assert windows.run(kit_image, "version") == (0, "10.0.20348 3\n")


def test_nothing_stays_of_a_container_that_leaves_programs_behind(windows, kit_image):
    with windows.running(kit_image, "leave") as started:
        assert started.ended() == 7
        left = [process for process in psutil.process_iter() if _prefix(process) == str(started.folder)]
        assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
        folder = started.folder
    assert not folder.exists()


def _prefix(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("WINEPREFIX")
    except (psutil.Error, OSError):
        return None
