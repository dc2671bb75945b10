"""What the ECS agent does in an ECS task's name before its program runs: by the execution role, as far as IAM allows.

Source: ECS Developer Guide, "Amazon ECS task execution IAM role". A task without one is served by the role of its host
("Amazon ECS container instance IAM role": its policy has ECR and CloudWatch Logs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from emulator.ecs.images import PullError
from emulator.ecs.logs import LogDriverError
from emulator.ecs.model import EcsTask
from emulator.identity.gate import Acting, Identity, Refused

_REPOSITORY = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([a-z0-9._/-]+)")
_PULLING = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


class Execution:
    """An ECS task's execution role at work, or its host's."""

    def __init__(self, identity: Identity, task: EcsTask) -> None:
        role, session = task.execution_role_arn, task.id
        if role is None and task.instance is not None:
            role, session = task.instance.role, task.instance.ec2_instance_id
        self._acting: Acting | None = identity.acting(role, session) if role else None
        self._partition = identity.state.partition

    def pull(self, reference: str) -> None:
        """See that an image may be pulled.

        Raises:
            PullError: it may not
        """
        match = _REPOSITORY.match(reference)
        if self._acting is None or match is None:
            return
        account, region, name = match.groups()
        repository = f"arn:{self._partition}:ecr:{region}:{account}:repository/{name}"
        try:
            self._acting.require("ecr:GetAuthorizationToken", region=region)
            for action in _PULLING:
                self._acting.require(action, repository, "repository", region)
        except Refused as error:
            raise PullError(f"CannotPullECRContainerError: AccessDeniedException: {error}") from error

    def log(self, configuration: Mapping[str, Any] | None, account: str, region: str, stream: str) -> None:
        """See that a container's lines may be sent.

        Raises:
            LogDriverError: they may not
        """
        if self._acting is None or configuration is None or configuration["logDriver"] != "awslogs":
            return
        options = configuration.get("options") or {}
        region = options.get("awslogs-region") or region
        group = f"arn:{self._partition}:logs:{region}:{account}:log-group:{options.get('awslogs-group', '')}"
        try:
            if options.get("awslogs-create-group") == "true":
                self._acting.require("logs:CreateLogGroup", f"{group}:log-stream:", "log-group", region)
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                self._acting.require(action, f"{group}:log-stream:{stream}", "log-stream", region)
        except Refused as error:
            raise LogDriverError(
                "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to "
                f"create Cloudwatch log stream: AccessDeniedException: {error}"
            ) from error
