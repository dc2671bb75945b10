"""What is looked at before anything changes: in a second what would else fail after minutes."""

from collections.abc import Sequence

from scripts.core import checkout
from scripts.core.console import Steps, console
from scripts.core.errors import PreflightError
from scripts.core.settings import Settings
from scripts.environments.doctor import account, machine
from scripts.environments.doctor.check import Context


def check(settings: Settings, steps: Steps) -> list[str]:
    """Tools, disk, credentials, account, requirements, checkout: the doctor's checks that keep `up` from beginning.

    Returns:
        Doubts that a person may wave away, a line each; none for the local environment.

    Raises:
        OperatorError: it cannot go on.
    """
    context = Context(settings)
    for one in machine.needed(settings):
        one.run(context)
    if settings.local:
        return []
    with steps.step("Preflight") as step:
        found = account.identify(settings, context.aws.client("sts"))
        step.detail = f"account {found}"
    return doubts(settings, found, checkout.commit(settings.root), checkout.changed(settings.root))


def doubts(settings: Settings, found: str, commit: str | None, changed: Sequence[str]) -> list[str]:
    """What a person should know before a real environment changes, of its account and of the checkout."""
    return [*account.account_doubts(settings, found), *account.checkout_doubts(commit, changed)]


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
