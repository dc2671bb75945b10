"""Terraform against the emulator: a copy of the root, a state of its own, an emulator of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from scripts.checks import provider
from scripts.core.settings import Settings
from scripts.tools import providers, terraform_command
from tests.emulated import emulating

ROOT = Path(__file__).parents[2]
REGION = "eu-central-1"
# What other tests may be making or removing at the moment is no part of it.
LEFT_OUT = shutil.ignore_patterns(".terraform", "policies", "tests", "*.tfstate")
CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
# A developer's own settings must not reach Terraform or the emulator.
FOREIGN = ("AWS_", "TF_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True)
class Terraform:
    """The commands of terraform/README.md, in a folder and with an environment of their own."""

    binary: Path
    folder: Path
    environ: dict[str, str]

    def run(self, *arguments: str, digests: dict[str, str] | None = None, ok: tuple[int, ...] = (0,)) -> int:
        done = self._call(arguments, {"TF_VAR_image_digests": json.dumps(digests)} if digests else {})
        assert done.returncode in ok, f"terraform {' '.join(arguments)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.returncode

    def shown(self, plan: str) -> Path:
        """A saved plan as JSON."""
        file = self.folder / f"{plan}.json"
        with file.open("wb") as output:
            subprocess.run(
                [self.binary, "show", "-json", plan], cwd=self.folder, env=self.environ, stdout=output, check=True
            )
        return file

    def outputs(self) -> dict[str, Any]:
        text = subprocess.check_output([self.binary, "output", "-json"], cwd=self.folder, env=self.environ, text=True)
        return {name: output["value"] for name, output in json.loads(text).items()}

    def refusal(self, *arguments: str) -> str:
        """What a command says that must fail, in one line."""
        done = self._call((*arguments, "-no-color"), {})
        assert done.returncode == 1, f"terraform {' '.join(arguments)}\n{done.stdout[-6000:]}"
        return " ".join(done.stderr.replace("│", " ").split())

    def _call(self, arguments: Sequence[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.binary, *arguments],
            cwd=self.folder,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )


@dataclass(frozen=True)
class Emulator:
    endpoint: str

    def client(self, service: str) -> Any:
        # The proxy of a developer's shell is not asked for 127.0.0.1, and MWAA's host prefix does not resolve there.
        config = Config(proxies={}, inject_host_prefix=False, s3={"addressing_style": "path"})
        return boto3.client(service, region_name=REGION, endpoint_url=self.endpoint, config=config, **CREDENTIALS)


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    # What Terraform makes is looked at here, not used: what Airflow makes of it, the end-to-end tests show.
    with emulating(tmp_path / "emulator", "--no-airflow", environ=clean_environ()) as process:
        yield Emulator(process.endpoint)


@pytest.fixture
def terraform(tmp_path: Path, emulator: Emulator) -> Iterator[Terraform]:
    """The root, initialised for the local environment in the emulator."""
    emulator.client("s3").create_bucket(
        Bucket="winbatch-local-tfstate", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    folder = tmp_path / "terraform"
    shutil.copytree(ROOT / "terraform", folder, ignore=LEFT_OUT)
    result = Terraform(
        terraform_command.find_terraform(Settings.load("local")),
        folder,
        clean_environ()
        | {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": emulator.endpoint,
            "AWS_REGION": REGION,
            "AWS_SECRET_ACCESS_KEY": "local",
            "HTTP_PROXY": emulator.endpoint,
            "TF_CLI_CONFIG_FILE": str(cli_config(tmp_path)),
            "TF_IN_AUTOMATION": "1",
        },
    )
    backend = "-backend-config=environments/local.s3.tfbackend"
    result.run("init", "-input=false", "-lockfile=readonly", "-reconfigure", backend)
    with provider.kept(provider.for_tests(), result.environ, tmp_path) as variables:
        yield replace(result, environ=result.environ | variables)


def clean_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def cli_config(folder: Path) -> Path:
    """A CLI configuration that takes the provider from where the set-up would."""
    settings = Settings.load("local")
    version = providers.locked_provider(ROOT / "terraform" / ".terraform.lock.hcl")
    mirror = providers.find_mirror(version, named=settings.tf_mirror, environ=os.environ)
    plugins = folder / "plugins"
    plugins.mkdir()
    path = folder / "terraform.tfrc"
    path.write_text(providers.cli_config(mirror, plugins))
    return path
