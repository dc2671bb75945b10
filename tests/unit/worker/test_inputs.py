import dataclasses
import functools

import pytest

from ber.sums import Sums, add_up
from winbatch import results
from winbatch.errors import JobError
from winbatch.results import ItemFailure, ItemResult
from winbatch.working import inputs
from winbatch.working.inputs import FETCHES, fold_results, read_account, read_failures, read_results


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


@pytest.fixture
def broken(job, source):
    """Shard 20 has no result but a partial, and shard 21 has a result that does not parse."""
    job.client.delete_object(Bucket=job.bucket, Key=source.result_key(20))
    job.put(source.result_key(21), b"{")

    def partial(shard, number, *items):
        body = results.encode(source, shard, [ItemResult(n, {"n": n}, {"double": 2 * n}) for n in items])
        job.put(f"{source.partials_of(shard)}00-{number:04d}.json", body)

    def ledger(*items):
        job.put_ledger(
            source, *(ItemFailure(item, item // 3, "program", f"{item} is bad", ("x", "y")) for item in items)
        )

    partial(20, 0, 62)
    partial(20, 1, 60)
    partial.ledger = ledger
    return partial


def test_items_that_failed_for_good_are_left_out_and_told(job, source, broken):
    broken(21, 0, 63, 64, 65)
    broken.ledger(61, 5)
    found = [item.item for item in read_results(job.store, job.stage, "first")]
    assert found == [item for item in range(100) if item != 61]
    # Item 5 has failed once, and has a result by now.
    assert read_failures(job.store, job.stage, "first") == (ItemFailure(61, 20, "program", "61 is bad", ("x", "y")),)


def test_an_item_that_is_missing_and_has_not_failed_is_named(job, source, broken):
    broken(21, 0, 63, 64, 65)
    with pytest.raises(JobError, match=r"000020.json is missing: items 61 to 61 of stage first have no result"):
        list(read_results(job.store, job.stage, "first"))
    assert read_failures(job.store, job.stage, "first") == ()
    broken.ledger(60)
    with pytest.raises(JobError, match=r"000020.json is missing: items 61 to 61"):
        list(read_results(job.store, job.stage, "first"))


def test_a_result_that_does_not_parse_is_named_when_its_items_are_missing(job, source, broken):
    broken.ledger(61)
    with pytest.raises(JobError, match=r"first/000021.json: not JSON"):
        list(read_results(job.store, job.stage, "first"))


def test_a_ledger_of_another_release_is_named(job, source, broken):
    job.put(
        job.stage.inputs["first"].replace("stage.json", "ledger.json"), b'{"schema": 1, "failures": [{"shard": 3}]}'
    )
    with pytest.raises(JobError, match=r"ledger.json: not a ledger of this release"):
        list(read_results(job.store, job.stage, "first"))


def test_a_stage_that_is_no_input_is_named(job, source):
    with pytest.raises(JobError, match=r"stage second of job-1 has no input 'zeroth' \(its inputs: first\)"):
        list(read_results(job.store, job.stage, "zeroth"))


def test_reading_may_end_early(job, source):
    found = read_results(job.store, job.stage, "first")
    assert next(found).item == 0
    found.close()


@pytest.fixture
def counts(job, monkeypatch, s3_url):
    """An earlier stage with 100 counts in 34 shards, for processes that find S3 by their environment."""
    for name, value in {"ENDPOINT_URL": s3_url, "ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    params = [{"ebn0_db": float(n % 7), "seed": 1} for n in range(100)]
    job.plan(params, stage="first", shard_items=3, results="out/job-1/first/")
    source, key = job.stage, job.stage_key
    for shard in range(source.shards):
        items = [
            ItemResult(n, params[n], {"bits": 1000 + n, "bit_errors": n * n % 1000, "kernel": f"k{n % 2}"})
            for n in source.shard_lines(shard)
        ]
        job.put(source.result_key(shard), results.encode(source, shard, items))
    job.stage = dataclasses.replace(source, stage="second", inputs={"first": key})
    return source


def fold(job):
    return fold_results(job.store, job.stage, "first", functools.partial(add_up, shared={"seed": 1}), Sums.combined)


def test_processes_merge_to_what_one_merges(job, counts, monkeypatch):
    alone = fold(job)
    assert alone.kernels == {"k0": 50, "k1": 50}
    monkeypatch.setattr(inputs, "LEAF_SHARDS", 7)
    monkeypatch.setattr(inputs.os, "cpu_count", lambda: 2)
    made = []
    pool = inputs.ProcessPoolExecutor
    monkeypatch.setattr(inputs, "ProcessPoolExecutor", lambda *args, **more: made.append(args) or pool(*args, **more))
    assert fold(job) == alone
    assert made == [(2,)]


def test_what_is_missing_is_named_by_a_process_too(job, counts, monkeypatch):
    monkeypatch.setattr(inputs, "LEAF_SHARDS", 7)
    monkeypatch.setattr(inputs.os, "cpu_count", lambda: 2)
    job.client.delete_object(Bucket=job.bucket, Key=counts.result_key(20))
    with pytest.raises(JobError, match=r"out/job-1/first/000020.json is missing: items 60 to 62 of stage first"):
        fold(job)


def test_an_account_is_the_ledger_and_the_jobs_parameters(job, source):
    assert read_account(job.store, job.stage, "first").ledger is None
    job.put_ledger(source, ItemFailure(5, 1, "program", "bad"))
    job.put(source.manifest.rsplit("/", 2)[0] + "/job.json", b'{"schema": 1, "params": {"seed": 7}}')
    account = read_account(job.store, job.stage, "first")
    assert (account.params, account.items, account.shards) == ({"seed": 7}, 100, 34)
    assert account.ledger.failures[0].item == 5
