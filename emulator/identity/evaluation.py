"""Whether policies allow what somebody asks for, and in which words AWS refuses.

Source: IAM User Guide, "Policy evaluation logic" (within one account), "Permissions boundaries for IAM entities" and
"Troubleshoot access denied error messages".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from emulator.identity.documents import Caller, Document, Grant, Statement
from emulator.identity.patterns import Keys

NOTHING = Document(())
# Of a principal, until they are gathered anew: policies come and go.
_MOST_CASES = 1_000


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
    _cases: dict[tuple[str, Document | None, bool], Case] = field(default_factory=dict, repr=False, compare=False)

    def case(self, action: str, policy: Document | None, *, policy_decides: bool) -> Case:
        """His case of an action, on what has this policy of its own."""
        key = (action, policy, policy_decides)
        found = self._cases.get(key)
        if found is None:
            if len(self._cases) >= _MOST_CASES:
                self._cases.clear()
            found = self._cases[key] = Case(self, action, policy, policy_decides=policy_decides)
        return found


@dataclass(frozen=True)
class Ask:
    """One action on one resource.

    Attributes:
        action: such as `ecs:RunTask`
        resource: its ARN, or `*` for an action that knows none
        keys: condition keys that the call and the resource have, of those that the action knows; none where no
            statement depends on any
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
        """Say whether nothing refused."""
        return self.why is None


class Case:
    """One action of a principal on what has a certain policy: the statements that concern it, gathered once.

    What becomes of it follows from which of them apply, so that is judged once for each such set, too.

    Attributes:
        asks_keys: whether a statement depends on condition keys at all
        asks_tags: whether one asks for a tag of its resource
    """

    def __init__(self, principal: Principal, action: str, policy: Document | None, *, policy_decides: bool) -> None:
        self._principal = principal
        self._policy_decides = policy_decides
        action = action.lower()
        self._statements: list[tuple[str, Statement, Grant]] = [
            (kind, statement, Grant.NOBODY)
            for kind, document in (
                ("identity", principal.identity),
                ("boundary", principal.boundary),
                ("session", principal.session),
            )
            if document is not None
            for statement in document.about(action)
        ]
        for statement in policy.about(action) if policy is not None else ():
            if (grant := statement.names(principal.caller)) is not Grant.NOBODY:
                self._statements.append(("resource", statement, grant))
        self.asks_keys = any(statement.asks_keys for _, statement, _ in self._statements)
        self.asks_tags = any(statement.asks_tags for _, statement, _ in self._statements)
        self._decisions: dict[tuple[bool, ...], Decision] = {}

    def decide(self, resource: str, keys: Keys) -> Decision:
        """Decide for a resource and the condition keys of a call, which may be none where nothing asks for them."""
        if self.asks_keys:
            keys = {**self._principal.keys, **keys}
        applying = tuple([statement.applies(resource, keys) for _, statement, _ in self._statements])
        decision = self._decisions.get(applying)
        if decision is None:
            decision = self._decisions[applying] = self._judged(applying)
        return decision

    def _judged(self, applying: tuple[bool, ...]) -> Decision:
        """As IAM does: an explicit deny anywhere, what the resource grants by itself, then everybody's leave."""
        found = [one for one, applies in zip(self._statements, applying, strict=True) if applies]
        principal, caller = self._principal, self._principal.caller
        applied: list[tuple[str, str]] = []
        allowing: set[str] = set()
        for kind, explicit in _EXPLICIT.items():
            own = [statement for of, statement, _ in found if of == kind]
            applied += [(kind, statement.id) for statement in own]
            if not all(statement.allows for statement in own):
                return Decision(explicit, tuple(applied))
            if own:
                allowing.add(kind)
        granted = Grant.NOBODY
        for kind, statement, grant in found:
            if kind == "resource":
                applied.append((kind, statement.id))
                if not statement.allows:
                    return Decision(Why.EXPLICIT_RESOURCE, tuple(applied))
                granted = max(granted, grant)
        bounds = [
            why
            for kind, document, why in (
                ("boundary", principal.boundary, Why.NO_BOUNDARY),
                ("session", principal.session, Why.NO_SESSION),
            )
            if document is not None and kind not in allowing
        ]
        why = _verdict(caller, granted, bounds, by_identity="identity" in allowing, by_policy=self._policy_decides)
        return Decision(why, tuple(applied))


_EXPLICIT = {
    "identity": Why.EXPLICIT_IDENTITY,
    "boundary": Why.EXPLICIT_BOUNDARY,
    "session": Why.EXPLICIT_SESSION,
}


def decide(principal: Principal, ask: Ask) -> Decision:
    """Decide once."""
    case = Case(principal, ask.action, ask.policy, policy_decides=ask.policy_decides)
    return case.decide(ask.resource, ask.keys)


def _verdict(caller: Caller, granted: Grant, bounds: list[Why], *, by_identity: bool, by_policy: bool) -> Why | None:
    if by_policy and granted is Grant.NOBODY:
        return Why.NO_RESOURCE
    if caller.kind != "AWS":
        # A service principal and a federated identity have no policies of their own.
        return None if granted is not Grant.NOBODY else Why.NO_RESOURCE
    if granted is Grant.SESSION:
        return None
    if not by_identity and granted < Grant.ROLE:
        return Why.NO_IDENTITY
    return bounds[0] if bounds else None


def refusal(principal: Principal, action: str, resource: str, why: Why) -> str:
    """The sentence in which AWS refuses."""
    on = f'"{resource}"' if action.startswith("s3:") else resource
    reason = why.value.format(action=action)
    return f"User: {principal.caller.arn} is not authorized to perform: {action} on resource: {on} {reason}"
