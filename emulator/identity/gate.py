"""Each request, decided: who calls, what it takes, whether he may, and the refusal in AWS's words if not."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from moto.utilities.utils import get_partition
from werkzeug.wrappers import Request, Response

from emulator import answers
from emulator.calls import Call
from emulator.http import Environ
from emulator.identity import mapping, reference
from emulator.identity.documents import compiled
from emulator.identity.evaluation import Ask, Decision, Principal, refusal
from emulator.identity.ledger import Ledger
from emulator.identity.mapping.world import Need, Place
from emulator.identity.patterns import Keys, Value
from emulator.identity.principals import ExpiredKeyError, NoKeyError, Principals, UnknownKeyError
from emulator.identity.state import State
from emulator.routes import Routes, json_response

log = logging.getLogger(__name__)

# What the global keys are of a caller on this machine. Loopback cannot be listened to, which is what TLS is for.
_ALWAYS: Mapping[str, Value] = {
    "aws:securetransport": "true",
    "aws:sourceip": "127.0.0.1",
    "aws:viaawsservice": "false",
    "s3:tlsversion": "1.3",
    "s3:signatureversion": "AWS4-HMAC-SHA256",
}
_TAG_KEYS = ("aws:resourcetag/", "{}:resourcetag/", "s3:buckettag/")
# Where a request carries what of it is refused, and the access key of who sent it: moto takes AWS's own for keys only.
DENIED = "winbatch.denied"
CALLER = "winbatch.caller"


@dataclass(frozen=True)
class Refused(Exception):  # noqa: N818 - what became of it, is its name
    """Somebody may not: who, what, and why."""

    principal: Principal
    need: Need
    decision: Decision

    def __str__(self) -> str:
        assert self.decision.why is not None
        return refusal(self.principal, self.need.action, self.need.resource, self.decision.why)


class Identity:
    """IAM of the emulator's account.

    Args:
        account: its number
        region: of the environment
        routes: for `/_emulator/identity`
        mode: `off` decides nothing, `observe` decides and lets everything pass, `enforce` refuses
    """

    def __init__(self, account: str, region: str, routes: Routes, mode: str) -> None:
        self.state = State(account, get_partition(region))
        self.principals = Principals(self.state)
        self.ledger = Ledger()
        self.mode = mode
        self._region = region
        routes.add("identity", self._respond)

    # --- requests

    def refusal(self, call: Call, environ: Environ) -> Response | None:
        """The answer to a call whose caller may not; None when he may.

        Raises:
            NotImplementedError: what the call takes is not known
        """
        environ[CALLER] = call.access_key
        if self.mode == "off":
            return None
        try:
            principal = self._caller(call, environ)
        except (NoKeyError, UnknownKeyError, ExpiredKeyError) as error:
            return _unauthenticated(call, error) if self.mode == "enforce" else None
        if principal is None:
            return None
        place = self._place(call.region)
        try:
            needs = mapping.needs(call, place, self.state)
        except NotImplementedError as error:
            if self.mode == "enforce":
                raise
            log.warning("identity: %s", error)
            return None
        try:
            if call.operation == "DeleteObjects":
                environ[DENIED] = frozenset(self._denied(principal, needs, place))
                return None
            for need in needs:
                self._require(principal, need, place)
            self._hide_missing(principal, call, place)
        except Refused as error:
            return _refused(call, error) if self.mode == "enforce" else None
        return None

    def _caller(self, call: Call, environ: Environ) -> Principal | None:
        if call.service == "sts" and call.operation == "AssumeRoleWithWebIdentity":
            return self._web_identity(call.parameters)
        if (
            call.access_key is None
            and "HTTP_AUTHORIZATION" not in environ
            and call.service == "sns"
            and call.operation == "ConfirmSubscription"
        ):
            return None  # whoever has the token, may
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
        if token is None and "X-Amz-Security-Token" in (query := environ.get("QUERY_STRING", "")):
            token = parse_qs(query).get("X-Amz-Security-Token", [None])[0]
        return self.principals.of(call.access_key, token)

    def _web_identity(self, parameters: Mapping[str, Any]) -> Principal:
        """Who a web identity's token says it is. Nobody checks its signature: the emulator plays the provider, too."""
        try:
            part = parameters["WebIdentityToken"].split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            issuer = claims["iss"].removeprefix("https://")
        except (IndexError, KeyError, ValueError) as error:
            raise UnknownKeyError("no web identity token") from error
        provider = f"arn:{self.state.partition}:iam::{self.state.account}:oidc-provider/{issuer}"
        keys = {f"{issuer}:{name}".lower(): str(value) for name, value in claims.items()}
        return self.principals.federated(provider, {**keys, "aws:federatedprovider": provider})

    def _denied(self, principal: Principal, needs: list[Need], place: Place) -> Iterator[str]:
        """What of many may not be deleted: S3 deletes the rest, and says so of each."""
        for need in needs:
            try:
                self.require(principal, need, place.region)
            except Refused:
                yield need.resource

    def _hide_missing(self, principal: Principal, call: Call, place: Place) -> None:
        """Who may not list a bucket does not learn that an object is missing.

        Source: S3 API reference, GetObject and HeadObject, Permissions; that the key counts as the prefix:
        ceph/ceph#68577.
        """
        if call.service != "s3" or call.operation not in {"GetObject", "HeadObject"}:
            return
        bucket, key = call.parameters["Bucket"], call.parameters["Key"]
        if not self.state.has_object(bucket, key, call.parameters.get("VersionId")):
            arn = f"arn:{place.partition}:s3:::{bucket}"
            self._require(principal, Need("s3:ListBucket", "bucket", arn, {"s3:prefix": key}), place)

    # --- what the emulator itself does as somebody

    def acting(self, role: str, session: str) -> Acting | None:
        """What happens in a role's name without a request: None where the role does not exist.

        Args:
            role: its name or ARN
            session: the name of the session
        """
        found = self.state.role(role)
        return None if found is None else Acting(self, self.principals.of_role(found, session))

    def service(self, name: str, *, source: str = "") -> Acting:
        """A service in its own name, on behalf of a resource of the account."""
        keys = {
            "aws_SourceAccount": self.state.account,
            "aws_SourceOwner": self.state.account,
            **({"aws_SourceArn": source} if source else {}),
        }
        return Acting(self, self.principals.service(name, **keys))

    def service_role(self, service: str, name: str) -> Acting:
        """A service by the role that it has made for itself."""
        return Acting(self, self.principals.service_role(service, name))

    def require(self, principal: Principal, need: Need, region: str = "") -> None:
        """Decide and note; in `observe` and `off` everything passes.

        Raises:
            Refused: he may not
        """
        if self.mode == "off":
            return
        try:
            self._require(principal, need, self._place(region))
        except Refused:
            if self.mode == "enforce":
                raise

    def _require(self, principal: Principal, need: Need, place: Place) -> None:
        policy, decides = self.state.policy(need.resource) if need.resource != "*" else (None, False)
        if need.action.startswith("sts:AssumeRole"):
            role = self.state.role(need.resource)
            policy = compiled(role.assume_role_policy_document, "trust") if role else None
            decides = True
        case = principal.case(need.action, policy, policy_decides=decides)
        # Most statements have no condition, and most calls meet no other: then there is nothing to be gathered.
        keys = self._keys(need, place, tags=case.asks_tags) if case.asks_keys else {}
        decision = case.decide(need.resource, keys)
        if not self.ledger.counted(principal, need.action, decision):
            ask = Ask(need.action, need.resource, keys, policy, policy_decides=decides)
            self.ledger.note(principal, ask, decision)
        if not decision.allowed:
            raise Refused(principal, need, decision)
        if need.action == "iam:CreateServiceLinkedRole":
            self.state.make_service_role(str(need.keys["iam:awsservicename"]))

    def _keys(self, need: Need, place: Place, *, tags: bool) -> Keys:
        """The condition keys of a call and its resource that the action knows; the resource's tags, if asked for."""
        keys = {**_ALWAYS, **_now(), "aws:requestedregion": place.region, **need.keys}
        if need.type == "key" and need.action.startswith("kms:"):
            keys["kms:calleraccount"] = self.state.account
            if aliases := self.state.key_aliases(need.resource):
                keys["kms:resourcealiases"] = aliases
        if need.resource != "*":
            keys["aws:resourceaccount"] = self.state.account
            if tags:
                keys |= _tag_keys(need.action.partition(":")[0], self.state.tags(need.resource))
        return reference.lawful(need.action, need.type).of(keys)

    def _place(self, region: str) -> Place:
        return Place(self.state.partition, region or self._region, self.state.account)

    def _respond(self, request: Request, rest: str) -> Response:  # noqa: ARG002
        """GET shows for each role what was allowed and refused, and what nothing has used; DELETE starts from zero."""
        roles = (self.principals.of_role(role, "-") for role in self.state.roles())
        page = {"mode": self.mode, "roles": self.ledger.page(roles)}
        if request.method == "DELETE":
            self.ledger.clear()
        return json_response(page)


