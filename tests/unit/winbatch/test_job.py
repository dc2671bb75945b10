import dataclasses
import datetime as dt
import json
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch import capacity, job, keys, spec
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload
from winbatch.engine import client_token, started_by
from winbatch.errors import ClusterError, DeploymentError, JobError, SpecError, WinbatchError
from winbatch.ledger import Ledger, Wave
from winbatch.stage import ClaimMark, Stage, count_done
from winbatch.storage import Entry

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


def manifest(loaded, plan, name, reader=None):
    return next(body for stage, body in job.manifests(loaded, plan, reader) if stage.stage == name)


def planned(run_id="ber-1", **params):
    return job.plan(BER, BER.validate(params), run_id, DEPLOYMENT)


@pytest.mark.parametrize(
    ("parameter", "line"),
    [
        ({"num_itmes": "3"}, "unknown parameter 'num_itmes'"),
        ({"ebn0_db": ""}, "parameter ebn0_db"),
        ({"ebn0_db": "1,two,3"}, "parameter ebn0_db: 'two' is no number"),
        ({"num_items": "0"}, "parameter num_items"),
        ({"num_items": "-4"}, "parameter num_items"),
        ({"frame_size": "0"}, "parameter frame_size"),
        ({"frame_size": "999999999999"}, "parameter frame_size"),
        ({"max_instances": "4000"}, "max_instances is 4000, but test's cluster has"),
    ],
)
def test_a_bad_parameter_of_the_main_job_is_one_line(parameter, line):
    with pytest.raises(WinbatchError) as caught:
        planned(**parameter)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def points(count, values):
    plan = planned(ebn0_db=values, num_items=count)
    lines = manifest(BER, plan, "simulate").splitlines()
    return [json.loads(line)["params"]["ebn0_db"] for line in lines]


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
    assert stage.results == "sim/task_results/ber/ber-1/simulate/"
    assert planned().stage("aggregate").outputs == "sim/aggregate_results/ber/ber-1/"


def test_planning_again_gives_the_same_bytes():
    assert planned().to_json() == planned().to_json()
    assert manifest(BER, planned(), "simulate") == manifest(BER, planned(), "simulate")


def test_a_manifest_has_one_line_an_item():
    plan = planned(ebn0_db="3,4", seed="9", num_items=3)
    lines = manifest(BER, plan, "simulate").decode().splitlines()
    items = [json.loads(line) for line in lines]
    assert [item["item"] for item in items] == [0, 1, 2]
    assert items[2]["params"] == {
        "ebn0_db": 4.0,
        "num_frames": 300000,
        "frame_size": 4096,
        "seed": 9,
        "kernel": "numba",
        "method": "waveform",
        "modulation": "bpsk",
        "channel": "awgn",
        "relative_width": 0,
    }


def test_a_job_reads_what_it_wrote():
    assert job.Job.from_json(planned().to_json(), where="x") == planned()
    for spec_, plan in (chain(), files({"sim/inputs/a": b"1"})):
        assert job.Job.from_json(plan.to_json(), where="x") == plan, spec_.dag


class Bucket:
    """A data bucket in memory."""

    def __init__(self, objects):
        self.objects = dict(objects)

    def find(self, key):
        return self.objects.get(key)

    def listing(self, prefix):
        return [
            Entry(key, dt.datetime.now(dt.UTC), len(body))
            for key, body in sorted(self.objects.items())
            if key.startswith(prefix)
        ]

    def where(self, key):
        return f"s3://data/{key}"


TOOLS = dataclasses.replace(DEPLOYMENT, workloads={"tools": WORKLOAD})


def chain(**params):
    loaded = spec.load("chain")
    return loaded, job.plan(loaded, loaded.validate(params), "chain-1", TOOLS)


def files(objects, **params):
    loaded = spec.load("files")
    return loaded, job.plan(loaded, loaded.validate(params), "files-1", TOOLS, Bucket(objects))


def test_the_points_of_the_curve_are_its_groups():
    groups = planned(ebn0_db="0,2.5,8", num_items=7).stage("simulate").groups
    assert [(group.name, group.first, group.items) for group in groups] == [
        ("ebn0_db=0", 0, 3),
        ("ebn0_db=2.5", 3, 2),
        ("ebn0_db=8", 5, 2),
    ]
    assert planned().stage("aggregate").groups == ()
    assert planned(ebn0_db=list(range(-50, 15)), num_items=65).stage("simulate").groups == ()


