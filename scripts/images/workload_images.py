"""The images of an environment: built from the checkout, named to Terraform by their digests, pushed.

For AWS they are Windows images, for the local environment Linux images of the same files, unless it has Wine.
`up`, `plan`, `images.build` and `images.push` go this one way. A digest follows from the checkout, so a plan has it
before there is a registry; the push comes after the apply, which makes the repositories.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scripts.core.console import Step, Steps
from scripts.core.errors import ImageError
from scripts.core.settings import Settings
from scripts.images import linux
from scripts.terraform.workspace import Workspace
from scripts.windows import staging
from winbatch.suggesting import hint

if TYPE_CHECKING:
    from scripts.windows import image as windows

type Image = linux.Image | windows.Built


def build(settings: Settings, steps: Steps, workload: str = "") -> dict[str, Image]:
    """Build the images of an environment, by workload.

    Args:
        settings: whose.
        steps: where it is shown.
        workload: one of them; empty: all.

    Raises:
        ImageError: there is no such workload, or its image cannot be built.
    """
    built: dict[str, Image] = {}
    for name in _chosen(settings, workload):
        if settings.emulated and not (settings.wine and _has_archives(settings, name, steps)):
            with steps.step(f"Image of {name}") as step:
                built[name] = linux.build(settings, name)
                step.detail = built[name].words
        else:
            # Brings libraries that the local environment does not need.
            from scripts.windows import image as windows  # noqa: PLC0415

            built[name] = windows.build(settings, name, steps)
    return built


def digests(built: Mapping[str, Image]) -> dict[str, str]:
    """The images' digests, by workload."""
    return {name: image.digest for name, image in built.items()}


def push(
    workspace: Workspace, built: Mapping[str, Image], repositories: Mapping[str, str], steps: Steps
) -> Sequence[str]:
    """Push images, unless they are there; the workloads whose image was not.

    Raises:
        ImageError: there is no repository for one of them, or a registry refuses. What is pushed stays, and calling
            again goes on.
    """
    settings = workspace.settings
    missing = [name for name in built if name not in repositories]
    if missing:
        again = "" if settings.local else f" --env {settings.environment}"
        raise ImageError(
            f"environment {settings.environment} has no repository for {', '.join(missing)}: workloads in"
            f" {settings.var_file.name} names them, and invoke up{again} makes them"
        )
    with steps.step("Push images") as step:
        ecr = workspace.aws.client("ecr")
        endpoint = workspace.endpoint_url
        pushed = [name for name, image in built.items() if _push(ecr, repositories[name], image, endpoint, step)]
        step.detail = f"pushed {', '.join(pushed)}" if pushed else "all there"
    return pushed


def _push(ecr: Any, url: str, image: Image, endpoint_url: str | None, step: Step) -> bool:
    if isinstance(image, linux.Image):
        return linux.push(ecr, linux.repository_name(url), image)
    from scripts.windows import image as windows  # noqa: PLC0415 - as above

    with windows.ecr_repository(ecr, url, endpoint_url) as repository:
        return windows.push(image, repository, step)


def _has_archives(settings: Settings, workload: str, steps: Steps) -> bool:
    """Fetch the archives of a workload's Windows image; without them the local environment has its Linux image."""
    with steps.step(f"Archives of {workload}") as step:
        try:
            for archive in staging.read(settings.root, workload).archives:
                staging.fetch(archive, settings.cache, step.update)
        except staging.StagingError as error:
            step.detail = f"{error}; its containers are Linux'"
            return False
        step.detail = "there"
    return True


def _chosen(settings: Settings, workload: str) -> Sequence[str]:
    if workload and workload not in settings.workloads:
        meant = hint(workload, settings.workloads)
        raise ImageError(f"unknown workload {workload!r}{meant}; there are {', '.join(settings.workloads)} (images/)")
    return [workload] if workload else settings.workloads
