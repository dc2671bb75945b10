"""`invoke up` of an environment that is not the local one: Terraform, Windows images, a registry, the emulator for AWS.

Nothing here knows of the emulator but AWS's own variables, as nothing would on a machine that deploys to AWS.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import urllib.request
from pathlib import Path

import boto3
import pytest

from scripts.checks import provider
from scripts.core.errors import OperatorError, PreflightError
from scripts.core.settings import ROOT, Settings
from scripts.dag_releases.store import Releases
from scripts.environments import lifecycle
from scripts.terraform import plan_and_apply, state
from scripts.terraform.workspace import Workspace
from scripts.tools import uv
from scripts.windows import image, staging
from scripts.windows.registry import Repository
from tests.emulated import emulating

from .conftest import DOCKERFILE, put_base

pytestmark = pytest.mark.slow

WORKLOADS = "workloads = {\n  mine = { cpu = 4096, memory = 6144 }\n}"

ACCOUNT = "123456789012"
REGION = "eu-central-1"
CACHE = Path(os.environ.get("WINBATCH_CACHE", ROOT / ".cache"))
STATE = "winbatch-stage-tfstate"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


@pytest.fixture
def endpoint(tmp_path, monkeypatch):
    """An emulator, which AWS's own variables lead to."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "TF_")) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    environ = uv.tool_environment(Settings.load("local", environ={"WINBATCH_CACHE": str(CACHE)}))
    with emulating(tmp_path / "aws", "--cache", str(CACHE), environ=environ) as process:
        # MWAA's host gets a prefix that does not resolve, so everything goes by way of the emulator.
        for name, value in {"AWS_ENDPOINT_URL": process.endpoint, "HTTP_PROXY": process.endpoint}.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "local")
        with provider.kept(provider.for_tests(), dict(os.environ), tmp_path) as variables:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            yield process.endpoint


