"""What the product keeps does not grow with the time that it works; the bench looks at a whole day."""

import logging

import pytest

from simulation import day
from winbatch import engine


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_what_is_kept_is_as_large_after_some_hours_as_after_one(monkeypatch):
    monkeypatch.setattr(engine.outcomes, "ENDED_KEPT", engine.outcomes.ENDED_KEPT / 8)
    hours, problems = day.live(6)
    assert problems == ()
    early, late = day.Hour.most(hours[1:3]), day.Hour.most(hours[4:6])
    assert late.ledger <= 1.3 * early.ledger
    assert late.board <= early.board
    assert late.calls_a_tick <= 1.3 * early.calls_a_tick
