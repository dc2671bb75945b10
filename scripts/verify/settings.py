"""The environment that `verify-aws` makes: another one's values at their smallest, with its own name and state."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from scripts.core import given
from scripts.core.errors import SettingsError
from scripts.core.settings import Settings
from scripts.terraform.values import read

NAME = "verify"
# What jobs of each kind need; an image that no job runs is not built.
WORKLOADS = ("ber", "tools")
# Minutes: the least that the backstop takes, and people are told before it.
BACKSTOP_MINUTES, IDLE_MINUTES = 30, 15
INSTANCES = 2
_KEPT = ("aws_provider", "region", "tags")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifySettings(Settings):
    """Settings of that environment.

    Attributes:
        of: the environment whose values it takes.
    """

    of: str

    @classmethod
    def beside(cls, settings: Settings) -> Self:
        """Those beside an environment.

        Raises:
            SettingsError: there is an environment of that name already, or this one is nobody's AWS.
        """
        if settings.local:
            raise SettingsError("verify-aws asks AWS: name an environment that is there, such as --env dev")
        if (settings.terraform_root / "environments" / f"{NAME}.tfvars").exists():
            raise SettingsError(f"there is an environment {NAME} already, and verify-aws takes that name")
        fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
        return cls(**fields | {"environment": NAME, "of": settings.environment})

    @property
    def emulated(self) -> bool:
        """Whether what answers for AWS is the emulator, as in our own tests."""
        return urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in {"127.0.0.1", "localhost"}

    @property
    def var_file(self) -> Path:
        """What is read off an environment's values as text, Airflow's version say, is as in the other one."""
        return self.terraform_root / "environments" / f"{self.of}.tfvars"

    @property
    def var_files(self) -> list[Path]:
        """Give the file of the values that were made of the other environment's."""
        return [self.state / "verify.tfvars.json"]

    @property
    def backend_file(self) -> Path:
        """Give the file that says where its own state is."""
        return self.state / "verify.s3.tfbackend"

    @property
    def workloads(self) -> list[str]:
        """Give the workloads that it has, of those in the checkout."""
        return list(WORKLOADS)

    def write(self, *, permissions_boundary: str | None = None) -> None:
        """Write values and backend.

        Args:
            permissions_boundary: that which the apply role may make roles with; None before there is one.
        """
        given.folder("WINBATCH_STATE", self.state)
        text = (self.terraform_root / "environments" / f"{self.of}.s3.tfbackend").read_text(encoding="utf-8")
        self.backend_file.write_text(backend(text), encoding="utf-8")
        made = values(read(self.var_file))
        if permissions_boundary:
            made["permissions_boundary"] = permissions_boundary
        self.var_files[0].write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def backend(text: str) -> str:
    """An environment's backend file with a bucket of another name, which is as much the environment's own."""
    return re.sub(r'^(\s*bucket\s*=\s*"[^"]*)"', rf'\g<1>-{NAME}"', text, flags=re.MULTILINE)


def values(of: Mapping[str, Any]) -> dict[str, Any]:
    """The values for Terraform: the smallest of everything, and nothing that outlives a destroy.

    Args:
        of: the other environment's values.
    """
    cluster, airflow, network = (of.get(name, {}) for name in ("cluster", "airflow", "network"))
    # One NAT gateway costs least for some hours; a network that is there may allow nothing else than itself.
    way_out = (
        {"egress": network.get("egress", "nat"), "existing": network["existing"]} if network.get("existing") else {}
    )
    return {
        **{name: of[name] for name in _KEPT if name in of},
        "environment": NAME,
        "force_destroy": True,
        "log_retention_days": 1,
        "storage": {"access_log_days": 1, "job_retention_days": 1, "key_deletion_days": 7, "old_version_days": 1},
        "network": way_out or {"egress": "nat"},
        "airflow": {
            **{name: airflow[name] for name in ("version", "webserver") if name in airflow},
            "environment_class": "mw1.micro",
        },
        # On-Demand: whether Spot has any today is no question of parity.
        "cluster": {
            **{name: cluster[name] for name in ("instance_types", "usd_per_hour", "windows") if name in cluster},
            "max_instances": INSTANCES,
        },
        "observability": {
            "alarm_minutes": {"idle": IDLE_MINUTES},
            "backstop": {"enabled": True, "idle_minutes": BACKSTOP_MINUTES},
        },
        "workloads": {name: of["workloads"][name] for name in WORKLOADS if name in of.get("workloads", {})},
    }
