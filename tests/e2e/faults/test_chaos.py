"""A short round of `invoke chaos`, in the environment of the tests beside it."""

import pytest

from scripts.chaos import faults
from scripts.chaos.place import Place
from scripts.chaos.rounds import Round
from scripts.chaos.schedule import Schedule
from scripts.core.settings import Settings

pytestmark = pytest.mark.slow

# Of workers, Airflow tasks, hosts and AWS: the tests beside this one kill Airflow itself.
KINDS = ("throttle", "server-error", "late-answer", "lose-host", "spot-notice", "kill-worker", "kill-tick", "cancel")
SEED, WINDOW = 14, 30.0


def test_a_short_round_loses_nothing_counts_nothing_twice_and_leaves_nothing(operator, tmp_path):
    settings = Settings.load("local", environ=operator.environ, root=operator.root)
    place = Place(settings, operator.environ, tmp_path)
    schedule = Schedule.draw(SEED, {name: faults.KINDS[name] for name in KINDS}, WINDOW)
    lived = Round(place, schedule, print, lambda _: None).live()
    assert lived.problems == []
    assert lived.jobs == len(schedule.jobs)
    assert lived.done
