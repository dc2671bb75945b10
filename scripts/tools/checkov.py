"""checkov, which judges plans by policies, in an environment of its own in the cache folder."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.core.errors import ToolError
from scripts.core.settings import Settings
from scripts.tools import uv


def folder(settings: Settings) -> Path:
    """Give the folder of checkov's environment: it pins so much that it gets along with nothing else."""
    return settings.cache / "checkov"


def install(settings: Settings) -> bool:
    """Make that environment from `terraform/policies/requirements.txt`.

    Returns:
        False when it was there.

    Raises:
        ToolError: it cannot be made.
    """
    place = folder(settings)
    requirements = settings.terraform_root / "policies" / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.base_prefix.encode() + str(place).encode()).hexdigest()
    stamp = place / "winbatch.json"
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8"))["key"] == key:
        return False
    shutil.rmtree(place, ignore_errors=True)
    command_uv = uv.find(settings)
    for command in (
        [command_uv, "venv", "--quiet", "--python", uv.base_python(), str(place)],
        [
            command_uv,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            str(place),
            "-r",
            str(requirements),
        ],
    ):
        done = subprocess.run(
            command, env=uv.environment(settings), capture_output=True, text=True, check=False, timeout=1800
        )
        if done.returncode != 0:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise ToolError(f"uv cannot install checkov: {' '.join(lines[-3:])}")
    stamp.write_text(json.dumps({"key": key}) + "\n", encoding="utf-8")
    return True
