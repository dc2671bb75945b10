"""Jobs of simulated worlds, replayed by `invoke replay`'s own code: the same engine comes to the same decisions."""

import dataclasses
import functools
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.jobs import replay, story
from simulation.faults import Faults
from simulation.scenario import Scenario
from simulation.sizes import Sizes
from simulation.world import World
from winbatch import engine, keys, ticks
from winbatch.attempts import POLICY

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Lived:
    """A world that has ended, and its jobs replayed."""

    def __init__(self, seed, faults=None):
        # A replay's engine has the product's own sizes.
        self.world = World(dataclasses.replace(Scenario.draw(seed), sizes=Sizes()), faults)
        assert self.world.live().problems == ()
        self.bucket = self.world._person()
        self.jobs = [
            replay.replay(self.bucket, run.spec.dag, run.run_id)
            for run in self.world.runs
            if self.bucket.get(keys.job_key(run.spec.dag, keys.job_id(run.run_id)))
        ]

    @property
    def parts(self):
        return [(job, part) for job in self.jobs for part in job.parts if part.ticks]

    def items(self):
        """Every item, with its story in one text."""
        for job, part in self.parts:
            for item in range(part.stage.items):
                told = replay.why(self.bucket, job, item, part.stage.stage)
                yield part, item, "\n".join(sentence.text for sentence in told)

    def decisions(self):
        """Every tick, with its story in one text."""
        for _, part in self.parts:
            for place, replayed in enumerate(part.ticks):
                told = story.of_tick(part.stage, replayed, replay._before(part, place), replay._after(part, place))
                yield replayed, "\n".join(sentence.text for sentence in told)


@functools.cache
def of_seed(seed):
    """A world that several tests look at."""
    return Lived(seed)


# In the last one jobs contend for the cluster.
SEEDS = (*range(6), 26)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happened_the_same_actions_come_out(seed):
    lived = of_seed(seed)
    assert sum(len(part.ticks) for _, part in lived.parts) > 5
    for job in lived.jobs:
        assert job.problem() == ""
        assert job.as_json(())["same"] is True
    for _, part in lived.parts:
        assert len(part.ticks) <= part.made
        assert part.unread == []


def test_in_a_quiet_world_each_tick_is_kept_and_the_ledgers_follow_from_each_other():
    for job, part in Lived(3, Faults()).parts:
        assert [each.tick.number for each in part.ticks] == list(range(1, part.made + 1))
        done = [each.step.ledger.done for each in part.ticks]
        assert done == [each.tick.ledger.done for each in part.ticks[1:]] + [part.ledger.done]
        assert job.lines()[0] == f"stage work: {len(job.parts[0].ticks)} ticks, the same actions"


def test_another_process_with_other_hashes_comes_to_the_same(tmp_path):
    """Sets have another order there: nothing that is decided may depend on it."""
    lived = of_seed(5)
    for number, (_, part) in enumerate(lived.parts):
        for each in part.ticks:
            (tmp_path / f"{number}-{each.tick.number}").write_bytes(ticks.encode(each.tick))
        (tmp_path / f"{number}.stage").write_text(part.stage.to_json())
    assert len([*tmp_path.iterdir()]) > 20
    code = (
        "import pathlib, sys; from winbatch import ticks; from winbatch.stage import Stage\n"
        "for file in pathlib.Path(sys.argv[1]).glob('*-*'):\n"
        "    stage = Stage.from_json(file.with_name(file.name.partition('-')[0] + '.stage').read_text(), where='')\n"
        "    assert ticks.replay(stage, ticks.decode(file.read_bytes(), where='')).same, file\n"
    )
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "dags")))
    for seed in "12":
        environ = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environ, check=True, timeout=300)


