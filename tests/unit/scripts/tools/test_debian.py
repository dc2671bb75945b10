"""Programs from Debian, with a stand-in for apt-get on a search path of its own."""

import os

import pytest

from scripts.core.errors import ToolError
from scripts.tools.debian import Program

PROGRAM = Program("solver", "gnu-solver", "its tests are skipped")
NONE = "none: its tests are skipped (apt-get install gnu-solver)"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine on which we are root; what apt-get does there is written by the test."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def apt_get(script):
        path = tmp_path / "apt-get"
        path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n{script}\n')
        path.chmod(0o755)

    return tmp_path, apt_get


def test_what_is_there_is_taken(machine):
    folder, apt_get = machine
    apt_get("exit 1")
    (folder / "solver").touch(0o755)
    assert PROGRAM.find() == PROGRAM.look() == PROGRAM.install(print) == str(folder / "solver")
    assert not (folder / "called").exists()


def test_what_is_missing_is_installed_by_apt_after_an_update(machine):
    folder, apt_get = machine
    apt_get(f'case "$1" in update) : > {folder}/updated;; esac; test -e {folder}/updated || exit 100')
    with pytest.raises(ToolError, match="solver, for tests, cannot be installed: apt-get install gnu-solver"):
        PROGRAM.install(print)
    (folder / "updated").unlink()
    apt_get(f"test $1 = install && : > {folder}/solver && /bin/chmod 755 {folder}/solver")
    said = []
    assert PROGRAM.install(said.append) == str(folder / "solver")
    assert said == ["apt-get install gnu-solver (as root, into the system)"]
    words = "install --yes --quiet --no-install-recommends gnu-solver"
    assert (folder / "called").read_text().splitlines() == [words, "update --quiet", words, words]


def test_without_apt_or_root_a_line_says_what_that_means(machine, monkeypatch):
    folder, apt_get = machine
    assert PROGRAM.look() == PROGRAM.install(print) == NONE
    apt_get("exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert PROGRAM.install(print) == NONE
    assert not (folder / "called").exists()
