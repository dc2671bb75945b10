"""What the ECS agent fetches before containers start, in the execution role's name: secrets and environment files.

The words of what fails are those of amazon-ecs-agent (`agent/taskresource/ssmsecret`, `asmsecret`, `envFiles`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import ContainerMetadataFetcher

from emulator import credentials
from emulator.context import Context
from emulator.ecs.model import Container, EcsTask

_ARN_FIELDS = 7  # of a secret's ARN, up to its name


class ResourceError(Exception):
    """It cannot be had; the text is what ECS says about it."""


@dataclass
class Resources:
    """Fetches what containers want in their environment."""

    context: Context

    def environment(self, task: EcsTask) -> list[dict[str, str]]:
        """What is fetched for each container of an ECS task, in their order.

        Raises:
            ResourceError: something cannot be had
        """
        wanted = any(_secrets(container) or _files(container) for container in task.containers)
        if not wanted:
            return [{} for _ in task.containers]
        role = task.execution_role_arn
        if role is None:
            raise ResourceError("Fetching environment files: the task definition has no executionRoleArn")
        grant = self._grant(role, task)
        try:
            session = self._session(grant)
            return [
                {**self._files(session, _files(container)), **self._secrets(session, _secrets(container))}
                for container in task.containers
            ]
        finally:
            self.context.credentials.revoke(grant)

    def _grant(self, role: str, task: EcsTask) -> dict[str, str]:
        try:
            return self.context.credentials.grant(role, task.id, service="ecs-tasks.amazonaws.com", source=task.arn)
        except LookupError as error:
            raise ResourceError(f"The execution role cannot be assumed: {error}") from error

    def _session(self, grant: Mapping[str, str]) -> boto3.Session:
        """As the agent has it: the role's credentials from the address that the grant names."""
        headers = {"Authorization": grant[credentials.TOKEN]}
        found = ContainerMetadataFetcher().retrieve_full_uri(grant[credentials.URI], headers=headers)
        return boto3.Session(
            aws_access_key_id=found["AccessKeyId"],
            aws_secret_access_key=found["SecretAccessKey"],
            aws_session_token=found["Token"],
            region_name=self.context.region,
        )

    def _client(self, session: boto3.Session, service: Any, region: str) -> Any:
        return session.client(
            service,
            region_name=region,
            endpoint_url=self.context.endpoint_url,
            config=Config(retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}),
        )

    def _secrets(self, session: boto3.Session, secrets: Sequence[Mapping[str, str]]) -> dict[str, str]:
        return {
            secret["name"]: (
                self._secret(session, secret["valueFrom"])
                if secret["valueFrom"].startswith("arn:") and ":secretsmanager:" in secret["valueFrom"]
                else self._parameter(session, secret["valueFrom"])
            )
            for secret in secrets
        }

    def _parameter(self, session: boto3.Session, reference: str) -> str:
        region, names = self.context.region, [reference]
        if reference.startswith("arn:"):
            region = reference.split(":")[3]
            name = reference.partition(":parameter/")[2]
            # A parameter's ARN has one slash, whether its name begins with one or not.
            names = [name, f"/{name}"]
        where = f"Fetching secret data from SSM Parameter Store in {region}"
        try:
            answer = self._client(session, "ssm", region).get_parameters(Names=names, WithDecryption=True)
        except (ClientError, BotoCoreError) as error:
            raise ResourceError(f"{where}: {_told(error)}") from error
        if not answer["Parameters"]:
            raise ResourceError(f"{where}: invalid parameters: {reference}")
        return str(answer["Parameters"][0]["Value"])

    def _secret(self, session: boto3.Session, reference: str) -> str:
        fields = reference.split(":")
        arn, region = ":".join(fields[:_ARN_FIELDS]), fields[3]
        key, stage, version, *_ = [*fields[_ARN_FIELDS:], "", "", ""]
        given = {"VersionStage": stage, "VersionId": version}
        where = f"Fetching secret data from AWS Secrets Manager in region {region}: secret {arn}"
        try:
            answer = self._client(session, "secretsmanager", region).get_secret_value(
                SecretId=arn, **{name: value for name, value in given.items() if value}
            )
        except (ClientError, BotoCoreError) as error:
            raise ResourceError(f"{where}: {_told(error)}") from error
        text = str(answer.get("SecretString", ""))
        if not key:
            return text
        try:
            return str(json.loads(text)[key])
        except (ValueError, KeyError, TypeError) as error:
            raise ResourceError(f"{where}: retrieved secret did not contain json key {key}") from error

    def _files(self, session: boto3.Session, files: Sequence[Mapping[str, str]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for file in files:
            bucket, _, key = file["value"].partition(":::")[2].partition("/")
            try:
                answer = self._client(session, "s3", self.context.region).get_object(Bucket=bucket, Key=key)
                text = answer["Body"].read().decode()
            except (ClientError, BotoCoreError) as error:
                raise ResourceError(f"Unable to download environment file {file['value']}: {_told(error)}") from error
            for name, value in _lines(text):
                # What an earlier file says stays.
                found.setdefault(name, value)
        return found


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """The variables of an environment file: quotes and spaces are part of a value."""
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield name, value


def _secrets(container: Container) -> Sequence[Mapping[str, str]]:
    return container.definition.get("secrets") or ()


def _files(container: Container) -> Sequence[Mapping[str, str]]:
    """What an override names is in place of the task definition's."""
    return container.override.get("environmentFiles") or container.definition.get("environmentFiles") or ()


def _told(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        return f"{said.get('Code')}: {said.get('Message')}"
    return str(error)
