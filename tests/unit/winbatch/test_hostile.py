"""What others wrote, or broke, is refused in a line: never a crash, a hang, or another value than was written.

A worker's rights reach its job's claims, partials and results; its program's reach values.json. The engine, the command
line and other workers read all of these.
"""

import copy
import dataclasses
import datetime as dt
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulation.containers import Work
from simulation.stages import make_limits, make_stage
from winbatch import attempts, cancelling, results, ticks
from winbatch.attempts import Record
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload
from winbatch.errors import WinbatchError
from winbatch.job import Job
from winbatch.ledger import Ledger
from winbatch.parsing import parse_strictly
from winbatch.results import ItemResult
from winbatch.shares import Board
from winbatch.sources import from_manifest
from winbatch.stage import SCHEMA, ClaimMark, Stage
from winbatch.starts import Start
from winbatch.storage import LARGEST

from .world import World, drive

STAGE = Stage(
    dag="d", job="j", stage="s", workload="w", run="m:f", manifest="m", claims="jobs/d/j/s/claims/", partials="p/",
    results="r/", outputs="o/", items=8, shard_items=2,
)  # fmt: skip
AT = dt.datetime(2026, 11, 22, 19, 0, tzinfo=dt.UTC)
TYPE = {"type": "c5.xlarge", "vcpus": 4, "memory_mib": 8192, "network_interfaces": 4, "usd_per_hour": 0.17}
DEPLOYMENT = Deployment(
    environment="local",
    region="eu-central-1",
    account_id="1",
    data_bucket="data",
    data_prefixes=("jobs/",),
    cluster=Cluster(
        name="c",
        capacity_provider="c",
        auto_scaling_group="c",
        max_instances=2,
        subnets=("subnet-1",),
        security_groups=("sg-1",),
        instance_types=(InstanceType(**TYPE),),
    ),
    workloads={
        "w": Workload(
            task_definition="w:1",
            container="main",
            cpu=1024,
            memory=512,
            image="i",
            log_group="l",
            log_stream_prefix="p",
        )
    },
)
FAILURE = {"item": 3, "error": "boom", "exit_code": 3, "log": ["last words"]}

READERS = {
    "result": (
        results.encode(STAGE, 1, [ItemResult(2, {"a": 1}, {"x": 0.5}), ItemResult(3, {}, {"y": ["z"]})]),
        lambda body: results.decode(body, STAGE, 1),
    ),
    "partial": (
        results.encode(STAGE, 1, [ItemResult(3, {}, {"y": None})]),
        lambda body: results.decode_partial(body, STAGE, 1, where="partial"),
    ),
    "claim": (
        attempts.encode_worker("arn:task", AT, [FAILURE]),
        lambda body: Record.decode(body, where="claim"),
    ),
    "ledger": (
        Ledger.begin(STAGE, AT).to_json().encode(),
        lambda body: Ledger.from_json(body, where="ledger"),
    ),
    "board": (
        Board().told("d/j/s", 2.5, AT).to_json().encode(),
        lambda body: Board.from_json(body, where="board"),
    ),
    "stage": (STAGE.to_json().encode(), lambda body: Stage.from_json(body, where="stage")),
    "job": (
        Job(dag="d", job="j", params={"n": 1}, stages=(STAGE,)).to_json().encode(),
        lambda body: Job.from_json(body, where="job"),
    ),
    "deployment": (
        json.dumps({"schema": SCHEMA, **dataclasses.asdict(DEPLOYMENT)}).encode(),
        lambda body: Deployment.from_json(body, where="deployment"),
    ),
    "manifest": (
        b'{"item":0,"params":{"a":1}}\n{"item":1,"params":{"a":2}}\n',
        lambda body: list(from_manifest(body, where="manifest").params()),
    ),
    "cancel": (
        json.dumps({"begun": "x", "start": None}).encode(),
        lambda body: cancelling.applies(body, Start("x", AT)),
    ),
}
DEEP = b"[" * 200_000
HOSTILE = st.sampled_from(
    [
        None,
        True,
        -1,
        1 << 70,
        1e308,
        float("inf"),
        float("nan"),
        "",
        "x" * 1000,
        "\ud800",
        [],
        {},
        [[]],
        {"a": {}},
        [1, "x"],
    ]
)


def test_what_is_whole_is_read():
    """So that the tests below spoil something."""
    for name, (body, read) in READERS.items():
        try:
            read(body)
        except WinbatchError as error:
            pytest.fail(f"{name}: {error}")


