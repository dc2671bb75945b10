"""The pipeline's roles do all that they are there for, and no statement of theirs is there for nothing."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from scripts import toolchain
from scripts.checks import provider
from scripts.settings import Settings
from tests.emulated import emulating

from .conftest import LEFT_OUT, REGION, ROOT, Emulator, Terraform, clean_environ, cli_config

pytestmark = pytest.mark.slow
ACCOUNT = "123456789012"
DIGESTS = {"ber": f"sha256:{'a' * 64}"}
ISSUER = "token.actions.githubusercontent.com"
PROVIDER = json.dumps(
    {
        "max_retries": 2,
        "s3_use_path_style": True,
        "skip_metadata_api_check": True,
    }
)
BACKEND = ("use_path_style=true", "skip_credentials_validation=true", "skip_requesting_account_id=true")


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with emulating(tmp_path / "emulator", "--no-airflow", "--identity", "enforce", environ=clean_environ()) as process:
        yield Emulator(process.endpoint)


def web_identity(subject: str) -> str:
    """A token as GitHub gives it to a job; the emulator looks at no signature."""
    claims = {"iss": f"https://{ISSUER}", "aud": "sts.amazonaws.com", "sub": subject}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + ".x"


@contextmanager
def commands(emulator: Emulator, folder: Path, home: Path, role: dict[str, str] | None) -> Iterator[Terraform]:
    """Terraform's commands in a folder, in somebody's name; an administrator's without a role."""
    home.mkdir()
    keys = role or {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    environ = clean_environ() | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": emulator.endpoint,
        "AWS_REGION": REGION,
        "HTTP_PROXY": emulator.endpoint,
        "TF_CLI_CONFIG_FILE": str(cli_config(home)),
        "TF_IN_AUTOMATION": "1",
        **keys,
    }
    with provider.kept(provider.for_tests(), environ, home) as variables:
        binary = toolchain.find_terraform(Settings.load("local"))
        yield Terraform(binary, folder, environ | variables)


def assumed(emulator: Emulator, role: str, subject: str) -> dict[str, str]:
    """The credentials of a role for a job of GitHub's."""
    answer = emulator.client("sts").assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="job", WebIdentityToken=web_identity(subject)
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["SessionToken"],
    }


def decided(emulator: Emulator) -> dict[str, Any]:
    """What the emulator decided, by role."""
    with urlopen(f"{emulator.endpoint}/_emulator/identity") as answer:
        roles: dict[str, Any] = json.load(answer)["roles"]
    return roles


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_an_environment_lives_by_the_pipelines_roles(name: str, emulator: Emulator, tmp_path: Path):
    bootstrap, root = tmp_path / "bootstrap", tmp_path / "root"
    shutil.copytree(ROOT / "terraform" / "bootstrap", bootstrap, ignore=LEFT_OUT)
    (bootstrap / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    shutil.copytree(ROOT / "terraform", root, ignore=LEFT_OUT)
    with commands(emulator, bootstrap, tmp_path / "administrator", None) as terraform:
        terraform.run("init", "-input=false")
        values = [
            f"-var=aws_provider={PROVIDER}",
            f"-var=environment={name}",
            f"-var=region={REGION}",
            f"-var=state_bucket=winbatch-{name}-tfstate",
            '-var=github={repository="acme/winbatch"}',
        ]
        terraform.run("apply", "-input=false", "-auto-approve", *values)
        outputs = terraform.outputs()
    roles = outputs["github"]["roles"]
    plan_keys = assumed(emulator, roles["plan"], f"repo:acme/winbatch:environment:{name}-plan")
    apply_keys = assumed(emulator, roles["apply"], f"repo:acme/winbatch:environment:{name}")
    values = [
        f"-var=aws_provider={PROVIDER}",
        f"-var-file=environments/{name}.tfvars",
        f"-var=permissions_boundary=deployment/winbatch-{name}-boundary",
    ]
    backend = [f"-backend-config=environments/{name}.s3.tfbackend", *(f"-backend-config={one}" for one in BACKEND)]
    with (
        commands(emulator, root, tmp_path / "plan", plan_keys) as planning,
        commands(emulator, root, tmp_path / "apply", apply_keys) as applying,
    ):
        planning.run("init", "-input=false", "-lockfile=readonly", *backend)
        planning.run("plan", "-input=false", "-out=first.plan", *values, digests=DIGESTS)
        applying.run("apply", "-input=false", "first.plan", digests=DIGESTS)
        planning.run("plan", "-input=false", "-detailed-exitcode", *values, digests=DIGESTS)
        Path("/tmp/h1-identity.json").write_text(json.dumps(decided(emulator), indent=1))
        applying.run("destroy", "-input=false", "-auto-approve", *values, digests=DIGESTS)
    found = decided(emulator)
    Path("/tmp/h1-identity.json").write_text(json.dumps(found, indent=1))
    assert not [refusal for role in found.values() for refusal in role["refused"]]
