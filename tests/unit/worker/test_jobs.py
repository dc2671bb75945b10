"""The jobs that the project brings along, planned from their specifications and worked off by real workers."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.core.errors import JobFailed
from scripts.core.settings import ROOT, Settings
from scripts.images import scaffold
from scripts.jobs.results import fetch
from scripts.jobs.runs import Snapshot
from scripts.tools import debian
from scripts.windows import staging
from winbatch import job as jobs
from winbatch import spec
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload
from winbatch.errors import SpecError
from winbatch.stage import ClaimMark

WORKLOAD = Workload(
    task_definition="td:1", container="c", cpu=1024, memory=1024, image="i", log_group="g", log_stream_prefix="p"
)


@pytest.fixture
def run(job, tmp_path):
    """Plan a job of the project and work off all of its stages; returns the last one's files by name."""
    deployment = Deployment(
        environment="test",
        region="eu-central-1",
        account_id="123456789012",
        data_bucket=job.bucket,
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
        workloads={"ber": WORKLOAD, "ber-octave": WORKLOAD, "tools": WORKLOAD, "my-work": WORKLOAD},
    )

    def run(dag, folder=spec.JOBS, code="", path=os.environ["PATH"], number=1, until=None, **params):
        loaded = spec.load(dag, folder)
        planned = jobs.plan(loaded, loaded.validate(params), f"{dag}-{number}", deployment, job.store)
        for stage, manifest in jobs.manifests(loaded, planned, job.store):
            job.put(stage.manifest, manifest)
            job.stage = stage
            key = f"jobs/{dag}/{dag}-{number}/{stage.stage}/stage.json"
            job.put(key, stage.to_json())
            # As in an image, where `python` is the workload's.
            environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}", "PYTHONPATH": str(code)}
            app = app_of(stage.workload, tmp_path)
            (ended,) = job.work(app=app, WINBATCH_STAGE=f"s3://{job.bucket}/{key}", **environment)
            assert ended.code == 0
            assert len(job.results()) == stage.shards, ended.lines
            if stage.stage == until:
                return None
        return {name: job.get(stage.outputs + name).decode() for name in ("results.json", "results.csv")}

    return run


def app_of(workload, tmp_path):
    """The folder `app` of a workload's image."""
    app = tmp_path / "images" / workload / "app"
    if not app.exists() and workload in Settings.load("local", environ={}).workloads:
        for name, path in staging.app_files(ROOT, workload):
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, app / name)
    return app if app.exists() else None


def rows(files):
    return list(csv.DictReader(io.StringIO(files["results.csv"])))


def test_files_runs_a_program_over_a_listing(job, run):
    for name, body in {"a.txt": b"one\ntwo\n", "deep/b.bin": bytes(256), "deep/": b""}.items():
        job.put(f"sim/inputs/{name}", body)
    files = run("files")
    found = [(row["key"], row["bytes"], row["lines"], row["entropy"]) for row in rows(files)]
    assert found == [("sim/inputs/a.txt", "8", "2", "2.5"), ("sim/inputs/deep/b.bin", "256", "0", "0.0")]
    assert json.loads(files["results.json"])["items"] == 2


def test_files_without_files_says_so(run):
    with pytest.raises(SpecError, match="no object lies below 'sim/inputs'"):
        run("files")


def test_chain_prices_what_its_first_stage_simulated(run):
    table = rows(run("chain", volatility="0.1,0.4", repetitions=2, count=500))
    assert [(row["volatility"], row["repetition"], row["paths"]) for row in table] == [
        ("0.1", "0", "500"),
        ("0.1", "1", "500"),
        ("0.4", "0", "500"),
        ("0.4", "1", "500"),
    ]
    prices = [float(row["price"]) for row in table]
    assert len(set(prices)) == 4
    assert max(prices[:2]) < min(prices[2:]), "an option is dearer the less the price stands still"


WORDS = """
dag: words
title: words of a command
workload: tools
parameters:
  table: {title: t, description: d, type: string, default: sim/t.csv}
stages:
  - name: echo
    csv: table
    columns: {name: string, path: string}
    command: [python, -c, "import sys,json;json.dump(dict(words=sys.argv[2:]),open(sys.argv[1],'w'))",
      "{outputs}/values.json", --version, 3.10, --mode, 010, --at, 12:30, --size, 1_000, --sure, no, --most, 1e3,
      "{name}", "{path}"]
  - name: table
    run: tools.table:run
    inputs: [echo]
"""


def test_words_and_tables_reach_a_program_as_they_are_written(job, run, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "words.yaml").write_text(WORDS)
    job.put("sim/t.csv", b"\xef\xbb\xbfname,path\r\nsolver,C:\\data\\in.bin\r\n,\r\n,\r\n")
    (row,) = rows(run("words", tmp_path / "specs"))
    words = ["--version", "3.10", "--mode", "010", "--at", "12:30", "--size", "1_000", "--sure", "no", "--most", "1e3"]
    assert json.loads(row["words"]) == [*words, "solver", r"C:\data\in.bin"]


