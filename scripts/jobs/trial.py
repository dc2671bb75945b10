"""One item of a job on this machine, as its ECS task would run it: the same inputs, words, interpreter and files.

The item runs in a process of the workload's image (`winbatch.trial`, a worker with one item). Its folders stay.
"""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.core.errors import EmulatorError, JobFailed, SettingsError
from scripts.core.settings import Settings
from scripts.images import linux
from scripts.jobs import item_log, runs
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import job, spec
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload
from winbatch.sources import Reader
from winbatch.spec import Spec
from winbatch.stage import Stage
from winbatch.suggesting import hint
from winbatch.trial import EXIT_FAILED, EXIT_STOPPED
from winbatch.working import folders
from winbatch.working.bucket_folder import BucketFolder
from winbatch.working.inputs import find_items
from winbatch.working.manifest import Item, Manifest
from winbatch.working.store import Store

_ORDER, _LOG, _RECORD = "order.json", "log.txt", "result.json"
# Values that are shown where they differ.
SHOWN = 20
# How long an item may take to end once it is told to, s: as long as a worker gives it, and then some.
_STOP_SECONDS = 15.0
# What a process of the image gets of this one's environment: the way to AWS leads through it.
_PASSED = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")


@dataclass(frozen=True)
class Order:
    """An item to try.

    Attributes:
        stage: its stage.
        item: its line of the manifest.
        objects: where its inputs are, as `winbatch.trial` reads it.
        environment: by which the process reaches AWS; empty where it need not.
        theirs: the values that the item has in its job; None where it has none, or there is no job.
        run_id: of that job; empty where there is none.
    """

    stage: Stage
    item: Item
    objects: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    theirs: Mapping[str, Any] | None = None
    run_id: str = ""


@dataclass(frozen=True)
class Tried:
    """What came of it.

    Attributes:
        order: what was tried.
        folder: what is kept: `image`; `item` with its folders; `order.json`, `log.txt` and `result.json`.
        image: digest of the local image that it ran in.
        record: `values` and `files`, or `error`, `exit_code` and `trace`.
    """

    order: Order
    folder: Path
    image: str
    record: Mapping[str, Any]

    @property
    def succeeded(self) -> bool:
        """Say whether the item has values."""
        return "values" in self.record

    @property
    def different(self) -> Sequence[str] | None:
        """Name the values that differ from the job's; None where there is nothing to compare."""
        ours, theirs = self.record.get("values"), self.order.theirs
        if ours is None or theirs is None:
            return None
        return sorted(name for name in ours.keys() | theirs.keys() if not _equal(name, ours, theirs))

    def as_json(self) -> dict[str, Any]:
        """Say it as `invoke try --json` prints it."""
        stage = self.order.stage
        return {
            "dag": stage.dag,
            "run_id": self.order.run_id or None,
            "stage": stage.stage,
            "item": self.order.item.item,
            "params": dict(self.order.item.params),
            "succeeded": self.succeeded,
            "values": self.record.get("values"),
            "files": self.record.get("files", []),
            "error": self.record.get("error"),
            "exit_code": self.record.get("exit_code"),
            "job_values": self.order.theirs,
            "different": self.different,
            "image": self.image,
            "folder": str(self.folder),
            "log": str(self.folder / _LOG),
        }

    def lines(self) -> Iterator[str]:
        """Say it to a person."""
        if self.succeeded:
            yield f"values: {json.dumps(self.record['values'], sort_keys=True)}"
        else:
            yield f"failed: {self.record['error']}"
            yield from (f"  {line}" for line in self.record["trace"])
        if self.different:
            yield f"other values than in {self.order.run_id}: {', '.join(self.different)}"
            ours, theirs = self.record["values"], self.order.theirs or {}
            for name in self.different[:SHOWN]:
                yield f"  {name}: {_shown(name, theirs)} in the job, {_shown(name, ours)} here"
        elif self.different is not None:
            yield f"the same values as in {self.order.run_id}"
        elif self.order.run_id:
            yield f"{self.order.run_id} has no values of this item to compare with"
        yield f"its folder: {self.folder / 'item'}"


