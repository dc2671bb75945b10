import collections
import dataclasses
import datetime as dt
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch.attempts import claimable
from winbatch.errors import StorageError
from winbatch.stage import BLOCK, ClaimMark, Stage
from winbatch.working.claims import Claims

SHARDS = 6

STAGE = Stage(
    dag="d",
    job="j",
    stage="s",
    workload="w",
    run="m:f",
    manifest="m",
    claims="claims/",
    partials="partials/",
    results="results/",
    outputs="results/files/",
    items=SHARDS,
    shard_items=1,
)


class Memory:
    """A store whose conditional write is atomic, like S3's."""

    def __init__(self, *keys):
        self.objects = dict.fromkeys(keys, b"")
        self.lock = threading.Lock()
        self.created = collections.Counter()
        self.listed = 0

    def keys(self, prefix, *, after="", before=""):
        with self.lock:
            found = sorted(key for key in self.objects if key.startswith(prefix) and key > prefix + after)
        found = [key for key in found if not before or key < prefix + before]
        self.listed += len(found)
        return found

    def find(self, key):
        return self.objects.get(key)

    def put_new(self, key, body):
        with self.lock:
            if key in self.objects:
                return False
            self.objects[key] = body
            self.created[key] += 1
            return True


def now():
    return dt.datetime(2026, 11, 22, 19, tzinfo=dt.UTC)


def claims(store, owner="a", stage=STAGE):
    return Claims(store, stage, owner, now)


kinds = st.sampled_from(["claim", "failed", "memory", "crash", "invalid", "released"])
marks = st.builds(ClaimMark, st.integers(0, SHARDS - 1), st.integers(0, 3), kinds)


@given(st.sets(marks), st.sets(st.integers(0, SHARDS - 1)))
def test_only_what_the_contract_allows_is_claimable(present, done):
    found = claimable(SHARDS, done, present)
    assert len({mark.shard for mark in found}) == len(found)
    for mark in found:
        assert mark.kind == "claim"
        invalid = [ClaimMark(mark.shard, attempt, "invalid") for attempt in range(mark.attempt)]
        assert mark.shard not in done or any(earlier in present for earlier in invalid)
        assert mark not in present
        assert mark.attempt == 0 or ClaimMark(mark.shard, mark.attempt - 1, "released") in present


@given(st.sets(marks), st.sets(st.integers(0, SHARDS - 1)), st.integers(0, SHARDS), st.integers(0, SHARDS))
def test_blocks_of_shards_hold_together_what_all_shards_hold(present, done, first, second):
    low, high = sorted((first, second))
    blocks = [(0, low), (low, high), (high, SHARDS)]
    parts = [
        claimable(end, done, {mark for mark in present if begin <= mark.shard < end}, first=begin)
        for begin, end in blocks
    ]
    assert [mark for part in parts for mark in part] == claimable(SHARDS, done, present)


def test_an_invalid_result_is_worked_off_again_once_its_attempt_is_released():
    history = [ClaimMark(0, 0, "claim"), ClaimMark(0, 0, "invalid"), ClaimMark(0, 0, "released")]
    assert claimable(1, {0}, history[:1]) == []
    assert claimable(1, {0}, history[:2]) == []
    assert claimable(1, {0}, [history[0], history[2]]) == []
    assert claimable(1, {0}, history) == [ClaimMark(0, 1, "claim")]
    assert claimable(1, {0}, [*history, ClaimMark(0, 1, "claim")]) == []
    # Attempt 1 was lost with its host: what attempt 0 left is as bad as before.
    lost = [*history, ClaimMark(0, 1, "claim"), ClaimMark(0, 1, "released")]
    assert claimable(1, {0}, lost) == [ClaimMark(0, 2, "claim")]
    assert claimable(1, set(), lost) == [ClaimMark(0, 2, "claim")]


