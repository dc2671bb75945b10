"""Items that run programs, in real workers."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.processes import unprivileged
from tests.waiting import PATIENCE, wait_for
from winbatch.results import ItemFailure
from winbatch.stage import ClaimMark
from winbatch.working import guard, trees
from winbatch.working.limits import Limits, Watcher
from winbatch.working.programs import ProgramError, Programs, Stopped

PYTHON = [sys.executable, "-c"]


def failures(job, shard=0, kind="failed"):
    return json.loads(job.get(job.stage.claim_key(ClaimMark(shard, 0, kind))))["failures"]


def values(job):
    return [item["values"] for _shard, result in sorted(job.results().items()) for item in result["items"]]


def test_a_program_gets_its_words_and_leaves_files_and_values(job):
    code = (
        "import json, pathlib, sys; inputs, out, *rest = sys.argv[1:]; out = pathlib.Path(out);"
        "(out / 'deep').mkdir(); (out / 'deep' / 'a.txt').write_text('x' * len(rest[0]));"
        "(out / 'values.json').write_text(json.dumps({'rest': rest, 'here': len(list(pathlib.Path.cwd().iterdir()))}));"
        "pathlib.Path('scratch').touch()"
    )
    job.plan(
        [{"text": 'a b; $(x) "%PATH%" {item}', "n": 0.5}, {"text": "", "n": 2}],
        run="",
        command=[*PYTHON, code, "{inputs}", "{outputs}", "{text}", "--n={n}", "{{{item}}}", "{job}"],
        item_folders=True,
    )
    (ended,) = job.work()
    assert ended.code == 0
    sizes = [len(job.get(f"{job.stage.outputs}00000{item}/values.json")) for item in range(2)]
    text = 'a b; $(x) "%PATH%" {item}'
    assert values(job) == [
        {
            "exit_code": 0,
            "here": 0,
            "outputs": [{"name": "deep/a.txt", "size": len(given)}, {"name": "values.json", "size": size}],
            "rest": [given, f"--n={n}", f"{{{item}}}", "job-1"],
        }
        for item, (given, n, size) in enumerate([(text, 0.5, sizes[0]), ("", 2, sizes[1])])
    ]
    keys = job.all_keys(job.stage.outputs)
    assert [key.removeprefix(job.stage.outputs) for key in keys] == [
        "000000/deep/a.txt",
        "000000/values.json",
        "000001/deep/a.txt",
        "000001/values.json",
    ]


def test_a_program_finds_the_files_of_its_image(job, tmp_path):
    app = tmp_path / "the image's app"
    app.mkdir()
    (app / "a.py").write_text("import os, sys; sys.exit(os.getcwd() == os.path.dirname(os.path.abspath(__file__)))")
    job.plan([{}], run="", command=[sys.executable, "{app}/a.py"])
    (ended,) = job.work(app=app)
    assert (ended.code, len(job.results())) == (0, 1), ended.lines


def test_a_programs_lines_are_the_items_log(job):
    # The byte 0xFF is no UTF-8: a space that does not break, in the code page 437 of Windows' console.
    code = (
        "import sys; print('out', sys.argv[1], flush=True); print('err', sys.argv[1], file=sys.stderr, flush=True);"
        "sys.stdout.buffer.write(b'\\xff\\r\\n' + b'y' * 20000 + b'\\nlast'); sys.exit(int(sys.argv[2]))"
    )
    job.plan(
        [{"code": 0}, {"code": 7}, {"code": 0}], run="", command=[*PYTHON, code, "{item}", "{code}"], shard_items=3
    )
    (ended,) = job.work()
    lines = [json.loads(line) for line in ended.err.splitlines()]
    for item in range(3):
        said = [line["message"] for line in lines if line.get("item") == item and line["logger"] == "program"]
        assert sorted(said) == sorted([f"out {item}", f"err {item}", "\xa0", "y" * 8000, "last"])
    (failure,) = failures(job)
    assert (failure["item"], failure["exit_code"]) == (1, 7)
    assert failure["error"] == f"ProgramError: {sys.executable} ended with exit code 7"
    assert failure["log"][-1].endswith("last")
    assert not any("Traceback" in line for line in failure["log"])


# What ends a program on Linux alone, and on Windows: STATUS_NO_MEMORY and STATUS_ACCESS_VIOLATION.
OWN = (
    [
        ("import os; os.kill(os.getpid(), 9)", "memory", -9, "was ended by SIGKILL"),
        ("import os; os.kill(os.getpid(), 11)", "failed", -11, "was ended by SIGSEGV"),
    ],
    [
        (
            "import os; os._exit(0xC0000017 - 2**32)",
            "memory",
            0xC0000017,
            "ended with exit code 3221225495 (0xC0000017)",
        ),
        (
            "import os; os._exit(0xC0000005 - 2**32)",
            "failed",
            0xC0000005,
            "ended with exit code 3221225477 (0xC0000005)",
        ),
    ],
)
# What an item's program does, its failure's kind and exit code, and words of what is said of it.
ENDS = [
    ("import sys; sys.exit(3)", "failed", 3, "ended with exit code 3"),
    *OWN[sys.platform == "win32"],
    ("import os; os._exit(137)", "memory", 137, "ended with exit code 137"),
    ("print('{')", "failed", None, "values.json of item {item} is not JSON"),
    ("print('[1]')", "failed", None, "values.json of item {item}: a JSON object is expected"),
    ("print('{\"exit_code\": 1}')", "failed", None, "without `exit_code` and `outputs`"),
    ("print('{\"x\": NaN}')", "failed", None, "not JSON compliant"),
    ('print(\'{"x": 1, "x": 2}\')', "failed", None, "is there more than once in one object"),
    ("print('[' * 200000)", "failed", None, "nested too deeply"),
    ("print('{\"x\": \"' + 'y' * (1 << 20) + '\"}')", "failed", None, "larger than 1 MiB"),
]
PRINTS_VALUES = """
import contextlib, sys
with contextlib.redirect_stdout(open(sys.argv[1], "w")):
    exec(sys.argv[2])
