import datetime as dt
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.cli import render
from scripts.cli.jobs import _refuse_together, options_of
from scripts.core.airflow import PATH_LENGTH
from scripts.core.errors import SettingsError
from scripts.core.settings import Settings
from scripts.jobs import control
from scripts.jobs.control import Cancelled
from scripts.jobs.runs import Snapshot, cancel_note, dag_of, new_run_id

from .test_runs import NOW, ledger, stage

QUEUED = "2026-11-22T18:59:00Z"


def run(state, **fields):
    return {"state": state, "queued_at": QUEUED, **fields}


def job(state, *ledgers, cancelled=False, **fields):
    """A job whose stages have these ledgers' fields; None: not begun."""
    stages = [stage(f"s{number}") for number in range(len(ledgers))]
    pairs = [
        (each, ledger(each, **given) if given is not None else None)
        for each, given in zip(stages, ledgers, strict=True)
    ]
    noted = {"note": cancel_note(run(state))} if cancelled else {}
    return Snapshot("ber-20261122-190000", run(state, **noted, **fields), pairs)


@pytest.mark.parametrize(
    ("snapshot", "state"),
    [
        (job("queued", cancelled=True), "cancelled"),
        (job("running", {"state": "running"}, cancelled=True), "cancelling"),
        # Nothing was planned yet, so that no ledger says it.
        (job("failed", cancelled=True), "cancelled"),
        (job("success", None, cancelled=True), "cancelled"),
        (job("failed", {"state": "failed"}, cancelled=True), "cancelled"),
        # It was quicker than whoever cancelled it.
        (job("success", {"state": "succeeded"}, cancelled=True), "succeeded"),
        # Cleared since, on Airflow's page or by invoke resume: queued anew.
        (
            job("queued", {"state": "cancelled"}, note="cancelled by invoke cancel; queued at 2026-11-22T17:00:00Z"),
            "running",
        ),
        (job("queued", note="something else"), "queued"),
        (job("failed", note="something else"), "failed"),
    ],
)
def test_a_cancelled_run_is_known_by_its_note(snapshot, state):
    assert snapshot.state == state


def test_a_stage_that_ended_before_the_run_was_queued_again_says_nothing_of_it():
    before = NOW - dt.timedelta(minutes=5)
    assert job("queued", {"state": "cancelled", "updated_at": before}).state == "queued"
    assert job("running", {"state": "cancelled", "updated_at": before}).state == "running"
    assert job("failed", {"state": "cancelled", "updated_at": before}).state == "failed"
    assert job("failed", {"state": "cancelled", "updated_at": NOW}).state == "cancelled"


@pytest.mark.parametrize(
    ("snapshot", "answer"),
    [
        (job("queued"), "not ended"),
        (job("running", {"state": "running"}), "not ended"),
        (job("running", {"state": "running"}, cancelled=True), "not ended"),
        (job("queued", cancelled=True), "possible"),
        (job("failed", {"state": "failed", "items_failed": 1}), "possible"),
        (job("failed", {"state": "cancelled"}), "possible"),
        (job("failed"), "possible"),
        (job("success", {"state": "succeeded", "items_failed": 2}), "possible"),
        (job("success", {"state": "succeeded"}, {"state": "succeeded"}), "nothing"),
    ],
)
def test_what_has_ended_and_lacks_something_can_be_resumed(snapshot, answer):
    assert control.resumption(snapshot) == answer


def test_only_runs_that_have_begun_and_not_ended_use_the_cluster():
    runs = [
        {"dag_run_id": "me", "state": "running"},
        {"dag_run_id": "a", "state": "running"},
        {"dag_run_id": "b", "state": "queued"},
        {"dag_run_id": "c", "state": "success"},
    ]
    assert control.at_work(runs, "me") == ["a"]


def test_what_is_still_to_be_stopped_is_told():
    at_work = {"tasks_running": 5, "tasks_pending": 1, "instances_desired": 6}
    assert control.stopping(job("running", at_work)) == "6 ECS tasks to stop, 6 instances"
    assert control.stopping(job("running", {"state": "cancelled"})) == "ECS tasks are stopped; scaling in"
    assert control.stopping(job("running")) == "ECS tasks are stopped; scaling in"


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (
            Cancelled(job("failed", {"state": "cancelled", "items_done": 4}), acted=True, instances=0),
            "is cancelled: 4 of 10 items are done and kept, the cluster is at 0 instances. Go on with the rest: ",
        ),
        (
            Cancelled(job("failed", {"state": "cancelled"}), acted=True, instances=3, others=["ber-20261122-180000"]),
            "the cluster is at 3 instances, for ber-20261122-180000.",
        ),
        (
            Cancelled(job("queued", cancelled=True), acted=True, instances=0),
            "is cancelled: it had not begun, the cluster",
        ),
        (Cancelled(job("failed", {"state": "cancelled"}), acted=False), "was cancelled already: 0 of 10 items"),
        (Cancelled(job("failed", {"state": "failed"}), acted=False), "had failed already: 0 of 10"),
        (
            Cancelled(job("success", {"state": "succeeded", "items_done": 10}), acted=True, instances=0),
            "had succeeded already: 10 of 10 items are done and kept",
        ),
    ],
)
def test_what_came_of_cancelling_is_told_with_what_is_kept(done, words):
    told = render.cancelled(done, " --env dev")
    assert words in told
    assert told.endswith("invoke resume ber-20261122-190000 --env dev") == (done.snapshot.state != "succeeded")


