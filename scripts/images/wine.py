"""Windows images on this machine: what runs them, and the Python that is in them, both made in the cache."""

from collections.abc import Callable

from scripts.core.errors import OperatorError, PreflightError
from scripts.core.settings import Settings
from scripts.tools import debian, emulator
from scripts.windows import stand_in

PROGRAMS = (debian.WINE, debian.MINGW)


def install(settings: Settings, progress: Callable[[str], None]) -> str:
    """Prepare this machine for Windows images, with Debian's programs where they can be had.

    Returns:
        What became of it, in a few words: nothing else of a set-up depends on it.
    """
    try:
        for program in PROGRAMS:
            said = program.install(progress)
            if program.find() is None:
                return said
        return prepare(settings, progress)
    except OperatorError as error:
        return f"none: {error}"


def require() -> None:
    """Refuse a machine that cannot run Windows images.

    Raises:
        PreflightError: a program is missing.
    """
    if missing := [program.package for program in PROGRAMS if program.find() is None]:
        raise PreflightError(
            f"WINBATCH_WINDOWS=wine: this machine cannot run Windows images yet: apt-get install {' '.join(missing)}"
        )


def prepare(settings: Settings, progress: Callable[[str], None]) -> str:
    """Make what every Windows container shares, and Python for Windows, unless they are there; in a few words.

    Raises:
        ToolError, ImageError: one of them cannot be made.
    """
    emulator.install(settings, "wine", [], progress)
    python = stand_in.python(settings, progress)
    return f"Python {'3.12.10, a stand-in' if stand_in.is_python(python) else 'of images/python.toml'}"