"""


def test_how_a_program_fails(job):
    items = [{"code": code} for code, *_ in ENDS]
    job.plan(items, run="", command=[*PYTHON, PRINTS_VALUES, "{outputs}/values.json", "{code}"])
    (ended,) = job.work()
    assert ended.code == 0
    for item, (_, kind, exit_code, words) in enumerate(ENDS):
        (failure,) = failures(job, item, kind)
        assert words.format(item=item) in failure["error"]
        assert failure["exit_code"] == exit_code


def test_a_program_that_takes_too_long_fails_without_an_exit_code(job):
    job.plan([{}], run="", command=[*PYTHON, "import time; time.sleep(60)"], timeout=0.5)
    (ended,) = job.work()
    assert ended.code == 0
    (failure,) = failures(job)
    assert "did not end within 0.5 s and was ended" in failure["error"]
    assert failure["exit_code"] is None


def test_what_a_program_leaves_read_only_does_not_stay_on_the_disk(job):
    """Go's module cache has folders without a write bit."""
    code = "import os; os.mkdir('ro'); open('ro/x', 'w').close(); os.chmod('ro', 0o555)"
    job.plan([{}, {}], run="", command=[*PYTHON, code], shard_items=2)
    (ended,) = job.work(under=unprivileged())  # which looks for what is left
    assert (ended.code, len(values(job))) == (0, 2), ended.err
    assert "stays" not in ended.err


def test_a_folder_that_cannot_be_removed_is_told_and_fails_nothing(job):
    code = "import pathlib; pathlib.Path.cwd().parents[2].chmod(0o555)"
    job.plan([{}], run="", command=[*PYTHON, code])
    process = job.start(under=unprivileged())
    _, error = process.communicate(timeout=PATIENCE)
    temporary = job.folder / "temporary"
    temporary.chmod(0o755)
    (left,) = temporary.iterdir()
    assert process.returncode == 0, error
    assert len(values(job)) == 1
    assert f"a folder stays, and takes room on the disk: [Errno 13] Permission denied: '{left}'" in error


