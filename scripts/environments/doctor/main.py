"""Which checks there are, in which order, and what came of them."""

from collections.abc import Callable, Sequence
from typing import Any

from scripts.core.settings import Settings
from scripts.environments.doctor import account, machine, platform, quotas, release
from scripts.environments.doctor.check import Check, Context, Finding, State, look

Seen = Callable[[Check, Finding], None]


def checks(settings: Settings) -> Sequence[Check]:
    """List the environment's checks in their order; `Check.stops_at` says which are the last."""
    if settings.local:
        # Under Wine an image does not say of which commit it is.
        images = [] if settings.wine else [release.LocalImages()]
        return [
            machine.Uv(),
            *machine.needed(settings),
            machine.Octave(),
            machine.Emulator(),
            platform.Up(),
            platform.AirflowServes(),
            *images,
            release.Dags(),
        ]
    return [
        machine.Uv(),
        *machine.needed(settings),
        release.Checkout(),
        account.Clock(),
        account.Account(),
        account.Region(),
        quotas.OnDemand(),
        quotas.Spot(),
        quotas.Interfaces(),
        quotas.Airflows(),
        quotas.Addresses(),
        platform.StateKey(),
        platform.Up(),
        platform.EnvironmentKey(),
        platform.Subnets(),
        platform.WayOut(),
        platform.AirflowServes(),
        platform.WindowsBuilds(),
        release.Images(),
        release.Dags(),
    ]


def examine(context: Context, those: Sequence[Check], seen: Seen = lambda *_: None) -> list[tuple[Check, Finding]]:
    """Run checks, up to one after which there is nothing to look at.

    Args:
        context: what they look at.
        those: the checks.
        seen: told each finding at once.
    """
    found = []
    for check in those:
        finding = look(check, context)
        seen(check, finding)
        found.append((check, finding))
        if finding.state in check.stops_at:
            break
    return found


def as_json(settings: Settings, found: Sequence[tuple[Check, Finding]]) -> dict[str, Any]:
    """Give the findings as a program reads them."""
    return {
        "environment": settings.environment,
        "checks": [
            {"name": check.name, "state": finding.state.value, "said": finding.said, "advice": finding.advice}
            for check, finding in found
        ],
    }


def worst(found: Sequence[tuple[Check, Finding]]) -> State:
    """Say how it is as a whole."""
    states = {finding.state for _, finding in found}
    return next((state for state in (State.WRONG, State.DOUBTFUL) if state in states), State.FINE)
