"""Temporary credentials of IAM roles for children, as the ECS agent's credentials endpoint gives them.

A child gets two environment variables; each AWS SDK asks the address in them, and asks again before the credentials
expire.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition
from werkzeug.wrappers import Request, Response

from emulator import locks
from emulator.identity.gate import Identity, Refused
from emulator.routes import Routes, json_response

URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a variable's name

_LIFETIME_SECONDS = 6 * 3600  # what the ECS agent hands out


@dataclass(frozen=True)
class _Grant:
    role_arn: str
    session_name: str
    token: str


class Credentials:
    """Grants of roles, each an address and a token that only its child knows."""

    def __init__(self, endpoint_url: str, account: str, region: str, routes: Routes, identity: Identity) -> None:
        self._endpoint_url = endpoint_url
        self._account = account
        self._region = region
        self._identity = identity
        self._grants: dict[str, _Grant] = {}
        routes.add("credentials", self._respond)

    def grant(self, role_arn: str, session_name: str, *, service: str, source: str) -> dict[str, str]:
        """The environment by which a child acts as a role.

        Args:
            role_arn: of the role
            session_name: of the role's session
            service: the principal that assumes the role, such as `ecs-tasks.amazonaws.com`
            source: the ARN of what the service acts for

        Raises:
            LookupError: the role does not exist, or does not trust the service
        """
        self.assume(role_arn, service=service, source=source)
        name = secrets.token_hex(16)
        grant = _Grant(role_arn, session_name, secrets.token_urlsafe(32))
        self._grants[name] = grant
        return {URI: f"{self._endpoint_url}/_emulator/credentials/{name}", TOKEN: grant.token}

    def assume(self, role_arn: str, *, service: str, source: str) -> None:
        """See that a role lets a service assume it.

        Raises:
            LookupError: it does not exist, or does not
        """
        if self._identity.state.role(role_arn) is None:
            raise LookupError(f"no IAM role {role_arn}")
        try:
            self._identity.service(service, source=source).require("sts:AssumeRole", role_arn, "role")
        except Refused as error:
            raise LookupError(str(error)) from error

    def revoke(self, environment: Mapping[str, str]) -> None:
        """End the grant that `grant` gave; the credentials it led to stay valid until they expire, as on AWS."""
        if URI in environment:
            self._grants.pop(environment[URI].rpartition("/")[2], None)

    def _respond(self, request: Request, name: str) -> Response:
        grant = self._grants.get(name)
        if grant is None or not hmac.compare_digest(request.headers.get("Authorization", ""), grant.token):
            return json_response({"code": "AccessDenied", "message": "unknown credentials or wrong token"}, 403)
        return json_response(self._assume(grant))

    def _assume(self, grant: _Grant) -> dict[str, Any]:
        with locks.CONTROL:
            role = sts_backends[self._account][get_partition(self._region)].assume_role(
                region_name=self._region,
                role_session_name=grant.session_name,
                role_arn=grant.role_arn,
                policy="",
                duration=_LIFETIME_SECONDS,
                external_id="",
            )
        return {
            "RoleArn": grant.role_arn,
            "AccessKeyId": role.access_key_id,
            "SecretAccessKey": role.secret_access_key,
            "Token": role.session_token,
            "Expiration": role.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
