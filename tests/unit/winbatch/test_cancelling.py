import datetime as dt

from simulation.clock import START
from winbatch import cancelling
from winbatch.starts import Start

from .world import World

BEGUN = "2026-11-22T19:00:00.000Z"
RUNS = Start(BEGUN, START)
QUEUED = Start(BEGUN, None)
CLEARED = Start(BEGUN, START + dt.timedelta(hours=1))


def bucket():
    return World()


def test_a_run_that_is_marked_is_cancelled_until_it_is_started_again():
    ports = bucket()
    assert not cancelling.cancelled(ports, "d", "j", RUNS)
    cancelling.cancel(ports, "d", "j", RUNS)
    assert cancelling.cancelled(ports, "d", "j", RUNS)
    assert not cancelling.cancelled(ports, "d", "j", QUEUED)
    assert not cancelling.cancelled(ports, "d", "j", CLEARED)
    assert not cancelling.cancelled(ports, "d", "other", RUNS)


def test_a_run_that_was_marked_in_the_queue_is_cancelled_when_it_starts_and_not_again():
    ports = bucket()
    cancelling.cancel(ports, "d", "j", QUEUED)
    assert cancelling.cancelled(ports, "d", "j", RUNS)
    assert cancelling.cancelled(ports, "d", "j", RUNS)
    assert not cancelling.cancelled(ports, "d", "j", CLEARED)


def test_a_run_that_was_made_anew_under_the_id_is_another_one():
    ports = bucket()
    cancelling.cancel(ports, "d", "j", QUEUED)
    assert not cancelling.cancelled(ports, "d", "j", Start("2026-11-23T19:00:00.000Z", START))
