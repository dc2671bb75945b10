"""One environment as the commands see it: its AWS, its Terraform, its outputs."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.core import given
from scripts.core.airflow import Airflow
from scripts.core.aws import LOCAL_CREDENTIALS, Aws
from scripts.core.errors import EmulatorError
from scripts.core.settings import Settings
from scripts.terraform import state
from scripts.terraform.cli import Terraform
from scripts.tools import emulator, providers, terraform_command

# Of Terraform's own variables only these stay; any other would change what a command of ours does. A provider that runs
# already is one to debug, or one that tests share.
_TERRAFORM_KEPT = ("TF_REATTACH_PROVIDERS",)
# Of a real environment also values, logins to registries and the log.
_TERRAFORM_KEPT_REAL = (*_TERRAFORM_KEPT, "TF_VAR_", "TF_TOKEN_", "TF_LOG")
# What says whose account is reached, and how.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Outputs:
    """Terraform's outputs, as far as the commands need them; `terraform/outputs.tf` says what they are."""

    dags_bucket: str
    data_bucket: str
    mwaa_environment: str
    cluster: str
    ecr_repositories: Mapping[str, str]
    deployment: Mapping[str, Any]
    airflow_webserver_url: str

    @classmethod
    def read(cls, values: Mapping[str, Any], environment: str) -> "Outputs":
        """From `terraform output`.

        Raises:
            EmulatorError: the environment was not applied, or not to its end.
        """
        names = list(cls.__dataclass_fields__)
        if any(values.get(name) is None for name in names):
            again = "" if environment == "local" else f" --env {environment}"
            raise EmulatorError(f"environment {environment} is not (wholly) there: invoke up{again}")
        return cls(**{name: values[name] for name in names})


class Workspace:
    """An environment with its emulator, where it has one, at hand.

    Args:
        settings: which environment.
        keep_open: file descriptors for Terraform to inherit (the environment's lock).

    Raises:
        EmulatorError: it is local and its emulator does not answer.
    """

    def __init__(self, settings: Settings, *, keep_open: Sequence[int] = ()) -> None:
        self.settings = settings
        self.endpoint_url = emulator.require(settings).endpoint_url if settings.local else None
        self.aws = Aws(settings.region, self.endpoint_url)
        self._keep_open = keep_open

    @cached_property
    def terraform(self) -> Terraform:
        """Terraform in the root module, with this environment's data folder, credentials and endpoint."""
        return self._terraform(self.settings.terraform_root)

    @contextmanager
    def copied_root(self) -> Iterator[tuple[Terraform, Path]]:
        """The same in a copy of the root module, and the copy: it may get files that are one command's only."""
        folder = self.settings.state / "terraform" / "root"
        shutil.rmtree(folder, ignore_errors=True)
        left_out = shutil.ignore_patterns(".terraform", "bootstrap", "policies", "tests", "*.tfstate")
        shutil.copytree(self.settings.terraform_root, folder, ignore=left_out)
        try:
            yield self._terraform(folder), folder
        finally:
            shutil.rmtree(folder)

    def _terraform(self, folder: Path) -> Terraform:
        config = providers.config_file(self.settings)
        return Terraform(
            terraform_command.find_terraform(self.settings),
            folder,
            terraform_environ(
                os.environ,
                config=config,
                data=self.settings.state / "terraform",
                region=self.settings.region,
                endpoint_url=self.endpoint_url,
            ),
            log=self.settings.state / "terraform.log",
            keep_open=self._keep_open,
        )

    def init(self) -> bool:
        """Initialise Terraform.

        Returns:
            False when nothing that matters to it has changed since the last time.
        """
        stamp = self.settings.state / "terraform" / "initialised"
        key = self._init_key()
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
            return False
        self.terraform.init(self.settings.backend_file)
        stamp.write_text(key, encoding="utf-8")
        return True

    @property
    def var_files(self) -> list[Path]:
        """The environment's values, and what follows from the checkout."""
        files = self.settings.var_files
        return [*files, self.checkout_file] if self.checkout_file.is_file() else files

    @property
    def checkout_file(self) -> Path:
        """Say where it stands what images were called when they were built last, and whose DAGs there are."""
        return self.settings.state / "images.tfvars.json"

    def tell_terraform(self, digests: Mapping[str, str], dags: Mapping[str, Sequence[str]]) -> None:
        """Tell Terraform the digests of the workloads' images, and the DAGs that run stages of each."""
        text = json.dumps({"image_digests": digests, "workload_dags": dags}, indent=2, sort_keys=True) + "\n"
        given.folder("WINBATCH_STATE", self.settings.state)
        self.checkout_file.write_text(text, encoding="utf-8")

    def values(self) -> dict[str, Any]:
        """Terraform's outputs as they are; empty before the first apply."""
        return state.outputs(self.aws.client("s3"), self.settings)

    def outputs(self) -> Outputs:
        """Terraform's outputs.

        Raises:
            EmulatorError: there are none yet.
        """
        return Outputs.read(self.values(), self.settings.environment)

    def airflow(self, outputs: Outputs) -> Airflow:
        """Give the environment's Airflow's API."""
        return Airflow(self.aws.client("mwaa"), outputs.mwaa_environment)

    def _init_key(self) -> str:
        root = self.settings.terraform_root
        digest = hashlib.sha256(str(self.endpoint_url).encode())
        for path in [
            self.settings.backend_file,
            root / ".terraform.lock.hcl",
            providers.config_file(self.settings),
            *sorted(root.glob("*.tf")),
            *sorted(root.glob("modules/*/*.tf")),
        ]:
            digest.update(path.read_bytes())
        return digest.hexdigest()


def terraform_environ(
    environ: Mapping[str, str], *, config: Path, data: Path, region: str, endpoint_url: str | None
) -> dict[str, str]:
    """The whole process environment of a Terraform command.

    Args:
        environ: the caller's.
        config: the CLI configuration.
        data: Terraform's data folder, one an environment.
        region: AWS region.
        endpoint_url: the emulator's address; then nothing of the caller's AWS settings is passed on.
    """
    kept = _TERRAFORM_KEPT_REAL if endpoint_url is None else _TERRAFORM_KEPT
    result = {name: value for name, value in environ.items() if not name.startswith("TF_") or name.startswith(kept)}
    if endpoint_url is not None:
        result = {
            name: value
            for name, value in result.items()
            if not name.startswith("AWS_") and name.upper() not in _PROXIES
        }
        result |= {
            "AWS_ENDPOINT_URL": endpoint_url,
            # MWAA's host gets a prefix that does not resolve; Go sends loopback names past the proxy, all else to it.
            "HTTP_PROXY": endpoint_url,
            "AWS_ACCESS_KEY_ID": LOCAL_CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": LOCAL_CREDENTIALS["aws_secret_access_key"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    return result | {
        "AWS_REGION": region,
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": str(config),
        "TF_DATA_DIR": str(data),
        "TF_IN_AUTOMATION": "1",
    }
