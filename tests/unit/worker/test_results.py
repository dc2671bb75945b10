import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch import results
from winbatch.errors import JobError
from winbatch.results import ItemResult
from winbatch.stage import Stage, canonical

STAGE = Stage(
    dag="d",
    job="job-1",
    stage="simulate",
    workload="w",
    run="m:f",
    manifest="m",
    claims="claims/",
    partials="partials/",
    results="results/",
    outputs="results/files/",
    items=8,
    shard_items=3,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(), values, max_size=4)


@given(shard=st.integers(0, 2), data=st.data())
def test_what_is_written_is_read_back_and_is_the_same_bytes_again(shard, data):
    items = [ItemResult(item, data.draw(objects), data.draw(objects)) for item in STAGE.shard_lines(shard)]
    body = results.encode(STAGE, shard, items)
    assert results.decode(body, STAGE, shard) == tuple(items)
    whole = {"schema": 1, "job": STAGE.job, "stage": STAGE.stage, "shard": shard}
    assert body == canonical({**whole, "items": [item._asdict() for item in items]})
    shuffled = [ItemResult(i.item, dict(reversed(i.params.items())), dict(reversed(i.values.items()))) for i in items]
    assert results.encode(STAGE, shard, shuffled) == body


def test_the_bytes_are_the_contracts():
    body = results.encode(STAGE, 2, [ItemResult(6, {"x": 1}, {"y": 2.5}), ItemResult(7, {}, {})])
    assert body == (
        b'{"items":[{"item":6,"params":{"x":1},"values":{"y":2.5}},{"item":7,"params":{},"values":{}}],'
        b'"job":"job-1","schema":1,"shard":2,"stage":"simulate"}\n'
    )


@given(shard=st.integers(0, 2), data=st.data())
def test_a_partial_holds_some_items_and_none_twice(shard, data):
    lines = STAGE.shard_lines(shard)
    chosen = sorted(data.draw(st.sets(st.sampled_from(lines))))
    items = [ItemResult(item, data.draw(objects), data.draw(objects)) for item in chosen]
    body = results.encode(STAGE, shard, items)
    assert results.decode_partial(body, STAGE, shard, where="p") == tuple(items)
    if chosen:
        twice = results.encode(STAGE, shard, [*items, items[-1]])
        with pytest.raises(JobError, match=f"^p: items there twice: {chosen[-1]};"):
            results.decode_partial(twice, STAGE, shard, where="p")
    for stranger in (lines.start - 1, lines.stop):
        with pytest.raises(JobError, match=f"^p: items .*of another shard: {stranger};"):
            results.decode_partial(
                results.encode(STAGE, shard, [*items, ItemResult(stranger, {}, {})]), STAGE, shard, where="p"
            )


def changed(**changes):
    data = json.loads(results.encode(STAGE, 1, [ItemResult(item, {}, {}) for item in (3, 4, 5)]))
    return json.dumps({**data, **changes}).encode()


def entries(*items):
    return [{"item": item, "params": {}, "values": {}} for item in items]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"items":[', "not JSON"),
        (b"[]", "a JSON object is expected"),
        (changed(schema=9), "schema 9"),
        (changed(job="job-2"), "job is 'job-2', not 'job-1'"),
        (changed(stage="x"), "stage is 'x', not 'simulate'"),
        (changed(shard=2), "shard is 2, not 1"),
        (changed(items={}), "items is no list"),
        (changed(items=[{"item": 3}]), "not an item's result"),
        (changed(items=["x"]), "not an item's result"),
        (changed(items=entries(3, 5)), "items missing: 4;"),
        (changed(items=entries(3, 4, 4, 5)), "items there twice: 4;"),
        (changed(items=entries(3, 4, 5, 6)), "items of another shard: 6;"),
        (changed(items=entries(2, 3, 3)), "items missing: 4, 5; there twice: 3; of another shard: 2;"),
        (changed(items=entries(4, 3, 5)), "items out of order;"),
    ],
)
def test_a_result_that_cannot_be_merged_is_named_by_its_key(body, line):
    with pytest.raises(JobError) as raised:
        results.decode(body, STAGE, 1)
    assert str(raised.value).startswith("results/000001.json: ")
    assert line in str(raised.value)


def test_a_result_of_other_items_does_not_count():
    mine, other = (dataclasses.replace(STAGE, digest=digest * 64) for digest in "ab")
    items = [ItemResult(6, {}, {}), ItemResult(7, {}, {})]
    body = results.encode(mine, 2, items)
    assert json.loads(body)["manifest"] == "a" * 64
    assert results.decode(body, mine, 2) == tuple(items)
    for stage, written in ((other, body), (STAGE, body), (mine, results.encode(STAGE, 2, items))):
        with pytest.raises(JobError, match=r"manifest is .*; another job wrote here"):
            results.decode(written, stage, 2)
        with pytest.raises(JobError, match=r"manifest is .*; another job wrote here"):
            results.decode_partial(written, stage, 2, where="k")
