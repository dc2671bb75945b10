"""Many worlds, those that failed, and what makes one smaller."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from simulation import mutating, running, shrinking
from simulation.faults import Faults
from simulation.scenario import Scenario
from winbatch import places

KEPT = running.kept()


@pytest.mark.parametrize("name", KEPT)
def test_a_world_that_failed_once_holds(name):
    assert running.live(name, KEPT[name]).problems == ()


@pytest.mark.parametrize("seed", range(3))
def test_a_scenario_is_read_as_it_was_kept(seed, tmp_path):
    scenario = Scenario.draw(seed)
    running.keep("it", scenario, ["a problem"], tmp_path)
    assert running.kept(tmp_path) == {"it": scenario}


@pytest.mark.slow
def test_the_same_seeds_give_the_same_traces_in_any_process():
    """Byte for byte: nothing depends on the order of a set, or on where something lies in memory."""

    def digests(hash_seed):
        done = subprocess.run(
            [sys.executable, "-m", "simulation", "--first", "40", "--seeds", "12"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line)["digest"] for line in done.stdout.splitlines()]

    first = digests("0")
    assert len(set(first)) == 12
    assert digests("12345") == first


@pytest.mark.slow
def test_side_by_side_as_one_after_the_other():
    alone = {each.name: each.digest for each in running.run(first=0, seeds=7, kept_first=False)}
    both = {each.name: each.digest for each in running.run(first=0, seeds=7, kept_first=False, processes=2)}
    assert alone == both


def test_time_ends_it():
    assert [each.name for each in running.run(first=0, minutes=0.0, kept_first=False)] == ["seed 0"]


@pytest.mark.slow
def test_a_failing_world_is_made_smaller(monkeypatch):
    monkeypatch.setattr(places, "withdraw", lambda *_: None)
    failing = next(
        each
        for each in running.run(first=0, seeds=20, kept_first=False)
        if len(each.scenario.jobs) > 2 and each.problems
    )
    small = shrinking.shrink(failing.scenario, failing.problems)
    assert len(small.jobs) == 1
    assert small.faults == Faults()
    assert shrinking.kinds(running.live("", small).problems) & shrinking.kinds(failing.problems)


def test_numbers_do_not_make_a_problem_another():
    assert shrinking.kinds(["shard 3 of work"]) == shrinking.kinds(["shard 17 of work"])
    assert shrinking.kinds(["left out"]) != shrinking.kinds(["left over"])


@pytest.mark.parametrize("mutant", mutating.mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code(mutant, tmp_path):
    """Whether it is found is measured: `invoke simulate --mutants`, and by the bench."""
    mutating.plant(mutant, tmp_path)
    changed = [
        path
        for path in (tmp_path / "dags").rglob("*.py")
        if path.read_bytes() != (mutating.ROOT / path.relative_to(tmp_path)).read_bytes()
    ]
    assert changed
    for path in changed:
        compile(path.read_bytes(), str(path), "exec")
    assert mutant.story
    assert not mutant.story.startswith("diff")


def test_a_mutant_that_fits_no_more_is_told(tmp_path):
    patch = tmp_path / "old.patch"
    patch.write_text(
        "A fault.\n--- a/dags/winbatch/engine.py\n+++ b/dags/winbatch/engine.py\n@@ -1 +1 @@\n-gone\n+new\n"
    )
    (tmp_path / "copy").mkdir()
    (mutant,) = mutating.mutants(tmp_path)
    with pytest.raises(mutating.PatchError, match=r"old\.patch does not fit the code any more"):
        mutating.plant(mutant, tmp_path / "copy")
    assert dataclasses.asdict(mutant)["story"] == "A fault."
