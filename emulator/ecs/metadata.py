"""The task metadata endpoint, version 4: what `ECS_CONTAINER_METADATA_URI_V4` leads to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from emulator import locks
from emulator.context import Context
from emulator.ecs.model import Container, EcsTask, drop_unset
from emulator.routes import json_response


class Metadata:
    """Answers `<uri>` with the container and `<uri>/task` with its ECS task."""

    def __init__(self, context: Context) -> None:
        self._base = f"{context.endpoint_url}/_emulator/metadata/v4"
        self._known: dict[str, tuple[EcsTask, Container]] = {}
        context.routes.add("metadata", self._respond)

    def address(self, task: EcsTask, container: Container) -> str:
        """The address for one container's environment."""
        self._known[container.runtime_id] = (task, container)
        return f"{self._base}/{container.runtime_id}"

    def forget(self, task: EcsTask) -> None:
        """An ECS task's containers have ended: nobody may ask any more."""
        for container in task.containers:
            self._known.pop(container.runtime_id, None)

    def _respond(self, request: Request, rest: str) -> Response:  # noqa: ARG002
        runtime_id, _, page = rest.removeprefix("v4/").partition("/")
        known = self._known.get(runtime_id)
        if known is None or page not in {"", "task"}:
            return json_response({"error": f"no metadata at {rest}"}, 404)
        with locks.CONTROL:
            return json_response(_task(known[0]) if page else _container(*known))


def _time(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z") if seconds else None


def _container(task: EcsTask, container: Container) -> dict[str, Any]:
    options = (container.definition.get("logConfiguration") or {}).get("options")
    return drop_unset(
        {
            "DockerId": container.runtime_id,
            "Name": container.name,
            "DockerName": f"ecs-{task.definition.family}-{task.definition.revision}-{container.name}",
            "Image": container.definition["image"],
            "ImageID": container.image_digest,
            "Labels": {
                "com.amazonaws.ecs.cluster": task.cluster_arn,
                "com.amazonaws.ecs.container-name": container.name,
                "com.amazonaws.ecs.task-arn": task.arn,
                "com.amazonaws.ecs.task-definition-family": task.definition.family,
                "com.amazonaws.ecs.task-definition-version": str(task.definition.revision),
            },
            "DesiredStatus": task.desired_status,
            "KnownStatus": container.last_status,
            "ExitCode": container.exit_code,
            "Limits": {"CPU": container.cpu, "Memory": container.memory},
            "CreatedAt": _time(container.started_at),
            "StartedAt": _time(container.started_at),
            "Type": "NORMAL",
            "ContainerARN": container.arn,
            "LogDriver": (container.definition.get("logConfiguration") or {}).get("logDriver"),
            "LogOptions": options,
        }
    )


def _task(task: EcsTask) -> dict[str, Any]:
    return drop_unset(
        {
            "Cluster": task.cluster_arn,
            "TaskARN": task.arn,
            "Family": task.definition.family,
            "Revision": str(task.definition.revision),
            "DesiredStatus": task.desired_status,
            "KnownStatus": task.last_status,
            "PullStartedAt": _time(task.pull_started_at),
            "PullStoppedAt": _time(task.pull_stopped_at),
            "AvailabilityZone": task.instance.attributes.get("ecs.availability-zone") if task.instance else None,
            "LaunchType": "EC2",
            "Containers": [_container(task, container) for container in task.containers],
        }
    )
