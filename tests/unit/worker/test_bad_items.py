"""Items with inputs, outputs and values that cannot be had or kept: each fails alone, with its name and what to do."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.waiting import PATIENCE, wait_for
from winbatch import stage_spec
from winbatch.errors import JobError, StorageError
from winbatch.stage import DAY
from winbatch.working import files, folders, limits, outputs
from winbatch.working.limits import MIB, Limits, Watch, Watcher, folder_size
from winbatch.working.programs import Programs
from winbatch.working.store import Store

PYTHON = [sys.executable, "-c"]

not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes whatever its mode is")


def failures(job):
    """What the marks say of the items that failed, by item."""
    return {
        failure["item"]: failure
        for mark in job.marks()
        if mark.kind == "failed"
        for failure in json.loads(job.get(job.stage.claim_key(mark)))["failures"]
    }


def done(job):
    """The items that have a result, or lie in a partial."""
    found = {item["item"] for result in job.results().values() for item in result["items"]}
    for key in job.all_keys(job.stage.partials):
        found |= {item["item"] for item in json.loads(job.get(key))["items"]}
    return found


# --- what an item leaves


def fifo(folder):
    os.mkfifo(folder / "x")


def listening(folder):
    here = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(f"/proc/self/fd/{here}/x")  # a socket's path must be short
    os.close(here)


OUTPUTS = {
    "no UTF-8": (
        lambda folder: (folder / os.fsdecode(b"a\xff.txt")).touch(),
        r"'a\\udcff.txt' has a name",
    ),
    "a folder's name": (lambda folder: (folder / os.fsdecode(b"\xe4") / "b").mkdir(parents=True), r"'\\udce4' has a n"),
    "a newline": (lambda folder: (folder / "a\nb").touch(), r"'a\\nb' has a control character in its name"),
    "an escape": (lambda folder: (folder / "a\x1b[2J").touch(), r"'a\\x1b\[2J' has a control character in its name"),
    "a link to nowhere": (lambda folder: (folder / "x").symlink_to("gone"), "'x' is a link that leads nowhere"),
    "a link to itself": (lambda folder: (folder / "x").symlink_to("x"), "'x' is a link that leads nowhere"),
    "a link to a folder": (lambda folder: (folder / "x").symlink_to("."), "'x' is no file: a device, a pipe"),
    "a pipe": (fifo, "'x' is no file: a device, a pipe, a socket"),
    "a socket": (listening, "'x' is no file: a device, a pipe, a socket"),
}


@pytest.mark.parametrize("what", OUTPUTS)
def test_what_cannot_be_kept_is_named(tmp_path, what):
    make, words = OUTPUTS[what]
    (tmp_path / "good").touch()
    make(tmp_path)
    with pytest.raises(JobError, match=rf"^output {words}.*; have the item leave plain files with plain names$"):
        outputs.find(tmp_path)


@not_as_root
def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    (tmp_path / "deep" / "closed").mkdir(parents=True)
    (tmp_path / "deep" / "closed").chmod(0)
    with pytest.raises(JobError, match=r"output 'deep/closed' cannot be listed \(Permission denied\)"):
        outputs.find(tmp_path)


def test_names_that_are_odd_and_right_are_kept(job, tmp_path):
    names = ["a b", "ü\u00a0\u202f.txt", "日本", "a'%#&;", "deep/x", "\U0001f600"]
    for name in names:
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(name)
    (tmp_path / "out" / "link").symlink_to("a b")
    for output in outputs.find(tmp_path / "out"):
        outputs.upload(job.store, output, f"p/{output.name}", "text/plain")
    assert {key.removeprefix("p/") for key in job.all_keys("p/")} == {*names, "link"}
    assert job.get("p/link") == b"a b"


def test_a_key_that_s3_does_not_allow_is_named(job, tmp_path):
    name = "/".join(["ü" * 100] * 5)
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    (output,) = outputs.find(tmp_path)
    outputs.upload(job.store, output, "x" * (outputs.LONGEST_KEY - len(name.encode())) + output.name, "text/plain")
    with pytest.raises(JobError, match=r"^output 'ü.*: its key in S3 would have 1,025 bytes, 1,024 are the most"):
        outputs.upload(job.store, output, "x" * (1 + outputs.LONGEST_KEY - len(name.encode())) + name, "text/plain")


def test_a_file_that_is_gone_before_it_is_uploaded_is_named(job, tmp_path):
    (tmp_path / "a").touch()
    (output,) = outputs.find(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(JobError, match=r"^output 'a' cannot be read \(No such file or directory\): something"):
        outputs.upload(job.store, output, "p/a", "text/plain")


class Locked(Store):
    """As on Windows, where a file that somebody has open may not be opened by others: for the first `tries`."""

    tries = 0

    def upload(self, path, key, *, content_type):
        self.tries -= 1
        if self.tries >= 0:
            raise PermissionError(13, "Permission denied")
        super().upload(path, key, content_type=content_type)


def test_a_file_that_is_locked_is_waited_for_and_then_named(job, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PAUSES", (0.01, 0.01))
    store = Locked(job.client, job.bucket)
    (tmp_path / "a").touch()
    (output,) = outputs.find(tmp_path)
    store.tries = 2
    outputs.upload(store, output, "p/a", "text/plain")
    assert job.all_keys("p/") == ["p/a"]
    store.tries = 3
    with pytest.raises(JobError, match=r"^output 'a' cannot be read \(Permission denied\): have the item"):
        outputs.upload(store, output, "p/a", "text/plain")


@not_as_root
def test_a_file_without_rights_is_named(job, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PAUSES", ())
    (tmp_path / "a").touch(0)
    (output,) = outputs.find(tmp_path)
    with pytest.raises(JobError, match=r"^output 'a' cannot be read \(Permission denied\)"):
        outputs.upload(job.store, output, "p/a", "text/plain")


def test_folders_are_removed_whatever_an_item_did_to_them(tmp_path):
    folder = tmp_path / "item"
    (folder / "closed" / "deep").mkdir(parents=True)
    (folder / "closed" / "deep" / "x").touch(0)
    outside = tmp_path / "outside"
    outside.touch(0o600)
    (folder / "closed" / "link").symlink_to(outside)
    (folder / "closed" / "deep").chmod(0)
    (folder / "closed").chmod(0o500)
    folders.remove(folder)
    assert not folder.exists()
    assert outside.stat().st_mode & 0o777 == 0o600
    folders.remove(folder)


@pytest.fixture
def deep(tmp_path):
    """A folder deeper than a path may be long, and than Python's calls may be nested."""
    (tmp_path / "item").mkdir()
    here = os.open(tmp_path / "item", os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("dddd", dir_fd=here)
        deeper = os.open("dddd", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    yield tmp_path / "item"
    subprocess.run(["rm", "-rf", tmp_path], check=True)  # pytest cannot


def test_a_very_deep_folder_harms_nobody(deep):
    with pytest.raises(JobError, match=r"…' has a path of more than 1,024 bytes, which no key in S3 can have"):
        outputs.find(deep)
    folders.remove(deep)
    assert list(deep.parent.iterdir()) == []


# --- what an item needs


def deny(job, *keys, action="s3:GetObject"):
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": [f"arn:aws:s3:::{job.bucket}/{key}" for key in keys],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    job.client.put_bucket_policy(Bucket=job.bucket, Policy=json.dumps(policy))


def test_an_input_that_is_archived_is_named(job, tmp_path):
    job.client.put_object(Bucket=job.bucket, Key="in/old", Body=b"x", StorageClass="DEEP_ARCHIVE")
    with pytest.raises(StorageError, match=r"s3://.*/in/old: S3 answers GetObject with InvalidObjectState: .*; it is"):
        job.store.download("in/old", tmp_path / "x")


def test_an_input_that_is_forbidden_is_named(job, tmp_path):
    job.put("in/secret", b"x")
    deny(job, "in/secret")
    with pytest.raises(StorageError, match=r"s3://.*/in/secret: S3 answers GetObject with 403: .*its key in KMS$"):
        job.store.download("in/secret", tmp_path / "x")


def test_an_input_that_is_replaced_while_it_is_read_is_named(job, tmp_path):
    body = bytes(20 * MIB)  # more than one part
    job.put("in/busy", body)
    replaced = threading.Event()

    def replace(**_):
        if not replaced.is_set():
            replaced.set()
            job.put("in/busy", b"1" + body)

    job.client.meta.events.register("before-send.s3.GetObject", replace)
    with pytest.raises(StorageError, match=r"s3://.*/in/busy: .* it was replaced"):
        job.store.download("in/busy", tmp_path / "x")


def test_an_input_that_the_disk_has_no_room_for_is_named(job, tmp_path, monkeypatch):
    job.put("in/large", b"x" * 5000)
    monkeypatch.setattr("winbatch.working.store.shutil.disk_usage", lambda _folder: type("", (), {"free": 4999}))
    with pytest.raises(JobError, match=r"in/large has 5,000 bytes, and the disk has room for 4,999; split it, or take"):
        job.store.download("in/large", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


COPY = "import shutil, sys; shutil.copy(*sys.argv[1:])"


def test_inputs_that_cannot_be_had_fail_their_items_alone(job):
    keys = ["good", "archived", "forbidden", "gone", "k" * 1100, "\udcff", "also good"]
    for key in keys:
        if key not in {"gone", "\udcff"} and len(key) < 1000:
            job.put(f"in/{key}", b"x")
    job.client.put_object(Bucket=job.bucket, Key="in/archived", Body=b"x", StorageClass="GLACIER")
    deny(job, "in/forbidden")
    job.plan(
        [{"key": key} for key in keys],
        run="",
        command=[*PYTHON, COPY, "{inputs}/data", "{outputs}/data"],
        fetch={"data": "in/{key}"},
        shard_items=4,
        item_folders=True,
    )
    (ended,) = job.work()
    assert ended.code == 0, ended.err
    assert done(job) == {0, 6}
    errors = {item: failure["error"] for item, failure in failures(job).items()}
    assert sorted(errors) == [1, 2, 3, 4, 5]
    assert "in/archived: S3 answers GetObject with InvalidObjectState" in errors[1]
    assert "in/forbidden: S3 answers GetObject with 403" in errors[2]
    assert "in/gone does not exist" in errors[3]
    assert all("in/" in errors[item] or "udcff" in errors[item] for item in errors)
    # Where in our code an object was asked for is nothing that a person wants to read.
    assert [failures(job)[item]["log"] for item in (1, 2, 3)] == [[]] * 3


WAIT = """
import pathlib, sys, time
begun, on, outputs = map(pathlib.Path, sys.argv[1:])
begun.touch()
while not on.exists():
    time.sleep(0.02)
(outputs / "x").touch()
"""


def test_when_everything_is_forbidden_it_is_the_workers_fault(job, tmp_path):
    begun, on = tmp_path / "begun", tmp_path / "on"
    job.plan([{}] * 3, run="", command=[*PYTHON, WAIT, str(begun), str(on), "{outputs}"], shard_items=3)
    process = job.start(slots=1)
    wait_for(begun.exists, alive=process)
    deny(job, "*", action="s3:*")
    on.touch()
    out, err = process.communicate(timeout=PATIENCE)
    job.client.delete_bucket_policy(Bucket=job.bucket)
    assert process.returncode == 3
    assert out == ""  # nothing is said of an item, and the others are not tried
    (line,) = [line for line in err.splitlines() if line.startswith("winbatch.worker: s3://")]
    assert "with 403: Forbidden" in line
    assert {mark.kind for mark in job.marks()} == {"claim"}  # it may not even release it


def start_with_files_of_at_most(job, size):
    """A worker whose files, and those of its programs, cannot grow beyond a size: writing fails as on a full disk."""
    process = job.start(slots=1, fresh=True)
    import resource  # noqa: PLC0415 - of POSIX

    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
    return process


def test_an_input_that_cannot_be_written_fails_its_item_alone(job):
    job.put("in/0", b"x")
    job.put("in/1", b"x" * MIB)
    job.put("in/2", b"x")
    job.plan([{}] * 3, run="", command=[*PYTHON, "pass"], fetch={"data": "in/{item}"}, shard_items=3)
    process = start_with_files_of_at_most(job, MIB // 2)
    _out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert done(job) == {0, 2}
    assert "File too large" in failures(job)[1]["error"]


def test_a_worker_that_cannot_write_is_at_fault_itself(job):
    job.code("def run(params, context):\n    raise ValueError('no')")
    (job.folder / "code" / "sitecustomize.py").write_text(
        "from winbatch.working import shards\nshards._ROOM_PAUSES = ()\n"
    )
    job.plan([{}] * 3)
    process = start_with_files_of_at_most(job, 1000)
    _out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert "the disk of the worker's instance is full or broken" in err.splitlines()[-1]
    assert {mark.kind for mark in job.marks()} == {"claim", "released"}


# --- values


VALUES = {
    "{": "values.json of item 0 is not JSON",
    "[" * 100_000: "values.json of item 1 is not JSON: it is nested too deeply",
    '{"a": ' * 100_000: "values.json of item 2 is not JSON: it is nested too deeply",
    '{"x": 1, "price": NaN}': "the values of item 3 are no JSON: 'price': Out of range float values",
    '{"x": [1e999]}': "the values of item 4 are no JSON: 'x': Out of range float values",
    '{"x": -Infinity}': "the values of item 5 are no JSON: 'x': Out of range float values",
    '{"x": ' + "1" * 5000 + "}": "values.json of item 6 is not JSON: Exceeds the limit",
    "3": "values.json of item 7: a JSON object is expected",
    "null": "values.json of item 8: a JSON object is expected",
    " " * MIB + "{}": "values.json of item 9 is larger than 1 MiB",
    "\udcff": "values.json of item 10 is not JSON",
}


def test_values_that_are_none_fail_their_items(job):
    for item, text in enumerate(VALUES):
        job.put(f"in/{item}", text.encode(errors="surrogateescape"))
    job.plan(
        [{}] * len(VALUES),
        run="",
        command=[*PYTHON, COPY, "{inputs}/data", "{outputs}/values.json"],
        fetch={"data": "in/{item}"},
        shard_items=len(VALUES),
    )
    (ended,) = job.work(slots=1)
    assert ended.code == 0
    found = failures(job)
    assert sorted(found) == list(range(len(VALUES)))
    for item, words in enumerate(VALUES.values()):
        assert words in found[item]["error"]


# --- limits


def test_the_limits_of_a_stage_are_those_that_a_job_may_say():
    said = set(stage_spec.SCHEMA["properties"]["limits"]["properties"])
    assert {"seconds", *said} == set(Limits.__dataclass_fields__)


def test_an_item_may_take_a_day_unless_its_job_says_otherwise(job):
    assert Limits.of(job.stage).seconds == DAY == 86_400
    job.plan([{}], timeout=5.0, limits={"log_mib": 1})
    assert Limits.of(job.stage) == Limits(seconds=5.0, log_mib=1)


@pytest.fixture(params=["fork", "spawn"])
def method(request):
    return request.param


@pytest.mark.parametrize(
    ("method", "hang"),
    [
        ("spawn", "time.sleep(3600)"),
        ("fork", "time.sleep(3600)"),
        ("fork", "ctypes.PyDLL(None).sleep(3600)"),  # with the interpreter's lock held
        ("fork", "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"),
        ("fork", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); time.sleep(3600)"),
        ("fork", "subprocess.run([sys.executable, '-c', 'import time; time.sleep(3600)'])"),
    ],
    indirect=["method"],
)
def test_an_item_of_python_code_that_hangs_is_ended_and_the_others_go_on(job, method, hang):
    job.code(
        """
        import ctypes, signal, subprocess, sys, time
        def run(params, context):
            exec(params["do"])
            return {"n": context.item}
        """
    )
    job.plan([{"do": hang if item == 1 else ""} for item in range(4)], shard_items=4, timeout=2.0)
    (ended,) = job.work(slots=1, WINBATCH_START_METHOD=method)
    assert ended.code == 0
    assert done(job) == {0, 2, 3}
    assert failures(job)[1]["error"] == (
        "the item's process did not end within 2 s and was ended; if it needs more, raise `timeout` of its stage"
    )


@pytest.mark.parametrize("write", ["print('x' * 90)", "logging.warning('x' * 90)"])
def test_an_item_of_python_code_that_logs_without_end_is_ended(job, method, write):
    job.code(
        """
        import logging
        def run(params, context):
            for _ in range(100_000 if params["do"] else 0):  # and no more, should nobody end it
                exec(params["do"])
            return {}
        """
    )
    job.plan([{"do": write if item == 1 else ""} for item in range(3)], shard_items=3, limits={"log_lines": 500})
    (ended,) = job.work(slots=1, WINBATCH_START_METHOD=method)
    assert ended.code == 0
    assert done(job) == {0, 2}
    assert "the item's process logged more than 500 lines and was ended; if it nee" in failures(job)[1]["error"]
    assert sum('"item": 1' in line for line in ended.err.splitlines()) == 500


def test_a_program_that_writes_without_end_is_ended(job):
    code = "import sys\nfor _ in range(1_000_000 * (sys.argv[1] == '1')): print('x' * 50)"
    job.plan([{}] * 3, run="", command=[*PYTHON, code, "{item}"], shard_items=3, limits={"log_mib": 0.1})
    (ended,) = job.work(slots=1)
    assert ended.code == 0
    assert done(job) == {0, 2}
    error = failures(job)[1]["error"]
    assert error.endswith(
        "logged more than 0.1 MiB and was ended; if it needs more, raise `limits: {log_mib: …}` of its stage"
    )
    assert len(failures(job)[1]["log"]) == 40
    assert sum('"item": 1' in line for line in ended.err.splitlines()) == int(0.1 * MIB) // 51


FILL = """
import os, sys, tempfile, time
where = {"outputs": sys.argv[1], "here": ".", "temporary": tempfile.gettempdir()}[sys.argv[2]]
with open(os.path.join(where, "x"), "wb", buffering=0) as file:
    for _ in range(2_000):  # and no more, should nobody end it
        file.write(bytes(50_000))
        time.sleep(0.02)
"""


@pytest.mark.parametrize("where", ["outputs", "here", "temporary"])
def test_a_program_that_fills_the_disk_is_ended(job, where):
    job.put("in/large", bytes(2 * MIB))  # what was fetched for it, it has not written
    job.plan(
        [{}],
        run="",
        command=[*PYTHON, FILL, "{outputs}", where],
        fetch={"data": "in/large"},
        limits={"disk_mib": 1},
    )
    (ended,) = job.work(slots=1)
    assert ended.code == 0
    assert "wrote more than 1 MiB to its folders and was ended; if it needs more, raise `" in failures(job)[0]["error"]
    assert job.all_keys(job.stage.outputs) == []


class Victim:
    def __init__(self):
        self.asked = threading.Event()
        self.killed = threading.Event()

    def ask(self):
        self.asked.set()

    def kill(self):
        self.killed.set()


def test_who_has_filled_a_disk_is_ended_before_the_others_fail_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_RESERVE", 1 << 62)
    monkeypatch.setattr(limits, "_INTERVAL", 0.05)
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda _folder: type("", (), {"free": 5_000}))
    large, small = Victim(), Victim()
    watcher = Watcher(Limits())
    for name in ("large", "small"):
        (tmp_path / name).mkdir()
    with watcher.watch(large, tmp_path / "large") as hog, watcher.watch(small, tmp_path / "small") as other:
        (tmp_path / "small" / "x").write_bytes(bytes(4_000))
        wait_for(lambda: other.used)
        assert not hog.problem
        (tmp_path / "large" / "x").write_bytes(bytes(6_000))
        wait_for(large.asked.is_set)
    assert hog.problem == "wrote 0 MiB, which filled the disk of its instance, and was ended"
    assert not other.problem
    assert not small.asked.is_set()


def test_who_does_not_end_when_asked_is_ended_by_force(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GRACE", 0.05)
    victim = Victim()
    watch = Watch(Limits(seconds=0.0), victim, tmp_path)
    watch.look()
    wait_for(victim.killed.is_set)
    assert victim.asked.is_set()


def test_what_was_fetched_for_an_item_is_not_what_it_wrote(tmp_path):
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "data").write_bytes(bytes(2 * MIB))
    watch = Watch(Limits(disk_mib=1), Victim(), tmp_path)
    watch.look()
    assert (watch.used, watch.problem) == (0, "")
    (tmp_path / "inputs" / "more").write_bytes(bytes(MIB + 1))
    watch.look()
    assert watch.used == MIB + 1
    assert watch.problem


def test_who_has_ended_is_left_alone(tmp_path):
    victim = Victim()
    watch = Watch(Limits(seconds=0.0), victim, tmp_path)
    watch.close()
    watch.look()
    assert not watch.problem
    assert not victim.asked.is_set()


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path):
    assert folder_size(tmp_path / "gone") == 0
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / "deeper" / "x").write_bytes(bytes(1000))
    (tmp_path / "y").write_bytes(bytes(10))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert folder_size(tmp_path) == 1010 + (tmp_path / "loop").lstat().st_size


def test_a_program_that_got_away_does_not_hold_its_item_up(tmp_path):
    code = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'],"
        " start_new_session=True); print(child.pid, flush=True)"
    )
    lines = []
    Programs().run(
        [*PYTHON, code],
        folder=tmp_path,
        environment=dict(os.environ),
        watcher=Watcher(Limits()),
        watched=tmp_path,
        say=lines.append,
    )
    os.kill(int(lines[0]), signal.SIGKILL)


