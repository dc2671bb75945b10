"""Runs the environment's startup script and takes over what it exports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emulator.mwaa.commands import Runner

_SECONDS = 300  # what MWAA gives it


def run(script: Path, env: Mapping[str, str], runner: Runner) -> dict[str, str]:
    """Give the variables that the script exported anew or changed.

    Raises:
        LaunchError: it failed or took longer than 5 minutes
    """
    exported = script.with_name("exported")
    argv = ["/bin/bash", "-c", 'source "$1" && env -0 > "$2"', "startup", str(script), str(exported)]
    what = "the startup script"
    runner.run(argv, env=env, cwd=script.parent, what=what, timeout=_SECONDS)
    pairs = (entry.partition("=") for entry in exported.read_text().split("\0") if entry)
    ignored = {"_", "SHLVL", "PWD", "OLDPWD", "EMULATOR_FAMILY"}
    return {name: value for name, _, value in pairs if name not in ignored and env.get(name) != value}
