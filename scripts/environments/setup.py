"""The set-up after `.venv`: Terraform, its provider, Airflow, the workloads' interpreters; what is there is skipped.

What only `make test` needs comes with `tests`: the other versions of Airflow, Wine, checkov, a browser, a registry.
"""

from scripts.core import given
from scripts.core.console import Steps
from scripts.core.settings import Settings
from scripts.images import interpreters, wine
from scripts.tools import actionlint, airflow, browser, checkov, debian, emulator, providers, terraform_command


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
        emulator.check_folders(settings)
    given.folder("WINBATCH_CACHE", settings.cache)
    steps = Steps()
    with steps.step("Terraform") as step:
        command = terraform_command.install_terraform(settings, step.update)
        step.detail = f"{terraform_command.terraform_version(command)}, {command}"
    with steps.step("Terraform's aws provider") as step:
        step.detail = providers.write_config(settings)
    if settings.local:
        with steps.step(f"Airflow {settings.airflow_version}") as step:
            airflow.install(settings, step.update, version=settings.airflow_version)
        for workload in settings.workloads:
            with steps.step(f"Interpreter of workload {workload}") as step:
                made = interpreters.install(settings, workload, step.update)
                step.detail = "made" if made else "was there"
        with steps.step("Octave, of workload ber-octave") as step:
            step.detail = debian.OCTAVE.install(step.update) if tests else debian.OCTAVE.look()
        if tests or settings.wine:
            with steps.step("Windows images, under Wine") as step:
                step.detail = wine.install(settings, step.update)
    if tests:
        with steps.step("Airflow in every version that MWAA runs") as step:
            airflow.install(settings, step.update)
        with steps.step("checkov") as step:
            step.detail = "made" if checkov.install(settings) else "was there"
        with steps.step("actionlint") as step:
            step.detail = "made" if actionlint.install(settings) else "was there"
        with steps.step("Browser") as step:
            step.detail = str(browser.install(settings, step.update))
        with steps.step("Container registry") as step:
            step.detail = debian.REGISTRY.install(step.update)
