import dataclasses
import datetime as dt
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from scripts.cli import render
from scripts.core.errors import JobFailed, SettingsError
from scripts.environments import status
from scripts.jobs.runs import Snapshot, latest, new_run_id, parse_params, refreshed
from winbatch.causes import causes
from winbatch.ledger import GroupCount, Ledger
from winbatch.results import ItemFailure
from winbatch.stage import Group, Stage

NOW = dt.datetime(2026, 11, 22, 19, 0, tzinfo=dt.UTC)


def stage(name, items=10, groups=()):
    return Stage(
        dag="ber", job="j", stage=name, workload="ber", run="m:f", manifest="m", claims="c/", partials="p/",
        results="r/", outputs="o/", items=items, shard_items=2, groups=groups,
    )  # fmt: skip


def ledger(stage, **fields):
    return dataclasses.replace(Ledger.begin(stage, NOW), **fields)


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


def failures(*items, reason="exit code 1"):
    return tuple(ItemFailure(item, item // 2, "program", reason, ("a", "b", "c", "d", "e", "boom")) for item in items)


def test_a_failed_job_says_why_with_its_log():
    first = stage("simulate")
    at = ledger(first, state="failed", reason="bad", failures=failures(6), items_failed=1)
    lost = Snapshot("r", {"state": "failed"}, [(first, at)])
    assert lost.problems[0] == "stage simulate failed: bad"
    assert lost.problems[1] == "  simulate, item 6, program: exit code 1"
    assert lost.problems[2:] == [f"    {word}" for word in ("a", "b", "c", "d", "e", "boom")]


def test_items_that_failed_alike_are_told_once():
    first = stage("simulate", items=9000)
    alike = [ItemFailure(n, n, "program", f"JobError: s3://b/in/{n}.dat does not exist", ("x",)) for n in range(5000)]
    codes = [ItemFailure(5000 + n, 5000 + n, "program", f"exit code {n % 8}") for n in range(40)]
    odd = ItemFailure(8000, 8000, "memory", "exit code 137", ("\x1b[31mred\udcff",))
    at = ledger(first, state="failed", reason="bad", failures=(*codes, *alike, odd))
    lost = Snapshot("r", {"state": "failed"}, [(first, at)])
    assert lost.problems[1] == (
        "  simulate, 5,000 items (0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 4,990 more), program:"
        " JobError: s3://b/in/0.dat does not exist"
    )
    assert lost.problems[2:4] == [
        "    x",
        "  simulate, 5 items (5000, 5008, 5016, 5024, 5032), program: exit code 0",
    ]
    assert lost.problems[-1] == "  and 5 more causes: invoke status --run-id r"
    text = shown(lost)
    assert "item 8000, memory: exit code 137" in text
    assert "\\x1b[31mred\\udcff" in text
    assert len(text.splitlines()) < 120
    listed = status.job("d", lost)["stages"]["simulate"]["causes"]
    assert [cause["count"] for cause in listed] == [5000, *[5] * 8, 1]
    assert listed[-1] == {
        "kind": "memory",
        "reason": "exit code 137",
        "count": 1,
        "items": (8000,),
        "lines": ("\x1b[31mred\udcff",),
    }


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ProgramError: x ended with exit code 3", "ProgramError: x ended with exit code 33", False),
        ("OSError: [Errno 13] Permission denied: '/a/1'", "OSError: [Errno 28] No space: '/a/1'", False),
        ("KeyError: 'price'", "KeyError: 'strike'", False),
        ("FileNotFoundError: 'C:\\in\\a.dat'", "FileNotFoundError: 'C:\\in\\deep\\b.dat'", True),
        ("JobError: output 'x-1.csv' cannot be read", "JobError: output 'x-22.csv' cannot be read", True),
        ("did not end within 5 s", "did not end within 5 s", True),
        ("ValueError: 0.25 of item 3", "ValueError: 1.5 of item 4", True),
    ],
)
def test_what_failures_have_in_common(one, other, same):
    found = causes([ItemFailure(0, 0, "program", one), ItemFailure(1, 1, "program", other)])
    assert len(found) == (1 if same else 2)


def test_a_long_log_is_told_by_its_ends():
    lines = tuple(f"{number} {'y' * 1000}" for number in range(40))
    (cause,) = causes([ItemFailure(0, 0, "program", "bad"), ItemFailure(1, 0, "program", "bad", lines)])
    assert [line[:4] for line in cause.lines] == ["0 yy", "1 yy", "2 yy", "…", "37 y", "38 y", "39 y"]
    assert max(map(len, cause.lines)) == 300