@dataclass(frozen=True)
class Acting:
    """Somebody in whose name the emulator does something."""

    identity: Identity
    principal: Principal

    def require(
        self, action: str, resource: str = "*", kind: str | None = None, region: str = "", **keys: Value
    ) -> None:
        """See that he may; keys are written with `_` for `:` where their first one stands.

        Raises:
            Refused: he may not
        """
        own = {key.replace("_", ":", 1).replace("__", "/").lower(): value for key, value in keys.items()}
        self.identity.require(self.principal, Need(action, kind, resource, own), region)


_clock: tuple[int, Mapping[str, Value]] = (0, {})


def _now() -> Mapping[str, Value]:
    global _clock  # noqa: PLW0603 - the last second's text, made once
    second = int(time.time())
    if _clock[0] != second:
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        _clock = (second, {"aws:currenttime": text, "aws:epochtime": str(second)})
    return _clock[1]


def _tag_keys(service: str, tags: Mapping[str, str]) -> dict[str, Value]:
    return {form.format(service) + name.lower(): value for name, value in tags.items() for form in _TAG_KEYS}


def _refused(call: Call, error: Refused) -> Response:
    text = str(error)
    if call.service == "ec2":
        # Source: EC2 API reference, "Client error codes"; the encoded part needs sts:DecodeAuthorizationMessage.
        return answers.refusal(
            call, "UnauthorizedOperation", f"You are not authorized to perform this operation. {text}", 403
        )
    if call.protocol in {"query", "rest-xml"}:
        return answers.refusal(call, "AuthorizationError" if call.service == "sns" else "AccessDenied", text, 403)
    # rest-json's errors are 403, those of AWS JSON 400 (Smithy, awsJson1_1).
    return answers.refusal(call, "AccessDeniedException", text, 403 if call.protocol == "rest-json" else 400)


