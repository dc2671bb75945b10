r"""Where a program is found.

Windows: CreateProcess's "lpCommandLine" (Microsoft's reference) says which extension it puts behind a name.
"""

import sys
from pathlib import Path, PureWindowsPath

import pytest

from winbatch.working import finding

WINDOWS = {"Path": r'C:\python;"C:\my tools";.;tools;', "SystemRoot": r"C:\Windows"}
LINUX = {"PATH": "/usr/bin:.::tools:/opt/my tools"}
FOLDER = {True: PureWindowsPath(r"C:\t\0-0\work"), False: Path("/t/0-0/work")}


def found(word, there, *, windows):
    environment = WINDOWS if windows else LINUX
    return finding.find(word, FOLDER[windows], environment, windows=windows, runs={*there}.__contains__)


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("python", r"C:\python\python.exe"),
        ("python.exe", r"C:\python\python.exe"),
        ("solve.COM", r"C:\my tools\solve.COM"),
        ("powershell.exe", r"C:\Windows\System32\powershell.exe"),
        ("kit-2.1", r"C:\python\kit-2.1.exe"),
        (r"C:\solver\solve", r"C:\solver\solve.exe"),
        ("C:/solver/solve.exe", r"C:\solver\solve.exe"),
        (r"bin\x.exe", r"C:\t\0-0\work\bin\x.exe"),
        ("./x", r"C:\t\0-0\work\x.exe"),
    ],
)
def test_windows(word, path):
    assert found(word, [path], windows=True) == path


@pytest.mark.parametrize(
    ("word", "path"),
    [("python", "/usr/bin/python"), ("x", "/opt/my tools/x"), ("/a/b", "/a/b"), ("bin/x", "/t/0-0/work/bin/x")],
)
def test_linux(word, path):
    assert found(word, [path], windows=False) == path


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("word", ["kit", "files dir/kit", "./kit"])
def test_neither_looks_where_the_worker_or_its_interpreter_lies(word, windows):
    app = [rf"C:\app\{name}" for name in ("kit.exe", "kit", r"files dir\kit.exe")]
    with pytest.raises(FileNotFoundError, match=r"there is no such program.*named by \{app\}/"):
        found(word, [*app, "/app/kit", "/app/files dir/kit", "kit", "tools/kit", r"tools\kit.exe"], windows=windows)


def test_the_first_on_the_path_counts():
    there = [r"C:\my tools\x.exe", r"C:\python\x.exe", r"C:\Windows\System32\x.exe"]
    assert found("x", there, windows=True) == r"C:\python\x.exe"


def test_what_runs_is_a_file_that_may_be_run(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("", encoding="utf-8")
    environment = {"PATH": f"{tmp_path}:{Path(sys.executable).parent}"}
    for name in ("folder", "text") if sys.platform != "win32" else ("folder",):
        with pytest.raises(FileNotFoundError):
            finding.find(name, tmp_path, environment)
