"""What an environment's Terraform stands on: the bucket of its state and its key, and the roles of its pipeline.

`terraform/bootstrap` makes them, so its own state cannot begin in that bucket. It begins as a file in the environment's
state folder and is moved into the bucket as soon as that is there. A run that is cut off leaves one or the other, and
what it made and could not note is found by its name and taken over, so that calling again always continues.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.aws import Aws
from scripts.core.console import Steps, console
from scripts.core.errors import PreflightError, SettingsError
from scripts.core.locking import only_one
from scripts.core.settings import Settings, assignment
from scripts.environments import preflight
from scripts.environments.doctor.account import identify
from scripts.terraform import imports, plan_summary, plan_tables
from scripts.terraform.cli import Terraform
from scripts.terraform.plan_summary import PlanSummary
from scripts.terraform.workspace import terraform_environ
from scripts.tools import emulator, providers, terraform_command

STATE_KEY = "bootstrap.tfstate"
ISSUER = "token.actions.githubusercontent.com"
PROVIDER = "aws_iam_openid_connect_provider.github[0]"
ROLES = ("apply", "plan")
POLICIES = ("boundary", "compute", "identity", "lock", "network", "options", "platform", "read", "state")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+|[A-Za-z0-9-]+@[0-9]+/[A-Za-z0-9._-]+@[0-9]+")


@dataclass(frozen=True)
class Foundation:
    """What `bootstrap` leaves.

    Attributes:
        account: whose it is.
        backend: `bucket`, `key`, `region` and `kms_key_arn` of the environment's state.
        github: `repository`, `roles` by purpose and `permissions_boundary`; None without a pipeline.
        changes: how much was changed.
        pipeline: `roles` and `permissions_boundary`, be they GitHub's or an operator's; None without any.
    """

    account: str
    backend: Mapping[str, str]
    github: Mapping[str, Any] | None
    changes: int
    pipeline: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Give it as `--json` shows it."""
        return {
            "account": self.account,
            "backend": dict(self.backend),
            "changes": self.changes,
            "github": None if self.github is None else dict(self.github),
        }

    def lines(self, settings: Settings) -> list[str]:
        """What a person should know and do next."""
        backend = self.backend
        file = settings.backend_file.relative_to(settings.root)
        where = f"s3://{backend['bucket']}/{backend['key']} in {backend['region']}"
        said = [f"Terraform's state of {settings.environment}: {where}, as {file} says (commit it if it was changed)"]
        if self.github is not None:
            boundary = self.github["permissions_boundary"]
            for purpose, arn in sorted(self.github["roles"].items()):
                name = settings.environment if purpose == "apply" else f"{settings.environment}-{purpose}"
                variables = f"{purpose.upper()}_ROLE_ARN = {arn}, AWS_REGION = {backend['region']}"
                said.append(f"Variables of environment {name} of GitHub's {self.github['repository']}: {variables}")
            if assignment(settings.var_file.read_text(encoding="utf-8"), "permissions_boundary") != boundary:
                values = settings.var_file.relative_to(settings.root)
                said.append(
                    f'Set permissions_boundary = "{boundary}" in {values}: the apply role may make no role without it'
                )
        return said


def lay(
    settings: Settings, *, repository: str = "", bucket: str = "", operators: Sequence[str] = (), confirm: bool = True
) -> Foundation:
    """Make or mend what the environment's Terraform stands on.

    Args:
        settings: which environment.
        repository: the GitHub repository whose workflows may plan and apply; empty: as before.
        bucket: the state bucket's name, written to the environment's backend file; empty: as that says.
        operators: ARNs of roles and users of the account that may assume the pipeline's roles, too.
        confirm: ask before anything changes (never for the local one).

    Raises:
        OperatorError: it cannot go on; calling again continues.
    """
    if repository and not _REPOSITORY.fullmatch(repository):
        raise SettingsError(
            f"--github {repository}: owner/name is expected, or owner@id/name@id"
            f" (gh api repos/OWNER/NAME/actions/oidc/customization/sub says which the repository's tokens have)"
        )
    if bucket:
        name_bucket(settings.backend_file, bucket)
    steps = Steps()
    with only_one(settings, "bootstrap") as lock:
        root = _Root(settings, keep_open=[lock])
        with steps.step("Account") as step:
            account = identify(settings, root.aws.client("sts"))
            step.detail = account
        with steps.step("State bucket") as step:
            there = find_bucket(root.aws.client("s3"), settings, account)
            step.detail = f"{settings.backend('bucket')} {'is there' if there else 'is not there yet'}"
        with steps.step("Terraform") as step:
            moved = there and root.is_moved()
            root.initialise(moved=moved)
            known = root.terraform.addresses() if moved or root.state.is_file() else []
            root.prepare(known, there=there, account=account, repository=repository, operators=operators)
            step.detail = f"knows {len(known)} resources" if known else "begins"
        count = root.converge(steps, confirm=confirm and not settings.local)
        if not moved:
            with steps.step("Move Terraform's state into the bucket") as step:
                root.move()
                step.detail = f"s3://{settings.backend('bucket')}/{STATE_KEY}"
        outputs = root.terraform.outputs()
        root.tidy()
    return Foundation(account, outputs["backend"], outputs.get("github"), count, outputs.get("pipeline"))


