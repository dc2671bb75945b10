"""Commands side by side: what fails is told, what is interrupted ends, and nothing goes on."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scripts.checks import provider
from scripts.checks.context import Context
from scripts.checks.lanes import Lanes, sweep
from scripts.core.errors import CheckFailed
from scripts.core.settings import Settings
from tests.processes import runs
from tests.waiting import PATIENCE, wait_for


def sleeper(code="import time; time.sleep(3600)"):
    return [sys.executable, "-c", code]


def call(lanes, command, folder, **more):
    return lanes.call(command, cwd=folder, environ=dict(os.environ), **more)


def test_jobs_run_a_few_at_a_time_in_their_order(tmp_path):
    at_work, most, order = set(), [], []

    def job(name):
        at_work.add(name)
        order.append(name)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.discard(name)

    names = [f"job {number}" for number in range(6)]
    failed = Lanes().run({name: lambda name=name: job(name) for name in names}, 2, lambda _: None)
    assert failed == {}
    assert (max(most), sorted(order)) == (2, names)
    assert set(order[:2]) == set(names[:2])


def test_one_that_fails_stops_no_other():
    ran = []

    def fail():
        raise ValueError("as it happens")

    failed = Lanes().run({"bad": fail, "good": lambda: ran.append(1)}, 1, lambda _: None)
    assert {name: str(error) for name, error in failed.items()} == {"bad": "as it happens"}
    assert ran == [1]


def test_what_a_command_says_goes_to_its_file(tmp_path):
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    assert call(Lanes(), sleeper(code), tmp_path, output=tmp_path / "log") == 3
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_the_end_interrupts_every_command_and_starts_none(tmp_path):
    """A slow test has something to take down, so that it is asked first."""
    lanes, codes = Lanes(), []
    code = """
import pathlib, time
pathlib.Path("up").touch()
try:
    time.sleep(3600)
except KeyboardInterrupt:
    pathlib.Path("down").touch()
"""
    thread = threading.Thread(target=lambda: codes.append(call(lanes, sleeper(code), tmp_path)))
    thread.start()
    wait_for((tmp_path / "up").exists)
    time.sleep(0.2)
    lanes.end()
    thread.join(PATIENCE)
    assert codes == [0]
    assert (tmp_path / "down").exists()
    assert call(lanes, sleeper(), tmp_path) == -signal.SIGINT


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path):
    lanes, codes = Lanes(), []
    code = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
pathlib.Path("child.new").write_text(str(child.pid))
pathlib.Path("child.new").rename("child")
time.sleep(3600)
"""
    thread = threading.Thread(target=lambda: codes.append(call(lanes, sleeper(code), tmp_path)))
    thread.start()
    wait_for((tmp_path / "child").exists)
    child = int((tmp_path / "child").read_text())
    lanes.end(patience=0.5)
    thread.join(PATIENCE)
    assert codes == [-signal.SIGKILL]
    wait_for(lambda: not runs(child))


@pytest.mark.parametrize("trace", ["command", "folder", "environment"])
def test_what_is_left_in_a_folder_is_found_and_ended(tmp_path, trace):
    ours, others = tmp_path / "ours", tmp_path / "others"
    for folder in (ours, others):
        folder.mkdir()
    words = [str(ours)] if trace == "command" else []
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(3600)"
    process = subprocess.Popen(
        [*sleeper(stubborn), *words],
        cwd=ours if trace == "folder" else others,
        env=os.environ | ({"STATE": str(ours)} if trace == "environment" else {}),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    other = subprocess.Popen(sleeper(), cwd=others)
    try:
        process.stdout.readline()
        (line,) = sweep(ours, patience=0.2)
        assert line.startswith(f"{process.pid} {sys.executable}")
        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for each in (process, other):
            each.kill()
            each.wait()
        process.stdout.close()


RUN = """
import dataclasses, os, sys
from functools import partial
from pathlib import Path
from scripts.checks import run, suites
from scripts.checks.context import Context
from scripts.checks.lanes import Lanes
from scripts.core.settings import Settings

folder = Path(sys.argv[1])
suites.SLOW["ours"] = (str(folder / "test_ours.py"),)
context = Context(dataclasses.replace(Settings.load("local"), root=folder, cache=folder), os.environ, Lanes())
context.logs.mkdir(parents=True)
with run._folder() as place:
    run._phase(context, "slow", {"ours": partial(suites.slow, context, "ours", place)}, 1, {})
"""
OURS = """
import os, subprocess, sys, time
from pathlib import Path
import pytest

HERE = Path(__file__).parent

@pytest.fixture
def environment(tmp_path):
    # Something that has left every process group, as an emulator does.
    command = [sys.executable, "-c", "import time; time.sleep(3600)", str(tmp_path)]
    left = subprocess.Popen(command, start_new_session=True)
    (HERE / "left").write_text(str(left.pid))
    yield
    (HERE / "taken down").touch()

pytestmark = [pytest.mark.slow]

def test_it(environment):
    (HERE / "begun").touch()
    time.sleep(3600 if {forever} else 0)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the checks over one slow test."""

    def start(*, forever):
        (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
        (tmp_path / "test_ours.py").write_text(OURS.format(forever=forever))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", RUN, str(tmp_path)],
                env=environ | {"TMPDIR": str(tmp_path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    started = []
    yield start
    for process in started:
        process.kill()
        process.communicate()


def alive(file):
    return runs(int(file.read_text()))


def test_an_interrupt_takes_down_what_tests_made_and_leaves_nothing(start, tmp_path):
    process = start(forever=True)
    wait_for((tmp_path / "begun").exists, alive=process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT, said
    assert (tmp_path / "taken down").exists()
    assert not alive(tmp_path / "left")
    assert list(tmp_path.glob("winbatch-tests-*")) == []


def test_a_test_that_passes_and_leaves_a_process_fails(start, tmp_path):
    process = start(forever=False)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, said
    assert "ours tests passed and left processes, which are ended now" in said
    assert not alive(tmp_path / "left")
    assert list(tmp_path.glob("winbatch-tests-*")) == []


def test_a_tool_tells_its_last_line_or_all_that_it_found(tmp_path):
    """In a checkout in which nothing was checked yet."""
    settings = dataclasses.replace(Settings.load("local"), root=tmp_path, cache=tmp_path)
    context = Context(settings, dict(os.environ), Lanes())
    assert context.tool("a", sleeper("print('one'); print('two')")) == "two"
    with pytest.raises(CheckFailed, match=r"(?s)found\n.*\$ .*python"):
        context.tool("b", sleeper("print('fine')"), sleeper("print('found'); raise SystemExit(1)"))


def test_a_provider_that_does_not_start_is_a_line(tmp_path):
    with (
        pytest.raises(CheckFailed, match=r"does not start: .*provider\.log"),
        provider.kept(Path("/bin/false"), {}, tmp_path),
    ):
        pass
    with provider.kept(None, {}, tmp_path) as variables:
        assert variables == {}