def test_a_line_of_progress_names_items_shards_tasks_instances_rate_and_time_left():
    first = stage("simulate")
    at_work = ledger(
        first,
        items_done=3,
        items_failed=1,
        done=0b1,
        tasks_running=2,
        instances_desired=2,
        instances_registered=1,
        rate=0.1,
        remaining_seconds=70.0,
    )
    job = Snapshot("r", {"state": "running"}, [(first, at_work)])
    assert render.job_line(job) == (
        "simulate running: 3/10 items, 1 failed, 1/5 shards, 2 ECS tasks running, 0 pending, 1/2 instances, 6.0/min,"
        " about 1:10 left"
    )
    assert (job.rate, job.remaining_seconds) == (0.1, 70.0)


def test_what_aws_says_of_instances_that_stay_away_is_shown_in_one_line():
    first = stage("simulate")
    at_work = ledger(first, instances_desired=2, said="InsufficientInstanceCapacity:\nnot enough  for you. " * 9)
    job = Snapshot("r", {"state": "running"}, [(first, at_work)])
    assert ", AWS says: InsufficientInstanceCapacity: not enough for you. Insuff" in render.job_line(job)
    assert len(render.job_line(job)) < 300
    assert shown(job).count("not enough for you.") > 5
    over = dataclasses.replace(at_work, state="failed")
    assert "AWS says" not in render.job_line(Snapshot("r", {"state": "failed"}, [(first, over)]))


def test_a_job_without_a_rate_promises_nothing():
    first = stage("simulate")
    job = Snapshot("r", {"state": "running"}, [(first, ledger(first))])
    assert render.job_line(job).endswith("0/0 instances")
    assert (job.rate, job.remaining_seconds) == (None, None)


@pytest.mark.parametrize("ended", [{"state": "failed"}, {"state": "success"}])
def test_a_job_that_has_ended_has_no_rate(ended):
    first = stage("simulate")
    job = Snapshot("r", ended, [(first, ledger(first, state="failed", rate=1.0, remaining_seconds=3.0))])
    assert (job.rate, job.remaining_seconds) == (None, None)
    assert "left" not in render.job_line(job)


@pytest.mark.parametrize(
    ("rate", "text"), [(1234.5, "1234.5/s"), (1.0, "1.0/s"), (0.5, "30.0/min"), (0.01, "36.0/h"), (0.0001, "0.4/h")]
)
def test_a_rate_is_said_in_the_unit_that_fits(rate, text):
    assert render.speed(rate) == text


def shown(job, options=""):
    """What `invoke status --run-id` prints, on 80 columns without colours."""
    console = Console(width=80, no_color=True, force_terminal=False)
    with console.capture() as capture:
        for part in render.job(job, options):
            console.print(part, markup=False)
    return capture.get()


GROUPS = (Group("ebn0_db=0", 0, 5), Group("ebn0_db=2", 5, 5))


def test_the_status_of_a_job_shows_all_that_its_ledger_knows():
    first, second = stage("simulate", groups=GROUPS), stage("aggregate", items=1)
    at_work = ledger(
        first,
        items_done=4,
        items_failed=1,
        done=0b11,
        shards_claimed=2,
        tasks_running=2,
        tasks_pending=1,
        instances_desired=2,
        instances_registered=1,
        rate=1.25,
        remaining_seconds=4.0,
        instance_seconds=5400.0,
        cost=0.574,
        groups=(GroupCount("ebn0_db=0", 3, 2, 0), GroupCount("ebn0_db=2", 3, 0, 1)),
        failures=failures(9, reason="exit code 1:\n  [bold]boom"),
    )
    run = {"state": "running", "start_date": NOW.isoformat()}
    text = shown(Snapshot("ber-20261122-190000", run, [(first, at_work), (second, None)]), " --env dev")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("ber-20261122-190000: running, ")
    assert "simulate running 4/10 1 2 1.2/s 0:04" in lines
    assert "aggregate not begun 0/1" in lines
    assert "2 ECS tasks running, 1 pending; 1 of 2 instances" in text
    assert "instances so far: 1:30:00 hours, about 0.57 US dollars" in " ".join(lines)
    assert any(line.startswith("ebn0_db=0 █") and line.endswith("2/3 0") for line in lines)
    assert "ebn0_db=2 0/3 1" in lines
    assert "9 simulate program exit code 1: [bold]boom" in lines
    assert "An item's log: invoke logs ber-20261122-190000 --item N --env dev" in lines
    assert "What became of it: invoke replay ber-20261122-190000 --why N --env dev" in lines
    assert max(map(len, text.splitlines())) <= 80