def name_bucket(file: Path, bucket: str) -> None:
    """Write the state bucket's name to an environment's backend file.

    Raises:
        SettingsError: it cannot be a bucket's name.
    """
    if not _BUCKET.fullmatch(bucket):
        raise SettingsError(f"--bucket {bucket}: 3 to 63 lower-case letters, digits, dots and dashes are expected")
    text = file.read_text(encoding="utf-8")
    changed = re.sub(r'^(\s*bucket\s*=\s*)"[^"]*"', rf'\g<1>"{bucket}"', text, flags=re.MULTILINE)
    if changed != text:
        file.write_text(changed, encoding="utf-8")


def find_bucket(s3: Any, settings: Settings, account: str) -> bool:
    """Whether the state bucket is there.

    Raises:
        PreflightError: it is somebody else's, or elsewhere.
    """
    name = settings.backend("bucket")
    try:
        answer = s3.head_bucket(Bucket=name, ExpectedBucketOwner=account)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:  # noqa: PLR2004 - Not Found
            return False
        if status == 403:  # noqa: PLR2004 - Forbidden
            raise PreflightError(
                f"bucket {name} is not account {account}'s (names are shared by everybody in S3), or these credentials"
                f" may not see it: choose another: invoke bootstrap --env {settings.environment} --bucket NAME"
            ) from error
        raise
    region = answer.get("BucketRegion") or settings.region
    if region != settings.region:
        raise PreflightError(
            f"bucket {name} is in {region}, and {settings.backend_file.name} says {settings.region}: change the region"
            " there, or choose another bucket with --bucket"
        )
    return True


