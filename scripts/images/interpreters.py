"""Interpreters for local images: what a Windows container carries, as an environment in the cache folder."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.core.errors import ImageError, ToolError
from scripts.core.settings import Settings
from scripts.tools import uv
from scripts.windows import staging


def interpreter_folder(settings: Settings, workload: str) -> Path:
    """The environment of a workload's local image; workloads with the same packages share one."""
    return settings.cache / "workloads" / packages(settings, workload)


def packages(settings: Settings, workload: str) -> str:
    """The dependency group of pyproject.toml whose packages a workload's image carries.

    Raises:
        ImageError: there is no such workload, or it does not say so.
    """
    try:
        return staging.read(settings.root, workload).packages
    except staging.StagingError as error:
        raise ImageError(str(error)) from error


def install(settings: Settings, workload: str, progress: Callable[[str], None]) -> bool:
    """Make it from the workload's dependency group.

    Returns:
        False when it was there.

    Raises:
        ToolError: uv is missing or fails.
    """
    group = packages(settings, workload)
    folder = interpreter_folder(settings, workload)
    stamp = folder / "winbatch.json"
    key = hashlib.sha256(
        b"\0".join(
            [
                (settings.root / "uv.lock").read_bytes(),
                staging.SITECUSTOMIZE.encode(),
                sys.base_prefix.encode(),
                str(folder).encode(),
            ]
        )
    ).hexdigest()
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8"))["key"] == key:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    environ = uv.environment(settings) | {"UV_PROJECT_ENVIRONMENT": str(folder)}
    command = [uv.find(settings), "sync", "--frozen", "--no-install-project", "--only-group", group]
    command += ["--compile-bytecode", "--python", uv.base_python()]
    progress(f"uv installs the packages of {workload}")
    done = subprocess.run(
        command, cwd=settings.root, env=environ, capture_output=True, text=True, check=False, timeout=1800
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ToolError(f"uv cannot install the packages of workload {workload}: {' '.join(lines[-3:])}")
    for packages_folder in folder.glob("lib/python*/site-packages"):
        (packages_folder / "sitecustomize.py").write_text(staging.SITECUSTOMIZE, encoding="utf-8")
    stamp.write_text(json.dumps({"key": key}) + "\n", encoding="utf-8")
    return True
