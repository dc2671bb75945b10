import dataclasses
import os

import pytest

from scripts.bench import aggregate, merging
from scripts.bench.aggregate import Merge
from scripts.core.errors import BenchError
from winbatch.errors import JobError


def written(folder, items, shard_items, spoil=lambda key, body: body):
    """The results of a stage as files, and the stage."""
    stage, _ = merging.stages(items, shard_items)
    for key, body in merging.objects(stage):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(spoil(key, body))
    return stage


@pytest.mark.parametrize(("items", "shard_items"), [(16, 1), (40, 7), (64, 64)])
def test_the_real_aggregate_comes_to_the_exact_totals(tmp_path, items, shard_items):
    written(tmp_path / "s3", items, shard_items)
    report = merging.merge(merging.Folder(tmp_path / "s3"), tmp_path / "files")
    assert report["values"]["items"] == items
    assert report["values"]["bits"] == items * merging.BITS
    assert report["values"]["bit_errors"] == sum(map(merging.errors, range(items)))
    assert 0 < report["fold_seconds"] < report["seconds"]
    names = {path.name for path in (tmp_path / "files" / "outputs").iterdir()}
    assert {"results.json", "results.csv", "results.parquet", "report.html"} <= names


def test_an_item_that_is_missing_is_missed(tmp_path):
    stage = written(tmp_path / "s3", 40, 7)
    (tmp_path / "s3" / stage.result_key(3)).unlink()
    with pytest.raises(JobError):
        merging.merge(merging.Folder(tmp_path / "s3"), tmp_path / "files")


def test_a_merge_in_a_process_of_its_own_is_measured(tmp_path):
    stage = written(tmp_path, 40, 7)
    merge = aggregate.merged(str(tmp_path), os.environ, stage)
    assert merge.seconds > merge.fold_seconds > 0
    assert merge.peak_mb > 20


def test_totals_that_are_off_by_one_are_refused(tmp_path):
    stage = written(
        tmp_path, 40, 7, lambda key, body: body.replace(b'"bit_errors":1000,', b'"bit_errors":1001,') if body else body
    )
    with pytest.raises(BenchError, match=r"the merge of 6 results in .* comes to"):
        aggregate.merged(str(tmp_path), os.environ, stage)


def test_a_merge_that_fails_says_why(tmp_path):
    stage, _ = merging.stages(8, 1)
    with pytest.raises(BenchError, match=r"the merge of 8 results in .* failed: .*does not exist"):
        aggregate.merged(str(tmp_path), os.environ, stage)


def test_figures_are_judged_by_the_larger_peak():
    packed, _ = merging.stages(100, 10)
    here = [Merge(2.0, 1.0, 100.0), Merge(2.5, 1.0, 110.0)]
    there = [dataclasses.replace(merge, peak_mb=290.0, fold_seconds=0.5) for merge in here]
    found = {figure.name: figure for figure in aggregate.figures(packed, here, there)}
    assert found["aggregate.results_100k_seconds"].median == 2.25
    assert found["aggregate.peak_mb"].median == 290.0
    assert found["aggregate.objects_per_second"].median == 22.0
