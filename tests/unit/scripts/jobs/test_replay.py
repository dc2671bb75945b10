import dataclasses
import datetime as dt
import functools
import json
import logging

import pytest

from scripts.core.errors import JobFailed, SettingsError
from scripts.jobs import replay
from simulation.faults import Faults
from simulation.world import World
from winbatch import keys, ticks
from winbatch.errors import JobError
from winbatch.ledger import Ledger

FIRST = dt.datetime(2026, 11, 22, 19, 0, 42, 500_000, tzinfo=dt.UTC)


def utc(*words):
    return dt.datetime(2026, 11, *words, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("19:00:42", utc(22, 19, 0, 42)),
        ("19:01", utc(22, 19, 1)),
        ("18:59:59", utc(23, 18, 59, 59)),
        ("2026-11-22T19:00:42", utc(22, 19, 0, 42)),
        ("2026-11-22 20:00:42+01:00", utc(22, 19, 0, 42)),
        ("2026-11-22T19:00:42.5Z", FIRST),
    ],
)
def test_a_time_is_of_the_job_and_in_utc(text, moment):
    assert replay.parse_time(text, FIRST) == moment


@pytest.mark.parametrize("text", ["", "now", "25:00", "19:0", "yesterday at noon", "2026-13-01T00:00:00"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(SettingsError, match=r"--at .*: a time is expected, in UTC, such as 19:00:42"):
        replay.parse_time(text, FIRST)


class Copied:
    """A bucket that can be spoilt without harm to others."""

    def __init__(self, objects):
        self.objects = dict(objects)

    def get(self, key):
        return self.objects.get(key)

    def get_many(self, keys):
        return [*map(self.get, keys)]

    def listing(self, prefix):
        entries = {entry.key: entry for entry in lived().bucket.listing("")}
        found = (key for key in sorted(self.objects) if key.startswith(prefix))
        return (dataclasses.replace(entries[key], size=len(self.objects[key].body)) for key in found)

    def where(self, key):
        return f"s3://data/{key}"

    def replace(self, key, body):
        self.objects[key] = dataclasses.replace(self.objects[key], content=body)


@functools.cache
def lived():
    """A quiet world with a job of two stages, which has ended."""
    logging.disable(logging.CRITICAL)
    for seed in range(50):
        world = World(seed, Faults())
        if len(world.runs) == 1 and world.runs[0].spec.dag == "two":
            assert world.live().problems == ()
            if world.runs[0].state == "success":
                break
    logging.disable(logging.NOTSET)
    return world


@pytest.fixture
def bucket():
    world = lived()
    return Copied({entry.key: world.bucket.get(entry.key) for entry in world.bucket.listing("")})


def replayed(bucket):
    return replay.replay(bucket, "two", "run-0")


def tick_keys(bucket, stage="work"):
    return [key for key in sorted(bucket.objects) if f"/{stage}/ticks/" in key]


def test_a_job_that_is_not_there_is_told_so(bucket):
    with pytest.raises(JobFailed, match="no job of run run-9 of DAG two lies in the data bucket"):
        replay.replay(bucket, "two", "run-9")


def test_a_job_of_a_release_that_kept_no_ticks_is_told_so_in_one_line_and_its_items_have_their_records(bucket):
    for key in [key for key in bucket.objects if "/ticks/" in key]:
        del bucket.objects[key]
    for key in [key for key in bucket.objects if key.endswith("/ledger.json")]:
        data = json.loads(bucket.objects[key].body)
        del data["engine"]["ticks"]
        bucket.replace(key, json.dumps(data).encode())
    job = replayed(bucket)
    assert not job.kept
    assert job.lines() == ["run-0 has no ticks to replay: it has not begun, or ran under a release that kept none"]
    assert job.problem() == ""
    texts = [sentence.text for sentence in replay.why(bucket, job, 0)]
    assert texts[-2:] == ["attempt 0 ended for the item: done", "item 0 is done"]
    with pytest.raises(JobFailed, match="has no ticks that tell of 19:00"):
        replay.at(job, "19:00")


def test_what_is_not_kept_and_what_cannot_be_read_is_counted(bucket):
    first, second, third, fourth, *_ = tick_keys(bucket)
    made = replayed(bucket).parts[0].made
    del bucket.objects[first]
    bucket.replace(second, b"torn")
    bucket.replace(third, bucket.objects[third].body[:-9])
    bucket.replace(fourth, bucket.objects[fourth].body + bytes(1 << 16))
    job = replayed(bucket)
    lines = job.lines()
    assert lines[0] == f"stage work: {made - 4} ticks, the same actions"
    assert lines[1].startswith(f"  1 tick of {made} not kept: old ones are thinned out")
    assert lines[2] == f"  s3://data/{fourth}: {len(bucket.objects[fourth].body):,} bytes, more than a tick has"
    assert lines[3].startswith(f"  s3://data/{second}: not packed by gzip")
    assert lines[4].startswith(f"  s3://data/{third}: cut off, or more than")
    assert (job.problem(), job.as_json(())["stages"][0]["replayed"]) == ("", made - 4)


def test_a_stage_that_began_under_a_release_without_ticks_is_told_so(bucket):
    part = replayed(bucket).parts[0]
    first = part.ticks[0].tick
    later = dataclasses.replace(first.ledger, started_at=first.ledger.started_at - dt.timedelta(minutes=5))
    bucket.replace(ticks.key(part.stage, 1), ticks.encode(dataclasses.replace(first, ledger=later)))
    assert "  it began under a release that kept no ticks" in replayed(bucket).lines()


def test_a_stage_that_has_not_begun_is_told_so(bucket):
    for key in [key for key in bucket.objects if "/merge/" in key]:
        del bucket.objects[key]
    assert replayed(bucket).lines()[1] == "stage merge has not begun"


def test_a_ledger_that_does_not_parse_is_named(bucket):
    key = next(key for key in bucket.objects if key.endswith("/work/ledger.json"))
    bucket.replace(key, b"{}")
    with pytest.raises(JobError, match=f"s3://data/{key}"):
        replayed(bucket)


def test_times_before_the_first_tick_and_after_the_last_are_told(bucket):
    job = replayed(bucket)
    first, last = job.parts[0].ticks[0].tick, job.parts[-1].ticks[-1].tick
    with pytest.raises(JobFailed, match=f"ticks of run-0 are kept from {first.seen.now:%Y-%m-%d %H:%M:%S} UTC on"):
        replay.at(job, (first.seen.now - dt.timedelta(seconds=2)).isoformat())
    told = replay.at(job, (last.seen.now + dt.timedelta(days=2)).isoformat())
    assert told[0].text == f"tick {last.number} of stage merge, by the stage's Airflow task"
    assert told[-1].text == "no later tick is kept"
    of_work = replay.at(job, (last.seen.now + dt.timedelta(days=2)).isoformat(), "work")
    assert "it ends the stage as succeeded" in [sentence.text for sentence in of_work]


def test_every_time_that_is_shown_can_be_typed_and_means_its_tick(bucket):
    job = replayed(bucket)
    shown = {f"{each.tick.seen.now:%Y-%m-%d %H:%M:%S}" for part in job.parts for each in part.ticks}
    assert {replay.at(job, text)[0].line()[: len(text)] for text in shown} == shown


def test_stages_and_items_that_are_not_there_are_refused(bucket):
    job = replayed(bucket)
    with pytest.raises(SettingsError, match="run-0 has no stage 'dream'; there are work, merge"):
        replay.why(bucket, job, 0, "dream")
    with pytest.raises(SettingsError, match="--why 1: stage merge of run-0 has items 0 to 0"):
        replay.why(bucket, job, 1, "merge")


def test_an_item_that_nobody_has_claimed_tells_what_the_stage_waits_for(bucket):
    part = replayed(bucket).parts[0]
    for key in [key for key in bucket.objects if "/claims/" in key or key.startswith(part.stage.results)]:
        del bucket.objects[key]
    for key in tick_keys(bucket):
        if key != ticks.key(part.stage, 1):
            del bucket.objects[key]
    at = part.ticks[0].tick.ledger.started_at
    bucket.replace(keys.ledger_key(part.stage), Ledger.begin(part.stage, at).to_json().encode())
    told = replay.why(bucket, replayed(bucket), 0)
    assert told[0].text.endswith("free to be claimed")
    assert told[-1].text.startswith("nobody has claimed it yet; it saw 0 of ")


def test_a_program_reads_what_a_person_reads(bucket):
    job = replayed(bucket)
    told = replay.why(bucket, job, 0)
    data = json.loads(json.dumps(job.as_json(told)))
    assert (data["run_id"], data["dag"], data["same"]) == ("run-0", "two", True)
    assert [stage["stage"] for stage in data["stages"]] == ["work", "merge"]
    assert data["stages"][0] == {
        "stage": "work", "ticks": len(job.parts[0].ticks), "replayed": len(job.parts[0].ticks), "unread": [],
        "different": [], "first_difference": None, "releases": [""], "same_code": True,
    }  # fmt: skip
    assert [sentence["text"] for sentence in data["story"]] == [sentence.text for sentence in told]
    assert {sentence["tick"] is None for sentence in data["story"]} == {True, False}
