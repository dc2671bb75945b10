"""The checkout as git sees it: which commit, and what differs from it."""

import os
import shutil
import subprocess
from pathlib import Path

# Variables that name a repository whatever the folder.
_FOREIGN = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"})
# Folders and files that were made in a checkout.
_MADE = (
    ".git",
    ".venv",
    ".cache",
    ".state",
    ".terraform",
    ".*_cache",
    "__pycache__",
    "build",
    "node_modules",
    "*.tfstate",
)


def copy(root: Path, target: Path) -> None:
    """Copy a checkout, with nothing that was made in it."""
    shutil.copytree(root, target, ignore=shutil.ignore_patterns(*_MADE), symlinks=True)


def commit(root: Path) -> str | None:
    """The commit that is checked out, in full; None where git or its folder is missing."""
    return git(root, "rev-parse", "HEAD")


def changed(root: Path) -> list[str]:
    """The files that differ from the commit, new ones included; none where git or its folder is missing."""
    status = git(root, "status", "--porcelain", "--no-renames", "-z") or ""
    return [entry[3:] for entry in status.split("\0") if entry]


def differing(root: Path, branch: str = "main") -> list[str]:
    """The files that differ from where this line of work left the main branch, new and deleted ones included.

    Args:
        root: the checkout.
        branch: the main one; the origin's, where there is one.
    """
    bases = (git(root, "merge-base", "HEAD", name) for name in (f"origin/{branch}", branch))
    base = next((base for base in bases if base), "HEAD")
    tracked = git(root, "diff", "--name-only", "--no-renames", "-z", base) or ""
    new = git(root, "ls-files", "--others", "--exclude-standard", "-z") or ""
    return sorted({name for name in f"{tracked}{new}".split("\0") if name})


def git(root: Path, *arguments: str) -> str | None:
    """What git says of the checkout; None where it is missing, refuses, or has none that begins in this folder.

    A repository around it is another's, as where an archive was unpacked: git is told not to look above the folder, and
    not by the variables that a hook sets.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    try:
        done = subprocess.run(
            # A look must not write: the checkout may be read-only.
            ["git", "--no-optional-locks", *arguments],  # noqa: S607 - whichever git the user has
            cwd=root,
            env={**environ, "GIT_CEILING_DIRECTORIES": str(root.resolve().parent)},
            capture_output=True,
            text=True,
            # A file's name may be in any encoding.
            errors="backslashreplace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
