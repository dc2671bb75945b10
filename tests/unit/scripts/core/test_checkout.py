import subprocess

import pytest

from scripts.core import checkout
from scripts.windows import sources


def git(folder, *arguments):
    own = ["-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *own, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def root(tmp_path):
    """A folder that may be a checkout, with a name that shells and encodings stumble over."""
    folder = tmp_path / "5% ü ' # &"
    folder.mkdir()
    (folder / "file").write_text("1")
    return folder


def commit(folder):
    git(folder, "init", "-q")
    git(folder, "remote", "add", "origin", "https://example.test/project")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "One")
    return git(folder, "rev-parse", "HEAD")


def test_the_commit_is_the_checkouts_own(root):
    made = commit(root)
    assert checkout.commit(root) == made
    assert checkout.changed(root) == []
    (root / "ü new").write_text("1")
    (root / "file").write_text("2")
    assert sorted(checkout.changed(root)) == ["file", "ü new"]
    assert checkout.differing(root) == ["file", "ü new"]


def test_an_archive_that_was_unpacked_inside_another_repository_has_no_commit(root, monkeypatch):
    """Neither that one's commit nor its changes, also where a hook of that one calls us."""
    commit(root.parent)
    (root / "images" / "mine").mkdir(parents=True)
    assert checkout.commit(root.parent)
    for name, value in (("NOTHING", ""), ("GIT_DIR", str(root.parent / ".git"))):
        monkeypatch.setenv(name, value)
        assert checkout.commit(root) is None
        assert checkout.changed(root) == []
        found = sources.look(root, "mine")
        assert (found.revision, found.url) == ("", "")


def test_a_linked_worktree_is_a_checkout(root, tmp_path):
    made = commit(root)
    git(root, "worktree", "add", "-q", str(tmp_path / "linked"))
    assert checkout.commit(tmp_path / "linked") == made


@pytest.mark.parametrize("program", [None, "exit 129"])
def test_without_a_git_that_works_there_is_no_commit(root, tmp_path, monkeypatch, program):
    commit(root)
    if program is not None:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout.commit(root) is None
    assert checkout.changed(root) == []
    assert checkout.differing(root) == []
