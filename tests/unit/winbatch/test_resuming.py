import dataclasses
from collections import Counter

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.clock import START
from simulation.faults import Faults
from simulation.ports import Killed
from simulation.stages import make_limits, make_stage
from winbatch import driver, keys, resuming
from winbatch.attempts import claimable
from winbatch.aws import AwsPorts
from winbatch.errors import JobError, StorageError
from winbatch.ledger import Ledger
from winbatch.stage import ClaimMark

from .test_job import DEPLOYMENT
from .world import World, drive


def chain(*ledgers):
    """Stages s0, s1, …, each of which reads the one before, with these ledgers' fields; None: not begun."""
    stages = []
    for number, fields in enumerate(ledgers):
        stage = dataclasses.replace(make_stage(), stage=f"s{number}", inputs={f"s{number - 1}": "k"} if number else {})
        ledger = None if fields is None else dataclasses.replace(Ledger.begin(stage, START), **fields)
        stages.append((stage, ledger))
    return stages


WHOLE = {"state": "succeeded"}
PARTLY = {"state": "succeeded", "items_failed": 1}


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        (chain(WHOLE, WHOLE), []),
        (chain(WHOLE, {"state": "failed"}), []),
        (chain({"state": "cancelled"}, None), []),
        (chain(PARTLY, WHOLE), ["s1"]),
        (chain(PARTLY, WHOLE, WHOLE), ["s1", "s2"]),
        (chain(WHOLE, PARTLY, WHOLE), ["s2"]),
        (chain(PARTLY, WHOLE, None), ["s1"]),
        # They read nothing of each other.
        ([chain(PARTLY)[0], chain(WHOLE)[0]], []),
    ],
)
def test_stages_that_rest_on_items_that_were_missing_are_run_anew(stages, names):
    assert [each.stage for each in resuming.stale(stages)] == names


def test_a_stage_that_is_reopened_has_no_results_and_free_claims():
    stage = make_stage(items=6)
    world = World(stage)
    marks = [
        *(ClaimMark(0, 0, "claim"), ClaimMark(1, 0, "claim"), ClaimMark(1, 0, "lost"), ClaimMark(1, 0, "released")),
        *(ClaimMark(1, 1, "claim"), ClaimMark(2, 0, "claim")),
    ]
    written = [stage.claim_key(mark) for mark in marks] + [stage.result_key(shard) for shard in range(3)]
    for key in [*written, f"{stage.partials_of(2)}00-0000.json"]:
        world.bucket.put(key, b"{}")
    before = dataclasses.replace(Ledger.begin(stage, START), state="succeeded", done=0b111, items_done=6, next_wave=4)
    world.bucket.put(keys.ledger_key(stage), before.to_json().encode())
    resuming.reopen(world, stage)
    released = [ClaimMark(0, 0, "released"), ClaimMark(1, 1, "released"), ClaimMark(2, 0, "released")]
    at = keys.ledger_key(stage)
    assert set(world.objects) == {stage.claim_key(mark) for mark in [*marks, *released]} | {at, stage.manifest}
    found = [mark for key in world.objects if (mark := stage.parse_claim_key(key)) is not None]
    assert [(mark.shard, mark.attempt) for mark in claimable(stage.shards, set(), found)] == [(0, 1), (1, 2), (2, 1)]
    after = driver.find_ledger(world, stage)
    # Client tokens are made of the wave's number: none of it may be used a second time.
    assert (after.state, after.shards_done, after.items_done, after.next_wave) == ("running", 0, 0, 4)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 60),
    before=st.builds(Faults, worker_dies_an_hour=st.floats(0, 36), item_fails=st.floats(0, 0.05)),
    crash=st.floats(0, 0.05),
)
def test_whenever_resuming_is_cut_off_every_shard_is_run_once_more_and_no_old_result_counts(seed, items, before, crash):
    world = World(make_stage(items), make_limits(max_failed_items=items), faults=before, seed=seed)
    drive(world)
    world.faults = Faults(crash=crash)
    while True:
        try:
            resuming.reopen(world, world.stage)
            break
        except Killed:
            # Nothing is taken up before it is through.
            assert driver.find_ledger(world.calm, world.stage) is not None
    assert world.keys(world.stage.results) == []
    executed = world.executions
    world.faults = Faults()
    ledger = drive(world, attempt=2)
    assert (ledger.state, ledger.items_done) == ("succeeded", items)
    assert world.executions - executed == Counter(range(world.stage.shards))


def test_two_people_who_resume_at_once_do_not_write_over_each_other():
    world = World()
    drive(world)

    class Overtaken(World):
        def listing(self, prefix, first="", last=""):
            if prefix == self.stage.claims and not self.overtaken:
                self.overtaken = True
                resuming.reopen(self, self.stage)
            return super().listing(prefix, first, last)

    world.__class__ = Overtaken
    world.overtaken = False
    with pytest.raises(JobError, match="written by somebody else meanwhile"):
        resuming.reopen(world, world.stage)


def test_what_s3_does_not_delete_is_an_error_although_the_answer_is_200():
    client = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stub:
        stub.add_response("delete_objects", {"Deleted": []})
        refused = {"Key": "r/1000.json", "Code": "AccessDenied", "Message": "Access Denied"}
        stub.add_response("delete_objects", {"Errors": [refused]})
        ports = AwsPorts(DEPLOYMENT, lambda service: client if service == "s3" else None)
        with pytest.raises(StorageError, match=r"s3://data/r/1000\.json cannot be deleted: AccessDenied"):
            ports.delete([f"r/{number}.json" for number in range(1001)])
        stub.assert_no_pending_responses()
