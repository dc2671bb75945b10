"""What a figure was measured on."""

import datetime as dt
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.settings import Settings


def facts(settings: Settings) -> dict[str, Any]:
    """Cores, memory, load before the measurement, versions, commit."""
    return {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": platform.platform(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "airflow": settings.airflow_version,
        "moto": version("moto"),
        "boto3": version("boto3"),
        "commit": _git(settings, "rev-parse", "--short", "HEAD"),
        "changed_files": len((_git(settings, "status", "--porcelain") or "").splitlines()),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _git(settings: Settings, *arguments: str) -> str | None:
    """What git says; None in a checkout without it."""
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - whichever git the user has
            cwd=settings.root,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
