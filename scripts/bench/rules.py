"""How many rules of AWS the contract tests hold the emulator to, with a source that somebody else has written."""

from pathlib import Path

from scripts.bench.figures import Figure
from scripts.checks import parity

# What the local AWS was found to take and AWS to refuse, when it was looked for.
FOUND = 33


def measure(root: Path) -> list[Figure]:
    """Count them.

    Args:
        root: the checkout.

    Raises:
        CheckFailed: the tests cannot be collected.
    """
    found = parity.rules(root)
    return [
        Figure(
            name="aws.rules_documented",
            values=[parity.documented(found)],
            bound=FOUND,
            sense="at least",
            compared_with=f"{len(found)} rules in all, the others assumed",
        )
    ]
