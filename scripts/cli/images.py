"""Verbs of the workloads' images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from invoke.context import Context

from scripts.cli.command import ENV, JSON, command
from scripts.core.console import Steps, emit, show
from scripts.core.settings import Settings
from scripts.terraform.workspace import Workspace

if TYPE_CHECKING:
    from scripts.image_verbs import Image

WORKLOAD = "a folder of images/; default: all"


@command("images", help={"env": ENV, "json": JSON, "workload": WORKLOAD})
def build(_: Context, env: str = "", workload: str = "", json: bool = False) -> None:
    """Build images and say their digests; Windows images need neither Windows nor a container engine.

    Example: invoke images.build --workload ber --env dev
    """
    from scripts import image_verbs

    _show_images(image_verbs.build(Settings.load(env), Steps(), workload), json=json)


@command("images", help={"env": ENV, "json": JSON, "workload": WORKLOAD})
def push(_: Context, env: str = "", workload: str = "", json: bool = False) -> None:
    """Build images and push those that are not there, as `invoke up` does too.

    Example: invoke images.push --workload ber --env dev
    """
    from scripts import image_verbs

    settings, steps = Settings.load(env), Steps()
    built = image_verbs.build(settings, steps, workload)
    workspace = Workspace(settings)
    image_verbs.push(workspace, built, workspace.values().get("ecr_repositories") or {}, steps)
    _show_images(built, json=json)


def _show_images(built: Mapping[str, "Image"], *, json: bool) -> None:
    from scripts import image_verbs

    if json:
        emit(image_verbs.digests(built))
        return
    for name, image in built.items():
        show(f"{name}: {image.digest}, {image.words}", soft_wrap=True)