def test_a_listing_is_planned_once():
    objects = {"sim/inputs/a.txt": b"1", "sim/inputs/": b"", "sim/inputs/deep/b.txt": b"22", "sim/inputs2/c": b""}
    loaded, plan = files(objects)
    digest, table = plan.stages
    assert (digest.items, digest.command[-1], digest.fetch) == (2, "{outputs}/values.json", {"data": "{key}"})
    assert (digest.item_folders, table.item_folders) == (True, False)
    body = manifest(loaded, plan, "digest", Bucket(objects))
    assert [json.loads(line)["params"] for line in body.splitlines()] == [
        {"key": "sim/inputs/a.txt", "name": "a.txt", "size": 1},
        {"key": "sim/inputs/deep/b.txt", "name": "b.txt", "size": 2},
    ]
    # Somebody uploads another file while the job is planned, or after: what was planned stands, or it is told.
    more = {**objects, "sim/inputs/z": b""}
    with pytest.raises(SpecError, match="planned with 2 items, and now there would be 3"):
        manifest(loaded, plan, "digest", Bucket(more))
    later = Bucket({**more, digest.manifest: body})
    assert manifest(loaded, plan, "digest", later) == body
    assert job.plan(loaded, loaded.validate({}), "files-1", TOOLS, later) == plan


def test_an_empty_listing_is_one_clear_line():
    with pytest.raises(SpecError, match=r"stage digest has no items: no object lies below 'sim/none' .* upload"):
        files({"sim/inputs/a": b""}, input_prefix="sim/none")


def test_a_listing_where_the_roles_may_not_read_is_refused():
    with pytest.raises(SpecError, match="prefix 'other/' is not below one of test's data_prefixes"):
        files({}, input_prefix="other")


def test_a_manifest_that_does_not_parse_is_named():
    loaded = spec.load("files")
    bucket = Bucket({"jobs/files/files-1/digest/manifest.jsonl": b"{"})
    with pytest.raises(SpecError, match=r"s3://data/jobs/files/files-1/digest/manifest.jsonl: not a manifest"):
        job.plan(loaded, loaded.validate({}), "files-1", TOOLS, bucket)


def test_a_stage_after_a_stage_has_its_items():
    _loaded, plan = chain(volatility="0.1,0.5", repetitions=3, strike=90)
    paths, price, table = plan.stages
    assert [(group.name, group.first, group.items) for group in paths.groups] == [
        ("volatility=0.1", 0, 3),
        ("volatility=0.5", 3, 3),
    ]
    assert (paths.items, price.items, table.items) == (6, 6, 1)
    assert (price.source, set(price.inputs), paths.outputs_of(5)) == ("paths", {"paths"}, f"{paths.outputs}000005/")
    lines = manifest(spec.load("chain"), plan, "price").splitlines()
    last = json.loads(lines[5])["params"]
    assert (last["volatility"], last["repetition"], last["strike"], last["seed"]) == (0.5, 2, 90.0, 20261122)


def test_what_a_job_says_of_failures_and_run_times_reaches_the_engine():
    text = (spec.JOBS / "ber.yaml").read_text()
    text = text.replace(
        "workload: ber", "workload: ber\nretry: {memory: {attempts: 1}, image: {attempts: 5, backoff: 2.5}}"
    )
    text = text.replace("    over: ebn0_db", "    over: ebn0_db\n    item_seconds: num_frames")
    loaded = spec.Spec.parse(text, where="ber.yaml")
    plan = job.plan(loaded, loaded.validate({"num_frames": 3}), "r", DEPLOYMENT)
    assert job.Job.from_json(plan.to_json(), where="x").retry == {
        "memory": {"attempts": 1},
        "image": {"attempts": 5, "backoff": 2.5},
    }
    assert (plan.stage("simulate").item_seconds, plan.stage("aggregate").item_seconds) == (3.0, None)


def test_more_instances_than_the_cluster_has_are_refused():
    with pytest.raises(ClusterError, match="max_instances is 9, but test's cluster has 8 at most"):
        planned(max_instances=9)


@pytest.mark.parametrize("prefix", ["simulation", "other/sim", "s"])
def test_a_prefix_that_the_roles_may_not_write_is_refused(prefix):
    with pytest.raises(SpecError, match=r"not below one of test's data_prefixes \(jobs, sim\)"):
        planned(results_prefix=prefix)


