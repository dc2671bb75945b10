"""A command's words, and what parameters may not do in them."""

import pytest

from winbatch.errors import JobError
from winbatch.working import words

FOLDERS = {"app": r"C:\app", "inputs": "/t/0-0/inputs", "outputs": "/t/0-0/outputs"}


def fill(command, **params):
    return words.fill(command, {"item": 0, "job": "j", **params}, FOLDERS)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("{outputs}/{name}", r"..\..\evil"),
        ("{outputs}/{name}.csv", "../evil"),
        (r"{outputs}\{name}", "x/../../evil"),
        ("--out={outputs}/{name}", "C:evil"),
        ("{outputs}/{name}", "C:/evil"),
        ("{outputs}/{name}.txt", "a:b"),
        ("{outputs}/{name}.txt", "nul"),
        ("{outputs}/{name}", "COM1"),
        ("{outputs}/{name}", "end."),
        ("{outputs}/{name}", "end "),
        ("{app}/{name}/x.ps1", ".."),
        ("{inputs}/{name}", "/etc/passwd"),
    ],
)
def test_a_parameter_cannot_lead_out_of_a_folder(word, name):
    with pytest.raises(JobError, match="give the item another parameter"):
        fill(["solve", word], name=name)


@pytest.mark.parametrize("name", ["a", "a/b.csv", "ü 1,5-2", "-1.5", "漢字"])
def test_other_names_are_taken_as_they_are(name):
    assert fill(["solve", "{outputs}/{name}", r"{outputs}\deep\{name}.csv"], name=name)[1:] == [
        f"/t/0-0/outputs/{name}",
        rf"/t/0-0/outputs\deep\{name}.csv",
    ]


def test_a_word_of_its_own_may_be_anything():
    odd = r'..\x" & echo %PATH% | C:\evil'
    assert fill(["solve", "{odd}", "--x={odd}", "{outputs}"], odd=odd)[1:3] == [odd, f"--x={odd}"]


@pytest.mark.parametrize(
    "program", ["cmd", "cmd.exe", "CMD.EXE", r"C:\Windows\System32\cmd.exe", "{shell}", "cmd.exe."]
)
@pytest.mark.parametrize("value", ["a&b", 'x" & echo', "%PATH%", "a|b", "a>b", "a^b", "a\nb", ["a", "b&c"]])
def test_a_shell_gets_no_parameter_that_it_would_read(program, value):
    with pytest.raises(
        JobError, match=r"cmd\.exe would read .* as a command; name the program itself, or have PowerShell"
    ):
        fill([program, "/d", "/c", r"{app}\run.bat", "{value}"], value=value, shell="cmd")


def test_a_shell_gets_the_others():
    given = fill(["cmd.exe", "/d", "/c", r"{app}\run.bat", "{value}", "{item}"], value=-1.5, other="a&b")
    assert given[3:] == [r"C:\app\run.bat", "-1.5", "0"]
