import json
import subprocess
import sys

import pytest

from scripts.bench import statements
from scripts.bench import tests as bench
from scripts.checks import report
from scripts.checks.report import Phase
from scripts.core.errors import BenchError

MACHINE = {"machine": {"at": "2026-11-29T18:00:00+00:00", "commit": "72ef449"}}


def phase(test, outcome="passed", phase="call", seconds=1.0):
    return Phase(test=test, phase=phase, outcome=outcome, seconds=seconds)


def test_a_test_counts_once_and_by_its_worst_phase():
    phases = [
        phase("a", phase="setup"), phase("a"), phase("a", "failed", "teardown"),
        phase("b", phase="setup"), phase("b", "failed"), phase("b", phase="teardown"),
        phase("c", "skipped", "setup"), phase("c", phase="teardown"),
        phase("d", phase="setup"), phase("d"), phase("d", phase="teardown"),
        phase("e", "failed", "setup"), phase("e", phase="teardown"),
    ]  # fmt: skip
    assert report.outcomes(phases) == {"failed": 3, "skipped": 1, "passed": 1}


def test_the_slowest_tests_and_set_ups_are_named_over_all_groups():
    phases = {
        "fast": [phase(f"f{number}", seconds=number) for number in range(20)],
        "jobs": [phase("j", phase="setup", seconds=99.0), phase("j", seconds=7.5), phase("j", phase="teardown")],
    }
    found = report.summary(phases, {"fast": 20.04, "total": 30.0}, MACHINE)
    assert [entry["test"] for entry in found["slowest_tests"]] == [f"f{number}" for number in range(19, 9, -1)]
    assert found["slowest_set_ups"] == [{"test": "j", "seconds": 99.0}]
    assert found["seconds"] == {"fast": 20.0, "total": 30.0}
    assert found["outcomes"] == {"fast": {"passed": 20}, "jobs": {"passed": 1}}
    assert found["machine"]["commit"] == "72ef449"


TESTS = """
import time, pytest

@pytest.fixture
def slow():
    time.sleep(0.2)

def test_good(slow, record_property): record_property("a.share", 0.5)
def test_bad(): assert 1 == 2
@pytest.mark.skip
def test_skipped(): ...
def test_last(): ...
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_what_pytest_runs_is_recorded_once(tmp_path, monkeypatch, workers):
    (tmp_path / "test_it.py").write_text(TESTS)
    file = tmp_path / "record.jsonl"
    monkeypatch.setenv(report.VARIABLE, str(file))
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    command = [sys.executable, "-m", "pytest", "-p", "scripts.checks.recorder", "-p", "no:cacheprovider", *workers]
    done = subprocess.run([*command, "test_it.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    # A run that is killed may leave half a line.
    with file.open("a") as unfinished:
        unfinished.write('{"test": "x", "pha')
    phases = report.read(file)
    assert report.outcomes(phases) == {"passed": 2, "failed": 1, "skipped": 1}
    assert report.figures(phases) == {"a.share": {"test_it.py::test_good": 0.5}}
    (set_up,) = [entry for entry in phases if entry.phase == "setup" and entry.test.endswith("test_good")]
    assert set_up.seconds >= 0.2


def test_nothing_was_recorded_where_there_is_no_file(tmp_path):
    assert report.read(tmp_path / "none") == []


def test_the_bench_takes_the_last_whole_run(tmp_path):
    file = tmp_path / "tests.json"
    with pytest.raises(BenchError, match="is missing: make test writes it"):
        bench.measure(file)
    report.write(file, report.summary({}, {"fast": 100.0, "total": 200.0}, MACHINE))
    with pytest.raises(BenchError, match="not of a whole run"):
        bench.measure(file)
    report.write(file, report.summary({}, {"fast": 241.0, "slow": 700.0, "total": 1000.0}, MACHINE))
    figures, details = bench.measure(file)
    assert {figure.name: (figure.median, figure.holds) for figure in figures} == {
        "tests.fast_seconds": (241.0, False),
        "tests.slow_seconds": (700.0, True),
        "tests.total_seconds": (1000.0, True),
    }
    assert details == json.loads(file.read_text())


def test_the_bench_takes_what_tests_have_measured(tmp_path):
    file = tmp_path / "figures.json"
    with pytest.raises(BenchError, match="make test ONLY=roles writes it"):
        statements.measure(file)
    file.write_text(json.dumps({**MACHINE, "figures": {statements.NAME: {"a": 0.97, "b": 0.96}}}))
    (figure,) = statements.measure(file)
    assert (figure.values, figure.holds) == ([0.97, 0.96], True)
