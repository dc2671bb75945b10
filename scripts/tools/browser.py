"""A headless Chromium for the test of Airflow's page: the machine's, else playwright's, else Debian's."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.core.errors import ToolError
from scripts.core.settings import Settings
from scripts.tools import debian

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find(settings: Settings) -> Path | None:
    """A browser that starts: on the search path, else the one that playwright fetched into the cache folder."""
    fetched = sorted((settings.cache / "browsers").glob("chromium_headless_shell-*/*/*headless*shell*"))
    on_path = [shutil.which(name) for name in NAMES]
    for command in [*(Path(name) for name in on_path if name), *fetched]:
        if os.access(command, os.X_OK) and _starts(command):
            return command
    return None


def install(settings: Settings, progress: Callable[[str], None]) -> Path:
    """The same, fetching one where there is none.

    Raises:
        ToolError: none can be had.
    """
    tries: list[Callable[[Settings, Callable[[str], None]], None]] = [_from_playwright]
    if shutil.which("apt-get") and os.geteuid() == 0:
        tries.append(_from_debian)
    found = find(settings)
    for attempt in tries:
        if found is not None:
            break
        attempt(settings, progress)
        found = find(settings)
    if found is None:
        raise ToolError(
            "a Chromium for the browser test is missing and cannot be fetched: install one"
            " (apt-get install chromium) and call again"
        )
    return found


def _starts(command: Path) -> bool:
    try:
        subprocess.run([command, "--version"], capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _from_playwright(settings: Settings, progress: Callable[[str], None]) -> None:
    progress("fetching playwright's Chromium")
    environ = {**os.environ, "PLAYWRIGHT_BROWSERS_PATH": str(settings.cache / "browsers")}
    command = [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]
    debian.attempt(command, environ)


def _from_debian(_: Settings, progress: Callable[[str], None]) -> None:
    debian.apt_install("chromium", progress)
