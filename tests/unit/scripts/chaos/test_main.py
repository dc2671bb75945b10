import json
from collections import Counter

import pytest

from scripts.bench import chaos as bench
from scripts.chaos import faults, main
from scripts.chaos.checking import Problem
from scripts.chaos.main import Tally
from scripts.chaos.rounds import Lived
from scripts.chaos.schedule import Schedule
from scripts.core.errors import CheckFailed


def lived(seed, *problems):
    schedule = Schedule.draw(seed, faults.KINDS)
    return Lived(schedule, jobs=7, done=Counter({"kill-tick": 2, "cancel": 1}), resumed=1, problems=[*problems])


LOST = Problem("items", "item 3 has no result")
LEFT = Problem("left", "2 instances are asked for")
WELL = Tally([lived(5), lived(6)], seconds=600.0)
ILL = Tally([lived(5), lived(6, LOST, LEFT, Problem("told", "it is not so"))], seconds=600.0)


def test_rounds_are_added_up_for_a_program():
    report = json.loads(json.dumps(ILL.as_json()))
    assert (report["jobs"], report["jobs_an_hour"], report["faults"]) == (14, 84.0, {"kill-tick": 4, "cancel": 2})
    assert (report["lost_or_twice"], report["left_over"]) == (1, 1)
    assert [each["seed"] for each in report["rounds"]] == [5, 6]
    assert Schedule.draw(6, faults.KINDS).to_json() == ILL.rounds[1].schedule.to_json()


def test_what_holds_is_a_table_and_what_does_not_names_the_seed_of_its_round(tmp_path, capsys):
    main.show(WELL, tmp_path)
    assert "kill-tick" in capsys.readouterr().err
    with pytest.raises(CheckFailed, match=r"^3 things did not hold in the round of seed 6: .*--seed 6 --minutes 1$"):
        main.show(ILL, tmp_path)
    assert "✗ item 3 has no result" in capsys.readouterr().err


def test_logs_outlive_their_environment(tmp_path):
    state, target = tmp_path / "state", tmp_path / "kept"
    (state / "a").mkdir(parents=True)
    (state / "a" / "scheduler.log").write_text("why")
    (state / "a" / "data").write_text("much")
    main.keep_logs(state, target)
    assert [file.relative_to(target).as_posix() for file in target.rglob("*.*")] == ["a/scheduler.log"]


@pytest.mark.parametrize(("tally", "out"), [(WELL, []), (ILL, ["left_over", "lost_or_twice", "told_wrong_or_endless"])])
def test_the_bench_judges_what_was_lost_and_left(tally, out):
    found = {figure.name: figure for figure in bench.figures(tally)}
    assert sorted(name for name, figure in found.items() if not figure.holds) == [f"chaos.{name}" for name in out]
    assert (found["chaos.jobs"].median, found["chaos.faults"].median) == (14, 6)
