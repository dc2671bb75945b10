"""What ends at the same time as its container may be an answer to that: it counts when no stop was heard of."""

import datetime as dt
import json
import threading

import pytest

from winbatch.stage import ClaimMark
from winbatch.working import settling
from winbatch.working.claims import Claims
from winbatch.working.failures import ItemError
from winbatch.working.manifest import Manifest
from winbatch.working.partials import Done
from winbatch.working.settling import Settling
from winbatch.working.shards import ShardRunner

LONG = 3600.0
NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
MARK = ClaimMark(0, 0, "claim")


@pytest.fixture
def seconds(monkeypatch):
    """Windows' time for the word of a stop, here."""

    def take(value):
        monkeypatch.setattr(settling, "SECONDS", value)

    return take


@pytest.fixture
def shard(job, tmp_path):
    """A shard of two items in the hands of a worker, and what keeps its outcome from S3."""

    def make():
        job.plan([{}, {}], shard_items=2)
        claims, faults = Claims(job.store, job.stage, "worker", lambda: NOW), []
        runner = ShardRunner(
            store=job.store,
            stage=job.stage,
            manifest=Manifest(job.store, job.stage),
            claims=claims,
            folder=tmp_path / "items",
            failed=faults.append,
        )
        assert claims.take() == MARK
        return runner, claims, faults

    return make


def done(item, _folder):
    return Done(json.dumps({"item": item.item, "params": {}, "values": {}}).encode(), {})


def failing(_item, _folder):
    raise ItemError("exit code 1", exit_code=1)


@pytest.mark.parametrize("run", [done, failing])
def test_what_ended_just_before_a_stop_is_neither_done_nor_failed_nor_kept(job, shard, seconds, run):
    seconds(LONG)
    runner, claims, faults = shard()
    runner.work(MARK, run)
    runner.stop()
    claims.release_all("told to stop", patience=0, save=runner.save)
    runner.settle()
    assert {mark.kind for mark in job.marks()} == {"claim", "released"}
    assert not job.results()
    assert not job.all_keys(job.stage.partials_of(0))
    assert not faults


@pytest.mark.parametrize(("run", "kinds", "results"), [(done, {"claim"}, {0}), (failing, {"claim", "failed"}, set())])
def test_it_counts_when_no_stop_was_heard_of(job, shard, seconds, run, kinds, results):
    seconds(0.01)
    runner, claims, faults = shard()
    runner.work(MARK, run)
    runner.settle()
    runner.stop()
    claims.release_all("told to stop", patience=0, save=runner.save)
    assert {mark.kind for mark in job.marks()} == kinds
    assert job.results().keys() == results
    assert not faults


def test_all_that_is_finished_of_a_shard_that_failed_is_kept_also_where_clocks_are_coarse(
    job, shard, seconds, monkeypatch
):
    """Windows' clock takes steps of 16 ms: what ended last may seem to have ended just now."""
    seconds(0.01)
    runner, _, _ = shard()
    monkeypatch.setattr("winbatch.working.partials.time.monotonic", lambda: 0.0)
    runner.work(MARK, lambda item, folder: failing(item, folder) if item.item == 0 else done(item, folder))
    runner.settle()
    (key,) = job.all_keys(job.stage.partials_of(0))
    assert [item["item"] for item in json.loads(job.get(key))["items"]] == [1]


def test_what_was_finished_before_is_kept(job, shard, seconds, monkeypatch):
    """The first item is sure, the second is not."""
    seconds(LONG)
    runner, claims, _ = shard()
    clock = [0.0]
    monkeypatch.setattr("winbatch.working.partials.time.monotonic", lambda: clock[0])

    def run(item, folder):
        clock[0] += LONG + item.item
        return done(item, folder)

    runner.work(MARK, run)
    runner.stop()
    claims.release_all("told to stop", patience=0, save=runner.save)
    (key,) = job.all_keys(job.stage.partials_of(0))
    assert [item["item"] for item in json.loads(job.get(key))["items"]] == [0]


def test_a_slot_goes_on_meanwhile_and_what_an_outcome_raises_is_told():
    faults, stopped, counted = [], threading.Event(), threading.Event()
    outcomes = Settling(stopped, 0.01, faults.append)
    fault = OSError("no way to S3")

    def count():
        counted.set()
        raise fault

    outcomes.settle(count)
    outcomes.wait()
    assert counted.is_set()
    assert faults == [fault]


def test_where_no_such_word_can_come_it_counts_at_once():
    outcomes = Settling(threading.Event(), 0.0, pytest.fail)
    with pytest.raises(ZeroDivisionError):
        outcomes.settle(lambda: 1 / 0)