def test_the_json_of_a_cancellation():
    done = Cancelled(job("failed", {"state": "cancelled", "items_done": 4, "items_failed": 1}), acted=True, instances=0)
    assert done.as_json("ber") == {
        "run_id": "ber-20261122-190000",
        "dag": "ber",
        "state": "cancelled",
        "cancelled_now": True,
        "items": 10,
        "items_done": 4,
        "failed_items": 1,
        "instances": 0,
        "other_runs": [],
    }


DAGS = ["ber", "ber-sweep", "convert-files-nightly-in-the-dark"]


@pytest.mark.parametrize(
    ("run_id", "given_dag", "dag"),
    [
        ("ber-20261122-190000", "", "ber"),
        ("ber-sweep-20261122-190000", "", "ber-sweep"),
        ("ber-20261122-190000", "ber-sweep", "ber-sweep"),
        ("manual__2026-11-22T19:00:00+00:00", "ber", "ber"),
        # A DAG that is no longer in the checkout may still have runs.
        ("gone-20261122-190000", "", "gone"),
    ],
)
def test_a_run_id_says_its_dag(run_id, given_dag, dag):
    assert dag_of(run_id, given_dag, DAGS, list) == dag


@pytest.mark.parametrize(
    ("run_id", "dags", "line"),
    [
        ("", DAGS, "'' is no run id"),
        ("../ber", DAGS, "is no run id"),
        ("a\nb", DAGS, "is no run id"),
        ("a b", DAGS, "does not say its DAG"),
        ("manual__2026", DAGS, "does not say its DAG: name it with --dag"),
        ("20261122-190000", DAGS, "does not say its DAG"),
    ],
)
def test_a_run_id_that_says_no_dag_is_refused(run_id, dags, line):
    with pytest.raises(SettingsError, match=line):
        dag_of(run_id, "", dags, list)


def test_names_that_a_run_id_cannot_tell_apart_are_to_be_given():
    dags = ["convert-files-first", "convert-files-other"]
    run_id = new_run_id(dags[1], NOW)
    with pytest.raises(SettingsError, match="may be of convert-files-first, convert-files-other"):
        dag_of(run_id, "", dags, list)


@given(st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True))
def test_every_run_id_fits_mwaas_paths_and_leads_back_to_its_dag(dag):
    run_id = new_run_id(dag, NOW)
    assert len(f"/dags/{dag}/dagRuns/{run_id}") <= PATH_LENGTH
    assert len(f"/dags/{dag}/clearTaskInstances") <= PATH_LENGTH
    assert dag_of(run_id, "", [dag], list) == dag


def test_a_run_that_a_person_named_is_of_the_dag_that_has_its_job():
    assert dag_of("nightly+1", "", DAGS, lambda: ["ber"]) == "ber"
    with pytest.raises(SettingsError, match=r"name it with --dag \(ber, ber-sweep\)"):
        dag_of("nightly+1", "", DAGS, lambda: ["ber", "ber-sweep"])


@pytest.mark.parametrize(
    ("given_options", "line"),
    [
        ({"param": ["a=1"], "follow": "", "resume": "r"}, "--param does not go with --resume"),
        ({"param": ["a=1"], "follow": "r", "resume": ""}, "--param does not go with --follow"),
        ({"param": None, "follow": "r", "resume": "r"}, "choose one"),
    ],
)
def test_options_that_exclude_each_other(given_options, line):
    with pytest.raises(SettingsError, match=line):
        _refuse_together(**given_options)


def test_commands_that_are_shown_mean_the_same_environment_and_dag():
    local, dev = Settings.load("local"), Settings.load("dev")
    assert options_of(local, "ber-20261122-190000", "ber") == ""
    assert options_of(dev, "manual__2026", "ber") == " --dag ber --env dev"


@pytest.mark.parametrize("verb", ["cancel", "run"])
def test_every_verb_explains_itself_with_examples(verb):
    done = subprocess.run([sys.executable, "-m", "invoke", verb, "--help"], capture_output=True, text=True, check=True)
    assert f"Usage: inv[oke] [--core-opts] {verb}" in done.stdout
    assert "Example" in done.stdout
    assert f"invoke {verb}" in done.stdout