def test_a_program_that_is_not_there(job):
    job.plan([{}], run="", command=["no-such-program", "x"])
    job.work()
    assert failures(job)[0]["error"].startswith("ProgramError: no-such-program cannot be started: ")


def test_values_may_begin_with_a_byte_order_mark(job):
    code = "import sys; open(sys.argv[1], 'w', encoding=sys.argv[2]).write('{\"size\": 1.5}')"
    encodings = ["utf-8", "utf-8-sig", "utf-16"]
    items = [{"encoding": encoding} for encoding in encodings]
    job.plan(items, run="", command=[*PYTHON, code, "{outputs}/values.json", "{encoding}"])
    (ended,) = job.work()
    assert ended.code == 0
    assert [found["size"] for found in values(job)] == [1.5] * len(encodings)


def test_a_batch_file_is_not_started_whatever_it_is_called(job, tmp_path):
    names = ["run.bat", "run.bat.", "run.bat ", "RUN.CMD", "x.bat::$DATA"]
    for name in names:
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\n")
        (tmp_path / name).chmod(0o755)
    items = [{"prog": f"{tmp_path}/{name}"} for name in names]
    job.plan(items, run="", command=["{prog}", 'x" & echo INJECTED & rem "'])
    (ended,) = job.work()
    assert ended.code == 0
    for shard, name in enumerate(names):
        said = failures(job, shard)[0]["error"]
        assert said.startswith(f"ProgramError: {tmp_path}/{name.strip()} is not started: a batch file is run by a")
        assert '[powershell.exe, -NoProfile, -NonInteractive, -ExecutionPolicy, Bypass, -File, "{app}/run.ps1"' in said
    assert not (tmp_path / "begun").exists()


# What an item leaves, and words of what is said of it; nothing where it can be kept.
NAMES = [
    (["fine.txt"], ""),
    (["ok.txt", "con.txt"], "output 'con.txt' cannot be kept: 'con.txt' is a device of Windows; have the item"),
    (["12:30.csv"], "output '12:30.csv' cannot be kept: '12:30.csv' holds ':', which Windows does not take"),
    ([r"a\b"], "which Windows does not take in a name"),
    (["end."], "ends with '.', which Windows drops"),
    (["deep/end /x"], "output 'deep/end /x' cannot be kept: 'end ' ends with ' '"),
    (["Data.csv", "data.csv"], "'data.csv' differs from 'Data.csv' in case only"),
    (["also fine.txt"], ""),
]


def test_a_file_that_windows_cannot_have_is_its_items_failure(job):
    code = (
        "import json, pathlib, sys; paths = [pathlib.Path(sys.argv[1], name) for name in json.loads(sys.argv[2])];"
        "[(path.parent.mkdir(parents=True, exist_ok=True), path.touch()) for path in paths]"
    )
    items = [{"names": json.dumps(names)} for names, _ in NAMES]
    job.plan(items, run="", command=[*PYTHON, code, "{outputs}", "{names}"], item_folders=True)
    (ended,) = job.work()
    assert ended.code == 0
    kept = [item for item, (_, words) in enumerate(NAMES) if not words]
    assert sorted(job.results()) == kept
    for item, (_, words) in enumerate(NAMES):
        if words:
            (failure,) = failures(job, item)
            assert failure["item"] == item
            assert words in failure["error"]
    assert job.all_keys(job.stage.outputs) == [
        f"{job.stage.outputs}{item:06}/{name}" for item in kept for name in NAMES[item][0]
    ]


def test_an_item_without_its_parameter_fails_alone(job):
    job.plan([{"x": 1}, {"y": 2}], run="", command=[*PYTHON, "pass", "{x}"])
    (ended,) = job.work()
    assert ended.code == 0
    assert sorted(job.results()) == [0]
    assert "JobError: '{x}' needs 'x', which the item does not have (it has y, item, " in failures(job, 1)[0]["error"]


