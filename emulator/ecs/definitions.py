"""What a task definition may say: refused as ECS does, or as not emulated, instead of being ignored. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.ecs.exceptions import EcsClientException

_MAX_ENVIRONMENT_FILES = 10


def check_registration(
    containers: Sequence[Mapping[str, Any]], execution_role: str | None, volumes: Sequence[Mapping[str, Any]]
) -> None:
    """Hold RegisterTaskDefinition's container definitions to ECS's rules.

    Raises:
        EcsClientException: as AWS does
    """
    known = {volume.get("name") for volume in volumes}
    for container in containers:
        for mount in container.get("mountPoints") or ():
            if mount.get("sourceVolume") not in known:
                raise EcsClientException(f"Unknown volume '{mount.get('sourceVolume')}'.")
        if container.get("secrets") and not execution_role:
            raise EcsClientException(
                "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
            )
        files = container.get("environmentFiles") or ()
        if len(files) > _MAX_ENVIRONMENT_FILES:
            raise EcsClientException(f"You can specify up to {_MAX_ENVIRONMENT_FILES} environment files.")
        for file in files:
            if not str(file["value"]).endswith(".env"):
                raise EcsClientException("The environment file must have a .env file extension.")


def check_run(containers: Sequence[Mapping[str, Any]], volumes: Sequence[Mapping[str, Any]], *, windows: bool) -> None:
    """Say what would be ignored.

    Raises:
        NotImplementedError: a container wants what processes of this machine cannot have
    """
    if volumes:
        names = ", ".join(str(volume.get("name")) for volume in volumes)
        raise NotImplementedError(f"RunTask of a task definition with `volumes` ({names})")
    for container in containers:
        if container.get("volumesFrom"):
            raise NotImplementedError("RunTask of a container with `volumesFrom`")
        if container.get("user"):
            raise NotImplementedError("RunTask of a container with `user`")
        if container.get("readonlyRootFilesystem") and not windows:
            raise NotImplementedError("RunTask of a Linux container with `readonlyRootFilesystem`")


def is_windows(runtime_platform: Mapping[str, Any] | None) -> bool:
    """Whether a task definition is for Windows."""
    return str((runtime_platform or {}).get("operatingSystemFamily", "")).startswith("WINDOWS")