def of_specification(
    settings: Settings, dag: str, number: int, *, params: Sequence[str], stage_name: str, inputs: Path | None
) -> Order:
    """Plan the item of a job that nobody has started.

    Args:
        settings: of the environment whose S3 holds the inputs, if they are there.
        dag: the job specification.
        number: the item's.
        params: `key=value` pairs of the command line.
        stage_name: default: the first stage.
        inputs: a folder that stands for the data bucket.

    Raises:
        EmulatorError: its inputs are in the bucket of an environment that is not there.
        SettingsError: there is no such stage or item, or the item needs what other stages leave.
        SpecError: the specification or a parameter is wrong.
    """
    specified = spec.load(dag, settings.dags / "jobs")
    chosen = next((stage for stage in specified.stages if stage_name in {"", stage.name}), None)
    if chosen is None:
        names = ", ".join(stage.name for stage in specified.stages)
        meant = hint(stage_name, (stage.name for stage in specified.stages))
        raise SettingsError(f"job {dag} has no stage {stage_name!r}{meant}; there are {names}")
    if earlier := [*chosen.inputs, *filter(None, [chosen.source])]:
        raise SettingsError(
            f"stage {chosen.name} works on what stage {', '.join(earlier)} has left: try it in a job that has that,"
            " by --run-id"
        )
    values = specified.validate(runs.parse_params(params))
    reads = bool(chosen.fetch) or specified.lists
    objects: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    reader: Reader | None = None
    prefixes = _prefixes(specified, values)
    if inputs is not None:
        if not os.path.isdir(inputs):  # noqa: PTH112 - a name that is too long is none either
            raise SettingsError(f"--inputs {inputs}: there is no such folder; name one that stands for the data bucket")
        objects, reader = {"objects": str(inputs.absolute())}, BucketFolder(inputs.absolute())
    elif reads:
        try:
            workspace = Workspace(settings)
            outputs = workspace.outputs()
        except EmulatorError as error:
            raise EmulatorError(
                f"job {dag} reads inputs from the environment's bucket, and {error}; or name a folder that stands for"
                " the bucket: --inputs"
            ) from error
        objects, environment = _bucket(workspace, outputs), workspace.aws.environment()
        reader = Store(workspace.aws.client("s3"), outputs.data_bucket)
        prefixes = runs.read_deployment(outputs).data_prefixes
    planned = job.plan(specified, values, f"{dag}-try", _this_machine(settings, specified, values, prefixes), reader)
    stage = planned.stage(chosen.name)
    _check_number(number, stage)
    manifest = next(lines for each, lines in job.manifests(specified, planned, reader) if each == stage)
    line = json.loads(manifest.splitlines()[number])
    return Order(stage, Item(line["item"], line["params"]), objects, environment)


def of_job(workspace: Workspace, outputs: Outputs, dag: str, run_id: str, number: int, *, stage_name: str) -> Order:
    """Read an item of a job, and what it came to there.

    Raises:
        JobFailed: there is no such run, or it is not planned.
        SettingsError: there is no such stage or item.
        WinbatchError: what lies in S3 does not parse, or S3 refuses.
    """
    snapshot = runs.look(workspace, outputs, dag, run_id)
    stage = item_log.choose_stage(snapshot, number, stage_name)
    if stage.workload not in workspace.settings.workloads:
        raise SettingsError(f"stage {stage.stage} is of workload {stage.workload!r}, which this checkout does not have")
    store = Store(workspace.aws.client("s3"), outputs.data_bucket)
    shard = stage.shard_of(number)
    item = next(item for item in Manifest(store, stage).shard(shard) if item.item == number)
    found = {result.item: result.values for result in find_items(store, stage, shard)[0]}
    return Order(
        stage, item, _bucket(workspace, outputs), workspace.aws.environment(), theirs=found.get(number), run_id=run_id
    )