def test_finding_work_costs_the_same_in_a_large_stage():
    stage = dataclasses.replace(STAGE, items=100_000)
    store = Memory(*(stage.claim_key(ClaimMark(shard, 0, "claim")) for shard in range(0, 100_000, 2)))
    worker = claims(store, stage=stage)
    taken = [worker.take().shard for _ in range(BLOCK // 2)]
    assert len({shard // BLOCK for shard in taken}) == 1
    assert store.listed == BLOCK // 2
    blocks = {claims(Memory(), f"task-{number}", stage).take().shard // BLOCK for number in range(40)}
    assert len(blocks) > 20


@pytest.mark.parametrize("free", [0, 999, 1000, 1001, 2499])
def test_the_only_free_shard_is_found_from_every_block(free):
    stage = dataclasses.replace(STAGE, items=2500)
    keys = [stage.claim_key(ClaimMark(shard, 0, "claim")) for shard in range(2500) if shard != free]
    for number in range(8):
        worker = claims(Memory(*keys), f"task-{number}", stage)
        assert worker.take() == ClaimMark(free, 0, "claim")
        assert worker.take() is None


def test_a_stage_of_a_million_shards_has_a_last_block():
    stage = dataclasses.replace(STAGE, items=1_000_000)
    worker = claims(Memory(stage.claim_key(ClaimMark(999_999, 0, "released"))), stage=stage)
    assert ClaimMark(999_999, 1, "claim") in worker._list(999)


@given(st.sets(st.integers(0, SHARDS - 1)), st.dictionaries(st.integers(0, SHARDS - 1), st.integers(1, 4), max_size=6))
def test_every_shard_that_is_free_is_claimable(done, attempts):
    """Histories as workers leave them: each attempt but the last was released, and the last is held or released too."""
    for last_is_held in (True, False):
        present = {
            ClaimMark(shard, attempt, kind)
            for shard, count in attempts.items()
            for attempt in range(count)
            for kind in ("claim", "released")
            if not (last_is_held and attempt == count - 1 and kind == "released")
        }
        free = {
            shard: attempts.get(shard, 0)
            for shard in range(SHARDS)
            if shard not in done and not (last_is_held and shard in attempts)
        }
        assert {mark.shard: mark.attempt for mark in claimable(SHARDS, done, present)} == free


def test_after_the_last_attempt_that_a_key_can_name_a_shard_is_left():
    released = [ClaimMark(0, attempt, kind) for attempt in range(100) for kind in ("claim", "released")]
    assert claimable(1, set(), released) == []
    assert claimable(1, set(), released[:-2]) == [ClaimMark(0, 99, "claim")]


def test_workers_take_shards_in_an_order_of_their_own():
    firsts = {claims(Memory(), f"arn:aws:ecs:task/{number}").take().shard for number in range(50)}
    assert firsts == set(range(SHARDS))


def test_workers_find_their_work_where_the_engine_points():
    stage = dataclasses.replace(STAGE, items=100_000)
    store = Memory()
    store.objects[stage.blocks_key] = b'{"blocks": [7, 8]}'
    taken = [claims(store, f"task-{number}", stage).take().shard // BLOCK for number in range(40)]
    assert set(taken) == {7, 8}
    # The hint is old: nothing is left there, and all go on from its end.
    for shard in range(7000, 9000):
        store.objects[stage.claim_key(ClaimMark(shard, 0, "claim"))] = b""
    taken = [claims(store, f"task-{number}", stage).take().shard // BLOCK for number in range(40)]
    assert set(taken) == {9}


@pytest.mark.parametrize("hint", [b"{", b"[]", b'{"blocks": "x"}', b'{"blocks": [-1, 5000]}', b'{"blocks": []}'])
def test_a_hint_that_is_none_costs_nothing_but_time(hint):
    stage = dataclasses.replace(STAGE, items=2500)
    store = Memory(*(stage.claim_key(ClaimMark(shard, 0, "claim")) for shard in range(2500) if shard != 1700))
    store.objects[stage.blocks_key] = hint
    assert claims(store, stage=stage).take() == ClaimMark(1700, 0, "claim")


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["take", "take", "done", "fail", "crash", "engine"])), max_size=80
)


@given(steps)
def test_whatever_happens_no_attempt_has_two_owners(history):
    """Workers with listings of any age, and an engine that gives back what crashed or failed."""
    store = Memory()
    workers = {name: claims(store, name) for name in "abc"}
    holding = {name: [] for name in "abc"}
    lost = []
    for name, step in history:
        held = holding[name]
        if step == "take":
            mark = workers[name].take()
            if mark is not None:
                assert STAGE.result_key(mark.shard) not in store.objects or store.created[STAGE.claim_key(mark)] == 1
                assert json.loads(store.objects[STAGE.claim_key(mark)])["task"] == name
                held.append(mark)
        elif step == "done" and held:
            mark = held.pop()
            store.put_new(STAGE.result_key(mark.shard), b"")
            workers[name].done(mark)
        elif step == "fail" and held:
            lost.append(held.pop())
            workers[name].fail(lost[-1], "failed", [{"item": 0, "error": "e", "exit_code": None, "log": []}])
        elif step == "crash":
            lost += held
            holding[name] = []
            workers[name] = claims(store, name)
        elif step == "engine":
            for mark in lost:
                store.put_new(STAGE.claim_key(ClaimMark(mark.shard, mark.attempt, "released")), b"")
            lost = []
    open_marks = [mark for held in holding.values() for mark in held]
    assert len(open_marks) == len({mark.shard for mark in open_marks})
    assert max(store.created.values(), default=1) == 1
    # A worker that comes last takes all that is left.
    last = claims(store, "last")
    taken = set()
    while (mark := last.take()) is not None:
        taken.add(mark.shard)
    done = {shard for shard in range(SHARDS) if STAGE.result_key(shard) in store.objects}
    assert taken == set(range(SHARDS)) - done - {mark.shard for mark in [*open_marks, *lost]}


def test_threads_of_many_workers_share_the_shards_out():
    stage = Stage.from_json(STAGE.to_json().replace('"items": 6', '"items": 400'), where="here")
    store = Memory()
    taken = []

    def work(worker):
        while (mark := worker.take()) is not None:
            taken.append(mark)

    threads = [
        threading.Thread(target=work, args=(worker,))
        for worker in [claims(store, str(number), stage) for number in range(6)]
        for _slot in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(mark.shard for mark in taken) == list(range(400))


def test_a_released_attempt_that_appears_later_is_taken():
    store = Memory(*(STAGE.claim_key(ClaimMark(shard, 0, "claim")) for shard in range(5)))
    worker = claims(store)
    assert worker.take() == ClaimMark(5, 0, "claim")
    store.put_new(STAGE.claim_key(ClaimMark(2, 0, "released")), b"")
    assert worker.take() == ClaimMark(2, 1, "claim")
    assert worker.take() is None


def test_releasing_gives_back_what_is_held_and_only_that():
    store = Memory()
    worker = claims(store)
    saved = []
    first, second, third = (worker.take() for _ in range(3))
    worker.done(first)
    worker.fail(second, "memory", [{"item": 1, "error": "e", "exit_code": 1, "log": []}])
    worker.release_all("told to", patience=1, save=saved.append)
    assert saved == [third]
    worker.fail(third, "failed", [])  # its program was ended because the worker is
    assert not any(f"{third.shard:06d}/00.failed" in key for key in store.objects)
    released = {STAGE.parse_claim_key(key) for key in store.objects if key.endswith("released")}
    assert released == {ClaimMark(third.shard, 0, "released")}
    body = json.loads(store.objects[STAGE.claim_key(ClaimMark(third.shard, 0, "released"))])
    assert body == {"reason": "told to", "at": "2026-11-22T19:00:00.000000Z"}
    assert worker.take() is None


def test_a_claim_that_is_on_its_way_while_releasing_is_released_too():
    class Slow(Memory):
        def put_new(self, key, body):
            if key.endswith("claim"):
                asked.set()
                go_on.wait(5)
            return super().put_new(key, body)

    asked, go_on = threading.Event(), threading.Event()
    store = Slow()
    worker = claims(store)
    taken = []
    taking = threading.Thread(target=lambda: taken.append(worker.take()))
    taking.start()
    asked.wait(5)
    releasing = threading.Thread(target=worker.release_all, args=("told to",), kwargs={"patience": 5, "save": print})
    releasing.start()
    go_on.set()
    releasing.join()
    taking.join()
    assert taken == [None]
    assert [key.rpartition(".")[2] for key in sorted(store.objects)] == ["claim", "released"]


def test_a_store_that_refuses_is_no_claim():
    class Refusing(Memory):
        def put_new(self, key, body):
            raise StorageError("no")

    worker = claims(Refusing())
    with pytest.raises(StorageError):
        worker.take()
    worker.release_all("end", patience=0.1, save=print)  # nothing is held, so nothing is written


def test_one_claim_that_cannot_be_released_does_not_keep_the_others():
    class Stubborn(Memory):
        def put_new(self, key, body):
            if key.endswith("released") and f"/{first.shard:06d}/" in key:
                raise StorageError("no")
            return super().put_new(key, body)

    store = Stubborn()
    worker = claims(store)
    first, second = sorted(worker.take() for _ in range(2))
    worker.release_all("told to", patience=1, save=lambda mark: None)
    released = {STAGE.parse_claim_key(key) for key in store.objects if key.endswith("released")}
    assert released == {ClaimMark(second.shard, 0, "released")}


def test_a_worker_that_is_asked_to_leave_finishes_what_it_holds_and_claims_nothing_more():
    store = Memory()
    worker = claims(store, owner="cluster/a")
    first = worker.take()
    store.objects[STAGE.retired_key("cluster/a")] = b""
    assert worker.take() is None
    assert first is not None
    assert claims(store, owner="cluster/b").take() is not None
