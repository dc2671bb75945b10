"""The checkout as git sees it: which commit, and what differs from it."""

import subprocess
from pathlib import Path


def commit(root: Path) -> str | None:
    """The commit that is checked out, in full; None where git or its folder is missing."""
    return _git(root, "rev-parse", "HEAD")


def changed(root: Path) -> list[str]:
    """The files that differ from the commit, new ones included; none where git or its folder is missing."""
    status = _git(root, "status", "--porcelain", "--no-renames") or ""
    return [line[3:] for line in status.splitlines()]


def differing(root: Path, branch: str = "main") -> list[str]:
    """The files that differ from where this line of work left the main branch, new and deleted ones included.

    Args:
        root: the checkout.
        branch: the main one; the origin's, where there is one.
    """
    bases = (_git(root, "merge-base", "HEAD", name) for name in (f"origin/{branch}", branch))
    base = next((base for base in bases if base), "HEAD")
    tracked = _git(root, "diff", "--name-only", "--no-renames", "-z", base) or ""
    new = _git(root, "ls-files", "--others", "--exclude-standard", "-z") or ""
    return sorted({name for name in f"{tracked}{new}".split("\0") if name})


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            # A look must not write: the checkout may be read-only.
            ["git", "--no-optional-locks", *arguments],  # noqa: S607 - whichever git the user has
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
