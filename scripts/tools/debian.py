"""Programs that the project can do without, but not all of its tests: the machine's, else Debian's."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from scripts.core.errors import ToolError


@dataclass(frozen=True)
class Program:
    """A program on the search path.

    Attributes:
        name: its command.
        package: Debian's package that brings it.
        without: what becomes of a machine that has none.
        places: folders beside the search path.
    """

    name: str
    package: str
    without: str
    places: tuple[str, ...] = ()

    def find(self) -> str | None:
        """The command, if there is one."""
        return shutil.which(self.name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *self.places)))

    def look(self) -> str:
        """The command; where there is none, what that means and how to get one."""
        return self.find() or f"none: {self.without} (apt-get install {self.package})"

    def install(self, progress: Callable[[str], None]) -> str:
        """The same, installing Debian's where there is none and it can be had.

        Raises:
            ToolError: apt is there and cannot install it.
        """
        if self.find() is None and shutil.which("apt-get") and os.geteuid() == 0:
            apt_install(self.package, progress)
            if self.find() is None:
                raise ToolError(f"{self.name}, for tests, cannot be installed: apt-get install {self.package}")
        return self.look()


REGISTRY = Program("docker-registry", "docker-registry", "tests of pushing images are skipped")
OCTAVE = Program("octave-cli", "octave", "jobs of ber-octave fail on this machine, and their tests are skipped")
_NO_WINDOWS = "Windows images do not run on this machine, and their tests are skipped"
# Debian keeps it off the search path when it is without the package wine.
WINE = Program("wine64", "wine64", _NO_WINDOWS, places=("/usr/lib/wine",))
MINGW = Program("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32", _NO_WINDOWS)


def apt_install(package: str, progress: Callable[[str], None]) -> None:
    """Install one of Debian's packages; whether it worked shows by what is there afterwards."""
    progress(f"apt-get install {package} (as root, into the system)")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install_command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    if not attempt(install_command, environ):
        attempt(["apt-get", "update", "--quiet"], environ)
        attempt(install_command, environ)


def attempt(command: list[str], environ: dict[str, str]) -> bool:
    """Run a command whose success is judged by what is there afterwards."""
    try:
        done = subprocess.run(command, env=environ, capture_output=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
