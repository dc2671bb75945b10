"""What was decided: for each role what was allowed and refused, by which statement, and which nothing has used.

Decisions in which the same statements applied are one entry with one example: taking a statement away changes either
all of them or none, so an example is enough to see what a statement is there for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from emulator.identity.documents import Document
from emulator.identity.evaluation import Ask, Decision, Principal, decide, refusal

_Key = tuple[str, str, Decision]


@dataclass
class _Entry:
    principal: Principal
    ask: Ask
    count: int = 0


class Ledger:
    """Decisions since the start, or since it was cleared. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: dict[_Key, _Entry] = {}
        self._roles: dict[str, Principal] = {}

    def counted(self, principal: Principal, action: str, decision: Decision) -> bool:
        """Count a decision of a kind that was noted before; whether there is such."""
        entry = self._entries.get((principal.role, action, decision))
        if entry is None:
            return False
        entry.count += 1
        self._roles[principal.role] = principal
        return True

    def note(self, principal: Principal, ask: Ask, decision: Decision) -> None:
        """Note the first decision of its kind, with the example that it is."""
        with self._lock:
            entry = self._entries.setdefault((principal.role, ask.action, decision), _Entry(principal, ask))
        entry.count += 1
        self._roles[principal.role] = principal

    def clear(self) -> None:
        """Start from zero."""
        with self._lock:
            self._entries.clear()
            self._roles.clear()

    def page(self, others: Iterator[Principal] | tuple[Principal, ...] = ()) -> dict[str, Any]:
        """What `/_emulator/identity` shows, by role.

        Args:
            others: roles that may not have called at all
        """
        with self._lock:
            entries = dict(self._entries)
        roles = {principal.role: principal for principal in others} | dict(self._roles)
        proven = self._proven(roles, entries)
        page: dict[str, Any] = {}
        for role in sorted(roles):
            allowed: dict[str, Counter[str]] = defaultdict(Counter)
            refused = []
            for (name, action, decision), entry in entries.items():
                if name != role:
                    continue
                for _, statement in decision.applied:
                    allowed[statement][action] += entry.count
                if decision.why is not None:
                    words = refusal(entry.principal, action, entry.ask.resource, decision.why)
                    refused.append(
                        {"action": action, "resource": entry.ask.resource, "why": words, "count": entry.count}
                    )
            statements = [statement for _, statement in _statements(roles[role])]
            page[role] = {
                "used": {statement: dict(counts) for statement, counts in sorted(allowed.items())},
                "refused": refused,
                "unused": [statement for statement in statements if statement not in allowed],
                "unproven": [statement for statement in statements if (role, statement) not in proven],
                "proven": [statement for statement in statements if (role, statement) in proven],
            }
        return page

    @staticmethod
    def _proven(roles: dict[str, Principal], entries: dict[_Key, _Entry]) -> set[tuple[str, str]]:
        """The statements without which something would have been decided otherwise."""
        proven = set()
        for (name, _, decision), entry in entries.items():
            for kind, statement in decision.applied:
                if kind not in {"identity", "boundary"} or (name, statement) in proven:
                    continue
                principal = entry.principal
                if kind == "identity":
                    without = replace(principal, identity=principal.identity.without(statement))
                else:
                    assert principal.boundary is not None
                    without = replace(principal, boundary=principal.boundary.without(statement))
                if decide(without, entry.ask).allowed != decision.allowed:
                    proven.add((name, statement))
        return {(name, statement) for name, statement in proven if name in roles}


def _statements(principal: Principal) -> Iterator[tuple[str, str]]:
    for kind in ("identity", "boundary"):
        document: Document | None = getattr(principal, kind)
        for statement in document.statements if document else ():
            yield kind, statement.id
