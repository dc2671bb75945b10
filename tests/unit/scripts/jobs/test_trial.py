"""One item of a job, tried: by the local image of a small checkout, in real processes."""

import json
import shutil
import subprocess
import sys
import textwrap
import uuid
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from scripts.core.aws import Aws
from scripts.core.errors import EmulatorError, JobFailed, SettingsError
from scripts.core.settings import ROOT
from scripts.jobs import runs, trial
from tests.waiting import PATIENCE, wait_for
from winbatch import job, spec
from winbatch.results import ItemResult, encode
from winbatch.working.store import Store

STAGES = {
    "python": "grid: [value]\n    params: [exponent]\n    run: mine.work:run",
    "program": "grid: [value]\n    command: ['{app}/price.exe', '{app}/answer.json', '{outputs}/values.json']",
    "named": "grid: [value]\n    command: [solve, '{value}', '{outputs}/values.json']",
    "failing": "grid: [value]\n    command: [sh, -c, 'echo bad deal >&2; exit 3']",
    "fetching": "csv: table\n    columns: {name: string}\n    fetch: {data: 'sim/in/{name}'}\n"
    "    command: [cp, '{inputs}/data', '{outputs}/kept.txt']",
    "listing": "objects: prefix\n    fetch: {data: '{key}'}\n    command: [cmp, '{inputs}/data', '{app}/answer.json']",
}
PARAMETERS = """
  value: {title: v, description: v, type: array, items: {type: number}, default: [1, 2, 3]}
  exponent: {title: e, description: e, type: integer, default: 2}
  table: {title: t, description: t, type: string, default: sim/table.csv}
  prefix: {title: p, description: p, type: string, default: sim/in}
"""
WORK = """
    import os
    def run(params, context):
        print("hello from", context.item)
        (context.outputs / "kept.txt").write_text("here", encoding="utf-8")
        names = {"PATH", "HOME", "TMPDIR", "AWS_PROFILE"} & os.environ.keys()
        return {"power": params["value"] ** params["exponent"], "job": context.job, "names": sorted(names)}
"""


