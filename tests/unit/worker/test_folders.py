"""Removing what programs leave: the worker's way, which is the operator's too, and the emulator's."""

import subprocess
import sys

import pytest

from tests.processes import unprivileged

# Go's module cache has no write bit; somebody's folder has no bit at all; a link leads out.
LEFT = """
import importlib, os, pathlib, sys

folder, outside = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
for name, mode in (("go/mod", 0o555), ("go", 0o555), ("closed/deep", 0o000), ("closed", 0o000), ("unlisted", 0o333)):
    (folder / name).mkdir(parents=True, exist_ok=True)
(folder / "go" / "mod" / "file").touch(0o444)
(folder / "closed" / "deep" / "file").touch(0o000)
(folder / "unlisted" / "file").touch()
(folder / "go" / "link").symlink_to(outside)
for name, mode in (("go/mod", 0o555), ("go", 0o555), ("closed/deep", 0o000), ("closed", 0o000), ("unlisted", 0o333)):
    (folder / name).chmod(mode)
folder.chmod(int(sys.argv[4], 8))
"""
REMOVE = "importlib.import_module(sys.argv[1]).remove(folder)\n"
EMULATORS = pytest.param("emulator.folders", marks=pytest.mark.posix("the emulator does not run on Windows"))
BOTH = pytest.mark.parametrize("module", ["winbatch.working.folders", EMULATORS])
MODES = pytest.mark.posix("Windows knows no such modes")


def call(code, module, *arguments):
    command = [*unprivileged(), sys.executable, "-c", code, module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@MODES
@BOTH
@pytest.mark.parametrize("mode", ["755", "555", "000"])
def test_a_folder_goes_whatever_the_modes_of_what_is_in_it(tmp_path, module, mode):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    outside.chmod(0o555)
    done = call(LEFT + REMOVE, module, tmp_path / "folder", outside, mode)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "folder").exists()
    assert (outside.stat().st_mode & 0o777, [path.name for path in outside.iterdir()]) == (0o555, ["kept"])
    outside.chmod(0o755)


DEEP = """
import importlib, os, pathlib, sys

folder = pathlib.Path(sys.argv[2])
folder.mkdir()
here = os.getcwd()
os.chdir(folder)
# Deeper than Python recurses, and longer than a path may be.
for _ in range(1500):
    os.mkdir("deeper")
    os.chdir("deeper")
    open("file", "w").close()
os.chdir(here)
"""


@pytest.mark.posix("on Windows no path is that long")
@BOTH
def test_a_folder_goes_however_deep_it_is(tmp_path, module):
    done = call(DEEP + REMOVE, module, tmp_path / "folder")
    assert done.returncode == 0, done.stderr[-500:]
    assert not (tmp_path / "folder").exists()


@BOTH
def test_a_folder_that_is_not_there_is_gone(tmp_path, module):
    done = call("import importlib, pathlib, sys; folder = pathlib.Path(sys.argv[2])\n" + REMOVE, module, tmp_path / "x")
    assert done.returncode == 0, done.stderr


@MODES
@BOTH
def test_what_cannot_be_removed_is_an_error_that_names_it(tmp_path, module):
    parent = tmp_path / "parent"
    parent.mkdir()
    locked = "folder.parent.chmod(0o555)\n"
    done = call(LEFT + locked + REMOVE, module, parent / "folder", tmp_path, "755")
    parent.chmod(0o755)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("PermissionError")
    assert str(parent / "folder") in done.stderr.splitlines()[-1]
    assert not list((parent / "folder").iterdir()), "what can be removed is gone"
