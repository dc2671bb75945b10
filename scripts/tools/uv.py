"""uv, as the set-up found or fetched it, for everything that is installed after `.venv`."""

import os
import sys
from pathlib import Path

from scripts import bootstrap
from scripts.core.errors import ToolError
from scripts.core.settings import Settings
from scripts.tools import terraform_command


def find(settings: Settings) -> str:
    """The uv command.

    Raises:
        ToolError: there is none any more.
    """
    # The set-up's own comes last: cron's search path, say, has less than the set-up's had.
    made_with = Path(bootstrap.read_record(str(settings.root / ".venv")).get("uv", "")).parent
    command = bootstrap.find_uv(f"{os.environ.get('PATH', '')}{os.pathsep}{made_with}", str(settings.cache))
    if command is None:
        raise ToolError("uv is missing: make setup, which fetches it")
    return command


def environment(settings: Settings) -> dict[str, str]:
    """The process environment for uv: what it leaves stays in the cache folder."""
    return bootstrap.uv_environment(str(settings.cache))


def tool_environment(settings: Settings) -> dict[str, str]:
    """The process environment for a command that calls uv or Terraform itself: both are on its search path."""
    result = environment(settings)
    # A database's socket lies below the folder for temporary files, and its path may not be long.
    result.pop("TMPDIR")
    if "TMPDIR" in os.environ:
        result["TMPDIR"] = os.environ["TMPDIR"]
    # What the user has comes first; ours is for what is missing.
    folders = [
        Path(find(settings)).parent,
        terraform_command.fetched_folder(settings),
        terraform_command.found_folder(settings),
    ]
    result["PATH"] = os.pathsep.join([result.get("PATH", ""), *(str(folder) for folder in folders)])
    return result


def base_python() -> str:
    """The Python that `.venv` stands on; an environment must not stand on another environment."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
