"""Files and folders that a person names."""

import errno
import io
import os
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.core import given as named
from scripts.core.errors import PlanRefused, SettingsError
from scripts.core.settings import Settings
from scripts.terraform import saved_plan

LOCAL = Settings.load("local", environ={})


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (".", "no file"),
        ("folder", "no file"),
        ("/", "no file"),
        ("/dev/null", "no file"),
        ("file/x", "File exists"),
        ("/dev/null/x", "File exists"),
        ("x" * 300, "File name too long"),
        ("a/" * 3000 + "x", "File name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_work(word, reason):
    with pytest.raises(SettingsError, match=rf"--out .*{reason}"):
        named.new_file("--out", word)


def test_a_file_that_can_be_written_leaves_nothing_before_it_is(tmp_path):
    assert named.new_file("--out", "new/ü %/plan").name == "plan"
    assert list((tmp_path / "new" / "ü %").iterdir()) == []
    assert named.new_file("--out", "file").read_text() == ""


@pytest.mark.parametrize("word", [".", "nothing", "binary", "loop", "x" * 300, "file/x", "\udcfc"])
def test_a_text_that_cannot_be_read_is_told(word):
    with pytest.raises(SettingsError, match=r"^--file .*; name another one$"):
        named.text("--file", word)


@pytest.mark.parametrize(
    "words",
    [["--param"], ["--param", "--dag", "chain"], ["--param", "a=1", "--param"], ["--no-wait", "--param", "--x"]],
)
def test_an_option_without_its_value_is_refused(words):
    with pytest.raises(SettingsError, match="--param stands without a value"):
        named.refuse_dangling(words, "--param")


@pytest.mark.parametrize("words", [[], ["--param", "a=1"], ["--param", "a=--b", "--dag", "chain"], ["--params"]])
def test_one_with_its_value_is_not(words):
    named.refuse_dangling(words, "--param")


def test_a_text_without_end_is_read_in_part():
    assert len(named.text("--file", "/dev/zero")) == 1_000_000


def test_what_is_the_machines_fault_is_no_wrong_path():
    with pytest.raises(OSError, match="No space"), named.path("--out", LOCAL.root):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("word", [".", "nothing", "binary", "file", "loop", "/dev/null", "file/x"])
def test_what_is_no_plan_is_refused(tmp_path, word):
    with pytest.raises((PlanRefused, SettingsError)):
        saved_plan.load(tmp_path / word, None, LOCAL)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_plan_that_is_damaged_anywhere_is_refused(tmp_path, data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as file:
        file.writestr(
            "manifest.json", data.draw(st.sampled_from(["{}", "[]", "null", "7", '{"schema": 2}', "[" * 5000]))
        )
        file.writestr("plan", "x")
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "plan").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with pytest.raises(PlanRefused):
        saved_plan.load(tmp_path / "plan", None, LOCAL)
