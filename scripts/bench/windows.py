"""`windows`: what a Windows image costs here: its build, a start and a stop under Wine, the kernel, its tests."""

import dataclasses
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.bench.calls import Caller, emulator
from scripts.bench.figures import Figure
from scripts.checks import run as checks
from scripts.core.console import Step, Steps
from scripts.core.errors import BenchError
from scripts.core.settings import Settings
from scripts.images import wine
from scripts.images.interpreters import interpreter_folder
from scripts.windows import image
from winbatch import keys
from winbatch.stage import Stage

START_BOUND, STOP_BOUND, TESTS_BOUND, BUILD_BOUND = 2.0, 3.0, 180.0, 60.0  # s
NUMBA_BOUND = 1.15
WORKLOAD = "ber"
STARTS, PAIRS = 5, 5
SLOTS = 8
# What ECS says of a Windows worker that was told to stop and did.
STOPPED = 143
_NAME = "windows"
_FAMILY = "WINDOWS_SERVER_2022_CORE"
_PATIENCE = 300.0
# Seconds: what ended on Windows in the second before a stop may have answered it, and is not kept (`settling`).
_KEPT = 2.0
_PYTHON = r"C:\python\python.exe"
_SAY_TIME = "import time; print(time.time())"
# The kernel's name, errors, and the processor's seconds, once it is compiled.
_COUNT = """import time, types
from ber import simulate
def count(frames):
    params = {"ebn0_db": 4.0, "frame_size": 4096, "num_frames": frames, "seed": 20261122, "method": "waveform"}
    return simulate.run(params, types.SimpleNamespace(item=0))
count(1)
began = time.process_time()
found = count(400000)
print(found["kernel"], found["bit_errors"], time.process_time() - began)
"""
# Of a shard of two items: the first is over at once, and who works on the second one is at work.
_FRAMES = (1, 10**8)
_PARAMS = {"ebn0_db": 4.0, "frame_size": 4096, "method": "waveform", "seed": 20261122}

type Progress = Callable[[str], None]


def measure(settings: Settings, runs: int, progress: Progress) -> tuple[list[Figure], dict[str, Any]]:
    """Measure.

    Raises:
        PreflightError: this machine cannot run Windows images.
        BenchError: a container does not do what it is to do.
        CheckFailed: a test of Windows fails.
    """
    wine.require()
    settings = dataclasses.replace(settings, wine=True)
    with tempfile.TemporaryDirectory(prefix="windows-") as name:
        folder = Path(name)
        progress("Wine")
        wine.prepare(settings, progress)
        progress("the image is built")
        image.build(settings, WORKLOAD, Steps())  # fetches what is not there yet
        seconds, built = _build(settings, folder / "cache")
        with emulator(folder / "emulator", settings.region, "off", settings.cache.absolute()) as (_, caller):
            host = Host(caller, settings, built)
            starts = [host.start_seconds() for _ in _told(progress, "start", max(runs, STARTS) + 1)]
            pairs = [(host.count(), _count(settings)) for _ in _told(progress, "pair", max(runs, PAIRS))]
            stops = [host.stop_seconds(number) for number in _told(progress, "stop", runs)]
    for ours, theirs in pairs:
        if ours[:2] != theirs[:2]:
            raise BenchError(f"the kernel counts {ours[:2]} on Windows and {theirs[:2]} on Linux")
    return [
        Figure(
            name="windows.container_start_seconds",
            values=starts[1:],  # the first one unpacks the image
            unit="s",
            bound=START_BOUND,
            compared_with="from the pull of an image that is there to the first line of Python",
        ),
        Figure(
            name="windows.stop_seconds",
            values=stops,
            unit="s",
            bound=STOP_BOUND,
            compared_with=f"StopTask to the exit, {SLOTS} items at work; partials and releases are left",
        ),
        Figure(
            name="windows.numba_vs_linux",
            values=[ours[2] / theirs[2] for ours, theirs in pairs],
            bound=NUMBA_BOUND,
            compared_with="CPU time of the waveform kernel here, the same counts",
        ),
        Figure(
            name="windows.image_build_seconds",
            values=[seconds],
            unit="s",
            bound=BUILD_BOUND,
            compared_with=f"image of {WORKLOAD}, nothing fetched",
        ),
        _tests(settings),
    ], {"image_bytes": built.size}


