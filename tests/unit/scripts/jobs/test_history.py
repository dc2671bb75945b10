"""The history of jobs and what differs between two, over moto's S3 and an Airflow that answers from a list."""

import io
import json
import zipfile
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

from scripts.cli import history as verbs
from scripts.core.airflow import Airflow
from scripts.core.errors import AirflowError, JobFailed
from scripts.jobs import history, situation
from scripts.jobs.history import Difference, Past
from simulation.stages import make_stage
from winbatch import keys
from winbatch.job import Job
from winbatch.ledger import Ledger
from winbatch.times import format_time, parse_time

DEPLOYMENT = {
    "schema": 1, "environment": "dev", "region": "eu-central-1", "account_id": "1", "dags_bucket": "dags",
    "dags_prefix": "dags", "data_bucket": "data", "data_prefixes": ["jobs"], "metrics_log_group": None,
    "airflow": {"environment": "a", "version": "3"},
    "cluster": {
        "name": "c", "capacity_provider": "c", "auto_scaling_group": "c", "max_instances": 4, "subnets": ["s"],
        "security_groups": ["g"], "instance_types": [
            {"type": "c5.xlarge", "vcpus": 4, "memory_mib": 8192, "network_interfaces": 4, "usd_per_hour": 0.4}
        ],
    },
    "workloads": {},
}  # fmt: skip


class Listed(Airflow):
    """An Airflow of these runs; each call of its API is written down."""

    def __init__(self, runs):
        super().__init__(None, "a")
        self.all, self.calls, self.away = runs, [], False

    def call(self, method, path, *, body=None, query=None):
        self.calls.append(path)
        if self.away:
            raise AirflowError("Airflow answered with 502", 502)
        if path.startswith("/dags/~/dagRuns/~/"):
            return {"task_instances": [{"task_id": "plan", "state": "up_for_retry"}]}
        if path == "/dags/~/dagRuns/list":
            dags = body["dag_ids"] or [run["dag_id"] for run in self.all]
            found = sorted((r for r in self.all if r["dag_id"] in dags), key=lambda r: r["run_after"], reverse=True)
            return {"dag_runs": found[body["page_offset"] :][: body["page_limit"]]}
        found = [run for run in self.all if path.endswith(f"/{run['dag_run_id']}")]
        if found:
            return found[0]
        if path.count("/") == 2:
            return {"is_paused": False}
        raise AirflowError("none", 404)


def run(name, minute, state="success", **more):
    made = f"2026-11-22T19:{minute:02}:00+00:00"
    return {
        "dag_id": "d", "dag_run_id": name, "state": state, "run_after": made, "queued_at": made, "start_date": made,
        "end_date": f"2026-11-22T19:{minute + 5:02}:00+00:00", "conf": {}, **more,
    }  # fmt: skip


