import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch import attempts
from winbatch.attempts import ENDS, LAST_ATTEMPT, POLICY, Record, Rule, claimable, histories, reopening
from winbatch.errors import JobError
from winbatch.stage import ClaimMark

T = dt.datetime(2026, 11, 22, 19, 0, tzinfo=dt.UTC)
TASK = "arn:aws:ecs:eu-central-1:123456789012:task/winbatch-local/0123456789abcdef"
HOUR = dt.timedelta(hours=1)
# A policy that never gives up, so that what only the protocol says is seen.
PATIENT = {kind: Rule(1000, 0) for kind in POLICY}


def after(seconds):
    return (T + dt.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


# -- what is told of an item


def claim(at=0):
    return {"task": TASK, "at": after(at)}


def failed(*items, at=9, code=None):
    failures = [{"item": item, "error": "boom", "exit_code": code, "log": [f"last words of {item}"]} for item in items]
    return {"task": TASK, "at": after(at), "failures": failures}


def tried(item, *marks, done_at=None):
    """The attempts for marks given as (attempt, kind, body)."""
    records = {
        ClaimMark(1, number, kind): Record.decode(json.dumps(body).encode(), where="c/") for number, kind, body in marks
    }
    return attempts.told(item, records, done_at=done_at)


def test_nothing_was_tried_before_the_first_claim():
    assert tried(5) == []


def test_a_claim_without_an_end_is_at_work():
    (attempt,) = tried(5, (0, "claim", claim()))
    assert (attempt.number, attempt.task, attempt.outcome) == (0, TASK, "at work")
    assert attempt.ended_at is None


def test_a_result_ends_the_last_attempt():
    first, last = tried(
        5,
        (0, "claim", claim()),
        (0, "released", {"reason": "its ECS task is gone", "at": after(5)}),
        (1, "claim", claim(6)),
        done_at=T + dt.timedelta(seconds=8),
    )
    assert (first.outcome, first.reason) == ("given back", "its ECS task is gone")
    assert (last.outcome, last.ended_at) == ("done", T + dt.timedelta(seconds=8))


RELEASED = {"reason": "the worker was told to stop (SIGTERM)", "at": after(9)}


def test_an_attempt_whose_result_came_while_it_was_given_back_is_done():
    """A worker that is told to stop gives its claims back while results are on their way to S3."""
    (attempt,) = tried(5, (0, "claim", claim()), (0, "released", RELEASED), done_at=T + dt.timedelta(seconds=9))
    assert (attempt.outcome, attempt.reason, attempt.ended_at) == ("done", "", T + dt.timedelta(seconds=9))


@pytest.mark.parametrize(("kind", "outcome"), [("crash", "crashed"), ("invalid", "invalid result"), ("lost", "lost")])
@pytest.mark.parametrize("released", [[], [(0, "released", RELEASED)]])
def test_a_result_beside_what_the_engine_says_of_the_attempt_is_not_its_own(kind, outcome, released):
    (attempt,) = tried(5, (0, "claim", claim()), (0, kind, {"reason": "r", "at": after(9)}), *released, done_at=T)
    assert attempt.outcome == outcome


@pytest.mark.parametrize(
    ("kind", "code", "outcome", "reason"),
    [
        ("failed", None, "failed", "boom"),
        ("failed", 3, "failed", "boom (exit code 3)"),
        ("memory", None, "out of memory", "boom"),
    ],
)
def test_a_failure_names_its_reason_and_keeps_its_last_words(kind, code, outcome, reason):
    (attempt,) = tried(5, (0, "claim", claim()), (0, kind, failed(4, 5, code=code)))
    assert (attempt.outcome, attempt.reason, attempt.kept) == (outcome, reason, ("last words of 5",))


def test_an_item_whose_neighbour_failed_is_done():
    (attempt,) = tried(5, (0, "claim", claim()), (0, "failed", failed(4)))
    assert (attempt.outcome, attempt.kept) == ("done", ())


def test_a_failure_that_may_be_tried_again_is_a_failure():
    """The engine gives the attempt back after it failed; how it ended is that it failed."""
    (attempt,) = tried(
        5, (0, "claim", claim()), (0, "failed", failed(5)), (0, "released", {"reason": "again", "at": after(11)})
    )
    assert attempt.outcome == "failed"


@pytest.mark.parametrize(("kind", "outcome"), [("crash", "crashed"), ("invalid", "invalid result"), ("lost", "lost")])
def test_what_the_engine_says_of_an_attempt_wins_over_its_release(kind, outcome):
    said = {"reason": "exit code 139", "at": after(9)}
    (attempt,) = tried(5, (0, "claim", claim()), (0, "released", {"reason": "again", "at": after(11)}), (0, kind, said))
    assert (attempt.outcome, attempt.reason) == (outcome, "exit code 139")


@given(
    st.lists(st.sampled_from(["failed", "memory", "crash", "invalid", "lost", "released"]), max_size=6), st.booleans()
)
def test_every_attempt_is_told_once_and_in_order(ends, done):
    marks = []
    for number, kind in enumerate(ends):
        body = failed(5) if kind in {"failed", "memory"} else {"reason": "r", "at": after(9)}
        marks += [(number, "claim", claim()), (number, kind, body)]
    marks.append((len(ends), "claim", claim(20)))
    told = tried(5, *reversed(marks), done_at=T if done else None)
    assert [attempt.number for attempt in told] == list(range(len(ends) + 1))
    assert told[-1].outcome == ("done" if done else "at work")
    assert all(attempt.outcome not in {"done", "at work"} for attempt in told[:-1])


# -- what becomes of a shard

KINDS = ["claim", *ENDS, "released"]


def history(*kinds, shard=0):
    """The history of a shard whose attempts have left these records, each a string of kinds."""
    marks = [ClaimMark(shard, number, kind) for number, some in enumerate(kinds) for kind in some.split()]
    return histories((mark, T) for mark in marks)[shard]


# As workers and engine write them: each attempt is claimed after the one before it was released.
lives = st.lists(
    st.sampled_from(["claim released", *(f"claim {kind} released" for kind in ENDS)]), max_size=LAST_ATTEMPT
)
last_words = st.sampled_from(["claim", "claim released", *(f"claim {kind}" for kind in ENDS)])


@given(lives, last_words)
def test_engine_and_worker_agree_on_what_is_free(earlier, last):
    """One that the engine counts as free and no worker may claim would keep its stage at work for ever."""
    known = history(*earlier, last)
    judged = known.judge(PATIENT)
    assert (judged.state == "free") == (known.next(has_result=False) is not None)
    assert (judged.state == "open") == (last == "claim")


@given(lives, last_words, st.sampled_from(KINDS))
def test_a_record_that_comes_once_more_changes_nothing(earlier, last, kind):
    known = history(*earlier, last)
    before = (known.judge(PATIENT), known.next(has_result=False))
    if kind in known.attempts[known.last.attempt]:
        known.add(ClaimMark(0, known.last.attempt, kind), T)
    assert (known.judge(PATIENT), known.next(has_result=False)) == before


def test_a_shard_that_has_used_up_its_numbers_has_failed():
    """No worker may claim a hundred and first attempt, so that nobody waits for one."""
    known = history(*["claim released"] * (LAST_ATTEMPT + 1))
    assert known.next(has_result=False) is None
    assert (known.judge(PATIENT).state, known.judge(PATIENT).cause) == ("failed", "host")


@pytest.mark.parametrize(("kind", "end"), ENDS.items())
def test_each_kind_of_end_is_met_by_its_own_rule(kind, end):
    rules = {**PATIENT, end.cause: Rule(2, 60)}
    waits = history(f"claim {kind}").judge(rules)
    assert (waits.state, waits.mark, waits.cause) == ("waits", ClaimMark(0, 0, "released"), end.cause)
    assert waits.due == T + dt.timedelta(seconds=60)
    failed = history(f"claim {kind} released", f"claim {kind}").judge(rules)
    assert (failed.state, failed.mark, failed.cause) == ("failed", ClaimMark(0, 1, kind), end.cause)
    assert history(f"claim {kind} released", f"claim {kind}").judge(rules, rounds=2).state == "waits"


@given(st.permutations(list(ENDS)))
def test_of_several_ends_the_first_of_the_table_counts(order):
    """A program's failure stays one, though its host went away a moment later."""
    known = history("claim " + " ".join(order))
    assert known.cause(0) == "program"
    assert known.last.kind == "failed"


def test_a_result_that_is_none_is_marked_once():
    assert history("claim").judge(PATIENT, broken=True).state == "broken"
    assert history("claim").judge(PATIENT, broken=True).mark == ClaimMark(0, 0, "invalid")
    # Another attempt's has been marked: whoever is at work now may mend it.
    assert history("claim invalid released", "claim").judge(PATIENT, broken=True).state == "open"


@given(st.dictionaries(st.integers(0, 5), st.tuples(lives, last_words), max_size=5))
def test_whatever_became_of_a_stage_reopening_lets_each_shard_be_claimed_again(shards):
    marks = {
        ClaimMark(shard, number, kind)
        for shard, (earlier, last) in shards.items()
        for number, some in enumerate([*earlier, last])
        for kind in some.split()
    }
    again = {*marks, *reopening(marks)}
    used_up = {shard for shard, (earlier, _) in shards.items() if len(earlier) == LAST_ATTEMPT}
    assert {mark.shard for mark in claimable(6, set(), again)} == set(range(6)) - used_up
    assert {*reopening(again)} <= again


# -- what records hold


def test_a_claim_names_its_owner_and_is_known_by_its_bytes():
    body = attempts.encode_worker(TASK, T)
    assert Record.decode(body, where="c/") == Record(T, TASK)
    assert attempts.encode_worker(TASK, T + dt.timedelta(microseconds=1)) != body


def test_a_failure_names_its_items():
    body = attempts.encode_worker(TASK, T, [{"item": 5, "error": "boom", "exit_code": 3, "log": ["last words"]}])
    (failure,) = Record.decode(body, where="c/").failures
    assert failure == (5, "boom", 3, ("last words",))


def test_what_the_engine_writes_says_why():
    assert Record.decode(attempts.encode_reason("its host went away", T), where="c/").reason == "its host went away"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"at": 5}', b'{"at": "yesterday"}', b"\xff", b'{"at": null}']
    + [
        json.dumps({"at": after(0), "failures": bad}).encode()
        for bad in (5, "x", [5], [{}], [{"item": "x", "error": ""}], [{"item": None, "error": ""}])
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused_in_a_line_that_names_it(body):
    with pytest.raises(JobError, match=r"^s3://b/c/000001/00.claim: not a record of this release .*remove it$"):
        Record.decode(body, where="s3://b/c/000001/00.claim")
