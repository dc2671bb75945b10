import dataclasses
import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch import capacity, job, spec
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload
from winbatch.engine import client_token, started_by
from winbatch.errors import ClusterError, DeploymentError, JobError, SpecError
from winbatch.ledger import Wave
from winbatch.stage import ClaimMark, Stage

WORKLOAD = Workload(
    task_definition="td:1", container="ber", cpu=4096, memory=6144, image="i", log_group="g", log_stream_prefix="p"
)
DEPLOYMENT = Deployment(
    environment="test",
    region="eu-central-1",
    account_id="123456789012",
    data_bucket="data",
    data_prefixes=("jobs", "sim"),
    cluster=Cluster(
        name="c",
        capacity_provider="cp",
        auto_scaling_group="asg",
        max_instances=8,
        subnets=("s",),
        security_groups=("g",),
        instance_types=(InstanceType(type="c5.xlarge", vcpus=4, memory_mib=8192, network_interfaces=4),),
    ),
    workloads={"ber": WORKLOAD},
)
BER = spec.load("ber")


def planned(run_id="ber-1", **params):
    return job.plan(BER, BER.validate(params), run_id, DEPLOYMENT)


def points(count, values):
    (simulate, _) = BER.stages
    return [item["ebn0_db"] for item in job.items(simulate, BER.validate({"ebn0_db": values}), count)]


def test_the_seeds_job_is_dealt_out_as_the_seed_does_it():
    values = BER.defaults["ebn0_db"]
    assert points(200, values) == [float(value) for value in values for _ in range(25)]


@given(st.integers(1, 500), st.lists(st.integers(-50, 50), min_size=1, max_size=40, unique=True))
def test_items_are_dealt_out_evenly_and_in_order(count, values):
    dealt = points(count, sorted(values))
    assert len(dealt) == count
    assert all(first <= second for first, second in pairwise(dealt))
    counts = [dealt.count(value) for value in values]
    assert max(counts) - min(counts) <= 1


@given(st.integers(1, 5000), st.integers(0, 300), st.integers(1, 8))
def test_shards_cover_every_item_once(count, shard_items, instances):
    stage = planned(num_items=count, shard_items=shard_items, max_instances=instances).stage("simulate")
    lines = [line for shard in range(stage.shards) for line in stage.shard_lines(shard)]
    assert lines == list(range(count))
    assert all(len(stage.shard_lines(shard)) for shard in range(stage.shards))


def test_the_seeds_job_gives_every_slot_a_few_shards():
    stage = planned().stage("simulate")
    assert stage.shard_items == 1
    assert stage.results == "sim/task_results/ber-1/simulate/"
    assert planned().stage("aggregate").outputs == "sim/aggregate_results/ber-1/"


def test_planning_again_gives_the_same_bytes():
    assert planned().to_json() == planned().to_json()
    simulate = BER.stages[0]
    params = BER.validate({})
    assert job.manifest(simulate, params, 200) == job.manifest(simulate, params, 200)


def test_a_manifest_has_one_line_an_item():
    params = BER.validate({"ebn0_db": "3,4", "seed": "9"})
    lines = job.manifest(BER.stages[0], params, 3).decode().splitlines()
    items = [json.loads(line) for line in lines]
    assert [item["item"] for item in items] == [0, 1, 2]
    assert items[2]["params"] == {
        "ebn0_db": 4.0,
        "num_frames": 300000,
        "frame_size": 4096,
        "seed": 9,
        "method": "waveform",
    }


def test_a_job_reads_what_it_wrote():
    assert job.Job.from_json(planned().to_json(), where="x") == planned()


def test_more_instances_than_the_cluster_has_are_refused():
    with pytest.raises(ClusterError, match="max_instances is 9, but test's cluster has 8 at most"):
        planned(max_instances=9)


@pytest.mark.parametrize("prefix", ["simulation", "other/sim", "s"])
def test_a_prefix_that_the_roles_may_not_write_is_refused(prefix):
    with pytest.raises(SpecError, match=r"not below one of test's data_prefixes \(jobs, sim\)"):
        planned(results_prefix=prefix)


def test_a_workload_that_is_not_deployed_is_named():
    with pytest.raises(DeploymentError, match="'ber' is not deployed in test"):
        job.plan(BER, BER.validate({}), "r", dataclasses.replace(DEPLOYMENT, workloads={}))


@given(st.text(min_size=1, max_size=60))
def test_a_job_id_is_safe_in_a_key(run_id):
    assert re.fullmatch(r"[A-Za-z0-9._-]+", job.job_id(run_id))


@given(st.integers(0, 999_999), st.integers(0, 99), st.sampled_from(["claim", "failed", "released"]))
def test_claim_keys_read_back(shard, attempt, kind):
    stage = planned().stage("simulate")
    mark = ClaimMark(shard, attempt, kind)
    assert stage.parse_claim_key(stage.claim_key(mark)) == mark
    assert stage.parse_result_key(stage.result_key(shard)) == shard


@pytest.mark.parametrize("name", ["files/x.png", "000001.json.tmp", "1.json", "results.json"])
def test_other_objects_are_no_results(name):
    stage = planned().stage("simulate")
    assert stage.parse_result_key(stage.results + name) is None


def test_tokens_differ_by_wave_and_stage_and_fit_ecs():
    simulate, aggregate = planned().stages
    tokens = {client_token(stage, Wave(n, c)) for stage in (simulate, aggregate) for n in range(20) for c in (1, 10)}
    assert len(tokens) == 80
    assert all(len(token) <= 64 for token in tokens)
    assert started_by(simulate) != started_by(aggregate)
    assert len(started_by(simulate)) <= 36


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON object is expected"),
        ('{"schema": 2}', "schema 2, this release reads schema 1"),
        ('{"schema": 1}', "not a stage.json"),
    ],
)
def test_a_broken_stage_is_one_clear_line(text, words):
    with pytest.raises(JobError) as caught:
        Stage.from_json(text, where="s3://b/k")
    assert str(caught.value).startswith("s3://b/k: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "cluster": []}'])
def test_a_broken_deployment_says_to_apply_again(text):
    with pytest.raises(DeploymentError) as caught:
        Deployment.from_json(text, where="deployment.json")
    assert str(caught.value).startswith("deployment.json: ")
    assert "invoke up" in str(caught.value)


@given(st.integers(0, 100_000), st.integers(1, 64), st.integers(1, 20), st.integers(1, 100))
def test_capacity_holds_the_work_and_wastes_no_instance(shards, slots, per_instance, bound):
    workers = capacity.workers_needed(shards, slots)
    instances = capacity.instances_needed(workers, per_instance, bound)
    assert instances <= bound
    assert instances == bound or instances * per_instance * slots >= shards
    assert instances == 0 or (instances - 1) * per_instance * slots < shards


def test_room_is_bounded_by_the_scarcest_resource():
    free = [
        capacity.Instance(cpu=4096, memory=7000, interfaces=3),
        capacity.Instance(cpu=8192, memory=6144, interfaces=3),
        capacity.Instance(cpu=8192, memory=20000, interfaces=0),
        capacity.Instance(cpu=0, memory=20000, interfaces=-1),
    ]
    assert capacity.room(free, WORKLOAD) == 2
