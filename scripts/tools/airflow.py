"""Airflow in the versions that MWAA runs, an environment each, which the emulator makes in the cache folder."""

from collections.abc import Callable

from scripts.core.settings import Settings
from scripts.tools import emulator


def install(settings: Settings, progress: Callable[[str], None], *, version: str = "") -> None:
    """Make the Airflow environment of a version, or of each; the emulator knows how, and does nothing when it is there.

    Raises:
        ToolError: it cannot be made.
    """
    emulator.install(settings, "airflow", ["--version", version] if version else [], progress)
