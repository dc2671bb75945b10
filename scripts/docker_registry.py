"""A container registry for the tests of images: the machine's `docker-registry`, else Debian's."""

import os
import shutil
from collections.abc import Callable

from scripts.browser import apt_install
from scripts.errors import ToolError

NAME = "docker-registry"


def find() -> str | None:
    """The registry's command, if there is one."""
    return shutil.which(NAME)


def install(progress: Callable[[str], None]) -> str:
    """The same, installing Debian's where there is none.

    Returns:
        The command; where none can be had, why the tests that need one are skipped.

    Raises:
        ToolError: apt is there and cannot install it.
    """
    if (found := find()) is not None:
        return found
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        return f"none: tests of pushing images are skipped (apt-get install {NAME})"
    apt_install(NAME, progress)
    if (found := find()) is None:
        raise ToolError(f"{NAME}, for the tests of images, cannot be installed: apt-get install {NAME}")
    return found
