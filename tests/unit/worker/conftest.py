"""A local S3 in this process, and real worker processes that work against it."""

import dataclasses
import datetime as dt
import json
import os
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import boto3
import pytest

from tests.nursery import Nursery
from tests.waiting import PATIENCE
from winbatch.ledger import Ledger
from winbatch.stage import ClaimMark, Stage
from winbatch.working.starting import patiently
from winbatch.working.store import Store

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "eu-central-1",
}


@pytest.fixture(scope="session")
def s3_url():
    if where := os.environ.get("WINBATCH_TEST_S3"):
        yield where
        return
    # Where tests run on Windows, whoever runs them has one.
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _host, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="session")
def nursery():
    """What starts workers in little time; None where there is no fork."""
    if sys.platform != "linux":
        yield None
        return
    nursery = Nursery()
    yield nursery
    nursery.stop()


def s3_client(url):
    return boto3.client(
        "s3", endpoint_url=url, region_name="eu-central-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


@pytest.fixture
def client(s3_url):
    client = s3_client(s3_url)
    yield client
    client.close()


@dataclasses.dataclass
class Job:
    """A bucket of the test's own, with one planned stage in it."""

    client: object
    bucket: str
    url: str
    folder: Path
    stage: Stage
    nursery: Nursery | None

    @property
    def stage_key(self):
        return f"jobs/test/job-1/{self.stage.stage}/stage.json"

    def plan(self, params, **changes):
        """Write stage.json and manifest for these items."""
        self.stage = dataclasses.replace(self.stage, items=len(params), **changes)
        lines = [json.dumps({"item": item, "params": param}) + "\n" for item, param in enumerate(params)]
        self.put(self.stage.manifest, "".join(lines))
        self.put(self.stage_key, self.stage.to_json())

    def code(self, text):
        """The workload's module."""
        (self.folder / "code").mkdir(exist_ok=True)
        (self.folder / "code" / "workload_code.py").write_text(textwrap.dedent(text))

    def put(self, key, body):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def put_ledger(self, stage, *failures):
        """The engine's ledger of a stage some of whose items have failed for good."""
        ledger = Ledger.begin(stage, dt.datetime(2026, 11, 22, tzinfo=dt.UTC))
        text = dataclasses.replace(ledger, failures=failures).to_json()
        self.put(f"jobs/{stage.dag}/{stage.job}/{stage.stage}/ledger.json", text)

    def all_keys(self, prefix=""):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def marks(self):
        return {self.stage.parse_claim_key(key) for key in self.all_keys(self.stage.claims)}

    def mark(self, shard, attempt, kind, **body):
        self.put(self.stage.claim_key(ClaimMark(shard, attempt, kind)), json.dumps(body))

    def results(self):
        return {
            shard: json.loads(self.get(key))
            for key in self.all_keys(self.stage.results)
            if (shard := self.stage.parse_result_key(key)) is not None
        }

    def start(self, slots=2, app=None, session=False, under=(), fresh=False, **environment):
        """Start a worker process, in the folder that is the image's `app`, in a session of its own or not.

        `under` are words before its command; with them, and if it is to be `fresh`, it is a new interpreter.
        """
        (self.folder / "temporary").mkdir(exist_ok=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ECS_"))},
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.url,
            "WINBATCH_STAGE": f"s3://{self.bucket}/{self.stage_key}",
            "WINBATCH_SLOTS": str(slots),
            "PYTHONPATH": os.pathsep.join([str(self.folder / "code"), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.folder / "temporary"),
            **environment,
        }
        if self.nursery and not under and not fresh:
            return self.nursery.start(env=environment, cwd=app, start_new_session=session)
        # As the worker starts what is its own: Wine has its moments.
        return patiently(
            lambda: subprocess.Popen(
                [*under, sys.executable, "-m", "winbatch.worker"],
                cwd=app,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=session,
            )
        )

    def work(self, workers=1, **kwargs):
        """Run workers to their end; returns exit code, lines of standard output and standard error of each."""
        processes = [self.start(**kwargs) for _ in range(workers)]
        ended = []
        for process in processes:
            out, err = process.communicate(timeout=PATIENCE)
            ended.append(Ended(process.returncode, [json.loads(line) for line in out.splitlines()], err))
        assert list((self.folder / "temporary").iterdir()) == []
        return ended

    @property
    def store(self):
        return Store(self.client, self.bucket)


@dataclasses.dataclass
class Ended:
    code: int
    lines: list
    err: str


def new_job(client, url, folder, nursery=None):
    """A bucket with a stage in it that is not planned yet."""
    bucket = f"data-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    stage = Stage(
        dag="test",
        job="job-1",
        stage="main",
        workload="test",
        run="workload_code:run",
        manifest="jobs/test/job-1/main/manifest.jsonl",
        claims="jobs/test/job-1/main/claims/",
        partials="jobs/test/job-1/main/partials/",
        results="out/job-1/main/",
        outputs="out/job-1/main/files/",
        items=0,
        shard_items=1,
    )
    return Job(client, bucket, url, folder, stage, nursery)


@pytest.fixture
def job(client, s3_url, tmp_path, nursery):
    return new_job(client, s3_url, tmp_path, nursery)
