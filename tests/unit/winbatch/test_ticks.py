"""What a tick saw and decided, written down and read again."""

import dataclasses
import datetime as dt
import gzip
import json
import logging
import types
import typing
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winbatch import attempts, driver, keys, ticks
from winbatch.coding import codec
from winbatch.deployment import Workload
from winbatch.engine import Limits, Seen, step
from winbatch.errors import JobError, UnavailableError
from winbatch.ledger import Ledger
from winbatch.results import ItemFailure
from winbatch.stage import ClaimMark, Stage
from winbatch.ticks import Tick

T = dt.datetime(2026, 11, 22, 19, 0, tzinfo=dt.UTC)
STAGE = Stage(
    dag="d", job="j", stage="s", workload="w", run="m:f", manifest="m", claims="jobs/d/j/s/claims/", partials="p/",
    results="r/", outputs="o/", items=8, shard_items=2,
)  # fmt: skip
LIMITS = Limits(
    slots=1, tasks_per_instance=2, max_instances=3, cluster_instances=3, keep_instances=0, max_failed_items=0,
    rules=attempts.policy({}, max_attempts=3), instance_timeout=dt.timedelta(minutes=5),
    start_timeout=dt.timedelta(minutes=2),
)  # fmt: skip
SEEN = Seen(
    now=T, results=frozenset(), broken={}, marks={}, workers=(), instances=(), room=0, desired=0, others={}
)  # fmt: skip

LEAVES = {
    str: st.text(max_size=20),
    bool: st.booleans(),
    int: st.integers() | st.integers(0, 1 << 300),
    float: st.floats(allow_nan=False) | st.integers(-9, 9),
    dt.datetime: st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=5.5))])),
    dt.timedelta: st.timedeltas(dt.timedelta(days=-999), dt.timedelta(days=99_999)),
}