def test_what_an_item_needs_is_fetched(job):
    job.put("in/a.dat", b"first")
    job.put("in/b.dat", b"second")
    job.put("in/common", b"!")
    code = (
        "import json, pathlib, sys; folder = pathlib.Path(sys.argv[1]);"
        "print(json.dumps({'text': (folder / 'data').read_text() + (folder / 'deep/extra').read_text()}),"
        "file=open(sys.argv[2], 'w'))"
    )
    job.plan(
        [{"key": "in/a.dat"}, {"key": "in/b.dat"}, {"key": "in/c.dat"}],
        run="",
        command=[*PYTHON, code, "{inputs}", "{outputs}/values.json"],
        fetch={"data": "{key}", "deep/extra": "in/common"},
    )
    (ended,) = job.work()
    assert ended.code == 0
    assert [found["text"] for found in values(job)] == ["first!", "second!"]
    assert f"s3://{job.bucket}/in/c.dat does not exist" in failures(job, 2)[0]["error"]


def later(job, **changes):
    """Turn to a stage that works on what each item of the one at hand left."""
    first = job.stage_key
    base = "jobs/test/job-1/second/"
    job.plan(
        [{}] * job.stage.items,
        **{
            "stage": "second",
            "run": "",
            "inputs": {"main": first},
            "source": "main",
            "manifest": base + "manifest.jsonl",
            "claims": base + "claims/",
            "partials": base + "partials/",
            "results": "out/job-1/second/",
            "outputs": "out/job-1/second/files/",
        }
        | changes,
    )


def test_an_item_works_on_what_the_same_item_left_before(job):
    write = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); (p / 'd').mkdir(); (p / 'd/n').write_text(sys.argv[2])"
    job.plan([{}] * 5, run="", command=[*PYTHON, write, "{outputs}", "{item}"], item_folders=True, shard_items=2)
    job.work()
    read = "import sys, pathlib; n = pathlib.Path(sys.argv[1]).read_text();"
    read += "pathlib.Path(sys.argv[2]).write_text('{\"n\": ' + n + '}')"
    later(job, command=[*PYTHON, read, "{inputs}/d/n", "{outputs}/values.json"], shard_items=3)
    job.work()
    assert [found["n"] for found in values(job)] == [0, 1, 2, 3, 4]


def test_an_item_after_one_that_failed_says_so(job):
    fail = "import sys; sys.exit(sys.argv[1] == '1')"
    job.plan([{}] * 3, run="", command=[*PYTHON, fail, "{item}"], item_folders=True, shard_items=3)
    job.work()
    job.put_ledger(job.stage, ItemFailure(1, 0, "program", "exit 1"))
    later(job, command=[*PYTHON, "pass"], shard_items=1)
    job.work()
    assert sorted(job.results()) == [0, 2]
    assert failures(job, 1)[0]["error"].endswith(
        "item 1 of stage main has no result, so there is nothing to work on: exit 1"
    )


UNLEAVABLE = [
    "../../evil",
    r"..\..\evil",
    r"\evil",
    "C:evil",
    "C:/evil",
    "/evil",
    "a//evil",
    "evil/",
    "nul",
    "evil.",
    "kit/evil",
]


def test_a_file_that_no_item_can_have_left_is_refused(job):
    count = len(UNLEAVABLE)
    job.plan([{}] * count, run="", command=[*PYTHON, "pass"], item_folders=True, shard_items=count)
    job.work()
    for item, name in enumerate(UNLEAVABLE):
        for each in ("KIT/part", name):
            job.put(f"{job.stage.outputs}{item:06}/{each}", b"x")
    later(job, command=[*PYTHON, "pass"])
    job.work()
    said = {failure["item"]: failure["error"] for failure in failures(job)}
    assert len(said) == count
    for item, name in enumerate(UNLEAVABLE):
        assert f"{item:06}/{name} is no file that an item can have left: " in said[item]
        assert said[item].endswith("; remove it")
    assert list(job.folder.rglob("*evil*")) == []


