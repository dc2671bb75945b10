"""`invoke verify-aws` with the emulator in AWS's place: reached as AWS is, by AWS's own variables and credentials."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from scripts.checks import parity
from scripts.core import checkout
from scripts.core.settings import Settings
from scripts.tools import uv
from tests.emulated import emulating
from tests.waiting import wait_for

from .operators import INVOKE, ROOT, make_operator
from .world import clients

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
STEPS = (
    *("foundation", "up", "plan", "contract", "python", "program", "table", "cancel", "lost", "backstop"),
    *("down", "foundation-down", "left"),
)


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """An emulator that is somebody's AWS account, and nobody's local environment."""
    cache = os.environ.get("WINBATCH_CACHE", str(ROOT / ".cache"))
    environ = uv.tool_environment(Settings.load("local"))
    with emulating(tmp_path_factory.mktemp("account"), "--cache", cache, environ=environ) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def operator(aws, tmp_path_factory):
    """Somebody with a checkout that is committed, and credentials for that account, in which there is nothing."""
    folder = tmp_path_factory.mktemp("verify")
    root = folder / "checkout"
    checkout.copy(ROOT, root)
    environments = root / "terraform" / "environments"
    for name in ("tfvars", "s3.tfbackend"):
        text = (environments / f"local.{name}").read_text().replace('"local"', '"other"').replace("-local-", "-other-")
        allowed = f'aws_provider = {{\n  allowed_account_ids = ["{ACCOUNT}"]'
        (environments / f"other.{name}").write_text(text.replace("aws_provider = {", allowed))
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "A checkout"]):
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false"]
        subprocess.run([*git, *words], cwd=root, check=True)
    made = make_operator(folder / "state", root)
    made.environ.update(
        AWS_ENDPOINT_URL=aws.endpoint,
        HTTP_PROXY=aws.endpoint,
        AWS_ACCESS_KEY_ID="local",
        AWS_SECRET_ACCESS_KEY="local",
        AWS_EC2_METADATA_DISABLED="true",
    )
    return made


def verify(operator, *words):
    return [INVOKE, "verify-aws", "--env", "other", "--yes", *words]


def noted(operator):
    file = operator.state / "verify" / "verify.json"
    return json.loads(file.read_text())["outcomes"] if file.is_file() else {}


def instances(aws):
    """The instances that cost something."""
    client = clients({"endpoint_url": aws.endpoint, "region": "eu-central-1"})("ec2")
    running = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    found = client.describe_instances(Filters=running)["Reservations"]
    return [instance["InstanceId"] for reservation in found for instance in reservation["Instances"]]


def test_it_is_cut_off_goes_on_and_leaves_nothing(operator, aws, tmp_path):
    log = tmp_path / "first.log"
    with log.open("wb") as output:
        first = subprocess.Popen(
            verify(operator),
            cwd=operator.root,
            env=operator.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        # A Ctrl-C while the first job works: nothing may be left running.
        wait_for(lambda: first.poll() is not None or ("contract" in noted(operator) and instances(aws)), 1200)
        assert first.poll() is None, log.read_text()
        os.killpg(first.pid, signal.SIGINT)
        assert first.wait(300) == 130, log.read_text()
    assert instances(aws) == []
    done = noted(operator)
    assert list(done) == list(STEPS[:4])
    assert all(outcome["ok"] for outcome in done.values()), done

    second = subprocess.run(
        verify(operator, "--json"),
        cwd=operator.root,
        env=operator.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert second.returncode == 0, second.stderr
    answer = json.loads(second.stdout)
    assert answer["agreed"], answer
    assert set(answer["steps"]) == set(STEPS)
    assert re.search(r"account 123456789012|123456789012", second.stderr)
    record = json.loads(Path(answer["record"]).read_text(encoding="utf-8"))
    rules = {rule.test for rule in parity.rules(ROOT)}
    assert len(record["tests"]) > 15
    assert set(record["tests"].values()) == {"passed"}
    assert len(rules & record["tests"].keys()) > 15, "they fill the page's column"
    assert not (operator.state / "verify").exists()
    assert instances(aws) == []


def test_nothing_is_asked_of_somebody_who_says_no_or_of_the_wrong_account(operator):
    assert "There is nobody to ask" in operator.refused("verify-aws", "--env", "other")
    assert "--env dev" in operator.refused("verify-aws", "--env", "local", "--yes")
