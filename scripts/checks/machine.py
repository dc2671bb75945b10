"""What a figure was measured on."""

import datetime as dt
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.core import checkout
from scripts.core.settings import Settings


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
        "commit": (checkout.commit(settings.root) or "")[:7] or None,
        "changed_files": len(checkout.changed(settings.root)),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
