from __future__ import annotations

import base64

import pytest

from emulator.user_data import AgentSettings, parse

LINUX = frozenset({"awslogs", "fluentd", "json-file", "none", "syslog"})


@pytest.mark.parametrize(
    ("script", "settings"),
    [
        ("Initialize-ECSAgent -Cluster 'a-b' -EnableTaskIAMRole -EnableTaskENI", AgentSettings("a-b", True, 0, True)),
        ("Initialize-ECSAgent -EnableTaskIAMRole -Cluster c", AgentSettings("c", False, 0, True)),
        (
            """[Environment]::SetEnvironmentVariable('ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE', 'true', 'Machine')
            Initialize-ECSAgent -Cluster c -LoggingDrivers '["json-file","awslogs"]'""",
            AgentSettings("c", False, 0, drivers=frozenset({"json-file", "awslogs"}), own_logs=True),
        ),
        (
            """[Environment]::SetEnvironmentVariable('ECS_RESERVED_MEMORY', '1024', 'Machine')
            Initialize-ECSAgent -Cluster "d" """,
            AgentSettings("d", False, 1024),
        ),
        (
            "echo ECS_CLUSTER=e >> ecs.config\necho ECS_RESERVED_MEMORY=256",
            AgentSettings("e", False, 256, True, LINUX, own_logs=True),
        ),
        (
            "Complete-ASLifecycleAction -LifecycleHookName 'h-1' -AutoScalingGroupName 'g'",
            AgentSettings(None, False, 0, launch_hook="h-1"),
        ),
        ("ECS_ENABLE_SPOT_INSTANCE_DRAINING=true", AgentSettings(None, False, 0, spot_draining=True)),
        (
            "Set-ASInstanceHealth -InstanceId $i -HealthStatus Unhealthy -ShouldRespectGracePeriod $false -Force",
            AgentSettings(None, False, 0, reports=True),
        ),
        ("Set-ASInstanceHealth -InstanceId $i -HealthStatus Unhealthy", AgentSettings(None, False, 0)),
        ("Write-Host hello", AgentSettings(None, False, 0)),
        ("", AgentSettings(None, False, 0)),
    ],
)
def test_user_data_says_which_cluster_an_instance_joins(script, settings):
    assert parse(base64.b64encode(script.encode()).decode()) == settings