def _unauthenticated(call: Call, error: Exception) -> Response:
    """Source: the services' lists of common errors."""
    if isinstance(error, NoKeyError):
        if call.service == "s3":
            return answers.refusal(call, "AccessDenied", "Access Denied", 403)
        if call.protocol == "ec2":
            return answers.refusal(call, "MissingParameter", "The request must contain the parameter AWSAccessKeyId")
        code = "MissingAuthenticationToken" if call.protocol == "query" else "MissingAuthenticationTokenException"
        return answers.refusal(call, code, "Request is missing Authentication Token", 403)
    if isinstance(error, ExpiredKeyError):
        code, status = {"s3": ("ExpiredToken", 400), "ec2": ("RequestExpired", 400)}.get(
            call.service, ("ExpiredToken", 403) if call.protocol == "query" else ("ExpiredTokenException", 400)
        )
        return answers.refusal(call, code, "The security token included in the request is expired", status)
    if call.service == "s3":
        words = "The AWS Access Key Id you provided does not exist in our records."
        return answers.refusal(call, "InvalidAccessKeyId", words, 403)
    if call.protocol == "ec2":
        words = "AWS was not able to validate the provided access credentials"
        return answers.refusal(call, "AuthFailure", words, 401)
    words = "The security token included in the request is invalid."
    code, status = ("InvalidClientTokenId", 403) if call.protocol == "query" else ("UnrecognizedClientException", 400)
    return answers.refusal(call, code, words, status)
