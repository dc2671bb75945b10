import pytest

from winbatch import filenames

DEVICES = [
    "con", "CON", "nul", "NUL.txt", "aux.h", "prn", "com0", "com1", "COM9.tar.gz", "lpt1", "lpt9", "com¹", "lpt²",
    "COM³", "conin$", "CONOUT$", "con .txt",
]  # fmt: skip
FINE = [
    "console",
    "com10",
    "com",
    "aux1",
    "a con",
    "con-1",
    ".hidden",
    "a b",
    "ü.txt",
    "漢字",
    "a.b.c",
    "values.json",
    "-",
]
ELSE = [
    "",
    ".",
    "..",
    "a.",
    "a ",
    "a..",
    "a:b",
    "C:x",
    r"..\x",
    r"\x",
    "a*b",
    "a?",
    'a"',
    "a<",
    "a>",
    "a|",
    "a\n",
    "a\0b",
]


@pytest.mark.parametrize("name", [*DEVICES, *ELSE, "x" * 256])
def test_names_that_windows_cannot_have(name):
    assert filenames.problem(name)
    assert "\n" not in filenames.problem(name)
    assert filenames.path_problem(f"folder/{name}")
    assert filenames.path_problem(f"{name}/file")


@pytest.mark.parametrize("name", [*FINE, "x" * 255])
def test_names_that_it_can(name):
    assert filenames.problem(name) is None
    assert filenames.problems([f"{name}/{name}", "other"]) == {}


@pytest.mark.parametrize("path", ["/etc/passwd", "a//b", "a/", "../x", "a/../b", r"a\..\..\b", "C:/x"])
def test_paths_that_lead_elsewhere(path):
    assert list(filenames.problems([path])) == [path]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["a", "A"], "'A' differs from 'a' in case only"),
        (["Ü", "ü"], "'ü' differs from 'Ü' in case only"),
        (["d/a", "D/b"], "'D' differs from 'd' in case only"),
        (["d/a", "d/A"], "'d/A' differs from 'd/a' in case only"),
        (["d", "d/a"], "'d' is a file and a folder"),
        (["d/a", "d"], "'d' is a file and a folder"),
    ],
)
def test_files_that_cannot_lie_beside_one_another(paths, words):
    (said,) = filenames.problems(paths).values()
    assert words in said


def test_what_may_lie_beside_one_another():
    # Letter by letter, so that these are two names.
    assert filenames.problems(["d/a", "d/b", "e/a", "a", "straße", "strasse", "a.txt"]) == {}


BATCH = [
    "run.bat", "RUN.CMD", "run.bat.", "run.bat ", "run.bat . .", "run.bat\t", "C:\\tools\\run.Bat", "C:run.bat",
    "./run.cmd", "run.bat::$DATA", "run.bat:stream", '"run.bat"', "'run.bat'", 'run.bat"', 'x"run.bat" x', ".bat",
    "a b.cmd",
]  # fmt: skip


@pytest.mark.parametrize("program", BATCH)
def test_batch_files_however_they_are_dressed_up(program):
    assert filenames.is_batch(program)


# CreateProcess looks for run.exe, and not for what PATHEXT names beside.
@pytest.mark.parametrize(
    "program", ["run", "run.", "run.exe", "bat", "run.bat.exe", "a.bat/run", "batch", "run.batx", "", "C:"]
)
def test_what_is_none(program):
    assert not filenames.is_batch(program)
