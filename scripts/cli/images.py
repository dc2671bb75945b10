"""Verbs of the workloads' images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from invoke.context import Context

from scripts.cli.command import ENV, JSON, command
from scripts.core.console import Steps, emit, show
from scripts.core.settings import Settings
from scripts.terraform.workspace import Workspace

if TYPE_CHECKING:
    from scripts.images.workload_images import Image

WORKLOAD = "a folder of images/; default: all"


@command("images", help={"env": ENV, "json": JSON, "workload": WORKLOAD})
def build(_: Context, env: str = "", workload: str = "", json: bool = False) -> None:
    """Build images and say their digests; Windows images need neither Windows nor a container engine.

    Example: invoke images.build --workload ber --env dev
    """
    from scripts.images import workload_images

    _show_images(workload_images.build(Settings.load(env), Steps(), workload), json=json)


@command("images", help={"env": ENV, "json": JSON, "workload": WORKLOAD})
def push(_: Context, env: str = "", workload: str = "", json: bool = False) -> None:
    """Build images and push those that are not there, as `invoke up` does too.

    Example: invoke images.push --workload ber --env dev
    """
    from scripts.images import workload_images

    settings, steps = Settings.load(env), Steps()
    built = workload_images.build(settings, steps, workload)
    workspace = Workspace(settings)
    workload_images.push(workspace, built, workspace.values().get("ecr_repositories") or {}, steps)
    _show_images(built, json=json)


def _show_images(built: Mapping[str, "Image"], *, json: bool) -> None:
    from scripts.images import workload_images

    if json:
        emit(workload_images.digests(built))
        return
    for name, image in built.items():
        show(f"{name}: {image.digest}, {image.words}", soft_wrap=True)
