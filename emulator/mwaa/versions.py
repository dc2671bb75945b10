"""The Airflow versions that the emulated MWAA runs, and what MWAA fixes for each."""

from __future__ import annotations

import hashlib
import platform
import sys
from pathlib import Path

from emulator.mwaa import database

LOCKS = Path(__file__).parent / "locks"

SUPPORTED = tuple(
    sorted((path.stem.removeprefix("airflow-") for path in LOCKS.glob("airflow-*.txt")), key=lambda v: v.split("."))
)
# MWAA takes its newest for one that names none. Its API describes modes of 3.2 and later, although the list of versions
# there ends at 3.0.6.
DEFAULT = "3.2.1"


def lock(version: str) -> Path:
    """Every package of the version's environment, with hashes."""
    return LOCKS / f"airflow-{version}.txt"


def fixed(version: str) -> Path:
    """The packages that MWAA lets no requirements.txt change."""
    return LOCKS / f"fixed-{version}.txt"


def constraints(version: str) -> Path:
    """The versions that MWAA prescribes to a requirements.txt that names no constraints itself."""
    return LOCKS / f"constraints-{version}.txt"


def key(version: str) -> str:
    """Names the installation of a version: another lock, interpreter or database makes another one."""
    parts = (lock(version).read_text(), sys.version, platform.platform(), database.package_version())
    return f"{version}-{hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:12]}"
