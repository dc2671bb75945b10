"""Verbs of the DAGs' releases."""

import dataclasses

from invoke.context import Context

from scripts.cli import render
from scripts.cli.command import ENV, JSON, command
from scripts.core.console import emit, show
from scripts.core.settings import Settings


@command("dags", help={"env": ENV, "json": JSON})
def release(_: Context, env: str = "", json: bool = False) -> None:
    """Check dags/, release it to an environment that is up, and wait until Airflow serves it.

    Example: invoke dags.release --env dev
    """
    from scripts.dag_releases import publish

    done = publish.release_dags(Settings.load(env))
    if json:
        emit(dataclasses.asdict(done))


@command("dags", help={"env": ENV, "json": JSON, "release": "its id; default: the one before"})
def rollback(_: Context, release: str = "", env: str = "", json: bool = False) -> None:
    """Serve an earlier release of the DAGs again, with the task definitions and images that it was released with.

    Examples: invoke dags.rollback; invoke dags.rollback --release 1f2e3d4c5b6a --env prod
    """
    from scripts.dag_releases import publish

    done = publish.roll_back(Settings.load(env), release)
    if json:
        emit(dataclasses.asdict(done))


@command("dags", name="list", help={"env": ENV, "json": JSON})
def list_(_: Context, env: str = "", json: bool = False) -> None:
    """List the releases of the DAGs, the one that was served last first, and what else lies below the DAG prefix.

    Example: invoke dags.list
    """
    from scripts.dag_releases import publish

    found = publish.listing(Settings.load(env))
    if json:
        emit(dataclasses.asdict(found))
    else:
        show(render.releases(found.releases))
        for key in found.strangers:
            show(f"not of a release, left alone: {key}", soft_wrap=True)