@pytest.fixture
def stage(checkout, endpoint, microsoft, aws, tmp_path, monkeypatch):
    """The settings of environment stage, of which nothing is there yet, in a checkout with a commit of it."""
    digest = put_base(microsoft)
    text = DOCKERFILE.format(zeros="0" * 64, base=f"{microsoft}/windows/servercore:ltsc2022", digest=digest)
    (checkout / "images" / "mine" / "Dockerfile").write_text(text)
    for name in ("dags", "emulator/mwaa/locks", "terraform"):
        ignored = shutil.ignore_patterns(".terraform", "__pycache__", "bootstrap", "policies", "tests", "*.tfstate")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored, dirs_exist_ok=True)
    folder = checkout / "terraform" / "environments"
    values = (folder / "local.tfvars").read_text()
    for old, new in (
        ('environment = "local"', 'environment = "stage"'),
        ("aws_provider = {", f'aws_provider = {{\n  allowed_account_ids = ["{ACCOUNT}"]'),
        (re.findall(r"^workloads = \{$.*?^\}$", values, re.MULTILINE | re.DOTALL)[0], WORKLOADS),
    ):
        assert values.count(old) == 1, old
        values = values.replace(old, new)
    (folder / "stage.tfvars").write_text(values)
    backend = (folder / "local.s3.tfbackend").read_text()
    (folder / "stage.s3.tfbackend").write_text(backend.replace("winbatch-local-tfstate", STATE))
    (checkout / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    git(checkout, "init", "-q", "-b", "main")
    commit(checkout)
    client("s3").create_bucket(Bucket=STATE, CreateBucketConfiguration={"LocationConstraint": REGION})
    # As on AWS, the registry is none of the emulator's addresses.
    monkeypatch.setattr(
        image, "ecr_repository", lambda _, url, *at: Repository(url.replace(REGISTRY, aws), "Basic eDp4")
    )
    # What the set-up has made is there; what is built here goes with the test.
    (tmp_path / "cache").mkdir(exist_ok=True)
    for path in CACHE.iterdir():
        if path.name != "images":
            (tmp_path / "cache" / path.name).symlink_to(path)
    with monkeypatch.context() as patch:
        patch.delenv("HTTP_PROXY")
        staging.fetch(staging.python_archive(checkout), tmp_path / "cache", print)
    environ = {"WINBATCH_STATE": str(tmp_path / "state"), "WINBATCH_CACHE": str(tmp_path / "cache")}
    return Settings.load("stage", environ=environ, root=checkout)


def git(root, *arguments):
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def commit(root):
    git(root, "add", "-A")
    git(root, "commit", "-qm", "More")


def change(settings, text):
    (settings.root / "images" / "mine" / "mine" / "__init__.py").write_text(text)


def client(service):
    return boto3.client(service, region_name=REGION)


def served(settings):
    """The image that the DAGs' release is pinned to, and whether the registry has it."""
    bucket = f"winbatch-stage-{ACCOUNT}-{REGION}-dags"
    releases = Releases(client("s3"), bucket, "dags")
    pinned = releases.load(releases.served().release).workloads["mine"]
    definition = client("ecs").describe_task_definition(taskDefinition=pinned["task_definition"])["taskDefinition"]
    assert [container["image"] for container in definition["containerDefinitions"]] == [pinned["image"]]
    url, _, digest = pinned["image"].partition("@")
    assert url == f"{REGISTRY}/winbatch-stage/mine"
    with image.ecr_repository(None, url) as repository:
        return digest, repository.has("manifests", digest)


def test_up_goes_the_whole_way_and_goes_on_where_it_was_cut_off(stage, endpoint, tmp_path, monkeypatch):
    # The credentials expire in the middle of the apply: neither the state nor its lock can be given back.
    with expiring(endpoint, after="iam.CreateRole"), pytest.raises(OperatorError) as caught:
        lifecycle.up(stage, confirm=False)
    assert str(caught.value) == (
        "the AWS credentials expired in the middle of the apply; what it had made is noted: log in again, and call"
        " again to go on"
    )
    kept = stage.state / plan_and_apply.ERRORED
    assert json.loads(kept.read_text())["resources"]
    assert state.lock(client("s3"), stage) is not None
    # From there on: platform, image, release, by one plan.
    lifecycle.up(stage, confirm=False)
    assert not kept.exists()
    assert state.lock(client("s3"), stage) is None
    before = served(stage)
    assert before[1]

    # Nothing that is not committed is brought there without asking.
    change(stage, "NAMES = 'second'\n")
    with pytest.raises(PreflightError, match=r"images/mine/mine/__init__\.py differ from commit .*; commit"):
        lifecycle.up(stage, confirm=False)
    commit(stage.root)

    # The pipeline's way: exactly the plan that was saved, images included. An apply has made things that it could not
    # note: they are taken over.
    forgotten = forget(stage)
    file = tmp_path / "stage.plan"
    shown = lifecycle.plan(stage, file, judge=False)
    planned = {change.address: change.action for change in shown.resources}
    (definition,) = [address for address in planned if address.startswith("module.cluster.aws_ecs_task_def")]
    assert planned.pop(definition) == "replace"
    assert [address for address, action in planned.items() if action == "import"] == forgotten
    assert set(planned.values()) <= {"import", "update"}, shown.resources
    # Cut off after the apply, before the push: the old release is served, with its image.
    with monkeypatch.context() as patch:
        patch.setattr(image, "push", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lifecycle.up(stage, plan=file)
    assert served(stage) == before
    # It was applied, and called again goes on from there.
    assert lifecycle.up(stage, plan=file).changes == shown.changes
    assert not state.begun(client("s3"), stage)
    second = served(stage)
    assert second[1]
    assert second[0] != before[0]

    check_kept(stage)
    forget(stage)

    # The way down: what its buckets hold only goes when that was said, and then nothing is left, be it called twice:
    # what is not noted neither.
    with pytest.raises(PreflightError, match=r"stage-\S+-dags \(\d+\).* still hold something: call with --delete"):
        lifecycle.down(stage, confirm=False)
    assert served(stage) == second
    for _ in range(2):
        lifecycle.down(stage, confirm=False, delete_data=True)
    assert [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]] == [STATE]
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert client("ecs").list_task_definitions()["taskDefinitionArns"] == []
    assert [role["RoleName"] for role in client("iam").list_roles()["Roles"] if "stage" in role["RoleName"]] == []
    assert not state.begun(client("s3"), stage)


def check_kept(settings):
    """An apply was cut off while it waited for Airflow: what is there by now is not made anew."""
    (name,) = client("mwaa").list_environments()["Environments"]
    before = client("mwaa").get_environment(Name=name)["Environment"]["CreatedAt"]
    Workspace(settings).terraform.cmd("taint", "module.airflow.aws_mwaa_environment.mwaa")
    assert [thing.kind for thing in state.tainted(client("s3"), settings)] == ["aws_mwaa_environment"]
    state.note_begun(client("s3"), settings)
    assert lifecycle.up(settings, confirm=False).changes == 0
    assert client("mwaa").get_environment(Name=name)["Environment"]["CreatedAt"] == before


def forget(settings):
    """Leave the state as an apply does that was cut off while AWS made things; the addresses of those."""
    addresses = ["module.cluster.aws_iam_role.task", 'module.storage.aws_s3_bucket.bucket["logs"]']
    terraform = Workspace(settings).terraform
    for address in addresses:
        terraform.cmd("state rm", address)
    assert set(addresses).isdisjoint(terraform.addresses())
    state.note_begun(client("s3"), settings)
    return addresses


@contextlib.contextmanager
def expiring(endpoint, after):
    """Let the credentials expire for every call to AWS, once there was a call of this kind, until the end."""
    pages = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    fault = json.dumps({"kind": "expire", "service": "*", "action": "*"}).encode()
    done = threading.Event()

    def expire():
        while not done.wait(0.1):
            if json.load(pages.open(f"{endpoint}/_emulator/requests"))["requests"].get(after):
                pages.open(f"{endpoint}/_emulator/faults", data=fault).close()
                return

    thread = threading.Thread(target=expire)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        pages.open(urllib.request.Request(f"{endpoint}/_emulator/faults", method="DELETE")).close()


def interrupted(*_):
    raise KeyboardInterrupt