def anything(kind):
    """Any value of a type, every field filled."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind in LEAVES:
        return LEAVES[kind]
    if kind is types.NoneType:
        return st.none()
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{name: anything(hint) for name, hint in hints.items()})
    if origin is tuple and parts[-1] is not ...:
        return st.tuples(*map(anything, parts))
    if origin in {tuple, Sequence}:
        return st.lists(anything(parts[0]), max_size=2).map(tuple)
    if origin is frozenset:
        return st.frozensets(anything(parts[0]), max_size=2)
    if origin is Mapping:
        return st.dictionaries(*map(anything, parts), max_size=2)
    return st.one_of(*map(anything, parts))


@settings(max_examples=40, deadline=None)
@given(anything(Tick))
def test_whatever_the_engine_is_given_and_decides_is_read_as_it_was_written(tick):
    again = ticks.decode(ticks.encode(tick), where="x")
    assert again == tick
    # Some decisions go by it, and two mappings are equal in whatever order they are.
    assert (list(again.seen.marks), list(again.ledger.known)) == (list(tick.seen.marks), list(tick.ledger.known))


@pytest.mark.parametrize("kind", [object, list[int], set[str], "str", dict[str, int]])
def test_a_type_that_has_no_form_is_refused(kind):
    with pytest.raises(TypeError, match="no form in JSON"):
        codec(kind)


def made(**changes):
    ledger = dataclasses.replace(Ledger.begin(STAGE, T), ticks=1, **changes)
    return Tick.of(LIMITS, ledger, SEEN, step(STAGE, LIMITS, ledger, SEEN), who="0", attempt=2)


def test_the_same_is_decided_again_and_a_tick_says_who_decided_it():
    tick = ticks.decode(ticks.encode(made()), where="x")
    replayed = ticks.replay(STAGE, tick)
    assert (replayed.same, replayed.step.actions) == (True, tick.decided.actions)
    assert tick.decided.actions, "it asks for instances"
    assert (tick.number, tick.who, tick.attempt, len(tick.code)) == (1, "0", 2, 12)


@pytest.mark.parametrize(
    "change",
    [{"actions": ()}, {"state": "failed"}, {"reason": "x"}, {"wait": 3.25}, {"demand": 9.0}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_decided_otherwise_is_found(change):
    tick = made()
    other = dataclasses.replace(tick, decided=dataclasses.replace(tick.decided, **change))
    assert not ticks.replay(STAGE, other).same


def test_an_engine_that_fails_on_what_another_release_wrote_says_so():
    tick = made()
    other = dataclasses.replace(
        tick,
        limits=dataclasses.replace(LIMITS, rules={}),
        seen=dataclasses.replace(SEEN, marks={ClaimMark(0, 0, "claim"): T, ClaimMark(0, 0, "failed"): T}),
    )
    replayed = ticks.replay(STAGE, other)
    assert (replayed.same, replayed.error) == (False, "KeyError: 'program'")


def test_a_shard_that_the_stage_does_not_have_takes_no_memory():
    tick = dataclasses.replace(made(), seen=dataclasses.replace(SEEN, results=frozenset({1 << 60})))
    assert ticks.replay(STAGE, tick).error == "results of shards of which s has none"


def test_logs_of_failures_are_left_to_the_ledger():
    failure = ItemFailure(0, 0, "program", "boom", ("x" * 100_000,))
    assert made(failures=(failure,)).ledger.failures == (dataclasses.replace(failure, log=()),)


def test_a_field_that_is_not_there_has_its_default_and_a_strange_one_is_passed_over():
    data = json.loads(gzip.decompress(ticks.encode(made())))
    del data["seen"]["cancelled"], data["ledger"]["ticks"]
    data["seen"]["moon"] = "full"
    tick = ticks.decode(gzip.compress(json.dumps(data).encode()), where="x")
    assert (tick.seen, tick.ledger.ticks) == (SEEN, 0)


def spoilt(change):
    data = json.loads(gzip.decompress(ticks.encode(made())))
    change(data)
    return gzip.compress(json.dumps(data).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        ticks.encode(made())[:-30],
        gzip.compress(b"[]"),
        gzip.compress(b'{"schema": 2}'),
        gzip.compress(b'{"schema": 1}'),
        gzip.compress(b'{"schema": 1, "a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        gzip.compress(b'{"schema": 1, "a": "' + bytes(17 << 20) + b'"}'),
        spoilt(lambda data: data["decided"].update(actions=[["Dance", {}]])),
        spoilt(lambda data: data["decided"].update(actions=[["Ask"]])),
        spoilt(lambda data: data["decided"].update(actions={"Ask": 1})),
        spoilt(lambda data: data["decided"].update(state="dreaming")),
        spoilt(lambda data: data["seen"].update(now="yesterday")),
        spoilt(lambda data: data["seen"].update(now=5)),
        spoilt(lambda data: data["seen"].update(room="3")),
        spoilt(lambda data: data["seen"].update(room=True)),
        spoilt(lambda data: data["seen"].update(desired=0.5)),
        spoilt(lambda data: data["seen"].update(workers="abc")),
        spoilt(lambda data: data["seen"].update(marks=[[[1, 2], 3]])),
        spoilt(lambda data: data["ledger"].update(done="0xg")),
        spoilt(lambda data: data["limits"].update(start_timeout="soon")),
        spoilt(lambda data: data["limits"].update(start_timeout=1e300)),
    ],
    ids=range(22),
)
def test_what_is_no_tick_is_refused_in_a_line_that_names_it(body):
    with pytest.raises(JobError, match=r"^s3://b/k: ") as error:
        ticks.decode(body, where="s3://b/k")
    assert "\n" not in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda part: (
    st.lists(part) | st.dictionaries(st.sampled_from(["seen", "ledger", "decided", "limits", "number"]), part)
)))  # fmt: skip
def test_no_json_does_more_harm_than_to_be_refused(data):
    with pytest.raises(JobError):
        ticks.decode(gzip.compress(json.dumps({"schema": 1, "seen": data, "number": data}).encode()), where="x")


def test_the_bits_of_a_hundred_thousand_shards_are_read_as_they_were_written():
    assert ticks.decode(ticks.encode(made(done=(1 << 100_000) - 5)), where="x").ledger.done == (1 << 100_000) - 5


def test_a_tick_that_is_too_large_is_refused():
    names = {f"{number:032x}": float(number) for number in range(2**14)}
    tick = dataclasses.replace(made(), seen=dataclasses.replace(SEEN, others=names))
    with pytest.raises(JobError, match=r"it takes [0-9,]+ bytes, and 65,536 are kept"):
        ticks.encode(tick)


@pytest.mark.parametrize("last", [1, 700, 1024, 1025, 5000, 80_001])
def test_old_ticks_are_thinned_out_and_never_more_than_a_bound_are_kept(last):
    kept = {ticks.key(STAGE, number): number for number in range(1, last + 1)}
    assert len(kept) <= ticks.LEVELS * ticks.PLACES
    there = set(kept.values())
    for level in range(ticks.LEVELS):
        reaches = range(max(1, last - min(1024 << level, 65_536) + 1), last + 1)
        assert there >= {number for number in reaches if number % (1 << level) == 0}, level
    assert all(name.startswith(keys.ticks_prefix(STAGE)) for name in kept)


class Bucket:
    """As much of a world as a tick needs in which nothing runs; it can refuse to keep ticks."""

    def __init__(self):
        self.objects = {}
        self.refuses = None
        self.puts = []

    def now(self):
        return T

    def get(self, key):
        return self.objects.get(key)

    def get_many(self, keys):
        return [self.get(key) for key in keys]

    def put(self, key, body, *, etag=None, new=False):
        self.puts.append(key)
        if self.refuses and "/ticks/" in key:
            raise self.refuses
        self.objects[key] = types.SimpleNamespace(body=body, etag=str(len(self.puts)))
        return str(len(self.puts))

    def listing(self, *_):
        return iter(())

    def live_task_arns(self, *_):
        return []

    workers = instances = live_task_arns

    def group(self):
        return types.SimpleNamespace(desired=0, leaving=frozenset())

    def ask(self, _):
        return ""

    def report(self, _):
        pass


WORKLOAD = Workload(
    task_definition="t", container="c", cpu=1024, memory=1, image="i", log_group="g", log_stream_prefix="p"
)  # fmt: skip


def test_a_tick_is_kept_after_all_else_by_one_request():
    bucket = Bucket()
    for _ in range(3):
        driver.tick(bucket, STAGE, WORKLOAD, LIMITS)
    kept = [key for key in bucket.puts if "/ticks/" in key]
    assert kept == [ticks.key(STAGE, number) for number in (1, 2, 3)]
    assert bucket.puts[-1] == kept[-1]
    third = ticks.decode(bucket.objects[kept[-1]].body, where="x")
    assert (third.number, ticks.replay(STAGE, third).same) == (3, True)


@pytest.mark.parametrize("error", [UnavailableError("S3 answers with 503"), OSError("gone"), KeyError("a defect")])
def test_a_tick_that_cannot_be_kept_is_logged_and_nothing_else_is_different(error, caplog):
    well, ill = Bucket(), Bucket()
    ill.refuses = error
    assert driver.tick(ill, STAGE, WORKLOAD, LIMITS) == driver.tick(well, STAGE, WORKLOAD, LIMITS)
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage() == f"tick 1 of d/j/s is not kept for invoke replay: {error}"
    assert well.puts == ill.puts


def test_a_ledger_of_an_earlier_release_begins_to_count_its_ticks():
    data = json.loads(Ledger.begin(STAGE, T).to_json())
    del data["engine"]["ticks"]
    assert Ledger.from_json(json.dumps(data), where="x").ticks == 0
