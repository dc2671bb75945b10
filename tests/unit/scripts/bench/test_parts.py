import dataclasses
import json
import time
from types import SimpleNamespace

import pytest

from scripts.bench import main, orchestration, root
from scripts.bench.environment import Timed
from scripts.bench.figures import Figure
from scripts.bench.orchestration import Measured
from scripts.bench.runs import Run
from scripts.core.errors import BenchError, SettingsError
from scripts.core.settings import Settings


def test_a_beginning_means_all_parts_that_begin_so():
    assert main.chosen("") == list(main.PARTS)
    assert main.chosen("engine") == [part for part in main.PARTS if part.startswith("engine.")]
    assert main.chosen("engine.dag") == ["engine.dag"]
    assert main.chosen("engine.orchestration, engine.dag") == ["engine.dag", "engine.orchestration"]


def test_an_unknown_part_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match=r"--only engin \(did you mean `engine.sim`\?\): there are aws\.identity"):
        main.chosen("engin")


def run(wall, **calls):
    return Run("r", wall, {f"ecs.{name}": count for name, count in calls.items()}, {})


def test_excess_is_compared_with_the_faster_of_the_mapped_operators():
    measured = Measured(
        ours=[run(60.0), run(70.0), run(62.5)],
        mapped={"synchronous": [run(110.0)], "deferrable": [run(150.0), run(160.0), run(140.0)]},
        many=[run(70.0, RunTask=6, DescribeTasks=20)],
    )
    found = {figure.name: figure for figure in orchestration.figures(measured)}
    assert found["orchestration.wall_over_ideal_200"].median == 62.5 / 50
    assert found["orchestration.excess_vs_mapped_200"].median == 60 / 12.5
    assert found["orchestration.mapped_deferrable_wall_200"].median == 150.0
    assert found["orchestration.run_calls_per_shard_1000"].median == 0.006
    assert found["orchestration.describe_calls_per_shard_1000"].median == 0.02
    assert all(figure.holds for figure in found.values())


def test_the_slower_mapped_operator_may_have_been_stopped():
    stopped = dataclasses.replace(run(132.0), whole=False)
    measured = Measured(
        ours=[run(60.0)],
        mapped={"synchronous": [run(110.0, DescribeTasks=400)], "deferrable": [stopped]},
        many=[run(70.0, RunTask=6, DescribeTasks=20)],
    )
    found = {figure.name: figure for figure in orchestration.figures(measured)}
    assert found["orchestration.mapped_deferrable_wall_200"].compared_with.endswith("stopped then, as the slower one")
    assert "stopped" not in found["orchestration.mapped_synchronous_wall_200"].compared_with
    assert found["orchestration.describe_calls_per_shard_1000"].compared_with == "2.0 of mapped synchronous"
    assert found["orchestration.excess_vs_mapped_200"].median == 6.0


def test_the_faster_mapped_operator_is_run_again_while_there_is_time():
    once = {"synchronous": [run(110.0)], "deferrable": [run(150.0)]}
    assert orchestration.next_comparison(once, 3, 130.0) == "synchronous"
    assert orchestration.next_comparison(once, 3, 120.0) is None  # 15 % over the last one's time are kept
    assert orchestration.next_comparison(once, 1, 1000.0) is None
    assert orchestration.next_comparison({**once, "synchronous": [run(110.0)] * 3}, 3, 1000.0) is None
    assert orchestration.next_comparison({"synchronous": [], "deferrable": [run(150.0)]}, 3, 1000.0) == "deferrable"
    assert orchestration.next_comparison({"synchronous": [], "deferrable": []}, 3, 1000.0) is None


class Lived:
    """What `root.measure` looks at of an environment's life."""

    def __init__(self):
        first = SimpleNamespace(seconds={"Plan": 5.0, "Apply": 55.0, "Push images": 3.0}, changes=100)
        self.first = Timed(first, 75.0)
        self.end = Timed(SimpleNamespace(seconds={"Drain the cluster": 2.0, "Destroy": 30.0}), 35.0)

    def again(self, runs):
        return [Timed(SimpleNamespace(seconds={"Plan": 8.0 + number}), 15.0) for number in range(runs)]


def test_what_terraform_took_is_read_off_the_environments_life():
    found = {figure.name: figure.median for figure in root.measure(Lived(), 3)}
    assert found == {
        "terraform.apply_seconds": 60.0,
        "terraform.replan_seconds": 9.0,
        "terraform.resources": 100,
        "terraform.destroy_seconds": 30.0,
    }


def test_what_comes_after_the_mapped_runs_has_its_time():
    def left(*parts):
        return main.Bench(Settings.load("local"), main.Options(minutes=20), parts, began=time.monotonic() - 600).left()

    assert left("engine.orchestration") == pytest.approx(600, abs=1)
    assert left("engine.orchestration", "deploy") == pytest.approx(600 - main.AFTER["deploy"], abs=1)
    assert set(main.AFTER) <= set(main.PARTS)


def test_without_any_mapped_run_there_is_nothing_to_compare_with():
    with pytest.raises(BenchError, match="neither mapped operator"):
        orchestration.figures(Measured([run(60.0)], {"synchronous": [], "deferrable": []}, [run(1.0)]))


def fails(bench):
    raise BenchError("the environment did not come up")


def slow(bench):
    return [Figure(name="b.slow", values=[3.0], unit="s", bound=2.0)], {"why": "a snail"}


def fast(bench):
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

    def stays_up(bench):
        raise BenchError("the emulator does not end")

    monkeypatch.setattr(main.Bench, "close", stays_up)
    with pytest.raises(BenchError, match="down failed: the emulator does not end"):
        main.run(settings, "b.fast", main.Options(), as_json=False)
    assert list(json.loads((tmp_path / "build" / "bench.json").read_text())["figures"]) == ["b.fast"]
