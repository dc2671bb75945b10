"""What an instance's user data tells its ECS agent."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass

_CLUSTER = (
    re.compile(r"Initialize-ECSAgent\b[^\n]*?-Cluster\s+['\"]?([\w-]+)"),  # Windows
    re.compile(r"\bECS_CLUSTER=['\"]?([\w-]+)"),  # Linux, /etc/ecs/ecs.config
)
_TASK_ROLE = re.compile(r"-EnableTaskIAMRole\b|\bECS_ENABLE_TASK_IAM_ROLE=['\"]?true")
_DRIVERS = re.compile(r"(?:-LoggingDrivers\s+|\bECS_AVAILABLE_LOGGING_DRIVERS=)['\"]?(\[[^\]]*\])")
_OWN_LOGS = re.compile(r"ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE['\"]?\s*[,=]\s*['\"]?true")
_TASK_ENI = re.compile(r"-EnableTaskENI\b|\bECS_ENABLE_TASK_ENI=['\"]?true")
_SPOT_DRAINING = re.compile(r"ECS_ENABLE_SPOT_INSTANCE_DRAINING['\"]?\s*[,=]\s*['\"]?true")
_RESERVED = re.compile(r"ECS_RESERVED_MEMORY['\"]?\s*[,=]\s*['\"]?(\d+)")
_UNHEALTHY = re.compile(r"\bSet-ASInstanceHealth\b[^\n]*-HealthStatus\s+['\"]?Unhealthy[^\n]*")
_NO_GRACE = re.compile(r"-ShouldRespectGracePeriod[\s:]+\$false")
_LAUNCH_HOOK = re.compile(r"Complete-ASLifecycleAction\b[^\n]*?-LifecycleHookName\s+['\"]?([\w-]+)")


# What an agent has that is told nothing, and what ecs-init tells it on Linux: amazon-ecs-agent,
# `agent/config/config.go` and `ecs-init/config`.
_PLAIN = frozenset({"json-file", "none"})
_LINUX = _PLAIN | {"awslogs", "fluentd", "syslog"}


@dataclass(frozen=True)
class AgentSettings:
    """How the ECS agent of an instance is started.

    Attributes:
        cluster: the cluster that it joins; None when it starts no agent
        task_eni: whether ECS tasks may have network interfaces of their own
        reserved_memory: MiB that no ECS task gets
        task_role: whether ECS tasks may have roles
        drivers: log drivers that they may have
        own_logs: whether what they log may be sent by their execution role
        launch_hook: the lifecycle hook that the script completes, at each boot; None when it completes none
        reports: whether the script reports its instance unhealthy, grace period or not, when the agent does not start
        spot_draining: whether it drains when EC2 takes its Spot Instance back
    """

    cluster: str | None
    task_eni: bool
    reserved_memory: int
    task_role: bool = False
    drivers: frozenset[str] = _PLAIN
    own_logs: bool = False
    launch_hook: str | None = None
    spot_draining: bool = False
    reports: bool = False


def parse(user_data: str | None) -> AgentSettings:
    """Read user data as EC2 keeps it, in base64."""
    script = base64.b64decode(user_data or "").decode(errors="replace")
    cluster = next((match[1] for pattern in _CLUSTER if (match := pattern.search(script))), None)
    linux = _CLUSTER[0].search(script) is None and cluster is not None
    drivers = _DRIVERS.search(script)
    reserved = _RESERVED.search(script)
    hook = _LAUNCH_HOOK.search(script)
    return AgentSettings(
        cluster,
        bool(_TASK_ENI.search(script)),
        int(reserved[1]) if reserved else 0,
        linux or bool(_TASK_ROLE.search(script)),
        frozenset(json.loads(drivers[1])) if drivers else _LINUX if linux else _PLAIN,
        linux or bool(_OWN_LOGS.search(script)),
        hook[1] if hook else None,
        bool(_SPOT_DRAINING.search(script)),
        any(_NO_GRACE.search(line) for line in _UNHEALTHY.findall(script)),
    )
