"""`aws.identity`: what deciding who may do what costs the emulator, and how many calls it answers with that."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import psutil
from botocore.config import Config

from scripts.bench.figures import Figure
from scripts.core.aws import LOCAL_CREDENTIALS
from scripts.core.errors import BenchError
from scripts.core.settings import Settings

# Calls of one run, so many of them between two looks at the clock: the shorter a pair is, the more alike the machine
# is to both.
CALLS = 2_000
BATCH = 50
WARM = 500
CLIENTS = 4
OVERHEAD = 1.10
PER_SECOND = 200
_START_SECONDS = 60
_ACCOUNT = "123456789012"
_BUCKET = "calls"
_NAME = "calls"


@dataclass(frozen=True)
class Caller:
    """Who calls: a role with as many statements as Airflow's, within a boundary."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str
    token: str | None = None

    def client(self, service: str) -> Any:
        """Make boto3's client of a service, which calls as this role and retries nothing."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # the stubs want a literal
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.token,
            config=Config(proxies={}, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )


def measure(settings: Settings, runs: int, update: Callable[[str], object]) -> tuple[list[Figure], dict[str, Any]]:
    """Measure both.

    Raises:
        BenchError: the emulator does not start.
    """
    overheads, rates, times = [], [], []
    folder = Path(tempfile.mkdtemp(prefix="calls-"))
    try:
        with (
            emulator(folder / "off", settings.region, "off") as (off, first),
            emulator(folder / "on", settings.region, "enforce") as (on, second),
        ):
            free, decided = _role(first), _role(second)
            # What is imported and compiled once is no part of a request.
            for caller in (free, decided):
                _call(caller, WARM)
            for run in range(runs):
                update(f"run {run + 1} of {runs}")
                seconds: dict[psutil.Process, list[float]] = {off: [], on: []}
                pair = [(off, free), (on, decided)]
                for _ in range(CALLS // BATCH):
                    # Who comes second finds another machine: each does every other time.
                    pair.reverse()
                    for process, caller in pair:
                        before = _cpu(process)
                        _call(caller, BATCH)
                        seconds[process].append(_cpu(process) - before)
                # What else the machine does falls on one of a pair.
                overheads.append(median(b / a for a, b in zip(seconds[off], seconds[on], strict=True)))
                times.append([1000 * sum(each) / CALLS for each in seconds.values()])
                rates.append(_rate(decided))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = [
        Figure(
            name="aws.identity_overhead",
            values=overheads,
            bound=OVERHEAD,
            compared_with=f"processor time of the same {CALLS:,} calls that nobody decides",
        ),
        Figure(name="aws.requests_per_second", values=rates, unit="calls/s", bound=PER_SECOND, sense="at least"),
    ]
    return figures, {"milliseconds_a_call": times, "clients": CLIENTS}


def _cpu(process: psutil.Process) -> float:
    """Seconds of processor time, to the nanosecond: `/proc` counts hundredths of a second.

    Source: Linux, include/linux/posix-timers_types.h, `make_process_cpuclock`, which is what glibc's
    `clock_getcpuclockid` computes.
    """
    return time.clock_gettime((~process.pid << 3) | 2)


def _rate(caller: Caller) -> float:
    """Calls a second of several clients at once, each a process."""
    each = CALLS // CLIENTS
    with ProcessPoolExecutor(CLIENTS, mp_context=get_context("spawn")) as pool:
        # The first round makes the processes and their clients.
        list(pool.map(_call, [caller] * CLIENTS, [10] * CLIENTS))
        began = time.monotonic()
        list(pool.map(_call, [caller] * CLIENTS, [each] * CLIENTS))
        return CALLS / (time.monotonic() - began)


_clients: dict[Caller, tuple[Any, Any, Any]] = {}


def _call(caller: Caller, count: int) -> None:
    """What a job asks most: objects written, read and listed, ECS tasks looked at, the group looked at."""
    if caller not in _clients:
        _clients[caller] = (caller.client("s3"), caller.client("ecs"), caller.client("autoscaling"))
    s3, ecs, scaling = _clients[caller]
    for number in range(count // 5):
        key = f"jobs/{os.getpid()}/{number % 20}"
        s3.put_object(Bucket=_BUCKET, Key=key, Body=b"{}")
        s3.get_object(Bucket=_BUCKET, Key=key)
        s3.list_objects_v2(Bucket=_BUCKET, Prefix=f"jobs/{os.getpid()}/")
        ecs.list_tasks(cluster=_NAME)
        scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[_NAME])


@contextlib.contextmanager
def emulator(
    folder: Path, region: str, identity: str, cache: Path | None = None
) -> Iterator[tuple[psutil.Process, Caller]]:
    """An emulator as long as the context lasts: its process, and its administrator.

    Args:
        folder: of all that it leaves.
        region: that it plays.
        identity: whether it decides each call: its option's word.
        cache: its cache folder; default: one of its own.

    Raises:
        BenchError: it does not start.
    """
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "emulator", "serve", "--port", str(port), "--region", region, "--no-airflow"]
    command += ["--state", str(folder / "state"), "--cache", str(cache or folder / "cache"), "--identity", identity]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not (folder / "state" / "ready.json").exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise BenchError(f"the emulator does not start: {folder / 'log'} says why")
                time.sleep(0.05)
            endpoint = f"http://127.0.0.1:{port}"
            yield psutil.Process(process.pid), Caller(endpoint, region, *LOCAL_CREDENTIALS.values())
        finally:
            process.terminate()


def _role(administrator: Caller) -> Caller:
    """What the calls need, and a role that may make them."""
    place: Any = {"LocationConstraint": administrator.region}
    administrator.client("s3").create_bucket(Bucket=_BUCKET, CreateBucketConfiguration=place)
    administrator.client("ecs").create_cluster(clusterName=_NAME)
    iam, sts = administrator.client("iam"), administrator.client("sts")
    root = {"AWS": f"arn:aws:iam::{_ACCOUNT}:root"}
    trust = {"Statement": [{"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole"}]}
    bound = iam.create_policy(PolicyName=_NAME, PolicyDocument=json.dumps(_policy(administrator.region)))
    role = iam.create_role(
        RoleName=_NAME,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", **trust}),
        PermissionsBoundary=bound["Policy"]["Arn"],
    )["Role"]["Arn"]
    document = json.dumps(_policy(administrator.region))
    iam.put_role_policy(RoleName=_NAME, PolicyName=_NAME, PolicyDocument=document)
    keys = sts.assume_role(RoleArn=role, RoleSessionName="bench")["Credentials"]
    return Caller(
        administrator.endpoint,
        administrator.region,
        keys["AccessKeyId"],
        keys["SecretAccessKey"],
        keys["SessionToken"],
    )


def _policy(region: str) -> dict[str, Any]:
    """The statements of what is called, among others, each with a condition where Airflow's role has one."""
    cluster = f"arn:aws:ecs:{region}:{_ACCOUNT}:cluster/{_NAME}"
    bucket = f"arn:aws:s3:::{_BUCKET}"
    needed: list[dict[str, Any]] = [
        {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": [f"{bucket}/jobs/*", f"{bucket}/sim/*"]},
        {
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": ["jobs/*", "sim/*"]}},
        },
        {"Action": "ecs:ListTasks", "Resource": "*", "Condition": {"ArnEquals": {"ecs:cluster": cluster}}},
        {"Action": "autoscaling:Describe*", "Resource": "*"},
    ]
    others: list[dict[str, Any]] = [
        {"Action": [f"sqs:Act{number}", "s3:GetBucket*", "ecs:Describe*"], "Resource": f"arn:aws:sqs:*:*:{number}-*"}
        for number in range(25)
    ]
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in (*others, *needed)]}
