from scripts.bench import worlds
from simulation.mutating import Hunted
from simulation.running import Tally


def hunted(name, *, found=True, seconds=10.0):
    return Hunted(name, "a story", found, seconds, 5, "a problem" if found else "")


def test_figures_hold_when_all_is_found_in_time():
    tally = Tally(worlds=400, jobs=900, job_hours=2000.0, seconds=60.0)
    made = {figure.name: figure for figure in worlds.figures(tally, [hunted("a"), hunted("b", seconds=70.0)])}
    assert made["simulation.job_hours_per_minute"].median == 2000.0
    assert made["simulation.seeds_per_minute"].median == 400.0
    assert made["simulation.mutants_found"].median == 2
    assert made["simulation.mutant_seconds_max"].median == 70.0
    assert all(figure.holds for figure in made.values())


def test_a_mutant_that_is_not_found_is_named():
    found = [hunted("a"), hunted("b", found=False, seconds=121.0)]
    made = {figure.name: figure for figure in worlds.figures(Tally(worlds=1, seconds=1.0), found)}
    assert not made["simulation.mutants_found"].holds
    assert made["simulation.mutants_found"].compared_with == "b"
    assert not made["simulation.mutant_seconds_max"].holds