def _told(progress: Progress, what: str, count: int) -> Iterator[int]:
    for number in range(count):
        progress(f"{what} {number + 1} of {count}")
        yield number


def _build(settings: Settings, cache: Path) -> tuple[float, image.Built]:
    """Build the image with everything in the cache but images, and with another place for these; how long it took."""
    cache.mkdir()
    for path in settings.cache.iterdir():
        if path.name != "images":
            (cache / path.name).symlink_to(path.absolute())
    began = time.monotonic()
    built = image.build(dataclasses.replace(settings, cache=cache), WORKLOAD, Steps())
    return time.monotonic() - began, built


def _count(settings: Settings) -> tuple[str, int, float]:
    """What the kernel says on Linux, in the workload's own environment."""
    path = os.pathsep.join(str(settings.root / name) for name in ("dags", f"images/{WORKLOAD}"))
    done = subprocess.run(
        [str(interpreter_folder(settings, WORKLOAD) / "bin" / "python"), "-c", _COUNT],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"the kernel fails on Linux: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}")
    return _counted(done.stdout)


def _counted(text: str) -> tuple[str, int, float]:
    name, errors, seconds = text.split()
    return name, int(errors), float(seconds)


def _tests(settings: Settings) -> Figure:
    """What the tests of Windows take alone on this machine, as `make check ONLY=windows` runs them.

    Raises:
        CheckFailed: one of them failed.
    """
    began = time.monotonic()
    checks.run(settings, _NAME)
    return Figure(
        name="windows.tests_seconds",
        values=[time.monotonic() - began],
        unit="s",
        bound=TESTS_BOUND,
        compared_with=f"make check ONLY={_NAME}, on {os.cpu_count()} cores",
    )


