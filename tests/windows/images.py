"""The project's own images for Windows, as they are pushed to the emulator, in containers that run their Python."""

from __future__ import annotations

import functools
from dataclasses import replace

from emulator.ecs.images import Image
from scripts.core.console import Steps
from scripts.core.settings import Settings
from scripts.windows import image
from tests.windows.host import Host

PYTHON = r"C:\python\python.exe"


@functools.cache
def of(windows: Host, workload: str) -> Image:
    """A workload's image, whose entry point is its Python instead of the worker; unpacked once."""
    built = image.build(Settings.load("local"), workload, Steps())
    return replace(windows.layout(built.folder), entrypoint=[PYTHON])
