import dataclasses
import datetime as dt

import pytest

from scripts.chaos.checking import Found, Kept, problems
from simulation.stages import make_stage
from winbatch import results
from winbatch.ledger import Ledger
from winbatch.results import ItemFailure, ItemResult

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
STAGE = make_stage(4, job="ill-1", name="work")
PARTIAL = f"{STAGE.partials}000001/00-0000.json"
WELL, ILL = {"ill": 3, "cure": "/"}, {"ill": 3, "cure": "/dev/null/nothing"}


def ledger(**changes):
    return dataclasses.replace(Ledger.begin(STAGE, NOW), **{"state": "succeeded", "items_done": 4} | changes)


def result(shard):
    return results.encode(STAGE, shard, [ItemResult(item, {}, {}) for item in STAGE.shard_lines(shard)])


def partial(*items):
    return results.encode(STAGE, STAGE.shard_of(items[0]), [ItemResult(item, {}, {}) for item in items])


WHOLE = {0: result(0), 1: result(1)}
FAILED = (ItemFailure(item=3, shard=1, kind="program", reason="ill"),)


def said(found, conf=WELL, state="succeeded", *, final=True):
    return [problem.sentence for problem in problems("ill-1", state, [found], conf, final=final)]


def test_a_whole_job_has_no_problem():
    assert said(Found(STAGE, ledger(), WHOLE)) == []


def test_a_job_whose_ill_item_failed_alone_has_none_either():
    told = ledger(state="failed", items_done=3, items_failed=1, failures=FAILED)
    assert said(Found(STAGE, told, {0: result(0)}, {PARTIAL: partial(2)}), ILL, "failed") == []


@pytest.mark.parametrize(
    ("found", "conf", "state", "sentence"),
    [
        (Found(STAGE, ledger(), {0: result(0)}), WELL, "succeeded", "item 2 has no result"),
        (Found(STAGE, ledger(), {0: result(0), 1: b"{"}), WELL, "succeeded", "000001.json"),
        (Found(STAGE, ledger(), {0: result(0), 1: result(0)}), WELL, "succeeded", "000001.json: shard is 0, not 1"),
        (Found(STAGE, ledger(items_done=3), WHOLE), WELL, "succeeded", "3 items are told to be done, and 4 are"),
        (Found(STAGE, ledger(state="running"), WHOLE), WELL, "failed", "told to be running"),
        (Found(STAGE, ledger(), WHOLE), WELL, "failed", "is told to be failed"),
        (Found(STAGE, ledger(), WHOLE), ILL, "succeeded", "item 3 counts, and cannot have been done"),
        (
            Found(STAGE, ledger(state="failed", items_failed=1, failures=FAILED), WHOLE),
            WELL,
            "failed",
            "item 3 counts, and is told to have failed",
        ),
        (
            Found(STAGE, ledger(state="failed", items_done=2, reason="no host"), {0: result(0)}),
            WELL,
            "failed",
            "when nothing went wrong any more; work failed (no host)",
        ),
        (Found(STAGE, ledger(state="failed", items_done=2), {0: result(0)}), ILL, "failed", "ended failed when"),
        (
            Found(STAGE, ledger(), WHOLE, {PARTIAL: partial(2)}),
            WELL,
            "succeeded",
            "item 2 counts twice",
        ),
        (Found(STAGE, ledger(items_failed=1), WHOLE), WELL, "succeeded", "1 items are told to have failed, and 0"),
    ],
)
def test_what_does_not_hold_is_said(found, conf, state, sentence):
    assert any(sentence in each for each in said(found, conf, state))


def test_a_job_that_was_ended_may_lack_what_it_did_not_do_until_it_is_resumed():
    found = Found(STAGE, ledger(state="cancelled", items_done=2), {0: result(0)})
    assert said(found, state="cancelled", final=False) == []
    assert "ended cancelled" in said(found, state="cancelled")[0]


def test_a_result_stays_as_it_is():
    kept = Kept()
    assert kept.look("a/", {"a/0": "x"}) == kept.look("b/", {"b/0": "y"}) == []
    assert kept.look("a/", {"a/0": "x", "a/1": "z"}) == []
    (gone, other) = kept.look("a/", {"a/1": "w"})
    assert "a/0 is gone" in gone.sentence
    assert "a/1 was written over with something else" in other.sentence
    # It is said once.
    assert kept.look("a/", {"a/1": "w"}) == []
