"""The set-up after `.venv`: Terraform, its provider, Airflow, the workloads' interpreters; what is there is skipped.

What only `make test` needs comes with `tests`: the other versions of Airflow, Wine, checkov, a browser, a registry.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scripts import actionlint, browser, debian, local, providers, toolchain, uv, wine, workloads
from scripts.core import given
from scripts.core.console import Steps
from scripts.core.errors import ToolError
from scripts.core.settings import Settings


def run(settings: Settings, *, tests: bool = False) -> None:
    """Set everything up.

    Args:
        settings: whose environment's versions count.
        tests: whether what only the tests need is set up too.

    Raises:
        ToolError: something is missing and cannot be fetched.
        PreflightError: the local environment cannot work in its folders.
    """
    if settings.local:
        local.check_folders(settings)
    given.folder("WINBATCH_CACHE", settings.cache)
    steps = Steps()
    with steps.step("Terraform") as step:
        command = toolchain.install_terraform(settings, step.update)
        step.detail = f"{toolchain.terraform_version(command)}, {command}"
    with steps.step("Terraform's aws provider") as step:
        step.detail = providers.write_config(settings)
    if settings.local:
        with steps.step(f"Airflow {settings.airflow_version}") as step:
            install_airflow(settings, step.update, version=settings.airflow_version)
        for workload in settings.workloads:
            with steps.step(f"Interpreter of workload {workload}") as step:
                made = workloads.install(settings, workload, step.update)
                step.detail = "made" if made else "was there"
        with steps.step("Octave, of workload ber-octave") as step:
            step.detail = debian.OCTAVE.install(step.update) if tests else debian.OCTAVE.look()
        if tests or settings.wine:
            with steps.step("Windows images, under Wine") as step:
                step.detail = wine.install(settings, step.update)
    if tests:
        with steps.step("Airflow in every version that MWAA runs") as step:
            install_airflow(settings, step.update)
        with steps.step("checkov") as step:
            step.detail = "made" if install_checkov(settings) else "was there"
        with steps.step("actionlint") as step:
            step.detail = "made" if actionlint.install(settings) else "was there"
        with steps.step("Browser") as step:
            step.detail = str(browser.install(settings, step.update))
        with steps.step("Container registry") as step:
            step.detail = debian.REGISTRY.install(step.update)


def install_airflow(settings: Settings, progress: Callable[[str], None], *, version: str = "") -> None:
    """Make the Airflow environment of a version, or of each; the emulator knows how, and does nothing when it is there.

    Raises:
        ToolError: it cannot be made.
    """
    local.install(settings, "airflow", ["--version", version] if version else [], progress)


def checkov_folder(settings: Settings) -> Path:
    """The environment of checkov: it pins so much that it gets along with nothing else."""
    return settings.cache / "checkov"


def install_checkov(settings: Settings) -> bool:
    """Make it from `terraform/policies/requirements.txt`.

    Returns:
        False when it was there.

    Raises:
        ToolError: it cannot be made.
    """
    folder = checkov_folder(settings)
    requirements = settings.terraform_root / "policies" / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.base_prefix.encode() + str(folder).encode()).hexdigest()
    stamp = folder / "winbatch.json"
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8"))["key"] == key:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    command_uv = uv.find(settings)
    for command in (
        [command_uv, "venv", "--quiet", "--python", uv.base_python(), str(folder)],
        [
            command_uv,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            str(folder),
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
