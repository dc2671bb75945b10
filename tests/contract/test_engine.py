"""The engine and real workers on the emulator's S3, ECS and Auto Scaling, with faults; only Airflow is left out."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from scripts.images import linux
from tests.waiting import PATIENCE, wait_for
from winbatch import attempts, capacity, driver, engine, keys
from winbatch.aws import AwsPorts
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload
from winbatch.stage import Stage

from . import world

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TINY = """
import time
def run(params, context):
    time.sleep(params["seconds"])
    print("working on", context.item, flush=True)
    if params.get("broken"):
        raise ValueError(f"item {context.item} is broken")
    return {"square": context.item**2}
"""


class Job:
    """A stage of tiny items, its workload deployed on a cluster."""

    def __init__(
        self, cluster, client, endpoint, *, items=24, shard_items=2, seconds=0.2, slow=None, broken=(), code=TINY
    ):
        self.endpoint, self.cluster = endpoint, cluster
        self.s3 = client("s3")
        self.bucket = cluster.name
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": world.REGION})
        self.stage = Stage(
            dag="tiny",
            job=cluster.name,
            stage="work",
            workload="tiny",
            run="tiny:run",
            manifest="jobs/m.jsonl",
            claims="jobs/claims/",
            partials="jobs/partials/",
            results="sim/results/",
            outputs="sim/",
            items=items,
            shard_items=shard_items,
        )
        lines = [
            json.dumps({"item": item, "params": {"seconds": (slow or {}).get(item, seconds), "broken": item in broken}})
            for item in range(items)
        ]
        self.put("jobs/m.jsonl", "\n".join(lines) + "\n")
        self.put(keys.stage_key(self.stage), self.stage.to_json())
        self.workload = self._deploy(code)
        self.deployment = Deployment(
            environment="test",
            region=world.REGION,
            account_id=world.ACCOUNT,
            data_bucket=self.bucket,
            data_prefixes=("jobs", "sim"),
            cluster=Cluster(
                name=cluster.name,
                capacity_provider=cluster.name,
                auto_scaling_group=cluster.name,
                max_instances=4,
                subnets=(cluster.subnet,),
                security_groups=(cluster.security_group,),
                instance_types=(InstanceType(type="c5.xlarge", vcpus=4, memory_mib=8192, network_interfaces=4),),
            ),
            workloads={"tiny": self.workload},
        )
        self.limits = engine.Limits(
            slots=self.workload.slots,
            tasks_per_instance=capacity.tasks_per_instance(self.deployment.cluster, self.workload),
            max_instances=2,
            cluster_instances=4,
            keep_instances=0,
            rules=attempts.policy(
                {"program": {"backoff": 1}, "memory": {"backoff": 1}, "worker": {"backoff": 1}}, max_attempts=2
            ),
            max_failed_items=0,
            instance_timeout=dt.timedelta(seconds=30),
            start_timeout=dt.timedelta(seconds=30),
        )

    def _deploy(self, code):
        winbatch = ROOT / "dags" / "winbatch"
        files = {
            f"app/winbatch/{path.relative_to(winbatch).as_posix()}": path.read_bytes()
            for path in winbatch.rglob("*.py")
        }
        files["app/tiny.py"] = code.encode()
        image = linux.assemble(files, {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
        linux.push(self.cluster.ecr, self.cluster.repository, image)
        reference = f"{world.ACCOUNT}.dkr.ecr.{world.REGION}.amazonaws.com/{self.cluster.repository}@{image.digest}"
        tasks = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [tasks]})
        iam, name = self.cluster.iam, self.cluster.name
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        objects = {"Effect": "Allow", "Action": ["s3:*"], "Resource": [f"arn:aws:s3:::{self.bucket}*"]}
        allowed = json.dumps({"Version": "2012-10-17", "Statement": [objects]})
        iam.put_role_policy(RoleName=name, PolicyName="objects", PolicyDocument=allowed)
        definition = self.cluster.define(
            "",
            image=reference,
            network="awsvpc",
            taskRoleArn=role,
            cpu=2048,
            memory=1024,
            environment=[{"name": "WINBATCH_SLOTS", "value": "2"}, {"name": "AWS_REGION", "value": world.REGION}],
        )
        return Workload(
            task_definition=definition,
            container="main",
            cpu=2048,
            memory=1024,
            image=reference,
            log_group=self.cluster.name,
            log_stream_prefix="p",
        )

    def put(self, key, text):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def tick(self, **options):
        return driver.tick(AwsPorts(self.deployment), self.stage, self.workload, self.limits, **options)

    def drive(self, meanwhile=lambda ledger: None, **options):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ledger, wait = self.tick(**options)
            if ledger.finished:
                return ledger
            meanwhile(ledger)
            time.sleep(min(wait, 0.5))
        pytest.fail(f"not finished after {PATIENCE} s: {ledger}")

    def results(self):
        keys = [item["Key"] for item in self.s3.list_objects_v2(Bucket=self.bucket, Prefix="sim/results/")["Contents"]]
        bodies = [self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys]
        return [item for body in bodies for item in json.loads(body)["items"]]

    def executions(self):
        """How often each item was worked on, by the log of every ECS task there was."""
        streams = self.cluster.logs.describe_log_streams(logGroupName=self.cluster.name)["logStreams"]
        lines = [
            event["message"]
            for stream in streams
            for event in self.cluster.logs.get_log_events(
                logGroupName=self.cluster.name, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]
        said = [json.loads(line) for line in lines if "working on" in line]
        assert all(line["message"] == f"working on {line['item']}" for line in said)
        return Counter(line["item"] for line in said)

    def fault(self, **fault):
        request = Request(f"{self.endpoint}/_emulator/faults", json.dumps(fault).encode(), method="POST")
        with urlopen(request) as answer:
            return json.load(answer)

    def stopped(self):
        """Whether every ECS task there was has ended, its log delivered; one told to stop still works a while."""
        ecs, name = self.cluster.ecs, self.cluster.name
        arns = [
            arn for to in ("RUNNING", "STOPPED") for arn in ecs.list_tasks(cluster=name, desiredStatus=to)["taskArns"]
        ]
        tasks = ecs.describe_tasks(cluster=name, tasks=arns)["tasks"]
        return all(task["lastStatus"] == "STOPPED" for task in tasks)

    def live(self):
        return self.cluster.ecs.list_tasks(cluster=self.cluster.name)["taskArns"]


@pytest.fixture
def job(cluster, client, endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return lambda **options: Job(cluster, client, endpoint, **options)


def assert_every_item_once(job):
    results = job.results()
    assert sorted(item["item"] for item in results) == list(range(job.stage.items))
    assert all(item["values"] == {"square": item["item"] ** 2} for item in results)


def test_a_stage_runs_from_an_empty_cluster_to_the_last_result(job):
    job = job()
    ledger = job.drive()
    assert (ledger.state, ledger.items_done) == ("succeeded", 24)
    assert_every_item_once(job)
    wait_for(job.stopped)
    assert set(job.executions().values()) == {1}


def test_a_killed_worker_and_a_lost_host_cost_only_what_they_held(job):
    job = job(items=40, seconds=0.3)
    done = []

    def meanwhile(ledger):
        if ledger.items_done >= 4 and not done:
            killed = job.live()[0]
            job.fault(kind="kill-task", task=killed)
            done.append(killed)
        elif ledger.items_done >= 12 and len(done) == 1:
            (host, *_) = job.cluster.group()["Instances"]
            job.fault(kind="lose-instance", instance=host["InstanceId"])
            done.append(host["InstanceId"])

    ledger = job.drive(meanwhile)
    assert len(done) == 2, ledger.reason
    assert ledger.state == "succeeded"
    assert_every_item_once(job)


def test_throttling_and_forgotten_tasks_are_lived_with(job):
    job = job(seconds=1)
    job.fault(kind="throttle", service="ecs", action="RunTask", times=1)
    job.fault(kind="throttle", service="ecs", action="DescribeTasks", times=1)
    hidden = []

    def meanwhile(ledger):
        if ledger.tasks_running and not hidden:
            hidden.append(job.fault(kind="hide-task", task=job.live()[0]))

    assert job.drive(meanwhile).state == "succeeded"
    assert hidden
    assert_every_item_once(job)


@pytest.mark.parametrize(
    ("how", "kind", "reason"),
    [
        ('raise ValueError(f"item {context.item} is broken")', "program", "item 5 is broken"),
        ("__import__('os').abort()", "program", "the item's process was ended by SIGABRT"),
        ("__import__('os').kill(__import__('os').getpid(), 9)", "memory", "the item's process was ended by SIGKILL"),
    ],
)
def test_a_broken_item_ends_in_the_list_with_its_log_and_the_rest_is_kept(job, how, kind, reason):
    job = job(broken={5}, code=TINY.replace('raise ValueError(f"item {context.item} is broken")', how))
    ledger = job.drive()
    assert ledger.state == "failed"
    (failure,) = ledger.failures
    assert (failure.item, failure.shard, failure.kind) == (5, 2, kind)
    assert reason in failure.reason
    assert any("working on 5" in line for line in failure.log)
    # The item beside it is kept.
    partials = job.s3.list_objects_v2(Bucket=job.bucket, Prefix=job.stage.partials_of(2))["Contents"]
    body = job.s3.get_object(Bucket=job.bucket, Key=partials[0]["Key"])["Body"].read()
    assert [item["item"] for item in json.loads(body)["items"]] == [4]
    claims = job.s3.list_objects_v2(Bucket=job.bucket, Prefix=job.stage.claims)["Contents"]
    assert not [entry["Key"] for entry in claims if entry["Key"].endswith((".crash", ".lost"))]
    wait_for(lambda: not job.live())


def test_code_that_does_not_import_stops_the_stage_early(job):
    job = job(code="import nothing_of_that_name", items=400)
    ledger = job.drive()
    assert ledger.state == "failed"
    assert "ECS tasks in a row came to nothing (worker)" in ledger.reason
    assert len(ledger.known) <= 2 * job.limits.max_workers


def test_cancelling_stops_the_workers_and_running_again_finishes(job):
    job = job(items=60, seconds=0.3)
    while True:
        ledger, _ = job.tick()
        if ledger.items_done >= 4:
            break
        time.sleep(0.3)
    ledger, _ = job.tick(cancel=True)
    assert ledger.state == "cancelled"
    wait_for(job.stopped)
    kept = {item["item"] for item in job.results()}
    before = job.executions()
    assert job.drive(attempt=2).state == "succeeded"
    assert_every_item_once(job)
    after = job.executions()
    assert all(after[item] == before[item] for item in kept)


def test_a_worker_that_is_asked_to_leave_goes_after_its_shards_and_another_takes_over(job):
    job = job(items=60, seconds=0.4)
    asked = []

    def meanwhile(ledger):
        if ledger.items_done >= 4 and not asked:
            asked.append(job.live()[0])
            job.put(job.stage.retired_key(asked[0]), "")

    ledger = job.drive(meanwhile)
    assert (ledger.state, ledger.items_done) == ("succeeded", 60)
    (left,) = AwsPorts(job.deployment).workers(asked)
    assert (left.status, left.exit_code) == ("stopped", 0)
    assert_every_item_once(job)
    wait_for(job.stopped)
    assert set(job.executions().values()) == {1}


def test_an_instance_with_nothing_to_do_is_gone_before_the_stage_ends(job, monkeypatch):
    monkeypatch.setattr(engine.instances, "IDLE_GRACE", dt.timedelta(seconds=1))
    job = job(items=24, seconds=0.2, slow={23: 20})
    instances = []

    def meanwhile(ledger):
        instances.append(len(job.cluster.instances()))

    ledger = job.drive(meanwhile)
    assert ledger.state == "succeeded"
    assert max(instances) == 2
    assert instances[-1] == 1
    assert job.cluster.group()["DesiredCapacity"] == 1
    assert_every_item_once(job)
