import dataclasses
import hashlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch.errors import JobError
from winbatch.stage import Stage
from winbatch.working.manifest import Manifest


def stage(items, shard_items):
    return Stage(
        dag="d",
        job="j",
        stage="s",
        workload="w",
        run="m:f",
        manifest="manifest.jsonl",
        claims="c/",
        partials="p/",
        results="r/",
        outputs="r/files/",
        items=items,
        shard_items=shard_items,
    )


class Memory:
    def __init__(self, body, chunk=1000):
        self.body = body
        self.chunk = chunk

    def where(self, key):
        return f"s3://data/{key}"

    def open(self, key):
        return "etag", (self.body[at : at + self.chunk] for at in range(0, len(self.body), self.chunk))

    def get_range(self, key, start, stop, *, etag):
        assert (etag, start < stop <= len(self.body)) == ("etag", True)
        return self.body[start:stop]


def lines(params):
    return [json.dumps({"item": item, "params": param}).encode() for item, param in enumerate(params)]


@given(
    params=st.lists(st.dictionaries(st.text(), st.integers() | st.text(), max_size=3), min_size=1, max_size=40),
    shard_items=st.integers(1, 45),
    chunk=st.integers(1, 300),
    newline_at_end=st.booleans(),
)
def test_every_shard_holds_its_lines(params, shard_items, chunk, newline_at_end):
    body = b"\n".join(lines(params)) + b"\n" * newline_at_end
    plan = stage(len(params), shard_items)
    manifest = Manifest(Memory(body, chunk), plan)
    read = [item for shard in range(plan.shards) for item in manifest.shard(shard)]
    assert [item.item for item in read] == list(range(len(params)))
    assert [item.params for item in read] == params


def test_memory_does_not_grow_with_the_manifest():
    body = b"\n".join(lines([{"x": "y" * 80}] * 100_000)) + b"\n"
    source = Memory(body, chunk=1 << 20)
    tracemalloc.start()
    try:
        Manifest(source, stage(100_000, 100)).shard(999)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) > 10_000_000
    assert peak < 3_000_000


@pytest.mark.parametrize("items", [2, 4])
def test_another_number_of_lines_is_said(items):
    with pytest.raises(JobError, match=rf"s3://data/manifest.jsonl has 3 lines, stage.json says {items} items"):
        Manifest(Memory(b"\n".join(lines([{}] * 3))), stage(items, 1))


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"item": 7, "params": {}}', b'{"item": 1}', b'{"item": 1, "params": 3}']
)
def test_a_line_that_is_no_item_is_named(line):
    body = b"\n".join([*lines([{}]), line, b'{"item": 2, "params": {}}', b""])
    manifest = Manifest(Memory(body), stage(3, 1))
    with pytest.raises(JobError, match=r"s3://data/manifest.jsonl, line 2: not item 1"):
        manifest.shard(1)
    assert manifest.shard(2)[0].item == 2


def test_a_manifest_that_the_job_was_not_planned_with_is_refused():
    body = b"\n".join(lines([{"x": 1}, {"x": 2}])) + b"\n"
    plan = dataclasses.replace(stage(2, 1), digest=hashlib.sha256(body).hexdigest())
    assert Manifest(Memory(body, 7), plan).shard(1)[0].params == {"x": 2}
    with pytest.raises(JobError, match="is not the one that the job was planned with"):
        Manifest(Memory(body.replace(b"2}", b"3}")), plan)