def test_results_are_fetched_but_for_names_that_would_lead_elsewhere(job, tmp_path):
    job.plan([{}])
    workspace = SimpleNamespace(aws=SimpleNamespace(client=lambda name: job.client))
    outputs = SimpleNamespace(data_bucket=job.bucket)
    snapshot = Snapshot("r", {"state": "success"}, [(job.stage, None)])
    out = tmp_path / "a" / "out"
    for name in ("report.html", "results.csv"):
        job.put(job.stage.outputs + name, name)
    assert [path.name for path in fetch(workspace, outputs, snapshot, out)] == ["report.html", "results.csv"]
    for name in (r"..\..\x", "C:x", "nul", "..", "results.CSV", ""):
        job.put(job.stage.outputs + name, b"evil")
        with pytest.raises(JobFailed) as caught:
            fetch(workspace, outputs, snapshot, out)
        assert f"2 files are in {out}, but s3://{job.bucket}/" in str(caught.value)
        assert "aws s3 cp" in str(caught.value)
        job.client.delete_object(Bucket=job.bucket, Key=job.stage.outputs + name)
    found = {path.relative_to(out).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    # Of two that differ in case only, the first one is there.
    assert found == {"report.html", "results.csv", "results.CSV"}


def test_ber_runs_with_another_modulation_over_fading(job, run):
    more = {"modulation": "16qam", "channel": "rayleigh", "ebn0_db": [0, 10], "num_items": 4, "num_frames": 50}
    data = json.loads(run("ber", **more)["results.json"])
    assert [(point["modulation"], point["channel"], point["bits"]) for point in data["points"]] == [
        ("16qam", "rayleigh", 2 * 50 * 4096)
    ] * 2
    for point in data["points"]:
        # Twice the interval is four deviations; the seed is fixed.
        assert abs(point["ber"] - point["theory"]) < point["ci95"][1] - point["ci95"][0]
    page = job.get(job.stage.outputs + "report.html").decode()
    assert "16qam, rayleigh, waveform" in page


def test_the_same_seed_gives_the_same_counts_with_fewer_items_than_points(job, run):
    """Three items over eight points: the items spread over the range, points without an item are left out."""
    given = {"num_items": 3, "num_frames": 20, "ebn0_db": list(range(8)), "seed": 5}
    counts = []
    for number in (1, 2):
        run("ber", number=number, until="simulate", **given)
        items = [item for _, result in sorted(job.results().items()) for item in result["items"]]
        counts.append(
            [(item["params"]["ebn0_db"], item["values"]["bits"], item["values"]["bit_errors"]) for item in items]
        )
    points = [point for point, _, _ in counts[0]]
    assert len(set(points)) == 3
    assert points == sorted(points)
    assert (points[0] < 3, points[-1] > 4) == (True, True)
    assert counts[0] == counts[1]


def test_a_workload_that_was_made_just_now_runs(run, checkout):
    files = run("my-work", checkout / "dags" / "jobs", checkout / "images" / "my-work", value="1,2.5,4", exponent=3)
    assert [(float(row["value"]), float(row["power"])) for row in rows(files)] == [(1, 1), (2.5, 15.625), (4, 64)]
    assert json.loads(files["results.json"]) == {"items": 3, "failed_items": []}


@pytest.fixture
def checkout(tmp_path):
    """A copy of the checkout in which `invoke workloads.new my-work` was called."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "images" / "tools", root / "images" / "tools")
    shutil.copytree(ROOT / "terraform" / "environments", root / "terraform" / "environments")
    shutil.copy(ROOT / "pyproject.toml", root)
    scaffold.make(Settings.load("local", environ={}, root=root), "my-work")
    return root


@pytest.fixture
def octave():
    if debian.OCTAVE.find() is None:
        pytest.skip("no octave-cli on this machine: invoke setup --tests installs Debian's")


def simulated(job):
    """The values of the first stage of ber-octave by item, and the bytes of its results."""
    prefix = "sim/task_results/ber-octave/ber-octave-1/simulate/"
    bodies = {key: job.get(key) for key in job.all_keys(prefix)}
    items = [item for body in bodies.values() for item in json.loads(body)["items"]]
    return {item["item"]: item["values"] for item in items}, bodies


@pytest.mark.usefixtures("octave")
def test_octave_scripts_count_what_the_report_of_ber_shows(job, run):
    data = json.loads(run("ber-octave", ebn0_db="0,4", num_items=4, num_frames=250)["results.json"])
    values, _ = simulated(job)
    assert [point["bits"] for point in data["points"]] == [2 * 250 * 4096] * 2
    for number, point in enumerate(data["points"]):
        pair = [values[2 * number + item]["bit_errors"] for item in range(2)]
        assert pair[0] != pair[1], "each item has a stream of its own"
        assert point["bit_errors"] == sum(pair)
        # 2.5 widths of the interval are five deviations; the seed is fixed.
        assert abs(point["ber"] - point["theory"]) < 1.25 * (point["ci95"][1] - point["ci95"][0])
    assert data["items"] == 4
    assert list(data["kernels"]) == [values[0]["kernel"]]
    page = job.get(job.stage.outputs + "report.html").decode()
    assert values[0]["kernel"] in page
    assert "bpsk, awgn, waveform" in page


@pytest.mark.usefixtures("octave")
def test_a_retry_of_octave_scripts_writes_the_same_bytes(job, run):
    run("ber-octave", ebn0_db="3", num_items=2, num_frames=5)
    _, first = simulated(job)
    for key in job.all_keys("sim/") + job.all_keys("jobs/"):
        job.client.delete_object(Bucket=job.bucket, Key=key)
    run("ber-octave", ebn0_db="3", num_items=2, num_frames=5)
    _, second = simulated(job)
    assert len(first) == 2
    assert second == first


def test_without_octave_an_item_says_so(job, run, tmp_path):
    with pytest.raises(AssertionError):
        run("ber-octave", path=str(tmp_path), ebn0_db="3", num_items=1, num_frames=1)
    mark = job.get(job.stage.claim_key(ClaimMark(0, 0, "failed")))
    (failure,) = json.loads(mark)["failures"]
    assert failure["error"].startswith("ProgramError: octave-cli cannot be started: ")
    assert "\n" not in failure["error"]
