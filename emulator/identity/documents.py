"""Policy documents, compiled once: which statements concern an action, and which of those apply to a request.

Source: IAM User Guide, "IAM JSON policy elements reference".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import Any

from emulator.identity.conditions import Condition
from emulator.identity.patterns import Keys, UnresolvedError, arn_like, arns_like, has_variables, like, resolved


class Grant(IntEnum):
    """How directly a resource's policy names its caller; what is named more closely is bound by less."""

    NOBODY = 0
    # The account: then its own policies decide.
    ACCOUNT = 1
    # The role itself, or everybody: what bounds the role still holds.
    ROLE = 2
    # The session, the user, the service: nothing else is asked.
    SESSION = 3


@dataclass(frozen=True)
class Caller:
    """Who calls, as policies name it.

    Attributes:
        arn: of the session, the user, the service principal's name, or the identity provider
        account: of a principal in an account; empty for services
        role_arn: what the session is of; the same as `arn` for a user
        kind: `AWS`, `Service` or `Federated`, as Principal elements have it
    """

    arn: str
    account: str
    role_arn: str
    kind: str = "AWS"


@dataclass(frozen=True)
class Statement:
    """One compiled statement.

    Attributes:
        id: the policy's name and the statement's Sid, or its number in the policy
        allows: Effect is Allow
    """

    id: str
    allows: bool
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[str, ...]
    not_resources: bool
    resources_literal: bool
    conditions: tuple[Condition, ...]
    principals: Mapping[str, tuple[str, ...]] | None
    not_principals: bool

    @property
    def asks_keys(self) -> bool:
        """Say whether it depends on condition keys at all."""
        return bool(self.conditions) or not self.resources_literal

    @property
    def asks_tags(self) -> bool:
        """Whether it asks for a tag of its resource."""
        texts = (*self.resources, *(text for one in self.conditions for text in (one.key, *one.wanted)))
        return any("resourcetag/" in text.lower() or "buckettag/" in text.lower() for text in texts)

    def about(self, action: str) -> bool:
        """Whether it concerns an action, which is in lower case."""
        return any(like(pattern, action) for pattern in self.actions) != self.not_actions

    def applies(self, resource: str, keys: Keys) -> bool:
        """Whether it applies to what an action that it concerns is done to."""
        return self._covers(resource, keys) and all(condition.holds(keys) for condition in self.conditions)

    def names(self, caller: Caller) -> Grant:
        """How closely it names a caller; for a policy of a resource."""
        if self.principals is None:
            return Grant.NOBODY
        found = Grant.NOBODY
        for text in self.principals.get(caller.kind, ()):
            found = max(found, _named(text, caller))
        if "*" in self.principals.get("AWS", ()) and found is Grant.NOBODY and not self.not_principals:
            found = Grant.ROLE  # everybody, also services
        if self.not_principals:
            return Grant.ROLE if found is Grant.NOBODY else Grant.NOBODY
        return found

    def _covers(self, resource: str, keys: Keys) -> bool:
        if self.resources_literal:
            return (self._literal.fullmatch(resource) is not None) != self.not_resources
        for pattern in self.resources:
            try:
                if pattern == "*" or arn_like(resolved(pattern, keys), resource):
                    return not self.not_resources
            except UnresolvedError:
                continue
        return self.not_resources

    @cached_property
    def _literal(self) -> re.Pattern[str]:
        return arns_like(self.resources)


def _named(text: str, caller: Caller) -> Grant:
    if text == "*":
        return Grant.ROLE
    if (
        text in {caller.account, re.sub(r"^(arn:[^:]+:iam::\d{12}):.*$", r"\1:root", caller.role_arn)}
        and caller.account
    ):
        return Grant.ACCOUNT
    if text == caller.arn:
        return Grant.SESSION
    return Grant.ROLE if text == caller.role_arn else Grant.NOBODY


@dataclass(frozen=True, eq=False)
class Document:
    """A compiled policy."""

    statements: tuple[Statement, ...]
    _by_action: dict[str, tuple[Statement, ...]] = field(default_factory=dict, repr=False)

    def about(self, action: str) -> tuple[Statement, ...]:
        """The statements that concern an action, which is in lower case; those that deny first."""
        found = self._by_action.get(action)
        if found is None:
            concerned = (statement for statement in self.statements if statement.about(action))
            found = self._by_action[action] = tuple(sorted(concerned, key=lambda statement: statement.allows))
        return found

    def without(self, statement_id: str) -> Document:
        """The same without one statement."""
        return Document(tuple(statement for statement in self.statements if statement.id != statement_id))


@lru_cache(maxsize=512)
def compiled(text: str, name: str = "policy") -> Document:
    """A policy, compiled; the same text only once.

    Args:
        text: its JSON
        name: what its statements' ids begin with

    Raises:
        ValueError: it is no policy
    """
    try:
        document = json.loads(text)
        listed = _list(document["Statement"])
        variables = document.get("Version", "2008-10-17") >= "2012-10-17"
        return Document(tuple(_statements(listed, name, variables=variables)))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{name} is no policy: {error!r}") from error


@lru_cache(maxsize=512)
def merged(*documents: Document) -> Document:
    """Several policies of a kind as one: an identity's; of the same ones the same."""
    return Document(tuple(statement for document in documents for statement in document.statements))


def _statements(listed: list[Mapping[str, Any]], name: str, *, variables: bool) -> Iterator[Statement]:
    for number, given in enumerate(listed):
        actions, not_actions = _element(given, "Action")
        resources, not_resources = _element(given, "Resource")
        principals, not_principals = _principals(given)
        yield Statement(
            id=f"{name}#{given.get('Sid') or number}",
            allows=given["Effect"] == "Allow",
            # IAM compares actions without regard to case.
            actions=tuple(action.lower() for action in actions),
            not_actions=not_actions,
            # A role's trust policy has no resource: it is the role.
            resources=resources or ("*",),
            not_resources=not_resources,
            resources_literal=not variables or not any(map(has_variables, resources)),
            conditions=tuple(
                Condition.of(operator, key, _list(values), variables=variables)
                for operator, keys in given.get("Condition", {}).items()
                for key, values in keys.items()
            ),
            principals=principals,
            not_principals=not_principals,
        )


def _element(given: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], bool]:
    negated = f"Not{name}" in given
    return tuple(map(str, _list(given.get(f"Not{name}" if negated else name, [])))), negated


def _principals(given: Mapping[str, Any]) -> tuple[Mapping[str, tuple[str, ...]] | None, bool]:
    negated = "NotPrincipal" in given
    value = given.get("NotPrincipal" if negated else "Principal")
    if value is None:
        return None, negated
    if value == "*":
        return {"AWS": ("*",)}, negated
    return {kind: tuple(map(str, _list(names))) for kind, names in value.items()}, negated


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