def remembered(outputs: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """The repository of an earlier run: from its outputs, or from the values of one that was cut off."""
    for source in (outputs, values):
        github = source.get("github")
        if github:
            return str(github["repository"])
    return ""


class _Root:
    """A working copy of `terraform/bootstrap`, whose backend is a file or the bucket."""

    def __init__(self, settings: Settings, *, keep_open: Sequence[int]) -> None:
        self.settings = settings
        endpoint_url = emulator.require(settings).endpoint_url if settings.local else None
        self.aws = Aws(settings.region, endpoint_url)
        self._keep_open = keep_open
        self._folder = settings.state / "bootstrap"
        self._copy = self._folder / "root"
        self._values = self._folder / "values.tfvars.json"
        self.state = self._folder / "terraform.tfstate"

    @cached_property
    def terraform(self) -> Terraform:
        config = providers.config_file(self.settings)
        return Terraform(
            terraform_command.find_terraform(self.settings),
            self._copy,
            terraform_environ(
                os.environ,
                config=config,
                data=self._folder / "data",
                region=self.settings.region,
                endpoint_url=self.aws.endpoint_url,
            ),
            log=self.settings.state / "terraform.log",
            keep_open=self._keep_open,
        )

    def is_moved(self) -> bool:
        """Whether the state is in the bucket."""
        try:
            self.aws.client("s3").head_object(Bucket=self.settings.backend("bucket"), Key=STATE_KEY)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004 - Not Found
                return False
            raise
        return True

    def initialise(self, *, moved: bool) -> None:
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.mkdir(parents=True)
        for file in [
            *self.settings.bootstrap_root.glob("*.tf"),
            self.settings.terraform_root / ".terraform.lock.hcl",
        ]:
            shutil.copyfile(file, self._copy / file.name)
        if moved:
            self.terraform.init(self._backend)
        else:
            path = json.dumps(str(self.state))
            self._override.write_text(f'terraform {{\n  backend "local" {{\n    path = {path}\n  }}\n}}\n')
            self.terraform.init([])

    def prepare(
        self, known: Sequence[str], *, there: bool, account: str, repository: str, operators: Sequence[str]
    ) -> None:
        """Write the values, and what is to be taken over."""
        before = json.loads(self._values.read_text(encoding="utf-8")) if self._values.is_file() else {}
        repository = repository or remembered(self.terraform.outputs() if known else {}, before)
        existing = {"aws_s3_bucket.state": self.settings.backend("bucket")} if there else {}
        existing |= self._key()
        values: dict[str, Any] = {
            "region": self.settings.region,
            "state_bucket": self.settings.backend("bucket"),
            "state_key": self.settings.backend("key"),
        }
        if operators:
            values["operators"] = list(operators)
        if repository or operators:
            existing |= self._pipeline(account)
        if repository:
            create = PROVIDER in known or not self._has_provider()
            values["github"] = {"create_provider": create, "repository": repository}
        self._values.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        (self._copy / "adopt.tf").write_text(imports.blocks(existing, known), encoding="utf-8")

    def converge(self, steps: Steps, *, confirm: bool) -> int:
        """Plan, show, ask, apply; how many changes there were."""
        file = self._folder / "plan"
        with steps.step("Plan") as step:
            to_do = self.terraform.plan(file, var_files=[*self.settings.var_files, self._values])
            summary = plan_summary.summarize(self.terraform.show(file)) if to_do else PlanSummary()
            step.detail = summary.sentence
        if to_do:
            if confirm:
                for part in plan_tables.plan(summary):
                    console.print(part)
                preflight.ask(f"Apply this for environment {self.settings.environment}?", self.settings)
            with steps.step("Apply") as step:
                self.terraform.apply(file)
                step.detail = summary.sentence
        return summary.changes

    def move(self) -> None:
        """Move the state into the bucket."""
        self._override.unlink()
        self.terraform.init(self._backend, migrate=True)
        if not self.terraform.addresses():
            raise PreflightError(f"{self.state} did not arrive in the bucket; call again to go on")

    def tidy(self) -> None:
        """Leave nothing behind that the bucket has."""
        shutil.rmtree(self._folder)

    @property
    def _override(self) -> Path:
        return self._copy / "backend_override.tf"

    @property
    def _backend(self) -> list[str]:
        return [str(self.settings.backend_file), f"key={STATE_KEY}"]

    def _key(self) -> dict[str, str]:
        alias = f"alias/winbatch-{self.settings.environment}-tfstate"
        try:
            key = self.aws.client("kms").describe_key(KeyId=alias)["KeyMetadata"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotFoundException":
                return {}
            raise
        if key["KeyState"] != "Enabled":
            raise PreflightError(
                f"the state's key {key['KeyId']} is {key['KeyState']}; without it no state can be read:"
                f" aws kms cancel-key-deletion --key-id {key['KeyId']}, then aws kms enable-key, and call again"
            )
        return {"aws_kms_key.state": key["KeyId"], "aws_kms_alias.state": alias}

    def _pipeline(self, account: str) -> dict[str, str]:
        iam = self.aws.client("iam")
        partition = iam.meta.partition
        name = f"winbatch-{self.settings.environment}"
        found = {}
        for purpose in POLICIES:
            arn = f"arn:{partition}:iam::{account}:policy/deployment/{name}-{purpose}"
            if _is_there(iam.get_policy, PolicyArn=arn):
                found[f'aws_iam_policy.deployment["{purpose}"]'] = arn
        for purpose in ROLES:
            if _is_there(iam.get_role, RoleName=f"{name}-{purpose}"):
                found[f'aws_iam_role.deployment["{purpose}"]'] = f"{name}-{purpose}"
        return found

    def _has_provider(self) -> bool:
        listed = self.aws.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
        return any(provider["Arn"].endswith(f"/{ISSUER}") for provider in listed)


def _is_there(call: Any, **arguments: str) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return False
        raise
    return True