def run(settings: Settings, order: Order, folder: Path, hear: Callable[[str], None]) -> Tried:
    """Run the item in a process of its workload's local image.

    Args:
        settings: whose interpreters are used.
        order: the item.
        folder: for all that is kept; what an earlier trial has left there is removed.
        hear: called with each line that the item logs.

    Raises:
        ImageError: the image cannot be built.
        JobFailed: the process ended without a word on the item.
        OSError: the folder cannot be written.
        SettingsError: the folder holds something else.
    """
    image = linux.build(settings, order.stage.workload)
    if folder.exists() and not (folder / _ORDER).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"--out {folder}: it is there, and is not what an earlier trial has left; name another one")
    folders.remove(folder)
    for name in ("item", "home", "temporary"):
        (folder / name).mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(image.layer)) as layer:
        layer.extractall(folder / "image", filter="tar")
    record = folder / _RECORD
    variables = json.loads(image.config)["config"]["Env"]
    environment = {
        **{name: os.environ[name] for name in _PASSED if name in os.environ},
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "LANG": "C.UTF-8",
        **dict(variable.split("=", 1) for variable in variables),
        **order.environment,
    }
    given = {
        "stage": json.loads(order.stage.to_json()),
        "item": order.item._asdict(),
        "folder": str(folder / "item"),
        "record": str(record),
        **order.objects,
    }
    (folder / _ORDER).write_text(json.dumps(given, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    words = [str(_interpreter(environment)), "-m", "winbatch.trial"]
    last = ""
    with (
        (folder / _LOG).open("w", encoding="utf-8", newline="\n") as log,
        _started(words, folder, environment) as at,
    ):
        assert at.stdin is not None
        assert at.stdout is not None
        at.stdin.write(json.dumps(given).encode() + b"\n")
        at.stdin.flush()
        for raw in at.stdout:
            line = _said(raw.decode(errors="backslashreplace").rstrip("\r\n"))
            if line is None:
                continue
            last = line
            log.write(line + "\n")
            hear(line)
        code = at.wait()
    if code == EXIT_STOPPED or not record.is_file() or code not in {0, EXIT_FAILED}:
        raise JobFailed(f"the item did not come to an end: {last or 'it said nothing'} (exit code {code})")
    return Tried(order, folder, image.digest, json.loads(record.read_text(encoding="utf-8")))


@contextmanager
def _started(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process that ends with this one, for its standard input does. Ctrl-C here is not for it."""
    process = subprocess.Popen(
        words,
        cwd=folder / "image" / "app",
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _said(line: str) -> str | None:
    """Read what a worker's line says; None for the one that sums an item up, which the record says as well."""
    try:
        said = json.loads(line)
    except ValueError:
        return line
    if not isinstance(said, dict):
        return line
    if "message" not in said:
        return None
    return "\n".join(str(said[name]) for name in ("message", "traceback") if said.get(name))


def _interpreter(environment: Mapping[str, str]) -> Path:
    """Name the interpreter that the image's PATH names first, not resolved: by its link it knows its packages."""
    return Path(environment["PATH"].split(os.pathsep)[0]) / "python"


def _bucket(workspace: Workspace, outputs: Outputs) -> dict[str, str]:
    return {"bucket": outputs.data_bucket, "region": workspace.settings.region}


def _check_number(number: int, stage: Stage) -> None:
    if not 0 <= number < stage.items:
        raise SettingsError(f"--item {number}: stage {stage.stage} of {stage.dag} has items 0 to {stage.items - 1}")


def _prefixes(specified: Spec, params: Mapping[str, Any]) -> Sequence[str]:
    """Name the prefixes that a job uses: where there is no environment, none is refused."""
    named = {
        str(params[name]).strip("/") for stage in specified.stages for name in (stage.prefix, stage.objects) if name
    }
    tables = {str(params[stage.csv]) for stage in specified.stages if stage.csv}
    return sorted({"jobs", *named, *tables})


def _this_machine(
    settings: Settings, specified: Spec, params: Mapping[str, Any], prefixes: Sequence[str]
) -> Deployment:
    """Plan for one instance: of what a deployment says, only the sizes of shards depend on it, and of these nothing."""
    kind = InstanceType(type="this machine", vcpus=1, memory_mib=2048, network_interfaces=2)
    cluster = Cluster(
        name="",
        capacity_provider="",
        auto_scaling_group="",
        max_instances=params["max_instances"],
        subnets=(),
        security_groups=(),
        instance_types=(kind,),
    )
    workload = Workload(
        task_definition="", container="", cpu=1024, memory=1024, image="", log_group="", log_stream_prefix=""
    )
    return Deployment(
        environment=settings.environment,
        region=settings.region,
        account_id="",
        data_bucket="",
        data_prefixes=prefixes,
        cluster=cluster,
        workloads=dict.fromkeys(specified.workloads, workload),
    )


def _equal(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return name in ours and name in theirs and json.dumps(ours[name]) == json.dumps(theirs[name])


def _shown(name: str, values: Mapping[str, Any]) -> str:
    return json.dumps(values[name], sort_keys=True) if name in values else "nothing"
