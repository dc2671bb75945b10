"""What the whole Terraform root costs on the local environment: applied, planned again, destroyed."""

from scripts.bench.environment import Life
from scripts.bench.figures import Figure


def measure(life: Life, runs: int) -> list[Figure]:
    """Read off the environment's life what Terraform took of it, and end it.

    Args:
        life: of the environment.
        runs: plans that find nothing to do.

    Raises:
        OperatorError: it does not come up or go down, or a second plan has something to do.
    """
    first = life.first.outcome
    planned = [up.outcome.seconds["Plan"] for up in life.again(runs)]
    return [
        Figure(
            name="terraform.apply_seconds",
            values=[first.seconds["Plan"] + first.seconds["Apply"]],
            unit="s",
            compared_with="planned and applied from nothing, within `up`",
        ),
        Figure(name="terraform.replan_seconds", values=planned, unit="s", compared_with="nothing to do"),
        Figure(name="terraform.resources", values=[first.changes]),
        Figure(name="terraform.destroy_seconds", values=[life.end.outcome.seconds["Destroy"]], unit="s"),
    ]
