"""Who a request comes from, by its access key, with all policies that are his."""

from __future__ import annotations

import datetime as dt
import hmac
import time
from dataclasses import dataclass, field
from typing import Any

from moto.iam.models import Role, iam_backends
from moto.sts.models import AssumedRole, sts_backends

from emulator.identity.documents import Caller, Document, compiled, merged
from emulator.identity.evaluation import NOTHING, Principal
from emulator.identity.state import State

# People on this machine. Its name is no key of AWS's: it can never be taken for one.
ADMINISTRATOR_KEY = "local"
_ADMINISTRATOR = (
    '{"Version": "2012-10-17", "Statement": [{"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"}]}'
)


class UnknownKeyError(LookupError):
    """Nobody has this access key, or another session token belongs to it."""


class ExpiredKeyError(LookupError):
    """The session of this access key is over."""


class NoKeyError(LookupError):
    """A request without a signature."""


@dataclass
class _Session:
    """A role's session, with its principal as it was compiled last; it expires at a time in seconds since 1970."""

    assumed: AssumedRole
    expires: float
    texts: object = None
    principal: Principal | None = None


@dataclass
class Principals:
    """The callers of an account."""

    state: State
    _sessions: dict[str, _Session] = field(default_factory=dict)
    _read: int = 0

    def of(self, access_key: str | None, token: str | None) -> Principal:
        """The principal whom an access key belongs to.

        Raises:
            NoKeyError, UnknownKeyError, ExpiredKeyError: there is none
        """
        if not access_key:
            raise NoKeyError
        if access_key == ADMINISTRATOR_KEY:
            return self.administrator
        session = self._sessions.get(access_key) or self._found(access_key)
        if session is None:
            return self._user(access_key)
        if token is not None and not hmac.compare_digest(token, session.assumed.session_token):
            raise UnknownKeyError(access_key)
        if session.expires < time.time():
            raise ExpiredKeyError(access_key)
        return self._of_session(session)

    @property
    def administrator(self) -> Principal:
        """Give a user who may do everything."""
        account, partition = self.state.account, self.state.partition
        arn = f"arn:{partition}:iam::{account}:user/administrator"
        return self._made(arn, arn, "administrator", compiled(_ADMINISTRATOR, "AdministratorAccess"), kind="User")

    def service(self, name: str, **keys: str) -> Principal:
        """A service that acts in its own name, such as `ecs-tasks.amazonaws.com`, with whose resource it acts for."""
        caller = Caller(name, "", name, "Service")
        own = {key.replace("_", ":").lower(): value for key, value in keys.items()}
        return Principal(
            caller, name, keys={"aws:principalisawsservice": "true", "aws:principalservicename": name, **own}
        )

    def federated(self, provider: str, keys: dict[str, str]) -> Principal:
        """A web identity, by the provider's ARN, with the claims of its token."""
        return Principal(Caller(provider, "", provider, "Federated"), provider.rpartition("/")[2], keys=keys)

    def of_role(self, role: Role, session: str) -> Principal:
        """A session of a role, without credentials: what the emulator does as that role."""
        return self._of_role(role, session, None)

    def service_role(self, service: str, name: str) -> Principal:
        """A service's own role, as far as resources' policies see it; what it may itself is the service's affair."""
        role = f"arn:{self.state.partition}:iam::{self.state.account}:role/aws-service-role/{service}/{name}"
        session = (
            f"arn:{self.state.partition}:sts::{self.state.account}:assumed-role/{name}/{service.partition('.')[0]}"
        )
        return self._made(session, role, name, compiled(_ADMINISTRATOR, "service"), kind="AssumedRole")

    def _found(self, access_key: str) -> _Session | None:
        assumed = sts_backends[self.state.account][self.state.partition].assumed_roles
        # Only what has come since the last look is read.
        for one in assumed[self._read :]:
            self._sessions[one.access_key_id] = _Session(one, one.expiration.replace(tzinfo=dt.UTC).timestamp())
        self._read = len(assumed)
        return self._sessions.get(access_key)

    def _user(self, access_key: str) -> Principal:
        backend = iam_backends[self.state.account][self.state.partition]
        key = backend.access_keys.get(access_key)
        user: Any = backend.users.get(key.user_name) if key is not None and key.user_name else None
        if user is None:
            raise UnknownKeyError(access_key)
        groups = [group for group in backend.groups.values() if user in group.users]
        documents = [compiled(text, name) for name, text in user.policies.items()]
        for holder in (user, *groups):
            documents += [document for arn in holder.managed_policies if (document := self._managed(arn))]
        documents += [compiled(text, name) for group in groups for name, text in group.policies.items()]
        return self._made(user.arn, user.arn, user.name, merged(*documents), kind="User")

    def _of_session(self, session: _Session) -> Principal:
        assumed = session.assumed
        role = self.state.role(assumed.role_arn)
        texts = None if role is None else self._texts(role)
        if session.principal is None or texts != session.texts:
            session.texts = texts
            if role is None:
                # A session outlives its role, and may nothing any more.
                session.principal = self._made(
                    assumed.arn, assumed.role_arn, assumed.role_arn.rpartition("/")[2], NOTHING
                )
            else:
                session.principal = self._of_role(role, assumed.session_name, assumed.policy or None)
        return session.principal

    def _texts(self, role: Role) -> object:
        """What a role's principal is compiled from: while it is the same, so is the principal."""
        managed = tuple((arn, self.state.policy_text(arn)) for arn in role.managed_policies)
        bound = role.permissions_boundary_arn
        return tuple(role.policies.items()), managed, bound and self.state.policy_text(bound)

    def _of_role(self, role: Role, session: str, policy: str | None) -> Principal:
        documents = [compiled(text, name) for name, text in role.policies.items()]
        documents += [document for arn in role.managed_policies if (document := self._managed(arn))]
        bound = role.permissions_boundary_arn
        arn = f"arn:{self.state.partition}:sts::{self.state.account}:assumed-role/{role.name}/{session}"
        return self._made(
            arn,
            role.arn,
            role.name,
            merged(*documents),
            kind="AssumedRole",
            boundary=(self._managed(bound) or NOTHING) if bound else None,
            session=compiled(policy, "session") if policy else None,
            tags=_tags(role.tags),
            userid=f"{role.id}:{session}",
        )

    def _managed(self, arn: str) -> Document | None:
        text = self.state.policy_text(arn)
        return compiled(text, arn.rpartition("/")[2]) if text else None

    def _made(
        self,
        arn: str,
        role_arn: str,
        role: str,
        identity: Document,
        *,
        kind: str = "AssumedRole",
        boundary: Document | None = None,
        session: Document | None = None,
        tags: dict[str, str] | None = None,
        userid: str = "",
    ) -> Principal:
        keys = {
            "aws:principalarn": role_arn,
            "aws:principalaccount": self.state.account,
            "aws:principaltype": kind,
            "aws:principalisawsservice": "false",
            "aws:userid": userid or arn,
            **{f"aws:principaltag/{key.lower()}": value for key, value in (tags or {}).items()},
        }
        if kind == "User":
            keys["aws:username"] = role
        return Principal(Caller(arn, self.state.account, role_arn), role, identity, boundary, session, keys)


def _tags(tags: Any) -> dict[str, str]:
    if isinstance(tags, dict):
        return {key: value["Value"] if isinstance(value, dict) else value for key, value in tags.items()}
    return {tag["Key"]: tag["Value"] for tag in tags or ()}
