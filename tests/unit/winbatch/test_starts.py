import datetime as dt
import itertools
import json

import pytest

from simulation.clock import START
from winbatch.starts import Start

BEGUN = "2026-11-22T19:00:00.000Z"
LATER = START + dt.timedelta(hours=1)
# Each is one that somebody has asked for after those before it.
IN_TURN = [
    Start(BEGUN, START, 0),
    Start(BEGUN, START, 1),
    Start(BEGUN, LATER, 2),
    Start("2026-11-23T19:00:00.000Z", START, 0),
]


@pytest.mark.parametrize(("sooner", "later"), [*itertools.combinations(IN_TURN, 2)])
def test_of_two_starts_one_is_after_the_other(sooner, later):
    assert later.is_after(sooner)
    assert not sooner.is_after(later)


@pytest.mark.parametrize("start", IN_TURN)
def test_a_start_is_not_after_itself_however_it_was_read(start):
    precise = Start(start.begun, start.at + dt.timedelta(microseconds=300), start.clears)
    read = Start.from_object(json.loads(json.dumps(precise.to_object())))
    assert read == start
    assert not precise.is_after(read)


def test_who_does_not_know_how_often_a_run_was_cleared_goes_by_its_start():
    unknown = Start(BEGUN, START)
    assert not Start(BEGUN, START, 1).is_after(unknown)
    assert not unknown.is_after(Start(BEGUN, START, 1))
    assert Start(BEGUN, LATER, 1).is_after(unknown)
    assert not Start(BEGUN, None).is_after(unknown)