def test_an_item_that_writes_into_its_pipe_fails_alone(job, method):
    job.code(
        """
        import contextlib, os
        def run(params, context):
            for number in range(3, 20) if context.item == 1 else ():
                with contextlib.suppress(OSError):
                    os.write(number, b"garbage\\n")
            return {"n": context.item}
        """
    )
    job.plan([{}] * 4, shard_items=4)
    (ended,) = job.work(slots=1, WINBATCH_START_METHOD=method)
    assert ended.code == 0, ended.err
    assert done(job) == {0, 2, 3}
    assert failures(job)[1]["error"].startswith("the item's process ")


def test_texts_of_no_unicode_do_no_harm(job, method):
    job.code("def run(params, context):\n    print('\\udc80')\n    raise ValueError('\\udcff')")
    job.plan([{}])
    job.work(slots=1, WINBATCH_START_METHOD=method)
    failure = failures(job)[0]
    assert failure["error"] == "ValueError: \\udcff"
    assert failure["log"][0].endswith("\\udc80")
    json.dumps(failure, ensure_ascii=False).encode()


# --- all of it


BAD = """
import os, pathlib, sys, time
item, inputs, outputs = int(sys.argv[1]), *map(pathlib.Path, sys.argv[2:])
(outputs / "copy").write_bytes((inputs / "data").read_bytes())
if item == 7:
    (outputs / os.fsdecode(b"\\xff")).touch()
if item == 30:
    print("this hangs", flush=True)
    time.sleep(3600)
"""


def test_three_bad_items_among_forty_leave_thirty_seven_results(job):
    for item in range(40):
        job.client.put_object(
            Bucket=job.bucket,
            Key=f"in/{item}",
            Body=b"x",
            StorageClass="GLACIER" if item == 21 else "STANDARD",
        )
    job.plan(
        [{}] * 40,
        run="",
        command=[*PYTHON, BAD, "{item}", "{inputs}", "{outputs}"],
        fetch={"data": "in/{item}"},
        item_folders=True,
        timeout=10.0,
    )
    (ended,) = job.work(slots=4)
    assert ended.code == 0, ended.err
    assert len(job.results()) == 37
    assert done(job) == set(range(40)) - {7, 21, 30}
    found = failures(job)
    assert {item: failure["error"].partition(";")[0] for item, failure in found.items()} == {
        7: "JobError: output '\\udcff' has a name that is no UTF-8",
        21: f"StorageError: s3://{job.bucket}/in/21: S3 answers GetObject with InvalidObjectState: The operation is"
        " not valid for the object's storage class",
        30: f"ProgramError: {sys.executable} did not end within 10 s and was ended",
    }
    assert found[30]["log"][-1].endswith("this hangs")
    assert len(job.all_keys(job.stage.outputs)) == 37
