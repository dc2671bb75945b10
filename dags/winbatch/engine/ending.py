"""Judges whether a stage ends, and how."""

from collections import Counter
from typing import Literal

from winbatch.engine.model import Limits, Seen, Shards
from winbatch.ledger import Ledger


def verdict(
    limits: Limits, ledger: Ledger, seen: Seen, shards: Shards
) -> tuple[Literal["succeeded", "failed", "cancelled"], str] | None:
    """Say how the stage ends, and why; None while it goes on."""
    if not shards.unfinished and not shards.failed:
        return "succeeded", ""
    if seen.cancelled:
        return "cancelled", "its DAG run ended before it did: somebody stopped it, or one of its Airflow tasks failed"
    enough = len(shards.failed) == len(ledger.explained) or ledger.items_failed > limits.max_failed_items
    if shards.hopeless and ledger.failures and enough:
        first = ledger.failures[0]
        return "failed", (
            f"{len(shards.failed)} shards failed and none succeeded, so more would be a waste; the first item:"
            f" {first.item} ({first.kind}: {first.reason})"
        )
    if ledger.items_failed > limits.max_failed_items:
        first = ledger.failures[0]
        return "failed", (
            f"{ledger.items_failed} items failed for good, the first item {first.item} ({first.kind}: {first.reason});"
            f" max_failed_items is {limits.max_failed_items}"
        )
    if len(shards.failed) > len(ledger.explained):
        return None
    if not shards.unfinished and not ledger.items_done:
        first = ledger.failures[0]
        why = f"the first: {first.item} ({first.kind}: {first.reason})"
        return "failed", f"none of {ledger.items} items succeeded; {why}"
    if not shards.unfinished:
        return "succeeded", f"{ledger.items_failed} items failed"
    if reason := _comes_to_nothing(limits, ledger):
        return "failed", reason
    if ledger.asked_at and not seen.instances and seen.age(ledger.asked_at) > limits.instance_timeout:
        return "failed", (
            f"no instance registered within {limits.instance_timeout.total_seconds():.0f} s (desired: {seen.desired});"
            + (f" AWS says: {ledger.said}" if ledger.said else " look at the Auto Scaling group's activities")
        )
    return None


def _comes_to_nothing(limits: Limits, ledger: Ledger) -> str:
    """Why no ECS task of the stage gets to work; empty while one may.

    What no further attempt mends ends a stage at once, unless others of its ECS tasks got further.
    """
    permanent = next((fault for fault in ledger.faults if fault.advice), None)
    if permanent and not ledger.done and not ledger.tasks_running:
        return f"no ECS task can start: {permanent.reason}; {permanent.advice}"
    counts = Counter(fault.kind for fault in ledger.faults)
    # A host takes all of its ECS tasks with it: that is one.
    counts["host"] = len({fault.at for fault in ledger.faults if fault.kind == "host"})
    for kind, count in counts.items():
        if count >= limits.rules[kind].attempts:
            last = next(fault for fault in reversed(ledger.faults) if fault.kind == kind)
            advice = f"; {last.advice}" if last.advice else ""
            return f"{count} ECS tasks in a row came to nothing ({kind}); the last: {last.reason}{advice}"
    return ""
