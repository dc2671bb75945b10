import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import render
from scripts.errors import SettingsError
from scripts.jobs import Snapshot, new_run_id, parse_params
from winbatch.ledger import Failure, Ledger
from winbatch.stage import Stage

NOW = dt.datetime(2026, 11, 22, 19, 0, tzinfo=dt.UTC)


def stage(name, items=10):
    return Stage(
        dag="ber", job="j", stage=name, workload="ber", run="m:f", manifest="m", claims="c/", partials="p/",
        results="r/", outputs="o/", items=items, shard_items=2,
    )  # fmt: skip


def ledger(stage, **fields):
    common = {"items": stage.items, "shards": stage.shards, "shard_items": 2, "started_at": NOW, "updated_at": NOW,
              "due_at": NOW, "progress_at": NOW}  # fmt: skip
    return Ledger(dag="ber", job="j", stage=stage.stage, **{**common, **fields})


def snapshot(run_state, *states):
    stages = [stage(f"s{number}") for number in range(len(states))]
    pairs = [(each, ledger(each, state=state) if state else None) for each, state in zip(stages, states, strict=True)]
    return Snapshot("r", {"state": run_state}, pairs)


@pytest.mark.parametrize(
    ("run_state", "states", "expected"),
    [
        ("queued", [], "queued"),
        ("running", [], "running"),
        ("running", ["succeeded", "running"], "running"),
        ("success", ["succeeded", "succeeded"], "succeeded"),
        # A run that was marked failed ends well when its teardown does: the stages know better.
        ("success", ["succeeded", None], "failed"),
        ("success", ["running", None], "failed"),
        ("success", ["cancelled", None], "cancelled"),
        ("failed", ["succeeded", "succeeded"], "failed"),
        ("failed", ["failed", None], "failed"),
        ("failed", [], "failed"),
        ("success", [], "failed"),
    ],
)
def test_the_stages_decide_how_a_job_ended(run_state, states, expected):
    assert snapshot(run_state, *states).state == expected


def test_the_stage_at_work_is_the_first_that_has_not_succeeded():
    assert snapshot("running", "succeeded", "running", None).current[0].stage == "s1"
    assert snapshot("success", "succeeded", "succeeded").current[0].stage == "s1"
    assert snapshot("queued").current is None


def test_a_failed_job_says_why_with_its_log():
    first = stage("simulate")
    failures = (Failure(7, 3, "program", "exit code 1", ("a", "b", "c", "d", "e", "boom")),)
    lost = Snapshot("r", {"state": "failed"}, [(first, ledger(first, state="failed", reason="bad", failures=failures))])
    assert lost.problems[0] == "stage simulate failed: bad"
    assert lost.problems[1] == "  item 7 (program): exit code 1"
    assert lost.problems[-1] == "    boom"
    assert len(lost.problems) == 2 + 5


def test_a_line_of_progress_names_items_shards_tasks_and_instances():
    first = stage("simulate")
    later = NOW + dt.timedelta(seconds=30)
    at_work = ledger(
        first,
        items_done=3,
        done=1,
        tasks_running=2,
        instances_desired=2,
        instances_registered=1,
        updated_at=later,
    )
    line = render.job_line(Snapshot("r", {"state": "running"}, [(first, at_work)]))
    assert line == (
        "simulate running: 3/10 items, 1/5 shards, 2 ECS tasks running, 0 pending, 1/2 instances, about 1:10 left"
    )


@given(st.integers(0, 10**6))
def test_a_clock_reads_back(seconds):
    parts = [int(part) for part in render.clock(seconds).split(":")]
    assert sum(part * 60**power for power, part in enumerate(reversed(parts))) == seconds


def test_run_ids_are_read_by_people_and_short_enough_for_mwaas_paths():
    run_id = new_run_id("ber", dt.datetime(2026, 11, 22, 20, 0, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))))
    assert run_id == "ber-20261122-190001"
    assert len(f"/dags/ber/dagRuns/{run_id}/taskInstances") <= 64


@pytest.mark.parametrize(
    ("pairs", "line"),
    [
        (["num_items"], r"--param num_items: key=value is expected"),
        (["=3"], r"--param =3: key=value"),
        (["a=1", " a=2"], r"--param a is given twice"),
    ],
)
def test_pairs_that_are_none_are_refused(pairs, line):
    with pytest.raises(SettingsError, match=line):
        parse_params(pairs)


def test_a_value_may_hold_an_equals_sign():
    assert parse_params(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