@pytest.mark.parametrize("prefix", ["sim/ber", "sim/ber/mine", "sim", "sim/task_results", "sim/aggregate_results/"])
def test_results_lie_where_the_roles_of_the_dag_s_workloads_write(prefix):
    own = keys.own_places("ber", DEPLOYMENT.data_prefixes)
    assert planned(results_prefix=prefix).stage("simulate").results.startswith(tuple(own))


@pytest.mark.parametrize("prefix", ["sim/mine", "sim/berlin", "sim/chain", "sim/task_results/mine"])
def test_a_prefix_where_other_dags_may_have_results_is_refused(prefix):
    with pytest.raises(SpecError, match=f"results_prefix is '{prefix}', and there .* lies below sim/ber/, sim/aggre"):
        planned(results_prefix=prefix)


@pytest.mark.parametrize("prefixes", [("jobs", "sim"), ("jobs", "team/a", "sim")])
def test_no_place_of_a_dag_is_one_of_another_s(prefixes):
    dags = ("ber", "ber-octave", "sim", "team", "jobs")
    places = [place for dag in dags for place in keys.own_places(dag, prefixes)]
    assert len(set(places)) == len(places)
    assert not [pair for pair in permutations(places, 2) if pair[0].startswith(pair[1])]


def test_what_the_workload_may_not_read_is_refused_before_an_instance_is_asked_for():
    objects = {"sim/inputs/a": b"1", "sim/files/files/before/b": b"1", "sim/task_results/ber/x": b"1"}

    def fetching(prefix, inputs):
        tools = dataclasses.replace(WORKLOAD, inputs=inputs)
        deployment = dataclasses.replace(DEPLOYMENT, workloads={"tools": tools})
        loaded = spec.load("files")
        given = loaded.validate({"input_prefix": prefix})
        return job.plan(loaded, given, "files-1", deployment, Bucket(objects))

    assert fetching("sim/inputs", ["sim/inputs"])
    assert fetching("sim/files", ["sim/inputs"])
    assert fetching("sim/task_results", None), "an environment that was applied before does not say"
    with pytest.raises(SpecError, match=r"fetches 'sim/task_results/ber/x', .* tools reads below sim/inputs and its"):
        fetching("sim/task_results", ["sim/inputs"])
    with pytest.raises(SpecError, match="reads below nothing and its own jobs' results only"):
        fetching("sim/inputs", [])


def test_a_stage_runs_in_the_image_that_it_names():
    small = dataclasses.replace(WORKLOAD, cpu=1024, memory=1024)
    deployment = dataclasses.replace(DEPLOYMENT, workloads={"ber-octave": small, "ber": WORKLOAD})
    loaded = spec.load("ber-octave")
    assert loaded.workloads == ["ber-octave", "ber"]
    plan = job.plan(loaded, loaded.validate({"num_items": 10_000}), "r", deployment)
    assert [stage.workload for stage in plan.stages] == ["ber-octave", "ber"]
    # One slot for each of the three network interfaces that are left, and not the four of a task of `ber`.
    assert (
        plan.stage("simulate").shard_items
        == capacity.shard_items(10_000, 6 * 3, None)
        != capacity.shard_items(10_000, 6 * 4, None)
    )
    with pytest.raises(DeploymentError, match="'ber' is not deployed in test"):
        job.plan(loaded, loaded.validate({}), "r", dataclasses.replace(deployment, workloads={"ber-octave": small}))


def test_a_workload_that_is_not_deployed_is_named():
    with pytest.raises(DeploymentError, match="'ber' is not deployed in test"):
        job.plan(BER, BER.validate({}), "r", dataclasses.replace(DEPLOYMENT, workloads={}))


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
    at = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    # The last one is of a job that was deleted and started again under its id.
    ledgers = [
        Ledger.begin(simulate, at),
        Ledger.begin(aggregate, at),
        Ledger.begin(simulate, at + dt.timedelta(days=1)),
    ]
    tokens = {client_token(ledger, Wave(n, c)) for ledger in ledgers for n in range(20) for c in (1, 10)}
    assert len(tokens) == 120
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


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_an_item_is_in_its_shard(items, shard_items, data):
    stage = dataclasses.replace(planned().stage("simulate"), items=items, shard_items=shard_items)
    item = data.draw(st.integers(0, items - 1))
    assert item in stage.shard_lines(stage.shard_of(item))


@given(st.sets(st.integers(0, 60)), st.integers(0, 60), st.integers(0, 60))
def test_done_shards_are_counted_in_any_range(done, first, last):
    bits = sum(1 << shard for shard in done)
    assert count_done(bits, range(first, max(first, last))) == len([n for n in done if first <= n < last])
