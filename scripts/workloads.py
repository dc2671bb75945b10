"""Interpreters for local images: what a Windows container carries, as an environment in the cache folder."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scripts import bootstrap
from scripts.errors import ToolError
from scripts.settings import Settings


def interpreter_folder(settings: Settings, workload: str) -> Path:
    """The environment of a workload's local image."""
    return settings.cache / "workloads" / workload


def install(settings: Settings, workload: str, progress: Callable[[str], None]) -> bool:
    """Make it from the dependency group of the workload's name.

    Returns:
        False when it was there.

    Raises:
        ToolError: uv is missing or fails.
    """
    folder = interpreter_folder(settings, workload)
    stamp = folder / "winbatch.json"
    key = hashlib.sha256(
        b"\0".join([(settings.root / "uv.lock").read_bytes(), sys.base_prefix.encode(), str(folder).encode()])
    ).hexdigest()
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8"))["key"] == key:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    environ = bootstrap.uv_environment(str(settings.cache)) | {"UV_PROJECT_ENVIRONMENT": str(folder)}
    command = [find_uv(settings), "sync", "--frozen", "--no-install-project", "--only-group", workload]
    command += ["--compile-bytecode", "--python", base_python()]
    progress(f"uv installs the packages of {workload}")
    done = subprocess.run(
        command, cwd=settings.root, env=environ, capture_output=True, text=True, check=False, timeout=1800
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ToolError(f"uv cannot install the packages of workload {workload}: {' '.join(lines[-3:])}")
    stamp.write_text(json.dumps({"key": key}) + "\n", encoding="utf-8")
    return True


def find_uv(settings: Settings) -> str:
    """The uv command that the set-up found or fetched.

    Raises:
        ToolError: there is none any more.
    """
    uv = bootstrap.find_uv(os.environ.get("PATH", ""), str(settings.cache))
    if uv is None:
        raise ToolError("uv is missing: make setup, which fetches it")
    return uv


def base_python() -> str:
    """The Python that `.venv` stands on; an environment must not stand on another environment."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