def write_job(settings, *stages, name="mine"):
    """A job specification of these stages, texts of YAML."""
    listed = "\n".join(f"  - name: s{number}\n    {text}" for number, text in enumerate(stages))
    text = f"dag: {name}\ntitle: t\ndescription: d\nworkload: mine\nparameters:{PARAMETERS}\nstages:\n{listed}\n"
    (settings.dags / "jobs" / f"{name}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def checkout(settings, tmp_path):
    """A checkout with one workload, whose interpreter is this one; a job for each stage above."""
    root = tmp_path / "a checkout"
    (root / "dags" / "jobs").mkdir(parents=True)
    (root / "dags" / "winbatch").symlink_to(ROOT / "dags" / "winbatch")
    shutil.copytree(ROOT / "terraform" / "environments", root / "terraform" / "environments")
    package, files = root / "images" / "mine" / "mine", root / "images" / "mine" / "files"
    package.mkdir(parents=True)
    files.mkdir()
    (package.parent / "workload.toml").touch()
    (package / "__init__.py").touch()
    (package / "work.py").write_text(textwrap.dedent(WORK), encoding="utf-8")
    # As it comes out of a zip file: a program by its content only.
    shutil.copyfile(shutil.which("cp"), files / "price.exe")
    (files / "price.exe").chmod(0o644)
    (files / "answer.json").write_text('{"answer": 42}', encoding="utf-8")
    (settings.cache / "workloads").mkdir(parents=True)
    (settings.cache / "workloads" / "worker").symlink_to(sys.prefix)
    made = replace(settings, root=root, local_path=(tmp_path / "own",))
    for name, stage in STAGES.items():
        write_job(made, stage, name=name)
    return made


@pytest.fixture
def attempt(checkout, tmp_path):
    """Tries an item of a job of the checkout."""

    def attempt(dag, item=0, *params, inputs=None, stage=""):
        order = trial.of_specification(checkout, dag, item, params=params, stage_name=stage, inputs=inputs)
        heard = []
        tried = trial.run(checkout, order, tmp_path / "kept", heard.append)
        return SimpleNamespace(tried=tried, heard=heard, lines=list(tried.lines()), **tried.as_json())

    return attempt


@pytest.fixture
def bucket_folder(tmp_path):
    folder = tmp_path / "bucket"
    (folder / "sim" / "in").mkdir(parents=True)
    (folder / "sim" / "table.csv").write_text("name\na\nb\n")
    (folder / "sim" / "in" / "a").write_text("content of a")
    (folder / "sim" / "in" / "answer").write_text('{"answer": 42}')
    return folder


def test_a_python_function_is_tried_with_the_jobs_parameters(attempt, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "of whoever calls")
    done = attempt("python", 1, "value=2,3", "exponent=3")
    assert done.values == {"power": 27.0, "job": "python-try", "names": ["HOME", "PATH", "TMPDIR"]}
    assert (done.succeeded, done.params, done.different) == (True, {"value": 3.0, "exponent": 3}, None)
    assert done.heard == ["hello from 1"]
    assert done.files == [{"name": "kept.txt", "size": 4}]
    assert done.lines[-1] == f"its folder: {done.folder}/item"
    kept = done.tried.folder
    assert (kept / "item" / "outputs" / "kept.txt").read_text() == "here"
    assert (kept / "log.txt").read_text() == "hello from 1\n"
    assert (kept / "image" / "app" / "mine" / "work.py").is_file()


def test_a_program_among_the_images_files_runs_whatever_became_of_its_execute_bit(attempt):
    done = attempt("program")
    assert done.values == {"answer": 42, "exit_code": 0, "outputs": [{"name": "values.json", "size": 14}]}


def test_a_program_is_found_by_name_in_the_folder_for_ones_own(attempt, checkout):
    (own,) = checkout.local_path
    own.mkdir()
    (own / "solve").write_text('#!/bin/sh\nprintf \'{"half": %s}\' "$(echo "$1 / 2" | tr / -)" > "$2"\n')
    assert "solve cannot be started" in attempt("named").error
    (own / "solve").write_text('#!/bin/sh\nprintf \'{"value": %s}\' "$1" > "$2"\n')
    (own / "solve").chmod(0o755)
    assert attempt("named", 2).values["value"] == 3


def test_a_failure_has_its_reason_exit_code_and_lines(attempt):
    done = attempt("failing")
    assert (done.succeeded, done.exit_code, done.values) == (False, 3, None)
    assert done.error.endswith("sh ended with exit code 3")
    assert done.heard == ["bad deal"]
    assert done.lines[0] == f"failed: {done.error}"


def test_inputs_are_read_from_a_folder_that_stands_for_the_bucket(attempt, bucket_folder):
    done = attempt("fetching", inputs=bucket_folder)
    assert (done.tried.folder / "item" / "outputs" / "kept.txt").read_text() == "content of a"
    assert (done.tried.folder / "item" / "inputs" / "data").read_text() == "content of a"
    missing = attempt("fetching", 1, inputs=bucket_folder)
    assert missing.error == f"JobError: {bucket_folder}/sim/in/b does not exist"
    assert [attempt("listing", item, inputs=bucket_folder).succeeded for item in range(2)] == [False, True]


def test_a_key_does_not_lead_out_of_the_folder(attempt, checkout, bucket_folder):
    (bucket_folder.parent / "secret").write_text("s")
    (bucket_folder / "sim" / "table.csv").write_text("name\n../../../secret\n")
    assert "does not exist" in attempt("fetching", inputs=bucket_folder).error


@pytest.mark.parametrize(
    ("dag", "item", "options", "line"),
    [
        ("python", 3, {}, "--item 3: stage s0 of python has items 0 to 2"),
        ("python", 0, {"stage": "merge"}, "job python has no stage 'merge'; there are s0"),
        ("fetching", 0, {"inputs": ROOT / "none"}, f"--inputs {ROOT}/none: there is no such folder; name one that"),
        ("chained", 0, {"stage": "s1"}, "stage s1 works on what stage s0 has left: try it in a job that has that, by"),
    ],
)
def test_what_cannot_be_tried_is_told_in_a_line(attempt, checkout, dag, item, options, line):
    write_job(checkout, STAGES["python"], "from: s0\n    command: [ls, '{inputs}']", name="chained")
    with pytest.raises(SettingsError) as refused:
        attempt(dag, item, **options)
    assert str(refused.value).startswith(line)


def test_inputs_in_s3_need_an_environment_or_a_folder_instead(attempt):
    with pytest.raises(EmulatorError, match=r"reads inputs from the environment's bucket, and the local env.*--inputs"):
        attempt("fetching")


def test_only_what_a_trial_has_left_is_removed(attempt, checkout, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    assert attempt("python").succeeded
    (folder / "item" / "outputs" / "kept.txt").chmod(0)
    assert attempt("python").succeeded
    (folder / "order.json").rename(folder / "mine.json")
    with pytest.raises(SettingsError, match="is there, and is not what an earlier trial has left; name another one"):
        attempt("python")
    assert (folder / "mine.json").is_file()


def test_code_that_cannot_be_imported_is_told(attempt, checkout):
    (checkout.root / "images" / "mine" / "mine" / "work.py").write_text("import nothing_of_this_name")
    with pytest.raises(JobFailed, match=r"did not come to an end: .*cannot be imported: ModuleNotFoundError.*code 3"):
        attempt("python")


def test_an_item_ends_with_whoever_tries_it(tmp_path):
    """As the worker ends it when it is told to stop: standard input ends with the process that holds it."""
    stage = {
        "schema": 1, "dag": "d", "job": "j", "stage": "s", "workload": "w", "run": "", "manifest": "", "claims": "",
        "partials": "", "results": "", "outputs": "", "items": 1, "shard_items": 1,
        "command": ["sh", "-c", "echo $$; exec sleep 1000"],
    }  # fmt: skip
    order = {"stage": stage, "item": {"item": 0, "params": {}}, "folder": str(tmp_path), "record": str(tmp_path / "r")}
    process = subprocess.Popen(
        [sys.executable, "-m", "winbatch.trial"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()
    pid = int(json.loads(process.stdout.readline())["message"])
    process.stdin.close()
    assert process.wait(PATIENCE) == 143
    process.stdout.close()
    wait_for(lambda: not psutil.pid_exists(pid))
    assert not (tmp_path / "r").exists()


@pytest.fixture(scope="module")
def s3_url():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def of_job(checkout, s3_url, tmp_path, monkeypatch):
    """Plans a job of two stages in S3, the second of which goes on with the first one's files; tries its items."""
    write_job(checkout, STAGES["python"], "from: s0\n    command: [cp, '{inputs}/kept.txt', '{outputs}/again.txt']")
    aws = Aws("eu-central-1", s3_url)
    bucket = f"data-{uuid.uuid4().hex[:12]}"
    location = {"LocationConstraint": "eu-central-1"}
    aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    store = Store(aws.client("s3"), bucket)
    specified = spec.load("mine", checkout.dags / "jobs")
    values = specified.validate({"exponent": "3"})
    planned = job.plan(specified, values, "mine-1", trial._this_machine(checkout, specified, values, ["jobs"]))
    for stage, manifest in job.manifests(specified, planned):
        store.put_new(stage.manifest, manifest)
        store.put_new(stage.manifest.replace("manifest.jsonl", "stage.json"), stage.to_json().encode())
    snapshot = runs.Snapshot("mine-1", {"state": "success"}, [(stage, None) for stage in planned.stages])
    monkeypatch.setattr(runs, "look", lambda *_: snapshot)
    workspace, outputs = SimpleNamespace(settings=checkout, aws=aws), SimpleNamespace(data_bucket=bucket)

    def put_result(stage, *results):
        store.put_new(stage.result_key(stage.shard_of(results[0].item)), encode(stage, results[0].item, results))

    def attempt(item, stage=""):
        order = trial.of_job(workspace, outputs, "mine", "mine-1", item, stage_name=stage)
        tried = trial.run(checkout, order, tmp_path / "kept", lambda _: None)
        return SimpleNamespace(tried=tried, lines=list(tried.lines()), **tried.as_json())

    return SimpleNamespace(planned=planned, put_result=put_result, attempt=attempt, store=store)


def test_an_item_of_a_job_is_tried_with_its_own_parameters_and_compared(of_job):
    first = of_job.planned.stages[0]
    same = {"power": 8, "job": "mine-1", "names": ["HOME", "PATH", "TMPDIR"]}
    of_job.put_result(first, ItemResult(1, {"value": 2, "exponent": 3}, same))
    of_job.put_result(first, ItemResult(2, {"value": 3, "exponent": 3}, {**same, "power": 26.9, "more": 1}))
    done = of_job.attempt(1)
    assert (done.values, done.different, done.lines[1]) == (same, [], "the same values as in mine-1")
    other = of_job.attempt(2)
    assert (other.succeeded, other.different) == (True, ["more", "power"])
    assert other.lines[1:4] == [
        "other values than in mine-1: more, power",
        "  more: 1 in the job, nothing here",
        "  power: 26.9 in the job, 27 here",
    ]
    none = of_job.attempt(0)
    assert (none.job_values, none.different) == (None, None)
    assert none.lines[1] == "mine-1 has no values of this item to compare with"
    with pytest.raises(SettingsError, match="--item 3: stage s0 of mine-1 has items 0 to 2"):
        of_job.attempt(3)


def test_an_item_that_goes_on_with_anothers_files_gets_them_from_the_job(of_job):
    first, second = of_job.planned.stages
    of_job.put_result(first, ItemResult(1, {"value": 2, "exponent": 3}, {"power": 8.0}))
    of_job.store.put_new(f"{first.outputs_of(1)}kept.txt", b"of the job")
    done = of_job.attempt(1, second.stage)
    assert done.values == {"exit_code": 0, "outputs": [{"name": "again.txt", "size": 10}]}
    assert (done.tried.folder / "item" / "outputs" / "again.txt").read_text() == "of the job"
    assert "item 0 of stage s0 has no result" in of_job.attempt(0, second.stage).error
