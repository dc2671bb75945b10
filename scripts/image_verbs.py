"""`image-build` and `image-push`: of which workloads, for which environment, with what shown."""

from collections.abc import Mapping, Sequence

from scripts import images
from scripts.console import Steps, console
from scripts.errors import ImageError
from scripts.settings import Settings
from scripts.windows import image as windows
from scripts.workspace import Workspace


def build(settings: Settings, workload: str = "") -> Mapping[str, str]:
    """Build the images of an environment; their digests by workload.

    Args:
        settings: whose.
        workload: one of them; empty: all.

    Raises:
        ImageError: there is no such workload, or its image cannot be built.
    """
    digests = {}
    steps = Steps()
    for name in _chosen(settings, workload):
        if settings.local:
            local = images.build(settings, name)
            digests[name] = local.digest
            size = f"{len(local.layer) / 1024:.0f} KiB beside its interpreter"
        else:
            built = windows.build(settings, name, steps)
            digests[name] = built.digest
            size = f"{built.size / 2**20:.1f} MiB over {built.base_size / 2**20:.1f} MiB of Windows, {built.folder}"
        console.print(f"{name}: {digests[name]}, {size}", markup=False, soft_wrap=True)
    return digests


def push(settings: Settings, workload: str = "") -> Mapping[str, str]:
    """Build and push the images of an environment; their digests, by workload, which Terraform is told.

    Raises:
        ImageError: there is no such workload or no repository for it, or a registry refuses.
    """
    names = _chosen(settings, workload)
    workspace = Workspace(settings)
    repositories = workspace.values().get("ecr_repositories") or {}
    missing = [name for name in names if name not in repositories]
    if missing:
        raise ImageError(
            f"environment {settings.environment} has no repository for {', '.join(missing)}: workloads in"
            f" {settings.var_file.name} names them, and invoke up --env {settings.environment} makes them"
        )
    ecr = workspace.aws.client("ecr")
    digests = {}
    steps = Steps()
    for name in names:
        if settings.local:
            local = images.build(settings, name)
            digests[name] = local.digest
            with steps.step(f"Image {name}") as step:
                pushed = images.push(ecr, images.repository_name(repositories[name]), local)
                step.detail = f"{local.digest} {'pushed' if pushed else 'was there'}"
            continue
        built = windows.build(settings, name, steps)
        digests[name] = built.digest
        with steps.step(f"Image {name}") as step, windows.ecr_repository(ecr, repositories[name]) as repository:
            pushed = windows.push(built, repository, step)
            step.detail = f"{built.digest} {'pushed' if pushed else 'was there'}"
    if not settings.local and workspace.write_digests(digests):
        file = workspace.digests_file.relative_to(settings.root)
        console.print(f"{file} names them: commit it, then invoke up --env {settings.environment}", markup=False)
    return digests


def _chosen(settings: Settings, workload: str) -> Sequence[str]:
    if workload and workload not in settings.workloads:
        raise ImageError(f"unknown workload {workload!r}; there are {', '.join(settings.workloads)} (images/)")
    return [workload] if workload else settings.workloads