def test_the_status_of_a_job_without_a_price_or_a_plan_says_what_there_is():
    first = stage("simulate")
    ended = Snapshot("r", {"state": "failed"}, [(first, ledger(first, state="failed", reason="no instance"))])
    text = shown(ended)
    assert "stage simulate failed: no instance" in text
    assert "instances so far: 0:00 minutes" in text
    assert "dollars" not in text
    assert "not planned yet" in shown(Snapshot("r", {"state": "queued"}, []))


def test_of_many_groups_those_that_are_not_done_are_shown():
    groups = tuple(Group(f"g{number}", number * 2, 2) for number in range(100))
    first = stage("simulate", items=200, groups=groups)
    counts = tuple(GroupCount(group.name, 1, int(number != 70), 0) for number, group in enumerate(groups))
    text = shown(Snapshot("r", {"state": "running"}, [(first, ledger(first, groups=counts))]))
    assert "g70" in text
    assert "g71" not in text
    assert "and 99 more; 99 of 100 groups are done" in " ".join(text.split())


def test_a_job_that_succeeded_says_what_failed_in_it():
    first = stage("simulate", items=200)
    whole = Snapshot("r", {"state": "success"}, [(first, ledger(first, items_done=200))])
    assert "200 items. Its files: invoke results --run-id r --env dev" in render.succeeded(whole, " --env dev")
    some = Snapshot("r", {"state": "success"}, [(first, ledger(first, items_done=197, items_failed=3))])
    assert "197 of 200 items done, 3 failed: invoke status --run-id r says why" in render.succeeded(some, "")


def test_costs_are_summed_over_stages_where_each_is_known():
    first, second = stage("simulate"), stage("aggregate")
    pairs = [(first, ledger(first, cost=1.0, instance_seconds=60.0)), (second, ledger(second, cost=0.5))]
    assert Snapshot("r", {}, pairs).cost == 1.5
    assert Snapshot("r", {}, pairs).instance_seconds == 60.0
    assert Snapshot("r", {}, [*pairs, (second, ledger(second, cost=None))]).cost is None
    assert Snapshot("r", {}, []).cost is None


def test_a_ledger_is_as_fresh_as_the_results():
    first = stage("simulate", groups=GROUPS)
    groups = (GroupCount("ebn0_db=0", 3, 1, 0), GroupCount("ebn0_db=2", 3, 0, 1))
    before = ledger(first, done=0b1, items_done=3, items_failed=1, rate=0.5, remaining_seconds=12.0, groups=groups)
    later = NOW + dt.timedelta(seconds=9)
    # Shard 2 holds the border of both groups; 99 is none of this stage's.
    now = refreshed(first, before, [0, 2, 99], later)
    assert (now.shards_done, now.items_done, now.items_failed) == (2, 5, 1)
    assert now.remaining_seconds == pytest.approx(4 / 0.5)
    assert [(group.done, group.failed) for group in now.groups] == [(2, 0), (1, 1)]
    assert now.updated_at == later


def test_what_workers_finished_while_they_were_stopped_counts():
    first = stage("simulate")
    now = refreshed(first, ledger(first, state="cancelled", done=0b1, items_done=2), [0, 1], NOW + dt.timedelta(1))
    assert (now.shards_done, now.items_done, now.state, now.updated_at) == (2, 4, "cancelled", NOW)


@given(st.sets(st.integers(0, 4)), st.sets(st.integers(0, 4)), st.integers(0, 3))
def test_freshness_never_counts_an_item_twice(engine, listed, failed):
    first = stage("simulate")
    done = sum(1 << shard for shard in engine)
    items = 2 * len(engine)
    before = ledger(first, done=done, items_done=items, items_failed=min(failed, 10 - items))
    now = refreshed(first, before, sorted(listed), NOW)
    assert now.shards_done == len(engine | listed)
    assert items <= now.items_done <= now.items - now.items_failed
    assert now.items_done == min(2 * len(engine | listed), 10 - now.items_failed)
    assert refreshed(first, now, sorted(listed), NOW) == now


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


def test_the_last_job_is_that_of_all_dags_unless_one_is_named():
    began = [{"dag_id": "chain", "dag_run_id": "b"}, {"dag_id": "ber", "dag_run_id": "a"}]
    airflow = SimpleNamespace(runs=lambda *dags, limit: [run for run in began if run["dag_id"] in dags][:limit])
    assert latest(airflow, ["ber", "chain", "files"]) == ("chain", "b")
    assert latest(airflow, ["ber"]) == ("ber", "a")
    with pytest.raises(JobFailed, match=r"^no job of files, tools has run yet: invoke run --dag files$"):
        latest(airflow, ["files", "tools"])
