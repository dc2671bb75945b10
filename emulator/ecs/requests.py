"""What RunTask is asked, checked as AWS checks it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from moto.ecs.exceptions import ECSException, InvalidParameterException

_MAX_COUNT = 10
_MAX_OVERRIDES = 8192
# Source: ECS API reference, "Ensuring idempotency".
_TOKEN = re.compile(r"[!-~]{1,64}")
_STARTED_BY = re.compile(r"[\w/-]{1,128}", re.ASCII)


@dataclass(frozen=True)
class RunRequest:
    """RunTask's parameters. `token` is left out of `fingerprint`, which tells equal requests from different ones."""

    cluster: str
    task_definition: str
    count: int
    launch_type: str | None
    strategy: Sequence[Mapping[str, Any]]
    subnets: Sequence[str]
    security_groups: Sequence[str]
    overrides: dict[str, Any]
    started_by: str | None
    group: str | None
    tags: Sequence[dict[str, str]]
    propagate_tags: str | None
    managed_tags: bool
    constraints: Sequence[str]
    token: str | None
    fingerprint: str

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Self:
        """Read and check a request.

        Raises:
            InvalidParameterException: as AWS does, before it looks at any resource
        """
        count = params.get("count", 1)
        if not 1 <= count <= _MAX_COUNT:
            raise InvalidParameterException(f"count should be between 1 and {_MAX_COUNT}")
        overrides = params.get("overrides") or {}
        if len(json.dumps(overrides, separators=(",", ":"))) > _MAX_OVERRIDES:
            raise InvalidParameterException(f"Overrides length must be at most {_MAX_OVERRIDES}")
        started_by = params.get("startedBy")
        if started_by is not None and not _STARTED_BY.fullmatch(started_by):
            raise InvalidParameterException(
                "startedBy should be at most 128 letters, numbers, hyphens, forward slashes and underscores"
            )
        token = params.get("clientToken")
        if token is not None and not _TOKEN.fullmatch(token):
            raise InvalidParameterException("clientToken should be at most 64 ASCII characters in the range of 33-126")
        launch_type, strategy = params.get("launchType"), params.get("capacityProviderStrategy") or ()
        if launch_type and strategy:
            raise InvalidParameterException("Specify either Launch Type or Capacity Provider Strategy, but not both.")
        network = (params.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
        return cls(
            cluster=params.get("cluster") or "default",
            task_definition=params["taskDefinition"],
            count=count,
            launch_type=launch_type,
            strategy=strategy,
            subnets=network.get("subnets") or (),
            security_groups=network.get("securityGroups") or (),
            overrides=overrides,
            started_by=started_by,
            group=params.get("group"),
            tags=params.get("tags") or (),
            propagate_tags=params.get("propagateTags"),
            managed_tags=bool(params.get("enableECSManagedTags")),
            constraints=[entry["type"] for entry in params.get("placementConstraints") or ()],
            token=token,
            fingerprint=json.dumps(
                {name: value for name, value in params.items() if name != "clientToken"}, sort_keys=True, default=str
            ),
        )


class ConflictException(ECSException):
    """The same client token came with other parameters."""

    def __init__(self, arns: Sequence[str]) -> None:
        super().__init__(
            "ConflictException",
            "The RunTask request could not be processed due to conflicts. The provided clientToken is already in use "
            "with a different request.",
        )
        self.resource_ids = list(arns)
