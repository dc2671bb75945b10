"""Of failures that are alike some keep their log, so that each cause has one however many fail."""

import datetime as dt

from winbatch import engine
from winbatch.causes import causes
from winbatch.ledger import Ledger
from winbatch.results import ItemFailure
from winbatch.stage import Stage
from winbatch.working import failures
from winbatch.working.failures import Failed, ItemError

STAGE = Stage(
    dag="d", job="j", stage="s", workload="w", run="m:f", manifest="m", claims="c/", partials="p/", results="r/",
    outputs="o/", items=5000, shard_items=1,
)  # fmt: skip


def test_the_ledger_keeps_a_log_of_each_cause():
    ledger = Ledger.begin(STAGE, dt.datetime(2026, 11, 29, tzinfo=dt.UTC))
    for first in (0, 1000):
        some = [
            ItemFailure(n, n, "program", f"s3://b/{n} is gone" if n % 1000 else "exit code 3", (f"log of {n}",))
            for n in range(first, first + 1000)
        ]
        ledger = engine.explained(ledger, range(first, first + 1000), some)
    ledger = Ledger.from_json(ledger.to_json(), where="x")
    assert [failure.item for failure in ledger.failures if failure.log] == [0, 1, 2, 3, 4, 5, 1000]
    found = [(cause.count, cause.items[0], cause.lines) for cause in causes(ledger.failures)]
    assert found == [(1998, 1, ("log of 1",)), (2, 0, ("log of 0",))]


def test_the_ledger_keeps_so_many_logs_and_no_more():
    ledger = Ledger.begin(STAGE, dt.datetime(2026, 11, 29, tzinfo=dt.UTC))
    odd = [ItemFailure(n, n, "program", "x" * n, ("log",)) for n in range(3 * engine.outcomes.LOGS_KEPT)]
    ledger = engine.explained(ledger, range(len(odd)), odd)
    assert sum(bool(failure.log) for failure in ledger.failures) == engine.outcomes.LOGS_KEPT
    assert len(ledger.failures) == len(odd)


def test_a_mark_keeps_a_log_of_each_cause():
    alike = [Failed(n, ItemError(f"{n} is bad"), [f"log of {n}"]) for n in range(100)]
    kind, described = failures.describe([*alike, Failed(100, ItemError("odd"), ["log of 100"])])
    assert kind == "failed"
    assert [entry["item"] for entry in described if entry["log"]] == [0, 1, 2, 3, 4, 100]
