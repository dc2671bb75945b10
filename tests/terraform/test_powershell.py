"""The scripts that Windows runs, as Terraform renders them: PowerShell's grammar, and EC2's bounds."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.core.settings import Settings
from scripts.tools import terraform_command
from tests.powershell import broken

MODULES = Path(__file__).parents[2] / "terraform/modules"
USER_DATA = MODULES / "cluster/user_data.ps1.tftpl"
EBS = {"source": "ebs", "use": "scratch"}
POOL = {"state": "Stopped"}


def render(template: Path, folder: Path, **values: Any) -> str:
    expression = f"base64encode(templatefile({json.dumps(str(template))}, {json.dumps(values)}))\n"
    binary = terraform_command.find_terraform(Settings.load("local"))
    done = subprocess.run([binary, "console"], input=expression, cwd=folder, capture_output=True, text=True, check=True)
    return base64.b64decode(done.stdout.strip().strip('"')).decode()


def user_data(folder: Path, data_volume: Any = None, warm_pool: Any = None) -> str:
    return render(
        USER_DATA, folder,
        agent_environment={"ECS_RESERVED_MEMORY": "1024", "ECS_X": "it's; $(Stop-Computer)"},
        cluster="winbatch-test", data_volume=data_volume, group="winbatch-test", hook="initialised",
        region="eu-central-1", warm_pool=warm_pool,
    )  # fmt: skip


def body(text: str) -> str:
    assert text.startswith("<powershell>\n")
    script, end, rest = text.removeprefix("<powershell>\n").partition("</powershell>\n")
    assert end
    assert rest in {"", "<persist>true</persist>\n"}
    return script


def test_the_grammar_tells_a_broken_script():
    assert broken("if ($true) { Get-Disk") != []
    assert broken("Get-Disk | Where-Object { -not $_.IsBoot }") == []


@pytest.mark.parametrize("warm_pool", [None, POOL])
@pytest.mark.parametrize(
    "data_volume",
    [None, EBS, {"source": "ebs", "use": "docker"}, {"source": "instance-store", "use": "scratch"}],
)
def test_user_data_is_powershell_that_ec2_takes(tmp_path, data_volume, warm_pool):
    text = user_data(tmp_path, data_volume, warm_pool)
    assert len(text.encode()) < 16 * 1024
    assert broken(body(text)) == []


def test_what_the_instance_runs_at_each_start_is_powershell_too(tmp_path):
    text = user_data(tmp_path, EBS, POOL)
    # A here-string without substitution, closed at the start of a line.
    (watch,) = (part.partition("\n'@\n")[0] for part in text.split("@'\n")[1:])
    assert broken(watch) == []
    assert "-LifecycleHookName 'initialised' -AutoScalingGroupName 'winbatch-test'" in watch
    assert "${" not in text


def test_a_pools_instance_is_initialised_at_each_boot(tmp_path):
    assert user_data(tmp_path, warm_pool=POOL).endswith("</powershell>\n<persist>true</persist>\n")
    assert "persist" not in user_data(tmp_path)


def test_an_instance_without_its_agent_reports_itself(tmp_path):
    script = body(user_data(tmp_path))
    # The agent is tried again, and whatever fails in the end is said to the group.
    start, _, rest = script.partition("Initialize-ECSAgent")
    assert "for ($attempt" in start
    assert rest.index("Start-Sleep") < rest.index("} catch {\n    #") < rest.index("-HealthStatus Unhealthy")
    assert rest.rstrip().endswith("throw\n}")


def test_the_agents_variables_cannot_leave_their_quotes(tmp_path):
    assert "SetEnvironmentVariable('ECS_X', 'it''s; $(Stop-Computer)', 'Machine')" in user_data(tmp_path)


def test_the_image_builders_script_is_powershell(tmp_path):
    text = render(
        MODULES / "image_builder/pull_images.ps1.tftpl", tmp_path,
        images=["r.dkr.ecr.x/ber@sha256:a"], region="eu-central-1", registries=["r.dkr.ecr.x"],
    )  # fmt: skip
    assert broken(text) == []
    assert "docker pull 'r.dkr.ecr.x/ber@sha256:a'" in text
