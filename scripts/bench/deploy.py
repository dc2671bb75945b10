"""What deploying costs: up from nothing and with nothing to do, a release of one changed file, down."""

import time

from scripts.bench.environment import Life
from scripts.bench.figures import Figure
from scripts.core.settings import Settings
from scripts.dag_releases import publish

MAX_NOTHING_TO_DO = 25.0
MAX_RELEASE = 45.0
CHANGED = "jobs/ber.yaml"


def measure(life: Life, runs: int) -> list[Figure]:
    """Release a changed file again and again, then take the environment down.

    Args:
        life: of the environment; `up` is measured when it comes up, and again with nothing to do.
        runs: of what takes seconds; the rest is done once.

    Raises:
        OperatorError: it does not come up or go down.
    """
    cold = life.first.seconds
    again = [up.seconds for up in life.again(runs)]
    released = [_release(life.settings) for _ in range(runs)]
    down = life.end.seconds
    return [
        Figure(
            name="deploy.up_seconds_cold",
            values=[cold],
            unit="s",
            compared_with="emulator, Terraform, images, release, until Airflow serves it",
        ),
        Figure(name="deploy.up_seconds_nothing_to_do", values=again, unit="s", bound=MAX_NOTHING_TO_DO),
        Figure(
            name="deploy.dags_release_seconds",
            values=released,
            unit="s",
            bound=MAX_RELEASE,
            compared_with="one changed file, checked, until Airflow serves it",
        ),
        Figure(
            name="deploy.down_seconds",
            values=[down],
            unit="s",
            compared_with="as elsewhere than locally: jobs, cluster, buckets, Terraform, what it leaves",
        ),
    ]


def _release(settings: Settings) -> float:
    with (settings.dags / CHANGED).open("a", encoding="utf-8") as file:
        file.write(f"# {time.time()}\n")
    began = time.monotonic()
    publish.release_dags(settings)
    return time.monotonic() - began
