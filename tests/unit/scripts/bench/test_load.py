from scripts.bench import load
from simulation import day
from simulation.day import Hour


def hours(*, ledger_late=5000, calls_late=180):
    early = [Hour(ledger=5000, board=200, tick=3000, ticks=10, calls=180)] * (day.HOURS - 6)
    return [*early, *[Hour(ledger=ledger_late, board=200, tick=3000, ticks=10, calls=calls_late)] * 6]


def figures(**late):
    large = load.Large("m-1", begun=30.0, items_done=2500, objects=1000, ledger=4000, status=[1.5, 1.6, 2.5])
    return {figure.name: figure for figure in load.figures(80.0, large, hours(**late))}


def test_a_flat_day_and_a_status_in_time_hold():
    made = figures()
    assert made["load.items_100k_seconds"].median == 80.0
    assert made["load.status_seconds_1m"].median == 1.6
    assert made["load.day_ledger_growth"].median == 1.0
    assert all(figure.holds for figure in made.values())


def test_a_ledger_that_grows_over_the_day_does_not_hold():
    assert not figures(ledger_late=9000)["load.day_ledger_growth"].holds


def test_ticks_that_ask_for_more_over_the_day_do_not_hold():
    assert not figures(calls_late=300)["load.day_calls_growth"].holds