TREE = """
import subprocess, sys, time
if len(sys.argv) > 2:
    child = subprocess.Popen([sys.executable, sys.argv[0], sys.argv[1]])
open(sys.argv[1], "a").write("x")
time.sleep(3600)
"""


@pytest.fixture
def tree(job, tmp_path):
    """A stage whose program starts another, which both run for ever; `tree()` gives those that are alive."""
    script, flag = tmp_path / "tree.py", tmp_path / "flag"
    script.write_text(TREE)
    job.plan([{}] * 3, run="", command=[sys.executable, str(script), str(flag), "parent"], shard_items=3)

    def alive():
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if str(script) in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    alive.begun = lambda: flag.exists() and len(flag.read_text()) >= 2
    yield alive
    for process in alive():
        process.kill()


def test_a_worker_that_is_told_to_stop_ends_its_programs_and_counts_no_failure(job, tree):
    process = job.start(slots=1)
    wait_for(tree.begun)
    assert len(tree()) == 2
    process.send_signal(signal.SIGTERM)
    out, _err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert tree() == []
    assert out == ""
    assert {mark.kind for mark in job.marks()} == {"claim", "released"}
    assert job.all_keys(job.stage.partials) == []


def test_a_worker_that_is_killed_leaves_no_program(job, tree):
    process = job.start(slots=1)
    wait_for(tree.begun)
    process.kill()
    process.communicate(timeout=PATIENCE)
    wait_for(lambda: tree() == [])
    assert {mark.kind for mark in job.marks()} == {"claim"}


def test_a_program_that_does_not_end_in_time_takes_its_children_with_it(job, tree):
    job.plan([{}], command=job.stage.command, timeout=5.0)
    (ended,) = job.work(slots=1)
    assert ended.code == 0
    assert "did not end within 5 s" in failures(job)[0]["error"]
    assert tree() == []


def run(programs, code, tmp_path, **limits):
    lines = []
    programs.run(
        [*PYTHON, code],
        folder=tmp_path,
        environment=dict(os.environ),
        watcher=Watcher(Limits(**limits)),
        watched=tmp_path,
        say=lines.append,
    )
    return lines


def test_a_background_process_does_not_hold_an_item_up(tmp_path):
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)']);"
    code += "print('end')"
    assert run(Programs(), code, tmp_path) == ["end"]


def test_a_program_that_ignores_being_asked_is_forced(tmp_path):
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(3600)"
    )
    with pytest.raises(ProgramError, match=r"did not end within 1 s"):
        run(Programs(), code, tmp_path, seconds=1)


def test_after_a_stop_nothing_is_started(tmp_path):
    programs = Programs()
    programs.stop()
    with pytest.raises(Stopped):
        run(programs, "open('begun', 'w')", tmp_path)
    assert not (tmp_path / "begun").exists()


def test_a_line_without_an_end_does_not_fill_memory(tmp_path):
    lines = run(Programs(), "for _ in range(300): print('x' * 100000, end='')", tmp_path)
    assert [len(line) for line in lines] == [8000]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "ended with exit code 1"),
        (255, "ended with exit code 255"),
        (0xC0000017, "ended with exit code 3221225495 (0xC0000017)"),
        pytest.param(-9, "was ended by SIGKILL", marks=pytest.mark.posix("Windows has no signals")),
        (-250, "ended with exit code -250"),
    ],
)
def test_exit_codes_are_told_in_the_form_in_which_they_are_known(code, words):
    assert trees.ending(code) == words


def test_the_guard_is_a_script_that_imports_nothing_of_ours():
    victim = subprocess.Popen([*PYTHON, "import time; time.sleep(3600)"], start_new_session=True)
    spared = subprocess.Popen([*PYTHON, "import time; time.sleep(3600)"], start_new_session=True)
    lines = f"+{victim.pid}\n+{spared.pid}\n-{spared.pid}\n"
    subprocess.run([sys.executable, "-S", "-E", guard.__file__], input=lines, text=True, check=True, timeout=30)
    assert victim.wait(10) == -signal.SIGKILL
    assert spared.poll() is None
    spared.kill()
    spared.wait()
