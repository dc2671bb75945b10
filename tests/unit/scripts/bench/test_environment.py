import dataclasses
import json
import re

import pytest

from scripts.bench import environment, orchestration
from scripts.core.settings import Settings
from winbatch import capacity, job, spec
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload

CLUSTER = Cluster(
    name="c",
    capacity_provider="cp",
    auto_scaling_group="asg",
    max_instances=18,
    subnets=("s",),
    security_groups=("g",),
    instance_types=(InstanceType(type="c5.xlarge", vcpus=4, memory_mib=8192, network_interfaces=4),),
)


def workload(cpu, memory):
    return Workload(
        task_definition="td", container="c", cpu=cpu, memory=memory, image="i", log_group="g", log_stream_prefix="p"
    )


@pytest.fixture
def own(tmp_path):
    """The bench's settings with everything written that Terraform and the release take."""
    settings = environment._settings(Settings.load("local", environ={"WINBATCH_STATE": str(tmp_path)}))
    environment._write(settings, environment._images(settings), orchestration.COMPARISON)
    return settings


def sizes(own):
    text = own.own_values.read_text()
    return {
        name: (int(cpu), int(memory))
        for name, cpu, memory in re.findall(r"([\w-]+)\"? += {.*cpu = (\d+), memory = (\d+)", text)
    }


def test_a_shard_of_its_job_is_an_item_and_it_has_the_slots_that_are_claimed(own):
    ours = workload(*sizes(own)["bench"])
    target = Deployment(
        environment="local",
        region="eu-central-1",
        account_id="123456789012",
        data_bucket="data",
        data_prefixes=("jobs", "sim"),
        cluster=CLUSTER,
        workloads={"bench": ours},
    )
    loaded = spec.load(environment.DAG, own.dags / "jobs")
    params = loaded.validate(orchestration._job(orchestration.SHARDS, orchestration.SECONDS))
    (stage,) = job.plan(loaded, params, "r-1", target).stages
    assert (stage.items, stage.shards) == (200, 200)
    at_once = params["max_instances"] * capacity.tasks_per_instance(CLUSTER, ours) * ours.slots
    assert at_once == orchestration.SLOTS == 24


def test_as_many_ecs_tasks_of_the_comparison_fit_on_its_instances(own):
    theirs = workload(*sizes(own)["sleep"])
    fit = capacity.tasks_per_instance(CLUSTER, theirs) * orchestration.MAPPED_INSTANCES
    assert fit == orchestration.COMPARISON.slots
    assert json.loads((own.dags / "mapped.json").read_text())["slots"] == fit


def test_three_jobs_side_by_side_have_room(own):
    most = int(re.search(r"max_instances\s*=\s*(\d+)", own.own_values.read_text())[1])
    assert most == CLUSTER.max_instances == 3 * orchestration.INSTANCES


def test_the_released_folder_is_the_checkouts_and_the_benchs_files(own):
    released = {path.relative_to(own.dags).as_posix() for path in own.dags.rglob("*") if path.is_file()}
    checkout = {
        path.relative_to(own.root / "dags").as_posix()
        for path in (own.root / "dags").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert released - checkout == {"jobs/bench.yaml", "mapped.py", "mapped.json"}
    assert checkout <= released


def test_what_sleeps_is_named_by_digest_and_stands_beside_the_environments_workloads(own):
    text = own.own_values.read_text()
    images = re.findall(r'image = "([^"]+)"', text)
    assert len(images) == 2
    # From a repository of the environment's own: ECS may pull from no other.
    repository = r"123456789012\.dkr\.ecr\.eu-central-1\.amazonaws\.com/winbatch-local/tools"
    assert all(re.fullmatch(rf"{repository}@sha256:[0-9a-f]{{64}}", image) for image in images)
    assert set(sizes(own)) == {"bench", "sleep", *own.workloads}
    assert "@" not in re.sub(r"@sha256:", "", text.split("airflow = {")[1])


def test_its_values_win_and_are_the_local_ones_but_for_what_it_says(own):
    local = Settings.load("local")
    assert own.var_files == [local.var_file, own.own_values]
    assert f'version           = "{local.airflow_version}"' in own.own_values.read_text()


def test_its_state_and_port_are_its_own(own, tmp_path):
    local = Settings.load("local", environ={"WINBATCH_STATE": str(tmp_path)})
    assert own.state.is_relative_to(local.state_root / "bench")
    assert own.port != local.port
    assert dataclasses.replace(local, state_root=own.state_root, port=own.port) == Settings(**dataclasses.asdict(own))
