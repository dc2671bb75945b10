"""Airflow by MWAA's InvokeRestApi, with an answer for each request."""

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from scripts.core import airflow
from scripts.core.airflow import Airflow, takes
from scripts.core.errors import AirflowError

NOTE = "started by invoke run, call 1f2e3d"
LONG = "manual__2026-11-22T19:00:00.000000+00:00_with_more_to_it_than_a_path_can_hold"


def refusal(status, detail=""):
    """An error of Airflow's, as InvokeRestApi hands it on."""
    response = {
        "Error": {"Code": "RestApiClientException" if status < 500 else "RestApiServerException"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        "RestApiStatusCode": status,
        "RestApiResponse": {"detail": detail},
    }
    return ClientError(response, "InvokeRestApi")


# What MWAA says when Airflow takes longer than ten seconds is written down nowhere; either may be assumed.
NO_ANSWERS = [
    ReadTimeoutError(endpoint_url="x"),
    ClientError(
        {"Error": {"Code": "InternalServerException"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, "InvokeRestApi"
    ),
    refusal(504),
]


class Client:
    """boto3's `mwaa` client, as far as these tests go."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def invoke_rest_api(self, **request):
        self.asked.append((request["Method"], request["Path"], request.get("Body")))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"RestApiResponse": answer}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(airflow, "ASK_AGAIN", (0.0, 0.0))


@pytest.mark.parametrize("lost", NO_ANSWERS, ids=["time-out", "500", "504"])
def test_a_run_that_was_started_without_an_answer_is_our_own_and_is_started_once(lost):
    client = Client(lost, refusal(409, "exists"), {"dag_run_id": "r", "note": NOTE})
    assert Airflow(client, "e").trigger("ber", "r", {"a": 1}, NOTE)
    posts = [body for method, _, body in client.asked if method == "POST"]
    assert len(posts) == 2
    assert posts[0] == posts[1] == {"dag_run_id": "r", "conf": {"a": 1}, "logical_date": None, "note": NOTE}


def test_a_run_that_somebody_else_started_is_not_ours():
    for note in (None, "started by invoke run, call 000000"):
        client = Client(refusal(409), {"dag_run_id": "r", "note": note})
        assert not Airflow(client, "e").trigger("ber", "r", {}, NOTE)


def test_a_request_that_airflow_refuses_is_not_made_again():
    client = Client(refusal(404, "no such DAG"))
    with pytest.raises(AirflowError, match="404: no such DAG"):
        Airflow(client, "e").trigger("ber", "r", {}, NOTE)
    assert len(client.asked) == 1


def test_an_airflow_that_never_answers_is_given_up():
    client = Client(*NO_ANSWERS)
    with pytest.raises(AirflowError, match="504"):
        Airflow(client, "e").trigger("ber", "r", {}, NOTE)


@pytest.mark.parametrize("run_id", [LONG, "a b", "ü", "50%", "a?b", "a#b", "x" * 250])
def test_a_run_that_no_path_can_name_is_found_in_the_list(run_id):
    page = [{"dag_run_id": f"r{number}"} for number in range(100)]
    client = Client({"dag_runs": page}, {"dag_runs": [{"dag_run_id": run_id, "state": "failed"}]}, {"dag_runs": []})
    server = Airflow(client, "e")
    assert server.run("ber", run_id) == {"dag_run_id": run_id, "state": "failed"}
    assert [(method, path, body["page_offset"]) for method, path, body in client.asked] == [
        ("POST", "/dags/~/dagRuns/list", 0),
        ("POST", "/dags/~/dagRuns/list", 100),
    ]
    assert server.run("ber", run_id) is None
    # Airflow cannot be told of it: there are other ways.
    assert not server.mark_failed("ber", run_id, "note")
    assert not server.note("ber", run_id, "note")


def test_a_run_with_a_plain_id_is_asked_for_by_its_path():
    client = Client({"state": "success"}, {})
    server = Airflow(client, "e")
    assert server.run("ber", "manual__2026-11-22T19:00:00+00:00") == {"state": "success"}
    assert server.mark_failed("ber", "offset+1", "note")
    assert [(method, path) for method, path, _ in client.asked] == [
        ("GET", "/dags/ber/dagRuns/manual__2026-11-22T19:00:00+00:00"),
        ("PATCH", "/dags/ber/dagRuns/offset+1"),
    ]
    assert takes("/dags/" + "d" * 58)
    assert not takes("/dags/" + "d" * 59)


def test_the_last_runs_are_asked_for_by_post_and_no_more_of_them():
    client = Client({"dag_runs": [{"dag_run_id": "b"}, {"dag_run_id": "a"}]})
    assert [run["dag_run_id"] for run in Airflow(client, "e").runs("ber", "files", limit=2)] == ["b", "a"]
    ((method, path, body),) = client.asked
    assert (method, path) == ("POST", "/dags/~/dagRuns/list")
    assert (body["dag_ids"], body["order_by"], body["page_limit"]) == (["ber", "files"], "-run_after", 2)


@pytest.mark.parametrize("lost", NO_ANSWERS, ids=["time-out", "500", "504"])
def test_what_may_be_said_twice_is_said_again_when_nobody_answered(lost):
    client = Client(lost, {}, lost, {})
    Airflow(client, "e").unpause("ber")
    assert Airflow(client, "e").note("ber", "r", "seen")
    assert [method for method, _, _ in client.asked] == ["PATCH"] * 4
    with pytest.raises(AirflowError, match="404"):
        Airflow(Client(refusal(404)), "e").unpause("ber")


@pytest.mark.parametrize("lost", NO_ANSWERS, ids=["time-out", "500", "504"])
def test_a_run_that_was_cleared_without_an_answer_is_not_cleared_again(lost):
    before, after = {"queued_at": "1"}, {"queued_at": "2"}
    client = Client(before, lost, after)
    Airflow(client, "e").clear("ber", "r")
    assert [method for method, _, _ in client.asked] == ["GET", "POST", "GET"]
    client = Client(before, lost, before, {})
    Airflow(client, "e").clear("ber", "r")
    assert [method for method, _, _ in client.asked] == ["GET", "POST", "GET", "POST"]


def test_more_than_mwaa_takes_is_refused_before_it_is_sent():
    client = Client()
    with pytest.raises(AirflowError, match="MWAA takes 6,000,000 at most: give the job fewer"):
        Airflow(client, "e").trigger("ber", "r", {"a": "x" * 6_000_000}, NOTE)
    assert client.asked == []


def test_who_waits_bears_an_airflow_that_is_away_and_no_refusal(monkeypatch):
    monkeypatch.setattr(airflow, "LOOK_AGAIN", 0.0)
    client = Client(refusal(503), *NO_ANSWERS, {"state": "failed"})
    assert airflow.bear(lambda: Airflow(client, "e").run("ber", "r")) == {"state": "failed"}
    with pytest.raises(AirflowError, match="403"):
        airflow.bear(lambda: Airflow(Client(refusal(403)), "e").run("ber", "r"))
    monkeypatch.setattr(airflow, "AIRFLOW_PATIENCE", -1.0)
    with pytest.raises(AirflowError, match="503"):
        airflow.bear(lambda: Airflow(Client(refusal(503)), "e").run("ber", "r"))
