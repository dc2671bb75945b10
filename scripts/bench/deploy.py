"""What deploying costs: up from nothing and with nothing to do, a release of one changed file, down.

The product's own environment, images and DAGs, with a state, a port and a copy of the DAGs of its own.
"""

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts import lifecycle, releasing
from scripts.bench.environment import free_port
from scripts.bench.figures import Figure
from scripts.settings import Settings

MAX_NOTHING_TO_DO = 25.0
MAX_RELEASE = 45.0
CHANGED = "jobs/ber.yaml"


class DeploySettings(Settings):
    """The local environment with DAGs that may be changed."""

    @property
    def dags(self) -> Path:
        return self.state_root / "dags"


def measure(settings: Settings, runs: int) -> list[Figure]:
    """Bring an environment up, up again, release a changed file, take it down.

    Args:
        settings: of the local environment; the bench makes one of its own.
        runs: of what takes seconds; the rest is done once.

    Raises:
        OperatorError: it does not come up or go down.
    """
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    own = DeploySettings(**fields | {"state_root": settings.state_root / "bench-deploy", "port": free_port()})
    lifecycle.down(own)
    shutil.rmtree(own.state_root, ignore_errors=True)
    try:
        shutil.copytree(settings.root / "dags", own.dags, ignore=shutil.ignore_patterns("__pycache__"))
        cold = _timed(lambda: lifecycle.up(own, check=False))
        again = [_timed(lambda: lifecycle.up(own, check=False)) for _ in range(runs)]
        released = [_timed(lambda: _release(own)) for _ in range(runs)]
    finally:
        down = _timed(lambda: lifecycle.down(own))
        shutil.rmtree(own.state_root, ignore_errors=True)
    return [
        Figure(name="deploy.up_seconds_cold", values=[cold], unit="s"),
        Figure(name="deploy.up_seconds_nothing_to_do", values=again, unit="s", bound=MAX_NOTHING_TO_DO),
        Figure(name="deploy.dags_release_seconds", values=released, unit="s", bound=MAX_RELEASE),
        Figure(name="deploy.down_seconds", values=[down], unit="s"),
    ]


def _release(settings: Settings) -> None:
    with (settings.dags / CHANGED).open("a", encoding="utf-8") as file:
        file.write(f"# {time.time()}\n")
    releasing.release_dags(settings)


def _timed(what: Callable[[], Any]) -> float:
    began = time.monotonic()
    what()
    return time.monotonic() - began
