import datetime as dt
import io
import json
from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from scripts import item_log, render
from scripts.errors import JobFailed, SettingsError
from scripts.item_log import Attempt, ItemLog, Line
from scripts.jobs import Snapshot
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


def claim(at=0):
    return {"task": TASK, "at": after(at)}


def failed(*items, at=9, code=None):
    failures = [{"item": item, "error": "boom", "exit_code": code, "log": [f"last words of {item}"]} for item in items]
    return {"task": TASK, "at": after(at), "failures": failures}


def tried(item, *marks, done_at=None):
    """The attempts for marks given as (attempt, kind, body)."""
    return item_log.attempts(item, {ClaimMark(1, number, kind): body for number, kind, body in marks}, done_at=done_at)


def test_nothing_was_tried_before_the_first_claim():
    assert tried(5) == []


def test_a_claim_without_an_end_is_at_work():
    (attempt,) = tried(5, (0, "claim", claim()))
    assert (attempt.number, attempt.task_id, attempt.outcome) == (0, "0123456789abcdef", "at work")
    assert attempt.ended_at is None


def test_a_result_ends_the_last_attempt():
    first, last = tried(
        5,
        (0, "claim", claim()),
        (0, "released", {"reason": "its ECS task is gone", "at": after(5)}),
        (1, "claim", claim(6)),
        done_at=T + dt.timedelta(seconds=8),
    )
    assert (first.outcome, first.reason) == ("given back", "its ECS task is gone")
    assert (last.outcome, last.ended_at) == ("done", T + dt.timedelta(seconds=8))


RELEASED = {"reason": "the worker was told to stop (SIGTERM)", "at": after(9)}


def test_an_attempt_whose_result_came_while_it_was_given_back_is_done():
    """A worker that is told to stop gives its claims back while results are on their way to S3."""
    (attempt,) = tried(5, (0, "claim", claim()), (0, "released", RELEASED), done_at=T + dt.timedelta(seconds=9))
    assert (attempt.outcome, attempt.reason, attempt.ended_at) == ("done", "", T + dt.timedelta(seconds=9))


@pytest.mark.parametrize(("kind", "outcome"), [("crash", "crashed"), ("invalid", "invalid result"), ("lost", "lost")])
@pytest.mark.parametrize("released", [[], [(0, "released", RELEASED)]])
def test_a_result_beside_what_the_engine_says_of_the_attempt_is_not_its_own(kind, outcome, released):
    (attempt,) = tried(5, (0, "claim", claim()), (0, kind, {"reason": "r", "at": after(9)}), *released, done_at=T)
    assert attempt.outcome == outcome


@pytest.mark.parametrize(
    ("kind", "code", "outcome", "reason"),
    [
        ("failed", None, "failed", "boom"),
        ("failed", 3, "failed", "boom (exit code 3)"),
        ("memory", None, "out of memory", "boom"),
    ],
)
def test_a_failure_names_its_reason_and_keeps_its_last_words(kind, code, outcome, reason):
    (attempt,) = tried(5, (0, "claim", claim()), (0, kind, failed(4, 5, code=code)))
    assert (attempt.outcome, attempt.reason, attempt.kept) == (outcome, reason, ("last words of 5",))


def test_an_item_whose_neighbour_failed_is_done():
    (attempt,) = tried(5, (0, "claim", claim()), (0, "failed", failed(4)))
    assert (attempt.outcome, attempt.kept) == ("done", ())


def test_a_failure_that_may_be_tried_again_is_a_failure():
    """The engine gives the attempt back after it failed; how it ended is that it failed."""
    (attempt,) = tried(
        5, (0, "claim", claim()), (0, "failed", failed(5)), (0, "released", {"reason": "again", "at": after(11)})
    )
    assert attempt.outcome == "failed"


@pytest.mark.parametrize(("kind", "outcome"), [("crash", "crashed"), ("invalid", "invalid result"), ("lost", "lost")])
def test_what_the_engine_says_of_an_attempt_wins_over_its_release(kind, outcome):
    said = {"reason": "exit code 139", "at": after(9)}
    (attempt,) = tried(5, (0, "claim", claim()), (0, "released", {"reason": "again", "at": after(11)}), (0, kind, said))
    assert (attempt.outcome, attempt.reason) == (outcome, "exit code 139")


@given(
    st.lists(st.sampled_from(["failed", "memory", "crash", "invalid", "lost", "released"]), max_size=6), st.booleans()
)
def test_every_attempt_is_told_once_and_in_order(ends, done):
    marks = []
    for number, kind in enumerate(ends):
        body = failed(5) if kind in {"failed", "memory"} else {"reason": "r", "at": after(9)}
        marks += [(number, "claim", claim()), (number, kind, body)]
    marks.append((len(ends), "claim", claim(20)))
    attempts = tried(5, *reversed(marks), done_at=T if done else None)
    assert [attempt.number for attempt in attempts] == list(range(len(ends) + 1))
    assert attempts[-1].outcome == ("done" if done else "at work")
    assert all(attempt.outcome not in {"done", "at work"} for attempt in attempts[:-1])


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


def attempt(**fields):
    return Attempt(**{"number": 0, "task": TASK, "claimed_at": T, "outcome": "failed", **fields})


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
    read = item_log._with_lines(client, WORKLOAD, 5, attempt(ended_at=T))
    assert [line.text for line in read.lines] == ["one", "two"]


def test_a_stream_that_is_gone_leaves_what_the_failure_kept(logs):
    client, stubber = logs
    stubber.add_client_error("get_log_events", "ResourceNotFoundException")
    read = item_log._with_lines(client, WORKLOAD, 5, attempt(kept=("last words",)))
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
        with pytest.raises(JobError, match=r"c/000001/: a mark that is not of this release"):
            item_log.read(workspace, outputs, snapshot(first), 5)
