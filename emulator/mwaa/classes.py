"""MWAA's environment classes and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping

# Airflow tasks that one worker runs at once, by default.
TASKS_PER_WORKER: Mapping[str, int] = {
    "mw1.micro": 3,
    "mw1.small": 5,
    "mw1.medium": 10,
    "mw1.large": 20,
    "mw1.xlarge": 40,
    "mw1.2xlarge": 80,
}
DEFAULT = "mw1.small"
MICRO = "mw1.micro"


def task_slots(environment_class: str, max_workers: int, options: Mapping[str, str]) -> int:
    """How many Airflow tasks run at once when all workers are there.

    `celery.worker_autoscale` ("most,least") replaces the class's number for a worker, and `core.parallelism` is a bound
    on all of them.
    """
    autoscale = options.get("celery.worker_autoscale", "").partition(",")[0].strip()
    per_worker = int(autoscale) if autoscale.isdecimal() else TASKS_PER_WORKER[environment_class]
    slots = per_worker * max_workers
    parallelism = options.get("core.parallelism", "").strip()
    if parallelism.isdecimal() and int(parallelism) > 0:
        slots = min(slots, int(parallelism))
    return max(1, slots)
