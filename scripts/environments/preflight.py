"""What is looked at before anything changes: in a second what would else fail after minutes."""

import re
from collections.abc import Sequence
from typing import Any

from scripts.core import checkout, given
from scripts.core.aws import Aws
from scripts.core.console import Steps, console
from scripts.core.errors import PreflightError
from scripts.core.settings import Settings
from scripts.dag_releases import requirements
from scripts.images import wine
from scripts.tools import emulator, providers, terraform_command


def check(settings: Settings, steps: Steps) -> list[str]:
    """Tools, disk, credentials, account, requirements, checkout.

    Returns:
        Doubts that a person may wave away, a line each; none for the local environment.

    Raises:
        OperatorError: it cannot go on.
    """
    terraform_command.find_terraform(settings)
    providers.config_file(settings)
    requirements.check(settings)
    if settings.local:
        emulator.check_folders(settings)
        if settings.wine:
            wine.require()
        emulator.check_disk(settings)
        if emulator.recorded(settings) is None:
            emulator.check_port(settings.port)
        return []
    given.folder("WINBATCH_STATE", settings.state)
    with steps.step("Preflight") as step:
        account = identify(settings, Aws(settings.region).client("sts"))
        step.detail = f"account {account}"
    return doubts(settings, account, checkout.commit(settings.root), checkout.changed(settings.root))


def identify(settings: Settings, sts: Any) -> str:
    """The account that the credentials are for.

    Raises:
        PreflightError: it is not the environment's.
    """
    caller = sts.get_caller_identity()
    account = str(caller["Account"])
    allowed = accounts(settings)
    if allowed and account not in allowed:
        raise PreflightError(
            f"the credentials ({caller['Arn']}) are for account {account}, and environment {settings.environment} lives"
            f" in {' or '.join(allowed)} ({settings.var_file.name}): log in to that one and call again"
        )
    return account


def accounts(settings: Settings) -> list[str]:
    """The accounts that the environment's values allow; none when they name none."""
    text = re.sub(r"(#|//).*", "", settings.var_file.read_text(encoding="utf-8"))
    named = re.search(r"^\s*allowed_account_ids\s*=\s*\[([^\]]*)\]", text, re.MULTILINE)
    return re.findall(r'"(\d{12})"', named[1]) if named else []


def doubts(settings: Settings, account: str, commit: str | None, changed: Sequence[str]) -> list[str]:
    """What a person should know before a real environment changes."""
    found = []
    if not accounts(settings):
        found.append(
            f"{settings.var_file.name} does not say which account is the right one (aws_provider.allowed_account_ids);"
            f" the credentials are for {account}"
        )
    if commit is None:
        found.append("the checkout has no commit, so nobody can tell later what was applied")
    elif changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        found.append(f"{changed[0]}{more} differ from commit {commit[:12]}; commit what is to be applied")
    return found


def ask(question: str, settings: Settings) -> None:
    """Ask for a yes.

    Raises:
        PreflightError: it is a no, or there is nobody to ask.
    """
    try:
        answer = console.input(f"{question} \\[y/N] ") if console.is_terminal else None
    except EOFError:
        answer = None
    if answer is None:
        raise PreflightError(
            f"{question} There is nobody to ask: call with --yes if it is meant (environment {settings.environment})"
        )
    if answer.strip().lower() not in {"y", "yes"}:
        raise PreflightError("nothing was changed")
