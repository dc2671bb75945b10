import datetime as dt
import io
import json
from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from scripts.cli import render
from scripts.core.errors import JobFailed, SettingsError
from scripts.jobs import item_log
from scripts.jobs.item_log import Attempt, ItemLog, Line
from scripts.jobs.runs import Snapshot
from winbatch.attempts import Told
from winbatch.deployment import Workload
from winbatch.errors import JobError
from winbatch.stage import ClaimMark, Stage

T = dt.datetime(2026, 11, 22, 19, 0, tzinfo=dt.UTC)
TASK = "arn:aws:ecs:eu-central-1:123456789012:task/winbatch-local/0123456789abcdef"
WORKLOAD = Workload(
    task_definition="t", container="ber", cpu=4096, memory=1, image="i", log_group="/g", log_stream_prefix="p"
)


def stage(name="simulate", items=10):
    return Stage(
        dag="ber", job="j", stage=name, workload="ber", run="m:f", manifest="m", claims="c/", partials="p/",
        results="r/", outputs="o/", items=items, shard_items=4,
    )  # fmt: skip


def after(seconds):
    return (T + dt.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def test_the_stream_is_named_as_the_log_driver_names_it():
    assert item_log.stream(WORKLOAD, TASK) == "p/ber/0123456789abcdef"


def event(said, at=T):
    message = said if isinstance(said, str) else json.dumps(said)
    return {"timestamp": round(at.timestamp() * 1000), "message": message}


@pytest.mark.parametrize(
    "said",
    [
        "plain text",
        "{half",
        "[5]",
        "5",
        {"message": "of the worker"},
        {"item": 6, "message": "of another item"},
        {"item": 5, "attempt": 1, "message": "of another attempt"},
        {"item": None, "message": "of none"},
    ],
)
def test_lines_of_others_are_left_out(said):
    assert item_log.parse(event(said), 5, 0) is None


@pytest.mark.parametrize(
    ("said", "level", "text"),
    [
        ({"message": "hello", "level": "warning"}, "WARNING", "hello"),
        ({"message": "hello"}, "INFO", "hello"),
        ({"message": "hello", "level": "ERROR", "traceback": "Traceback\n  x"}, "ERROR", "hello\nTraceback\n  x"),
        ({"error": "boom", "seconds": 1.0}, "ERROR", "boom"),
        ({"values": {"b": 1, "a": 2}, "seconds": 1.5}, "INFO", 'done in 1.5 s: {"a": 2, "b": 1}'),
        ({"step": 3, "shard": 1}, "INFO", '{"step": 3}'),
    ],
)
@pytest.mark.parametrize("attempt", [{}, {"attempt": 2}])
def test_a_line_of_the_item_has_time_level_and_text(said, level, text, attempt):
    assert item_log.parse(event({"item": 5, **attempt, **said}), 5, 2) == Line(T, level, text)


def test_the_lines_own_time_wins_over_the_log_drivers():
    line = item_log.parse(event({"item": 5, "ts": "2026-11-22T18:59:59.500+00:00", "message": "m"}), 5, 0)
    assert line.at == T - dt.timedelta(seconds=0.5)


def test_what_the_log_does_not_have_is_taken_from_the_failure():
    lines = [Line(T, "INFO", "step 1"), Line(T, "ERROR", "ValueError: x")]
    kept = ["19:00:00 INFO ber: step 1", "Traceback", '  File "a.py"', "ValueError: x"]
    assert [line.text for line in item_log.unsaid(lines, kept)] == ["Traceback", '  File "a.py"']
    assert [line.text for line in item_log.unsaid([], kept)] == kept


@pytest.mark.parametrize("text", ["", "-1", "one", "1.5", "٣", " 1"])
def test_an_item_that_is_no_number_is_refused(text):
    with pytest.raises(SettingsError, match="an item is named by its number"):
        item_log.parse_item(text)


def snapshot(*stages, state="running"):
    return Snapshot("r", {"state": state}, [(each, None) for each in stages])


def test_the_first_stage_is_meant_unless_another_is_named():
    both = snapshot(stage(), stage("aggregate", items=1))
    assert item_log.choose_stage(both, 9, "").stage == "simulate"
    assert item_log.choose_stage(both, 0, "aggregate").stage == "aggregate"


@pytest.mark.parametrize(
    ("found", "item", "name", "error", "line"),
    [
        (snapshot(stage()), 10, "", SettingsError, "--item 10: stage simulate of r has items 0 to 9"),
        (snapshot(stage()), 0, "x", SettingsError, "r has no stage 'x'; there are simulate"),
        (snapshot(state="queued"), 0, "", JobFailed, "r is queued and not planned"),
    ],
)
def test_items_that_are_not_there_are_refused(found, item, name, error, line):
    with pytest.raises(error, match=line):
        item_log.choose_stage(found, item, name)


@pytest.fixture
def logs():
    client = boto3.client("logs", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def told(**fields):
    return Told(**{"number": 0, "task": TASK, "claimed_at": T, "outcome": "failed", **fields})


def attempt(lines=(), **fields):
    return Attempt(**vars(told(**fields)), lines=lines)


def test_a_stream_is_read_to_its_end_within_the_attempts_time(logs):
    client, stubber = logs
    asked = {
        "logGroupName": "/g",
        "logStreamName": "p/ber/0123456789abcdef",
        "startFromHead": True,
        "startTime": round((T - item_log.BEFORE).timestamp() * 1000),
        "endTime": round((T + item_log.AFTER).timestamp() * 1000),
    }
    pages = [
        ("a", [event({"item": 5, "message": "one"})]),
        ("b", []),
        ("c", [event({"item": 5, "message": "two"})]),
        ("c", []),
    ]
    token = None
    for following, events in pages:
        answer = {"events": events, "nextForwardToken": following, "nextBackwardToken": "z"}
        stubber.add_response("get_log_events", answer, {**asked, "nextToken": token} if token else asked)
        token = following
    read = item_log._with_lines(client, WORKLOAD, 5, told(ended_at=T))
    assert [line.text for line in read.lines] == ["one", "two"]


def test_a_stream_that_is_gone_leaves_what_the_failure_kept(logs):
    client, stubber = logs
    stubber.add_client_error("get_log_events", "ResourceNotFoundException")
    read = item_log._with_lines(client, WORKLOAD, 5, told(kept=("last words",)))
    assert read.lines == (Line(None, "", "last words"),)


def test_attempts_and_lines_are_read_by_people():
    ended = attempt(reason="boom", ended_at=T + dt.timedelta(seconds=9))
    assert render.attempt_line(ended) == (
        "attempt 0, ECS task 0123456789abcdef, 2026-11-22 19:00:00 to 19:00:09 UTC: failed: boom"
    )
    assert render.attempt_line(attempt(outcome="at work")).endswith("2026-11-22 19:00:00 UTC: at work")
    assert render.log_line(Line(T, "INFO", "hello")) == "19:00:00.000 INFO    hello"
    assert render.log_line(Line(None, "", "  raw")) == "  raw"


def test_a_log_that_is_followed_shows_each_line_once(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    shown = render.ItemLogPrinter()
    one, two = Line(T, "INFO", "one"), Line(T, "INFO", "two")
    for lines in ((), (one,), (one, two), (one, two)):
        shown(ItemLog(stage(), 5, [attempt(outcome="at work", lines=lines)]))
    assert out.getvalue().splitlines() == ["19:00:00.000 INFO    one", "19:00:00.000 INFO    two"]


def test_the_json_of_a_log_says_it_all():
    found = ItemLog(stage(), 5, [attempt(reason="boom", lines=(Line(T, "INFO", "one"),))])
    assert json.loads(json.dumps(found.as_json("r"))) == {
        "run_id": "r",
        "dag": "ber",
        "stage": "simulate",
        "item": 5,
        "shard": 1,
        "attempts": [
            {
                "attempt": 0,
                "task": TASK,
                "claimed_at": "2026-11-22T19:00:00+00:00",
                "ended_at": None,
                "outcome": "failed",
                "reason": "boom",
                "lines": [{"at": "2026-11-22T19:00:00+00:00", "level": "INFO", "text": "one"}],
            }
        ],
    }


def test_a_mark_that_does_not_parse_is_named():
    first = stage()
    outputs = SimpleNamespace(data_bucket="bucket")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key=first.claim_key(ClaimMark(1, 0, "claim")), Body=b"{")
        workspace = SimpleNamespace(aws=SimpleNamespace(client=lambda _name: s3))
        with pytest.raises(JobError, match=r"^s3://bucket/c/000001/00.claim: not a record of this release"):
            item_log.read(workspace, outputs, snapshot(first), 5)
