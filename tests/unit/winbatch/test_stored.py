import dataclasses
import json
from pathlib import Path

import pytest

from winbatch import driver, job, keys, results, spec, stored
from winbatch.errors import JobError, SpecError
from winbatch.ledger import Ledger

from .test_job import BER, DEPLOYMENT, TOOLS, Bucket
from .world import World, drive

SINCE = "2026-11-22T20:00:00.000Z"
FIRST, AGAIN = "2026-11-22T19:00:00.000Z", "2026-11-23T19:00:00.000Z"
# A job of release 0.1.0, as its code left it: run `nightly+1` of the specification below, one item of eight failed.
OLD = json.loads((Path(__file__).parent / "job_of_0_1_0.json").read_text())
TINY = spec.Spec.parse(
    """
dag: tiny
title: A job of the release before this one
workload: tools
parameters:
  strike: {title: t, description: d, type: number, default: 1.5}
stages:
  - name: work
    items: 8
    params: [strike]
    run: tiny:run
""",
    where="tiny.yaml",
)


def planned(run_id="weekly", begun=FIRST, release="r1", loaded=BER, deployment=DEPLOYMENT, **params):
    return job.plan(loaded, loaded.validate(params), run_id, deployment, begun=begun, release=release)


def tiny(run_id="nightly+1", **params):
    return planned(run_id, loaded=TINY, deployment=TOOLS, **{"strike": 2.5, "shard_items": 2, **params})


def taken(now, found):
    return stored.take_up(now, found, since=SINCE)


def test_a_run_that_is_cleared_goes_on_with_its_job_under_whichever_release():
    found = planned()
    now = planned(release="r2")
    assert taken(now, found) == now
    # The stages are those that were planned first: their shards may have been claimed.
    bigger = planned(max_instances=8)
    assert taken(planned(), bigger).stages == bigger.stages


def test_a_run_made_anew_under_the_id_goes_on_with_an_equal_job_and_it_is_its_own_then():
    assert taken(planned(begun=AGAIN), planned()) == planned(begun=AGAIN)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (planned(begun=AGAIN, ebn0_db=[10.0]), r"its ebn0_db is \[.*\], not \[10\.0\]"),
        (planned(begun=AGAIN, num_items=3), "its num_items is 200, not 3"),
        (planned(begun=AGAIN, release="r2"), "its release of the DAGs is r1, not r2"),
        (planned(begun=AGAIN, release=""), "its release of the DAGs is r1, not none"),
    ],
)
def test_any_difference_is_told_with_what_lies_there_since_when_and_both_ways_on(now, words):
    with pytest.raises(JobError, match=words) as told:
        taken(now, planned())
    line = str(told.value)
    assert line.startswith(f"jobs/ber/weekly/job.json is there since {FIRST}, and is another job: ")
    assert "another run id" in line
    assert line.endswith(
        "all objects below jobs/ber/weekly/, sim/aggregate_results/ber/weekly/, sim/task_results/ber/weekly/"
    )


def test_other_items_under_the_same_parameters_are_another_job():
    loaded = spec.load("files")

    def plan(names, begun):
        reader = Bucket({f"sim/inputs/{name}": b"1" for name in names})
        return job.plan(loaded, loaded.validate({}), "files-1", TOOLS, reader, begun=begun)

    assert taken(plan("ab", AGAIN), plan("ab", FIRST))
    with pytest.raises(JobError, match="its stages or their items are others"):
        taken(plan("ac", AGAIN), plan("ab", FIRST))


def test_a_job_lies_where_no_other_dag_s_and_no_other_run_s_does():
    octave = spec.load("ber-octave")
    both = dataclasses.replace(DEPLOYMENT, workloads=dict.fromkeys(octave.workloads, DEPLOYMENT.workloads["ber"]))
    jobs = [planned("offset+1"), planned("offset-1"), planned("offset-1", loaded=octave, deployment=both)]
    prefixes = [prefix for each in jobs for prefix in each.prefixes]
    assert len(set(prefixes)) == len(prefixes) == 9
    for each in jobs:
        for stage in each.stages:
            its = (stage.manifest, stage.claims, stage.partials, stage.results, stage.outputs, keys.ledger_key(stage))
            assert all(key.startswith(tuple(each.prefixes)) for key in its)


def test_a_prefix_among_the_jobs_own_objects_is_refused():
    for prefix in ("jobs", "jobs/ber", "jobs/results/"):
        with pytest.raises(SpecError, match="below jobs/ lie the objects of all jobs; choose a prefix beside it"):
            planned(results_prefix=prefix)


def test_a_job_is_found_for_its_run_and_for_no_other():
    mine = planned("offset+1")
    bucket = {mine.key: mine.to_json().encode()}
    assert stored.find(bucket.get, "ber", "offset+1", {}) == mine
    for dag, run_id in (("ber", "offset-1"), ("ber", "offset:1"), ("ber-octave", "offset+1")):
        assert stored.find(bucket.get, dag, run_id, {}) is None


# --- jobs of release 0.1


def old_bucket():
    return {key: text.encode() for key, text in OLD.items()}


def test_a_job_of_release_0_1_is_found_for_the_run_that_has_its_parameters():
    bucket = old_bucket()
    found = stored.find(bucket.get, "tiny", "nightly+1", {"strike": 2.5})
    assert (found.job, found.run_id, found.stage("work").items) == ("nightly-1", "", 8)
    # Several run ids had one place then.
    assert stored.find(bucket.get, "tiny", "nightly+1", {"strike": 1.0}) is None
    assert stored.find(bucket.get, "tiny", "nightly:1", {"strike": 2.5}) == found
    assert taken(tiny(), found) == dataclasses.replace(found, run_id="nightly+1", begun=FIRST, release="r1")
    with pytest.raises(JobError, match=r"its strike is 2\.5, not 1\.0"):
        taken(tiny("nightly-1", strike=1.0), stored.find(bucket.get, "tiny", "nightly-1", {}))


def test_a_job_of_release_0_1_is_resumed_and_keeps_its_results():
    bucket = old_bucket()
    mine = taken(tiny(), stored.find(bucket.get, "tiny", "nightly+1", {"strike": 2.5}))
    bucket[mine.key] = mine.to_json().encode()
    # From now on it is that run's.
    assert stored.find(bucket.get, "tiny", "nightly+1", {}) == mine
    assert stored.find(bucket.get, "tiny", "nightly:1", {"strike": 2.5}) is None
    ((stage, manifest),) = job.manifests(TINY, mine)
    assert manifest == bucket[stage.manifest]
    world = World(stage)
    # In the order in which they came about: nothing is claimed that is done.
    for key, body in sorted(bucket.items(), key=lambda each: each[0].startswith(stage.results)):
        world.bucket.put(key, body)
    before = driver.find_ledger(world, stage)
    assert (before.state, before.items_done, before.items_failed) == ("failed", 7, 1)
    assert isinstance(before, Ledger)
    executed = world.executions
    ledger = drive(world, attempt=2)
    assert (ledger.state, ledger.items_done) == ("succeeded", 8)
    assert set(world.executions - executed) == {2}
    for shard in range(4):
        assert len(results.decode(world.get(stage.result_key(shard)).body, stage, shard)) == 2
