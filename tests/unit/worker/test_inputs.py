import dataclasses

import pytest

from winbatch import results
from winbatch.errors import JobError
from winbatch.results import ItemResult
from winbatch.working.inputs import FETCHES, read_results


@pytest.fixture
def source(job):
    """An earlier stage with results of 100 items in 34 shards, more than are fetched at once."""
    job.plan([{"n": n} for n in range(100)], stage="first", shard_items=3, results="out/job-1/first/")
    source, key = job.stage, job.stage_key
    for shard in range(source.shards):
        items = [ItemResult(n, {"n": n}, {"double": 2 * n}) for n in source.shard_lines(shard)]
        job.put(source.result_key(shard), results.encode(source, shard, items))
    job.stage = dataclasses.replace(source, stage="second", inputs={"first": key})
    return source


def test_all_items_come_in_order(job, source):
    assert source.shards > 2 * FETCHES
    found = list(read_results(job.store, job.stage, "first"))
    assert found == [ItemResult(n, {"n": n}, {"double": 2 * n}) for n in range(100)]


def test_a_missing_result_is_named(job, source):
    job.client.delete_object(Bucket=job.bucket, Key=source.result_key(20))
    with pytest.raises(JobError, match=r"out/job-1/first/000020.json is missing: items 60 to 62 of stage first"):
        list(read_results(job.store, job.stage, "first"))


def test_an_item_that_is_there_twice_is_named(job, source):
    items = [ItemResult(n, {}, {}) for n in (9, 10, 10)]
    job.put(source.result_key(3), results.encode(source, 3, items))
    with pytest.raises(JobError, match=r"first/000003.json: items missing: 11; there twice: 10"):
        list(read_results(job.store, job.stage, "first"))


def test_a_stage_that_is_no_input_is_named(job, source):
    with pytest.raises(JobError, match=r"stage second of job-1 has no input 'zeroth' \(its inputs: first\)"):
        list(read_results(job.store, job.stage, "zeroth"))


def test_reading_may_end_early(job, source):
    found = read_results(job.store, job.stage, "first")
    assert next(found).item == 0
    found.close()