def places(node, path=()):
    """Paths to everything in a document."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        yield from places(child, (*path, name))


def changed(document, path, value):
    """The document with something else at a place; `...` takes it away."""
    if not path:
        return value
    document = copy.deepcopy(document)
    at = document
    for name in path[:-1]:
        at = at[name]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


def tolerates(read, body):
    """Read it, or say in a line why not: that line, or an empty one."""
    try:
        read(body)
    except WinbatchError as error:
        said = str(error)
    else:
        return ""
    assert said
    assert "\n" not in said
    assert len(said) < 2000
    return said


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_a_document_of_which_anything_is_something_else(name, data):
    body, read = READERS[name]
    lines = body.splitlines() if name == "manifest" else [body]
    number = data.draw(st.integers(0, len(lines) - 1))
    document = json.loads(lines[number])
    path = data.draw(st.sampled_from(list(places(document))))
    lines[number] = json.dumps(changed(document, path, data.draw(HOSTILE | st.just(...)) if path else None)).encode()
    tolerates(read, b"\n".join(lines))


@pytest.mark.parametrize("name", READERS)
@given(
    cut=st.integers(0, 2000), more=st.binary(max_size=5) | st.sampled_from([DEEP, b'{"a":' * 100_000, b"9" * 10_000])
)
@example(cut=0, more=DEEP)
@example(cut=0, more=b"")
@example(cut=2000, more=b"\x00")
def test_bytes_that_are_cut_off_or_go_on_with_something_else(name, cut, more):
    body, read = READERS[name]
    tolerates(read, body[:cut] + more)


@pytest.mark.parametrize("name", READERS)
def test_no_depth_is_too_deep(name):
    body, read = READERS[name]
    place = re.search(rb"(?<=: )(\d|\"[^\"]*\"|null)|(?<=:)(\d|\"[^\"]*\"|null)", body)
    assert tolerates(read, body[: place.start()] + DEEP + b"]" * len(DEEP) + body[place.end() :])


def test_a_result_with_very_many_items_is_refused_at_once_and_in_a_short_line():
    items = [ItemResult(number % 1000, {}, {}) for number in range(60_000)]
    with pytest.raises(
        WinbatchError, match=r"items there twice: 0, 1, .* in all\); of another shard: .* in all\)"
    ) as raised:
        results.decode(results.encode(STAGE, 1, items), STAGE, 1)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is there more than once"),
        (b'{"a": 1, "\\u0061": 2}', "'a' is there more than once"),
        (DEEP, "nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}", "digits"),
        (b"\xff\xfe{", "Expecting|decode"),
        (b"", "Expecting value"),
    ],
)
def test_json_that_readers_take_differently_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse_strictly(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_json_that_is_whole_is_read_as_it_is(value, encoding):
    assert parse_strictly(json.dumps(value).encode(encoding)) == value


BOMB = bytes(LARGEST + 1)


def spoilt(world, kind, body):
    """Have what is written of this kind under the first shard be something else from now on, as its workload could."""
    put = world.bucket.put

    def spoil(key, written, **condition):
        made = put(key, written, **condition)
        first = kind == "result" and key == world.stage.result_key(0)
        if first or (f"/{0:06d}/" in f"/{key}" and key.endswith(f".{kind}")):
            return put(key, body(written))
        return made

    world.bucket.put = spoil


def without_items(written):
    return json.dumps({**json.loads(written), "failures": []}).encode()


def with_others_items(written):
    return written.replace(b'"item": 0', b'"item": 5')


@pytest.mark.parametrize("body", [lambda _: b"", lambda _: DEEP, lambda _: BOMB], ids=["empty", "deep", "bomb"])
def test_a_result_that_cannot_be_read_is_its_shards_failure(body):
    world = World(make_stage(items=8, shard_items=1), make_limits(max_failed_items=1))
    spoilt(world, "result", body)
    # One is written over before any engine has looked.
    world.broken = []
    *_, ledger = world.ledgers()
    assert (ledger.state, ledger.items_done, ledger.items_failed) == ("succeeded", 7, 1)
    (failure,) = ledger.failures
    assert (failure.item, failure.kind) == (0, "result")
    assert len(failure.reason) < 300


@pytest.mark.parametrize(
    "body",
    [lambda _: b"", lambda _: DEEP, lambda _: BOMB, without_items, with_others_items],
    ids=["empty", "deep", "bomb", "without items", "items of others"],
)
def test_a_failures_record_that_cannot_be_read_is_its_items_failure(body):
    world = World(
        make_stage(items=8, shard_items=1), make_limits(max_failed_items=1), work=Work(poisoned=frozenset({0}))
    )
    spoilt(world, "failed", body)
    ledger = drive(world)
    assert (ledger.state, ledger.items_done, ledger.items_failed) == ("succeeded", 7, 1)
    (failure,) = ledger.failures
    assert (failure.item, failure.kind) == (0, "program")
    assert ".failed" in failure.reason


@pytest.mark.parametrize("body", [lambda _: b"", lambda _: DEEP, lambda _: BOMB], ids=["empty", "deep", "bomb"])
def test_a_claim_that_cannot_be_read_is_lost_and_its_shard_is_done_by_another_attempt(body):
    """Its worker is killed, as the others: nobody knows any more that it was the one."""
    world = World(make_stage(items=8, shard_items=1), work=Work(killers=frozenset({0})))
    spoilt(world, "claim", body)
    for _ in range(200):
        ledger, wait = world.tick()
        world.pass_time(wait)
        if world.bucket.get(world.stage.claim_key(ClaimMark(0, 0, "lost"))):
            break
    world.work.__dict__["killers"] = frozenset()
    world.bucket.put = type(world.bucket).put.__get__(world.bucket)
    assert drive(world).state == "succeeded"
    assert ledger.state == "running"


def test_a_log_that_a_record_brings_is_kept_in_bounds():
    failure = {**FAILURE, "error": "x" * 10**6, "log": ["y" * 10**4] * 300}
    (kept,) = Record.decode(attempts.encode_worker("arn:task", AT, [failure]), where="claim").failures
    assert len(kept.error) + sum(map(len, kept.log)) < 10**6


@given(st.binary(max_size=200))
def test_a_tick_of_any_bytes_is_refused(body):
    with pytest.raises(WinbatchError):
        ticks.decode(body, where="tick")
