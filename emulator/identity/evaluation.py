"""Whether policies allow what somebody asks for, and in which words AWS refuses.

Source: IAM User Guide, "Policy evaluation logic" (within one account), "Permissions boundaries for IAM entities" and
"Troubleshoot access denied error messages".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from emulator.identity.documents import Caller, Document, Grant, Statement
from emulator.identity.patterns import Keys

NOTHING = Document(())


@dataclass(frozen=True)
class Principal:
    """A caller with all policies that are his.

    Attributes:
        caller: as policies name him
        identity: what his role or user has, all policies as one
        boundary: what bounds it; None: nothing does
        session: what bounds the session; None: nothing does
        role: the name of the role, the user, or the service
        keys: condition keys of his own, such as `aws:principalarn`
    """

    caller: Caller
    role: str
    identity: Document = NOTHING
    boundary: Document | None = None
    session: Document | None = None
    keys: Keys = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """One action on one resource.

    Attributes:
        action: such as `ecs:RunTask`
        resource: its ARN, or `*` for an action that knows none
        keys: condition keys that the call and the resource have, of those that the action knows
        policy: the resource's own policy
        policy_decides: without a word of the resource's policy nobody may: KMS keys, roles to be assumed
    """

    action: str
    resource: str
    keys: Keys
    policy: Document | None = None
    policy_decides: bool = False


class Why(Enum):
    """What refused, in AWS's words."""

    EXPLICIT_IDENTITY = "with an explicit deny in an identity-based policy"
    EXPLICIT_BOUNDARY = "with an explicit deny in a permissions boundary"
    EXPLICIT_SESSION = "with an explicit deny in a session policy"
    EXPLICIT_RESOURCE = "with an explicit deny in a resource-based policy"
    NO_IDENTITY = "because no identity-based policy allows the {action} action"
    NO_BOUNDARY = "because no permissions boundary allows the {action} action"
    NO_SESSION = "because no session policy allows the {action} action"
    NO_RESOURCE = "because no resource-based policy allows the {action} action"


@dataclass(frozen=True)
class Decision:
    """What became of an ask.

    Attributes:
        why: what refused; None: it is allowed
        applied: the ids of the statements that applied, each with whose it is: `identity`, `boundary`, `session` or
            `resource`
    """

    why: Why | None
    applied: tuple[tuple[str, str], ...]

    @property
    def allowed(self) -> bool:
        return self.why is None


def decide(principal: Principal, ask: Ask) -> Decision:
    """Decide as IAM does: an explicit deny anywhere, what the resource grants by itself, then everybody's leave."""
    action = ask.action.lower()
    keys: Keys = {**principal.keys, **ask.keys}
    applied: list[tuple[str, str]] = []

    def hits(kind: str, document: Document) -> tuple[bool, bool]:
        """Whether a policy denies, and whether it allows."""
        denied = allowed = False
        for statement in document.about(action):
            if statement.applies(ask.resource, keys):
                applied.append((kind, statement.id))
                denied, allowed = denied or not statement.allows, allowed or statement.allows
        return denied, allowed

    denied, by_identity = hits("identity", principal.identity)
    if denied:
        return Decision(Why.EXPLICIT_IDENTITY, tuple(applied))
    bounds = []
    for kind, document, explicit, implicit in (
        ("boundary", principal.boundary, Why.EXPLICIT_BOUNDARY, Why.NO_BOUNDARY),
        ("session", principal.session, Why.EXPLICIT_SESSION, Why.NO_SESSION),
    ):
        if document is not None:
            denied, allowed = hits(kind, document)
            if denied:
                return Decision(explicit, tuple(applied))
            if not allowed:
                bounds.append(implicit)
    granted = Grant.NOBODY
    if ask.policy is not None:
        for statement, grant in _of_resource(ask, action, principal.caller, keys):
            applied.append(("resource", statement.id))
            if not statement.allows:
                return Decision(Why.EXPLICIT_RESOURCE, tuple(applied))
            granted = max(granted, grant)
    return Decision(_verdict(ask, principal.caller, granted, bounds, by_identity=by_identity), tuple(applied))


def _of_resource(ask: Ask, action: str, caller: Caller, keys: Keys) -> Iterator[tuple[Statement, Grant]]:
    assert ask.policy is not None
    for statement in ask.policy.about(action):
        grant = statement.names(caller)
        if grant is not Grant.NOBODY and statement.applies(ask.resource, keys):
            yield statement, grant


def _verdict(ask: Ask, caller: Caller, granted: Grant, bounds: list[Why], *, by_identity: bool) -> Why | None:
    if ask.policy_decides and granted is Grant.NOBODY:
        return Why.NO_RESOURCE
    if caller.kind != "AWS":
        # A service principal and a federated identity have no policies of their own.
        return None if granted is not Grant.NOBODY else Why.NO_RESOURCE
    if granted is Grant.SESSION:
        return None
    if not by_identity and granted < Grant.ROLE:
        return Why.NO_IDENTITY
    return bounds[0] if bounds else None


def refusal(principal: Principal, ask: Ask, why: Why) -> str:
    """The sentence in which AWS refuses."""
    resource = f'"{ask.resource}"' if ask.action.startswith("s3:") else ask.resource
    reason = why.value.format(action=ask.action)
    return f"User: {principal.caller.arn} is not authorized to perform: {ask.action} on resource: {resource} {reason}"