@pytest.mark.parametrize(
    ("module", "name", "value", "said"),
    [
        (engine.tick, "POLL_SOON", 3.0, "then to look again after 2.0 s"),
        (engine.workers, "retire", lambda ledger, *_: (ledger, ()), ""),
        (engine.instances, "ask", lambda ledger, *_: (ledger, ()), "now nothing"),
        (engine.ending, "verdict", lambda *_: None, "then succeeded '', now running ''"),
        (engine.counting, "count", None, "the engine of this checkout fails on what it saw: TypeError"),
    ],
)
def test_an_engine_that_decides_otherwise_is_found_and_the_first_tick_is_named(monkeypatch, module, name, value, said):
    worlds = [of_seed(seed) for seed in SEEDS]
    monkeypatch.setattr(module, name, value)
    problems = [replay.replay(lived.bucket, job.dag, job.run_id).problem() for lived in worlds for job in lived.jobs]
    found = [problem for problem in problems if problem]
    assert found
    assert all(problem.startswith("stage ") and ", tick " in problem for problem in found)
    assert any(said in problem for problem in found)
    assert all("then it was decided by the same code: that is a defect" in problem for problem in found)


def test_a_difference_of_another_release_says_so(monkeypatch):
    lived = of_seed(5)
    monkeypatch.setattr(replay, "code", lambda: "another")
    monkeypatch.setattr(engine.tick, "POLL_SOON", 3.0)
    job = replay.replay(lived.bucket, lived.jobs[0].dag, lived.jobs[0].run_id)
    assert job.problem().endswith("; then it was decided by another winbatch, that of a checkout")
    assert any("decided by another winbatch than this checkout's: release a checkout" in line for line in job.lines())


def test_the_story_of_an_item_whose_program_failed_tells_what_the_policy_made_of_it():
    attempts = POLICY["program"].attempts
    stories = [text for _, _, text in Lived(2, Faults(item_fails=0.3)).items()]
    failing = [text for text in stories if "attempt 0 ended for the item: failed: boom" in text]
    assert failing
    for text in failing:
        assert f"saw that attempt 0 had ended: its program failed, 1 of {attempts} times that end the shard" in text
        assert "attempt 1 may be claimed: it may be tried again" in text
        assert text.index("had ended: its program failed, 1 of") < text.index("attempt 1 may be claimed")
    given_up = [text for text in stories if "has failed for good (program: boom)" in text]
    assert all(f"its program failed {attempts} times, and {attempts} end the shard" in text for text in given_up)
    assert all(text.splitlines()[-1].endswith("is done") for text in stories if "has failed for good" not in text)


def test_the_story_of_an_item_whose_worker_died_has_what_ecs_said_of_it():
    stories = [text for _, _, text in Lived(5, Faults(worker_dies_an_hour=200.0)).items()]
    lost = [text for text in stories if "ended for the item: crashed" in text or "ended for the item: lost" in text]
    assert lost
    assert any("had ended (EssentialContainerExited, exit code" in text for text in lost)


def test_the_story_of_a_decision_tells_what_was_seen_what_was_done_and_what_came_of_it():
    stories = [text for _, text in Lived(5, Faults(throttle=0.8)).decisions()]
    starts = [text for text in stories if "it starts" in text and "by" in text and "it starts no ECS task" not in text]
    assert starts
    assert all("it saw" in text and "unfinished shard" in text and "there is room for" in text for text in starts)
    assert any("ECS started ECS task" in text for text in starts)
    assert any("ECS: Rate exceeded" in text for text in stories)
    assert any("it starts no ECS task: there is no room on the instances that have registered" in t for t in stories)
    assert any("it ends the stage as succeeded" in text for text in stories)


def test_a_decision_to_let_instances_go_says_why():
    stories = [text for seed in SEEDS for _, text in of_seed(seed).decisions()]
    assert any("it lets nothing more be placed on instance" in text and "are needed" in text for text in stories)
    assert any("ended, which are drained and empty" in text for text in stories)
    assert any("AWS says" in text or "asks the Auto Scaling group for" in text for text in stories)
