"""A shard whose result nobody would read is not written: its items fail, and say why."""

import datetime as dt

import pytest

from winbatch import results
from winbatch.attempts import Record
from winbatch.results import ItemResult
from winbatch.working.claims import Claims
from winbatch.working.manifest import Manifest
from winbatch.working.partials import Done
from winbatch.working.shards import ShardRunner


def test_a_result_that_is_too_large_is_its_items_failure(job, tmp_path, monkeypatch):
    job.plan([{"x": 1}, {"x": 2}], shard_items=2)
    stage = job.stage
    claims = Claims(job.store, stage, "task", lambda: dt.datetime.now(dt.UTC))
    runner = ShardRunner(
        store=job.store,
        stage=stage,
        manifest=Manifest(job.store, stage),
        claims=claims,
        folder=tmp_path / "items",
        failed=lambda fault: pytest.fail(str(fault)),
    )

    def run(item, _folder):
        return Done(results.encode_item(ItemResult(item.item, item.params, {"y": "z" * 1000})), {})

    monkeypatch.setattr("winbatch.working.shards.LARGEST", 2000)
    mark = claims.take()
    runner.work(mark, run)
    assert job.results() == {}
    (key,) = [key for key in job.all_keys() if key.endswith(".failed")]
    failures = Record.decode(job.get(key), where=key).failures
    assert [failure.item for failure in failures] == [0, 1]
    assert all("put fewer items into a shard (shard_items)" in failure.error for failure in failures)
    monkeypatch.setattr("winbatch.working.shards.LARGEST", 4000)
    runner.work(mark, run)
    assert len(job.results()) == 1
