"""Fair shares of a cluster, and the board on which jobs say what they could use."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch import shares
from winbatch.errors import JobError
from winbatch.shares import Board, Demand

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)

demands = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(0, 50), max_size=6)


@pytest.mark.parametrize(
    ("capacity", "wanted", "given_"),
    [
        (8, {"a": 6}, {"a": 6}),
        (8, {"a": 12}, {"a": 8}),
        (8, {"a": 6, "b": 6}, {"a": 4, "b": 4}),
        (8, {"a": 6, "b": 1}, {"a": 6, "b": 1}),
        (8, {"a": 10, "b": 10, "c": 2}, {"a": 3, "b": 3, "c": 2}),
        (8, {}, {}),
    ],
)
def test_small_demands_are_met_and_large_ones_share_what_is_left(capacity, wanted, given_):
    assert shares.fair(capacity, wanted) == given_


@given(st.floats(0, 40), demands)
def test_nobody_gets_more_than_wanted_and_nothing_lies_idle_while_somebody_wants_it(capacity, wanted):
    given_ = shares.fair(capacity, wanted)
    assert given_.keys() == wanted.keys()
    assert all(given_[name] <= wanted[name] for name in wanted)
    assert sum(given_.values()) == pytest.approx(min(capacity, sum(wanted.values())))


@given(st.floats(0, 40), demands)
def test_nobody_has_less_than_another_unless_that_is_all_it_wants(capacity, wanted):
    given_ = shares.fair(capacity, wanted)
    for mine in wanted:
        for other in wanted:
            assert given_[mine] >= given_[other] - 1e-6 or given_[mine] == wanted[mine]


def test_the_board_holds_what_was_said_last_and_forgets_who_is_silent():
    board = Board().told("a", 3, NOW).told("b", 2.5, NOW + dt.timedelta(minutes=8))
    later = NOW + dt.timedelta(minutes=11)
    assert board.others("b", NOW) == {"a": 3}
    assert board.others("x", later) == {"b": 2.5}
    assert set(board.told("x", 1, later).demands) == {"b", "x"}
    assert "b" not in board.told("b", 0, later).demands


@pytest.mark.parametrize(
    ("known", "instances", "age", "stale"),
    [(None, 0, 0, False), (None, 2, 0, True), (2, 2, 10, False), (2, 2, 121, True), (2, 3, 0, True), (2, 0, 0, True)],
)
def test_it_is_written_only_when_there_is_something_to_say(known, instances, age, stale):
    board = Board({"a": Demand(known, NOW)} if known is not None else {})
    assert board.stale("a", instances, NOW + dt.timedelta(seconds=age)) is stale


@given(demands)
def test_it_reads_what_it_wrote(wanted):
    board = Board({name: Demand(instances, NOW) for name, instances in wanted.items()})
    assert Board.from_json(board.to_json(), where="x") == board


def test_what_is_no_board_is_named():
    with pytest.raises(JobError, match=r"jobs/shares\.json: not JSON"):
        Board.from_json(b"{", where=shares.KEY)