class Host:
    """A host of an emulator's cluster that runs one image.

    Args:
        caller: the emulator's administrator.
        settings: of the environment that the image is of.
        built: the image.
    """

    def __init__(self, caller: Caller, settings: Settings, built: image.Built) -> None:
        self._caller = caller
        self._region = settings.region
        self._image = self._push(built)
        self._s3, self._ecs, self._logs = caller.client("s3"), caller.client("ecs"), caller.client("logs")
        self._s3.create_bucket(Bucket=_NAME, CreateBucketConfiguration={"LocationConstraint": self._region})
        self._logs.create_log_group(logGroupName=_NAME)
        self._ecs.create_cluster(clusterName=_NAME)
        self._ecs.register_container_instance(
            cluster=_NAME,
            instanceIdentityDocument=json.dumps({"instanceId": "i-0123456789abcdef0", "instanceType": "c5.4xlarge"}),
            attributes=[
                {"name": "ecs.os-type", "value": "windows"},
                {"name": "ecs.os-family", "value": _FAMILY},
                {"name": "com.amazonaws.ecs.capability.logging-driver.awslogs"},
            ],
            totalResources=[
                {"name": "CPU", "type": "INTEGER", "integerValue": 16384},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": 32768},
            ],
        )

    def start_seconds(self) -> float:
        """Seconds from the pull of the image to the first line of a Python program."""
        task = self._run({"entryPoint": [_PYTHON], "command": ["-c", _SAY_TIME]})
        (said,) = self._ended(task)
        pulled: float = self._look(task)["pullStartedAt"].timestamp()
        return float(said) - pulled

    def count(self) -> tuple[str, int, float]:
        """What the kernel says on Windows."""
        *_, said = self._ended(self._run({"entryPoint": [_PYTHON], "command": ["-c", _COUNT]}))
        return _counted(said)

    def stop_seconds(self, number: int) -> float:
        """Seconds from StopTask to the exit of a worker with as many items at work as it has slots.

        Raises:
            BenchError: it did not end as a worker that was told to stop.
        """
        stage = Stage(
            dag="bench", job=f"stop-{number}", stage="main", workload=WORKLOAD, run="ber.simulate:run",
            manifest=f"{number}/manifest.jsonl", claims=f"{number}/claims/", partials=f"{number}/partials/",
            results=f"{number}/results/", outputs=f"{number}/files/", items=2 * SLOTS, shard_items=2,
        )  # fmt: skip
        lines = [
            json.dumps({"item": item, "params": {**_PARAMS, "num_frames": _FRAMES[item % 2]}})
            for item in range(stage.items)
        ]
        self._put(stage.manifest, "\n".join(lines) + "\n")
        self._put(keys.stage_key(stage), stage.to_json())
        variables = {
            "WINBATCH_STAGE": f"s3://{_NAME}/{keys.stage_key(stage)}",
            "WINBATCH_SLOTS": str(SLOTS),
            "AWS_ACCESS_KEY_ID": self._caller.access_key,
            "AWS_SECRET_ACCESS_KEY": self._caller.secret_key,
        }
        task = self._run({"environment": [{"name": name, "value": value} for name, value in variables.items()]})
        self._wait(task, lambda: sum('"values"' in line for line in self._lines(task)) == SLOTS)
        time.sleep(_KEPT)
        self._ecs.stop_task(cluster=_NAME, task=task)
        stopping = time.time()
        self._wait(task, lambda: self._look(task)["lastStatus"] == "STOPPED")
        found = self._look(task)
        left = {kind: self._keys(getattr(stage, kind)) for kind in ("partials", "claims")}
        released = sum(key.endswith(".released") for key in left["claims"])
        if (found["containers"][0].get("exitCode"), len(left["partials"]), released) != (STOPPED, SLOTS, SLOTS):
            raise BenchError(f"a worker that was told to stop left {left} and {found['containers']}")
        ended: float = found["executionStoppedAt"].timestamp()
        return ended - stopping

    def _push(self, built: image.Built) -> str:
        ecr = self._caller.client("ecr")
        url = ecr.create_repository(repositoryName=_NAME)["repository"]["repositoryUri"]
        with image.ecr_repository(ecr, url, self._caller.endpoint) as repository:
            image.push(built, repository, Step("push"))
        return f"{url}@{built.digest}"

    def _put(self, key: str, text: str) -> None:
        self._s3.put_object(Bucket=_NAME, Key=key, Body=text.encode())

    def _keys(self, prefix: str) -> list[str]:
        listed = self._s3.list_objects_v2(Bucket=_NAME, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in listed]

    def _run(self, container: Mapping[str, Any]) -> str:
        """Start an ECS task of one container; its ARN."""
        options = {"awslogs-group": _NAME, "awslogs-region": self._region, "awslogs-stream-prefix": "p"}
        definition = {
            "name": "main",
            "image": self._image,
            "cpu": 1024 * SLOTS,
            "memory": 8192,
            "logConfiguration": {"logDriver": "awslogs", "options": options},
            **container,
        }
        answer = self._ecs.register_task_definition(
            family=_NAME, containerDefinitions=[definition], runtimePlatform={"operatingSystemFamily": _FAMILY}
        )
        family = answer["taskDefinition"]["taskDefinitionArn"]
        started = self._ecs.run_task(cluster=_NAME, taskDefinition=family, launchType="EC2")
        if started["failures"]:
            raise BenchError(f"the emulator does not run a Windows image: {started['failures']}")
        return str(started["tasks"][0]["taskArn"])

    def _look(self, task: str) -> Any:
        return self._ecs.describe_tasks(cluster=_NAME, tasks=[task])["tasks"][0]

    def _lines(self, task: str) -> list[str]:
        stream = f"p/main/{task.rpartition('/')[2]}"
        try:
            events = self._logs.get_log_events(logGroupName=_NAME, logStreamName=stream, startFromHead=True)["events"]
        except self._logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events]

    def _ended(self, task: str) -> list[str]:
        """What an ECS task has said that ends by itself, and well."""
        self._wait(task, lambda: self._look(task)["lastStatus"] == "STOPPED")
        if self._look(task)["containers"][0].get("exitCode") != 0:
            raise BenchError(f"a Windows container failed: {self._words(task)}")
        return self._lines(task)

    def _wait(self, task: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not done():
            stopped = self._look(task)["lastStatus"] == "STOPPED"
            if time.monotonic() > deadline or (stopped and not done()):
                raise BenchError(f"a Windows container does not do what it is to do: {self._words(task)}")
            time.sleep(0.1)

    def _words(self, task: str) -> str:
        found = self._look(task)
        reasons = [found.get("stoppedReason", ""), found["containers"][0].get("reason", "")]
        return " ".join([*filter(None, reasons), *self._lines(task)[-3:]]) or "it said nothing"