@pytest.fixture
def place():
    """An environment with two buckets; jobs are added to it."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in ("data", "dags"):
            s3.create_bucket(Bucket=bucket)
        airflow = Listed([])
        aws = SimpleNamespace(client=lambda _: s3)
        yield SimpleNamespace(
            s3=s3,
            flow=airflow,
            workspace=SimpleNamespace(aws=aws, airflow=lambda _: airflow),
            outputs=SimpleNamespace(deployment=DEPLOYMENT, data_bucket="data", dags_bucket="dags"),
        )


def lay(place, made, *, state="succeeded", items=40, release="r1", params=None, **fields):
    """Leave a job of a run in S3, with the ledger of its one stage."""
    stage = make_stage(items=items, job=made["dag_run_id"])
    begun = format_time(parse_time(made["run_after"]))
    job = Job(
        dag="d", job=made["dag_run_id"], params={"number": items, **(params or {})}, stages=(stage,),
        run_id=made["dag_run_id"], begun=begun, release=release,
    )  # fmt: skip
    ledger = Ledger.begin(stage, parse_time(made["start_date"]))
    text = json.loads(ledger.to_json())
    text |= {"state": state, "cost": fields.get("cost"), "items": {"total": items, "done": items, "failed": 0}}
    place.s3.put_object(Bucket="data", Key=job.key, Body=job.to_json().encode())
    place.s3.put_object(Bucket="data", Key=keys.ledger_key(stage), Body=json.dumps(text).encode())
    place.flow.all.append(made)
    return job


def released(place, name, image, *, packed=False):
    body = json.dumps({"workloads": {"w": {"image": image}}})
    if not packed:
        place.s3.put_object(Bucket="dags", Key=f"dags/releases/{name}/deployment.json", Body=body.encode())
        return
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("deployment.json", body)
    place.s3.put_object(Bucket="dags", Key=f"releases/{name}.zip", Body=buffer.getvalue())


def test_the_newest_comes_first_with_what_it_was_and_who_started_it(place):
    lay(place, run("d-1", 0, triggering_user_name="ann"), cost=0.5)
    lay(place, run("d-2", 20, triggered_by="rest_api"))
    one, other = history.read(place.workspace, place.outputs, ["d"])
    assert (one.run_id, one.by, one.cost) == ("d-2", "rest_api", None)
    assert (other.run_id, other.by, other.cost, other.seconds) == ("d-1", "ann", 0.5, 300.0)
    assert (other.state, other.items_done, other.items, other.failed_items) == ("succeeded", 40, 40, 0)
    assert json.dumps([one.as_json(), other.as_json()])


def test_no_more_are_read_than_were_asked_for(place):
    for number in range(5):
        lay(place, run(f"d-{number}", number))
    assert [past.run_id for past in history.read(place.workspace, place.outputs, ["d"], 2)] == ["d-4", "d-3"]
    assert place.flow.calls == ["/dags/~/dagRuns/list"]


def test_a_job_that_cannot_be_read_hides_no_other(place):
    lay(place, run("d-1", 0))
    broken = lay(place, run("d-2", 20))
    place.s3.put_object(Bucket="data", Key=broken.key, Body=b"{")
    one, other = history.read(place.workspace, place.outputs, ["d"])
    assert (one.run_id, one.state) == ("d-2", "success")
    assert "job.json" in one.problem
    assert (other.run_id, other.problem) == ("d-1", "")


def test_a_run_that_was_never_planned_is_listed_and_cannot_be_compared(place):
    place.flow.all.append(run("d-1", 0, state="failed"))
    lay(place, run("d-2", 20))
    assert [past.state for past in history.read(place.workspace, place.outputs, ["d"])] == ["succeeded", "failed"]
    with pytest.raises(JobFailed, match="d-1 was never planned: there is nothing to compare"):
        history.compared(place.workspace, place.outputs, [("d", "d-1"), ("d", "d-2")])


def test_what_differs_is_parameters_release_images_items_and_cost(place):
    lay(place, run("d-1", 0), release="r1", cost=0.5, params={"same": 1})
    lay(place, run("d-2", 20), release="r2", cost=1.5, params={"same": 1}, items=60)
    released(place, "r1", "ecr/w@sha256:a", packed=True)
    released(place, "r2", "ecr/w@sha256:b")
    found = history.compared(place.workspace, place.outputs, [("d", "d-1"), ("d", "d-2")])
    assert found == [
        Difference("parameter number", 40, 60),
        Difference("release", "r1", "r2"),
        Difference("image w", "ecr/w@sha256:a", "ecr/w@sha256:b"),
        Difference("items of stage s", 40, 60),
        Difference("items done", 40, 60),
        Difference("US dollars", 0.5, 1.5),
    ]


def test_a_job_differs_in_nothing_from_itself(place):
    lay(place, run("d-1", 0), release="gone")
    assert history.compared(place.workspace, place.outputs, [("d", "d-1"), ("d", "d-1")]) == []


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ({"triggering_user_name": "ann", "triggered_by": "ui", "run_type": "manual"}, "ann"),
        ({"triggering_user_name": None, "triggered_by": "rest_api", "run_type": "manual"}, "rest_api"),
        ({"run_type": "manual"}, "manual"),
        ({}, ""),
    ],
)
def test_who_started_it_is_a_person_else_the_way(said, who):
    assert history.starter(said) == who


@pytest.mark.parametrize("run_id", ["ber-20261122-190000", "manual__2026-11-22T19:00:00.000000+00:00", "r" * 200])
@pytest.mark.parametrize(("width", "columns"), [(40, 1), (60, 4), (80, 6), (120, 8), (200, 9)])
def test_a_run_id_is_whole_at_any_width_and_no_column_is_cut(run_id, width, columns):
    past = Past("2026-11-22T19:00:00+00:00", run_id, "ber", "succeeded", by="admin", items_done=200, items=200)
    table = verbs._table([past], width)
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    text = console.file.getvalue()
    assert "…" not in text
    assert run_id in "".join(text.split())
    assert max(map(len, text.splitlines())) <= width
    if len(run_id) < 20:
        assert len(table.columns) >= columns
        assert next(iter(table.columns)).header == "run id"


def test_long_values_and_names_fit_into_the_table():
    past = Past("2026-11-22T19:00:00+00:00", "d-1", "d", "failed", by="x" * 300, params={"p": [1] * 400}, items=3)
    assert verbs._table([past], 80).row_count == 1
    text = verbs._value([1] * 400)
    assert len(text) < 90
    assert verbs._value(None) == verbs._value("") == "-"
    assert verbs._value(0) == "0"


# -- what `invoke why` reads


def test_a_job_whose_airflow_is_away_is_told_by_what_lies_in_s3(place):
    lay(place, run("d-1", 0, state="running"), state="running")
    place.flow.away = True
    found = situation.read(place.workspace, place.outputs, "d", "d-1")
    assert found.away == "Airflow answered with 502"
    assert found.snapshot.state == "running"
    assert found.late
    with pytest.raises(AirflowError):
        situation.read(place.workspace, place.outputs, "d", "d-2")


def test_of_a_job_that_is_not_planned_airflow_is_asked_for_its_tasks(place):
    place.flow.all.append(run("d-1", 0, state="running"))
    assert situation.read(place.workspace, place.outputs, "d", "d-1").tasks == [("plan", "up_for_retry")]


def test_of_a_job_that_is_queued_airflow_is_asked_for_those_before_it(place):
    place.flow.all += [run("d-1", 0, state="running"), run("d-2", 1, state="queued", start_date=None)]
    found = situation.read(place.workspace, place.outputs, "d", "d-2")
    assert (found.running, found.paused) == (["d-1"], False)
