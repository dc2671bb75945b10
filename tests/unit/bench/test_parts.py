import dataclasses
import json

import pytest

from scripts.bench import main, orchestration, root
from scripts.bench.figures import Figure
from scripts.bench.orchestration import Measured
from scripts.bench.runs import Run
from scripts.errors import BenchError, SettingsError
from scripts.settings import Settings


def test_a_beginning_means_all_parts_that_begin_so():
    assert main.chosen("") == list(main.PARTS)
    assert main.chosen("engine") == [part for part in main.PARTS if part.startswith("engine.")]
    assert main.chosen("engine.dag") == ["engine.dag"]
    assert main.chosen("engine.orchestration, engine.dag") == ["engine.dag", "engine.orchestration"]


def test_an_unknown_part_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match=r"--only engin: there are engine\.dag"):
        main.chosen("engin")


def run(wall, **calls):
    return Run("r", wall, {f"ecs.{name}": count for name, count in calls.items()}, {})


def test_excess_is_compared_with_the_faster_of_the_mapped_operators():
    measured = Measured(
        ours=[run(60.0), run(70.0), run(62.5)],
        mapped={"synchronous": [run(110.0)], "deferrable": [run(150.0), run(160.0), run(140.0)]},
        many=[run(70.0, RunTask=6, DescribeTasks=20)],
        shares=[0.1, 0.2, 0.12],
    )
    found = {figure.name: figure for figure in orchestration.figures(measured)}
    assert found["orchestration.wall_over_ideal_200"].median == 62.5 / 50
    assert found["orchestration.excess_vs_mapped_200"].median == 60 / 12.5
    assert found["orchestration.mapped_deferrable_wall_200"].median == 150.0
    assert found["orchestration.run_calls_per_shard_1000"].median == 0.006
    assert found["orchestration.describe_calls_per_shard_1000"].median == 0.02
    assert found["orchestration.worker_slot_share"].median == 0.12
    assert all(figure.holds for figure in found.values())


def test_a_life_of_the_root_has_its_four_figures():
    lives = [root.Life(100, 60.0, 9.0, 30.0), root.Life(100, 62.0, 8.0, 31.0), root.Life(100, 70.0, 8.5, 29.0)]
    found = {figure.name: figure.median for figure in root.figures(lives)}
    assert found == {
        "terraform.apply_seconds": 62.0,
        "terraform.replan_seconds": 8.5,
        "terraform.resources": 100,
        "terraform.destroy_seconds": 30.0,
    }


def test_without_any_mapped_run_there_is_nothing_to_compare_with():
    with pytest.raises(BenchError, match="neither mapped operator"):
        orchestration.figures(Measured([run(60.0)], {"synchronous": [], "deferrable": []}, [run(1.0)], [0.1]))


def fails(settings, options):
    raise BenchError("the environment did not come up")


def slow(settings, options):
    return [Figure(name="b.slow", values=[3.0], unit="s", bound=2.0)], {"why": "a snail"}


def fast(settings, options):
    return [Figure(name="b.fast", values=[1.0], unit="s", bound=2.0)], {}


def test_the_file_is_written_whatever_fails_and_the_error_names_it_all(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "PARTS", {"a.fails": fails, "b.slow": slow, "b.fast": fast})
    settings = dataclasses.replace(Settings.load("local"), root=tmp_path)
    monkeypatch.setattr(main.machine, "facts", lambda settings: {"cores": 2})
    with pytest.raises(BenchError) as raised:
        main.run(settings, "", main.Options(), as_json=False)
    assert str(raised.value) == (
        "a.fails failed: the environment did not come up; b.slow is 3 s, the bound is at most 2"
    )
    report = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert report["failed"] == {"a.fails": "the environment did not come up"}
    assert {name: figure["holds"] for name, figure in report["figures"].items()} == {"b.slow": False, "b.fast": True}
    assert report["details"]["b.slow"] == {"why": "a snail"}
    main.run(settings, "b.fast", main.Options(), as_json=False)
    assert list(json.loads((tmp_path / "build" / "bench.json").read_text())["figures"]) == ["b.fast"]
