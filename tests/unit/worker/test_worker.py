"""Real worker processes against a local S3."""

import contextlib
import dataclasses
import json
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from tests.waiting import PATIENCE, wait_for
from winbatch import results
from winbatch.errors import WorkerError
from winbatch.results import ItemResult
from winbatch.stage import ClaimMark
from winbatch.worker import Settings
from winbatch.working.slots import METHOD

DOUBLE = """
    def run(params, context):
        return {"double": 2 * params["n"], "item": context.item}
"""


def numbers(count):
    return [{"n": 10 * item} for item in range(count)]


def test_several_workers_leave_one_result_a_shard(job):
    job.code(DOUBLE)
    job.plan(numbers(50), shard_items=3)
    ended = job.work(workers=3, slots=2, fresh=True)
    assert [worker.code for worker in ended] == [0, 0, 0]
    results = job.results()
    assert sorted(results) == list(range(17))
    items = [item for shard in range(17) for item in results[shard]["items"]]
    assert items == [{"item": n, "params": {"n": 10 * n}, "values": {"double": 20 * n, "item": n}} for n in range(50)]
    assert job.marks() == {ClaimMark(shard, 0, "claim") for shard in range(17)}
    # Each item was worked on once, by one of them.
    lines = [line for worker in ended for line in worker.lines]
    assert sorted(line["item"] for line in lines) == list(range(50))
    assert all(line["shard"] == line["item"] // 3 and line["seconds"] >= 0 for line in lines)


def test_running_again_changes_nothing(job):
    job.code(DOUBLE)
    job.plan(numbers(4))
    job.work()
    before = {key: job.get(key) for key in job.all_keys()}
    (again,) = job.work()
    assert (again.code, again.lines) == (0, [])
    assert {key: job.get(key) for key in job.all_keys()} == before


def test_a_retry_writes_the_same_bytes(job):
    job.code(DOUBLE)
    job.plan(numbers(5), shard_items=5)
    job.work()
    key = job.stage.result_key(0)
    first = job.get(key)
    job.client.delete_object(Bucket=job.bucket, Key=key)
    job.mark(0, 0, "released", reason="the test says so")
    job.work()
    assert job.get(key) == first
    assert ClaimMark(0, 1, "claim") in job.marks()


def test_a_result_that_is_there_already_stands(job):
    """A worker that was thought dead finished first."""
    job.code(
        """
        import boto3, os
        def run(params, context):
            boto3.client("s3").put_object(Bucket=params["bucket"], Key=params["key"], Body=params["body"])
            return {}
        """
    )
    theirs = results.encode(job.stage, 0, [ItemResult(0, {}, {"theirs": 1})])
    job.plan([{"bucket": job.bucket, "key": job.stage.result_key(0), "body": theirs.decode()}])
    (ended,) = job.work(AWS_DEFAULT_REGION="eu-central-1")
    assert ended.code == 0
    assert job.get(job.stage.result_key(0)) == theirs
    assert "not deterministic" in ended.lines[-1]["warning"]


def test_a_result_that_nobody_can_read_is_written_over(job):
    broken = [b"", b"{", b'{"schema": 2}', b'{"schema": 1, "job": "another"}']
    job.code(DOUBLE)
    job.plan(numbers(6))
    for shard, there in enumerate(broken):
        job.put(job.stage.result_key(shard), there)
    job.work()
    for shard, there in enumerate(broken):
        assert job.get(job.stage.result_key(shard)) == there  # it counts as done until the engine says otherwise
        job.mark(shard, 0, "claim", task="theirs")
        job.mark(shard, 0, "invalid", reason="not JSON")
        job.mark(shard, 0, "released", reason="may be tried again")
    (ended,) = job.work()
    assert ended.code == 0
    for shard in range(6):
        (item,) = results.decode(job.get(job.stage.result_key(shard)), job.stage, shard)
        assert item.values == {"double": 20 * shard, "item": shard}


def test_an_item_that_fails_leaves_word_and_the_others_go_on(job):
    job.code(
        """
        import logging, subprocess, sys
        def run(params, context):
            logging.getLogger("mine").warning("about to do %s", context.item)
            match params["do"]:
                case "raise": raise ValueError("no\\nsuch thing")
                case "program": subprocess.run([sys.executable, "-c", "raise SystemExit(7)"], check=True)
                case "exit": sys.exit(9)
                case "nan": return {"x": float("nan")}
                case "object": return {"x": object()}
                case "nothing": return None
            return {}
        """
    )
    kinds = ["raise", "program", "exit", "nan", "object", "nothing", "work", "work"]
    job.plan([{"do": kind} for kind in kinds])
    (ended,) = job.work(slots=3)
    assert ended.code == 0
    assert sorted(job.results()) == [6, 7]
    failed = {mark.shard for mark in job.marks() if mark.kind == "failed"}
    assert failed == {0, 1, 2, 3, 4, 5}
    bodies = [json.loads(job.get(job.stage.claim_key(ClaimMark(n, 0, "failed")))) for n in range(6)]
    for number, body in enumerate(bodies):
        assert set(body) == {"task", "at", "failures"}
        assert [failure["item"] for failure in body["failures"]] == [number]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body["at"])
        own = [line for line in body["failures"][0]["log"] if "about to do" in line]
        assert [line.rpartition(" ")[2] for line in own] == [str(number)]  # no other thread's lines
    failures = [body["failures"][0] for body in bodies]
    assert failures[0]["error"] == "ValueError: no such thing"
    assert failures[0]["log"][-2:] == ["ValueError: no", "such thing"]
    assert [failure["exit_code"] for failure in failures] == [None, 7, 9, None, None, None]
    assert "not JSON compliant" in failures[3]["error"]
    assert {line["item"]: line.get("error") for line in ended.lines}[0] == "ValueError: no such thing"


# Counts each execution.
COUNTED = """
    import os
    from pathlib import Path
    def run(params, context):
        with Path(os.environ["COUNTS"]).open("a") as file:
            file.write(f"{context.item} ")
        do(params["do"], context)
        return {"twice": 2 * context.item}
"""


@pytest.fixture
def counted(job, tmp_path):
    """Plan a shard of items that do something, with pauses between partials; `counted()` says which were begun."""

    def begun():
        return [int(item) for item in (tmp_path / "counts").read_text().split()]

    def plan(do, todo, pause=0.0, **changes):
        job.code(textwrap.dedent(COUNTED) + textwrap.dedent(do))
        # Every interpreter reads this as it starts, so the worker does.
        partials = f"from winbatch.working import partials\npartials.SECONDS = {pause}\n"
        (job.folder / "code" / "sitecustomize.py").write_text(partials)
        job.plan([{"do": what} for what in todo], **{"shard_items": len(todo)} | changes)
        return lambda **kwargs: job.work(slots=1, COUNTS=str(tmp_path / "counts"), **kwargs)[0]

    begun.plan = plan
    begun.counts = str(tmp_path / "counts")
    return begun


def test_all_items_of_a_shard_run_and_the_next_attempt_runs_only_those_that_failed(job, counted):
    work = counted.plan(
        """
        def do(what, context):
            if what and os.environ.get("FAIL"):
                raise ValueError(what)
        """,
        ["", "no", "", "nor this", ""],
    )
    assert work(FAIL="yes").code == 0
    assert counted() == [0, 1, 2, 3, 4]
    assert job.results() == {}
    assert {mark.kind for mark in job.marks()} == {"claim", "failed"}
    body = json.loads(job.get(job.stage.claim_key(ClaimMark(0, 0, "failed"))))
    assert [(failure["item"], failure["error"]) for failure in body["failures"]] == [
        (1, "ValueError: no"),
        (3, "ValueError: nor this"),
    ]
    job.mark(0, 0, "released", reason="may be tried again")
    ended = work()
    assert ended.code == 0
    assert counted() == [0, 1, 2, 3, 4, 1, 3]
    assert [item["values"]["twice"] for item in job.results()[0]["items"]] == [0, 2, 4, 6, 8]
    assert "3 of 5 items are finished already" in ended.err
    # The same bytes as from one attempt.
    there = job.get(job.stage.result_key(0))
    job.client.delete_object(Bucket=job.bucket, Key=job.stage.result_key(0))
    for key in [*job.all_keys(job.stage.claims), *job.all_keys(job.stage.partials)]:
        job.client.delete_object(Bucket=job.bucket, Key=key)
    work()
    assert job.get(job.stage.result_key(0)) == there


def test_what_a_killed_worker_has_finished_is_not_run_again(job, counted):
    work = counted.plan(
        """
        def do(what, context):
            if what and os.environ.get("DIE"):
                import psutil, time
                worker, = [each for each in psutil.Process().parents() if "winbatch.worker" in each.cmdline()]
                worker.kill()
                time.sleep(60)
        """,
        ["", "", "", "die", "", "die"],
    )
    for attempt in range(2):
        assert work(DIE="yes", fresh=True).code == -signal.SIGKILL
        job.mark(0, attempt, "released", reason="its ECS task is gone")
        (job.folder / "temporary").mkdir(exist_ok=True)
    assert counted() == [0, 1, 2, 3, 3]
    work()
    assert counted() == [0, 1, 2, 3, 3, 3, 4, 5]
    assert [item["item"] for item in job.results()[0]["items"]] == [0, 1, 2, 3, 4, 5]
    names = [key.removeprefix(job.stage.partials) for key in job.all_keys(job.stage.partials)]
    assert names == [f"000000/{name}.json" for name in ("00-0000", "00-0001", "00-0002", "02-0000", "02-0001")]


def test_partials_that_do_not_parse_are_passed_over_and_the_first_of_two_stands(job, counted):
    work = counted.plan("def do(what, context): ...", [""] * 4)
    prefix = job.stage.partials_of(0)

    def partial(number, value, **changes):
        stage = dataclasses.replace(job.stage, **changes)
        return results.encode(stage, 0, [ItemResult(number, {"do": ""}, {"twice": value})])

    job.put(prefix + "00-0000.json", partial(1, 77))
    job.put(prefix + "00-0001.json", partial(2, 99)[:-9])
    job.put(prefix + "00-0002.json", partial(2, 99, job="another"))
    job.put(prefix + "00-0003.json", partial(1, 88))
    job.put(prefix + "00-0004.json", results.encode(job.stage, 0, [ItemResult(3, {"do": "other"}, {"twice": 5})]))
    job.mark(0, 0, "claim", task="gone")
    job.mark(0, 0, "released", reason="its ECS task is gone")
    ended = work()
    assert counted() == [0, 2, 3]
    assert [item["values"]["twice"] for item in job.results()[0]["items"]] == [0, 77, 4, 6]
    assert "000000/00-0001.json: not JSON" in ended.err
    assert "000000/00-0002.json: job is 'another', not 'job-1'" in ended.err


def test_partials_are_written_at_most_every_ten_seconds(job):
    job.code(DOUBLE)
    job.plan(numbers(40), shard_items=20)
    job.work()
    assert sorted(job.results()) == [0, 1]
    assert job.all_keys(job.stage.partials) == []


# What an item does, and its failure's kind.
MEMORY = [
    ("raise MemoryError", "memory"),
    ("import numpy; numpy.ones(1 << 50)", "memory"),
    ("import subprocess, sys; subprocess.run([sys.executable, '-c', kill], check=True)", "memory"),
    ("raise SystemExit(137)", "memory"),
    ("import subprocess; raise subprocess.CalledProcessError(0xC0000017, 'x.exe')", "memory"),
    ("import subprocess; raise subprocess.CalledProcessError(0xC00000FD, 'x.exe')", "failed"),
    ("raise SystemExit(1)", "failed"),
]


def test_want_of_memory_is_told_apart(job, counted):
    work = counted.plan(
        """
        kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        def do(what, context):
            exec(what)
        """,
        [each for what, _ in MEMORY for each in ("1/0", "", what)],
        shard_items=3,
    )
    work()
    assert {mark for mark in job.marks() if mark.kind != "claim"} == {
        ClaimMark(shard, 0, kind) for shard, (_, kind) in enumerate(MEMORY)
    }
    for shard, (_, kind) in enumerate(MEMORY):
        body = json.loads(job.get(job.stage.claim_key(ClaimMark(shard, 0, kind))))
        assert [failure["item"] for failure in body["failures"]] == [3 * shard, 3 * shard + 2]


def test_what_an_item_logs_and_prints_carries_its_number(job):
    job.code(
        """
        import contextlib, io, logging, sys, time
        def run(params, context):
            for turn in range(20):
                logging.getLogger("mine").warning("log %s", context.item)
                print("print", context.item)
                time.sleep(0.001)
            print("one\\ntwo", end="")
            with contextlib.redirect_stdout(io.StringIO()) as own:
                print("caught")
            sys.stdout.flush()
            if context.item == 3:
                raise ValueError(own.getvalue())
            return {}
        """
    )
    job.plan([{}] * 6, shard_items=2)
    (ended,) = job.work(slots=3)
    lines = [json.loads(line) for line in ended.err.splitlines()]
    for item in range(6):
        own = [line for line in lines if line.get("item") == item]
        said = [(line["logger"], line["message"]) for line in own]
        assert said == [("mine", f"log {item}"), ("print", f"print {item}")] * 20 + [("print", "one"), ("print", "two")]
        assert {line["shard"] for line in own} == {item // 2}
    assert sorted(line["item"] for line in ended.lines) == list(range(6))
    body = json.loads(job.get(job.stage.claim_key(ClaimMark(1, 0, "failed"))))
    (failure,) = body["failures"]
    assert failure["error"] == "ValueError: caught"
    assert sum("print 3" in line for line in failure["log"]) >= 9


def test_released_attempts_are_taken_and_held_or_failed_ones_are_not(job):
    job.code(DOUBLE)
    job.plan(numbers(6))
    job.mark(0, 0, "claim", task="somebody")
    for shard in (1, 2):
        job.mark(shard, 0, "claim", task="gone")
        job.mark(shard, 0, "released", reason="gone")
    job.mark(2, 1, "claim", task="somebody")
    job.mark(3, 0, "claim", task="x")
    job.mark(3, 0, "failed", task="x")
    job.mark(4, 0, "claim", task="x")
    job.mark(4, 0, "failed", task="x")
    job.mark(4, 0, "released", reason="may be tried again")
    (ended,) = job.work()
    assert ended.code == 0
    assert sorted(job.results()) == [1, 4, 5]
    assert {ClaimMark(1, 1, "claim"), ClaimMark(4, 1, "claim"), ClaimMark(5, 0, "claim")} <= job.marks()


def test_claims_name_the_owner(job):
    job.code(DOUBLE)
    job.plan(numbers(1))
    job.work()
    body = json.loads(job.get(job.stage.claim_key(ClaimMark(0, 0, "claim"))))
    assert set(body) == {"task", "at"}
    assert re.fullmatch(r".+/\d+", body["task"])


def test_files_of_an_item_are_uploaded(job):
    job.code(
        """
        def run(params, context):
            if context.item:
                (context.outputs / "deep").mkdir()
                for name in ("curve.json", "curve.csv", "curve.png", "deep/raw.dat"):
                    (context.outputs / name).write_text(context.job)
            return {}
        """
    )
    job.plan(numbers(2))
    job.work()
    prefix = job.stage.outputs
    assert job.all_keys(prefix) == [prefix + name for name in ("curve.csv", "curve.json", "curve.png", "deep/raw.dat")]
    kinds = [job.client.head_object(Bucket=job.bucket, Key=key)["ContentType"] for key in job.all_keys(prefix)]
    assert kinds == ["text/csv", "application/json", "image/png", "application/octet-stream"]
    assert job.get(prefix + "curve.csv") == b"job-1"
    assert sorted(job.results()) == [0, 1]


def test_a_stage_reads_an_earlier_one(job):
    job.code(
        """
        def run(params, context):
            return {"n": context.item}
        def add(params, context):
            return {"sum": sum(item.values["n"] for item in context.results("main"))}
        """
    )
    job.plan(numbers(30), shard_items=4)
    first = job.stage_key
    job.plan(
        [{}],
        stage="sum",
        run="workload_code:add",
        inputs={"main": first},
        manifest="jobs/test/job-1/sum/manifest.jsonl",
        claims="jobs/test/job-1/sum/claims/",
        partials="jobs/test/job-1/sum/partials/",
        results="out/job-1/sum/",
    )
    # The sum comes too early: that is the item's failure, with the missing result named.
    (early,) = job.work()
    assert early.code == 0
    failed = json.loads(job.get(job.stage.claim_key(ClaimMark(0, 0, "failed"))))
    (failure,) = failed["failures"]
    assert "out/job-1/main/000000.json is missing: items 0 to 3 of stage main have no result" in failure["error"]

    job.mark(0, 0, "released", reason="may be tried again")
    summing, job.stage = job.stage, job.stage.__class__.from_json(job.get(first), where=first)
    job.work()
    job.stage = summing
    job.work()
    assert job.results()[0]["items"][0]["values"] == {"sum": 435}


SLEEPER = """
    import numpy, time
    from pathlib import Path
    def run(params, context):
        (context.outputs / "begun").touch()
        Path(params["flag"]).with_suffix(f".{context.item}").touch()
        while True:  # a kernel that nobody can interrupt
            time.sleep(3600)
"""


# What a Windows container is left between being told to stop and being ended (moby/moby#25982,
# microsoft/Windows-Containers#16). That of the signal to the exit is measured here, with real processes on Linux.
FIVE_SECONDS = 5.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_releases_what_it_holds(job, tmp_path, number):
    job.code(SLEEPER)
    flags = [tmp_path / f"flag.{item}" for item in range(5)]
    job.plan([{"flag": str(tmp_path / "flag")}] * 5)
    process = job.start(slots=2, fresh=True)
    wait_for(lambda: sum(flag.exists() for flag in flags) == 2, alive=process)
    began = time.monotonic()
    process.send_signal(number)
    _out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert time.monotonic() - began < FIVE_SECONDS
    claimed = {mark.shard for mark in job.marks() if mark.kind == "claim"}
    released = {mark for mark in job.marks() if mark.kind == "released"}
    assert len(claimed) == 2
    assert released == {ClaimMark(shard, 0, "released") for shard in claimed}
    body = json.loads(job.get(job.stage.claim_key(min(released))))
    assert body["reason"] == f"the worker was told to stop ({number.name})"
    assert "Traceback" not in err
    assert list((tmp_path / "temporary").iterdir()) == []

    job.code("def run(params, context):\n    return {}")
    job.work()
    assert sorted(job.results()) == list(range(5))
    assert {ClaimMark(shard, 1, "claim") for shard in claimed} <= job.marks()


def test_a_worker_that_is_told_to_stop_keeps_what_is_finished(job, counted, tmp_path):
    counted.plan(
        """
        import time
        def do(what, context):
            if what and os.environ.get("FLAG"):
                Path(os.environ["FLAG"]).touch()
                time.sleep(3600)
        """,
        ["", "", "sleep", ""],
        pause=3600.0,
    )
    flag = tmp_path / "flag"
    process = job.start(slots=1, FLAG=str(flag), COUNTS=counted.counts)
    wait_for(flag.exists, alive=process)
    assert job.all_keys(job.stage.partials) == []
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert len(job.all_keys(job.stage.partials)) == 1
    assert ClaimMark(0, 0, "released") in job.marks()
    job.work(slots=1, COUNTS=counted.counts)
    assert counted() == [0, 1, 2, 2, 3]
    assert [item["item"] for item in job.results()[0]["items"]] == [0, 1, 2, 3]


HOST_GOES = """
    import subprocess
    from pathlib import Path
    def run(params, context):
        Path(params["flag"]).touch()
        raise subprocess.CalledProcessError(0x40010004, "x.exe")
"""


def test_a_program_that_ends_with_its_host_is_not_at_fault(job, tmp_path):
    flag = tmp_path / "flag"
    job.code(HOST_GOES)
    job.plan([{"flag": str(flag)}])
    process = job.start(slots=1)
    wait_for(flag.exists, alive=process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert job.marks() == {ClaimMark(0, 0, "claim"), ClaimMark(0, 0, "released")}


def test_one_that_only_says_so_is(job, tmp_path):
    job.code(HOST_GOES)
    job.plan([{"flag": str(tmp_path / "flag")}])
    (ended,) = job.work()
    assert ended.code == 0
    assert job.marks() == {ClaimMark(0, 0, "claim"), ClaimMark(0, 0, "failed")}


STUBBORN = """
    import signal, time
    from pathlib import Path
    def run(params, context):
        if not params["stays"]:
            return {"done": context.item}
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (context.outputs / "large").write_bytes(bytes(1 << 20))
        Path(params["flag"]).touch()
        while True:
            time.sleep(3600)
"""


def stubborn(job, tmp_path, shards=8):
    """A worker with a slot a shard, each with a finished item, and one that does not end when it is asked to."""
    job.code(STUBBORN)
    flags = [tmp_path / f"flag.{shard}" for shard in range(shards)]
    items = [{"stays": stays, "flag": str(flag)} for flag in flags for stays in (False, True)]
    job.plan(items, shard_items=2)
    return flags


def test_eight_items_at_work_are_left_behind_in_order_within_five_seconds(job, tmp_path):
    flags = stubborn(job, tmp_path)
    process = job.start(slots=8)
    wait_for(lambda: all(flag.exists() for flag in flags), alive=process)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert (process.returncode, time.monotonic() - began < FIVE_SECONDS) == (143, True)
    assert {mark for mark in job.marks() if mark.kind != "claim"} == {ClaimMark(n, 0, "released") for n in range(8)}
    assert len(job.all_keys(job.stage.partials)) == 8
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_bucket_that_does_not_answer_any_more_does_not_hold_up_a_stop(job, tmp_path, monkeypatch):
    flags = stubborn(job, tmp_path, shards=2)
    with Deaf(job.url) as between:
        monkeypatch.setattr(job, "url", between.url)
        process = job.start(slots=2)
        wait_for(lambda: all(flag.exists() for flag in flags), alive=process)
        between.deaf = True
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, time.monotonic() - began < FIVE_SECONDS) == (143, True)
    assert "the engine will release them" in err


class Deaf:
    """Stands between a worker and S3, and from a moment on takes what is said and answers nothing."""

    def __init__(self, url):
        self._there = tuple(url.removeprefix("http://").split(":"))
        self.deaf = False

    def __enter__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listening.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(self._there)
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source, target):
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(1 << 16):
                if not self.deaf:
                    target.sendall(data)


def test_a_kernel_that_computes_does_not_hold_up_a_stop(job):
    job.plan([{"ebn0_db": 4.0, "frame_size": 1 << 20, "num_frames": 1 << 30, "seed": 1}], run="ber.simulate:run")
    process = job.start(slots=1)
    wait_for(job.marks, alive=process)
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert time.monotonic() - began < FIVE_SECONDS
    assert ClaimMark(0, 0, "released") in job.marks()


@pytest.mark.parametrize(
    ("run", "code", "line"),
    [
        ("no_such_module:run", "", "cannot be imported: ModuleNotFoundError"),
        ("workload_code:walk", "def run(): ...", "module workload_code has no function 'walk'"),
        ("workload_code", "def run(): ...", "has no function ''"),
        ("workload_code:run", "import no_such_thing", "cannot be imported: ModuleNotFoundError"),
        ("workload_code:run", "1/0", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_code_that_cannot_run_is_one_line_and_claims_nothing(job, run, code, line):
    job.code(code)
    job.plan(numbers(3), run=run)
    (ended,) = job.work()
    assert ended.code == 3
    assert line in ended.err
    assert len(ended.err.splitlines()) == 1
    assert job.marks() == set()


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"WINBATCH_STAGE": "s3://no-such-bucket/x"}, "s3://no-such-bucket/x: S3 answers GetObject with NoSuchBucket"),
        ({"ECS_CONTAINER_METADATA_URI_V4": "nonsense"}, "ECS_CONTAINER_METADATA_URI_V4 is 'nonsense'"),
        ({"WINBATCH_SLOTS": "none"}, "WINBATCH_SLOTS is 'none'"),
    ],
)
def test_a_wrong_environment_is_one_line(job, environment, line):
    job.code(DOUBLE)
    job.plan(numbers(3))
    (ended,) = job.work(**({"slots": 1} | {"slots": environment.pop("WINBATCH_SLOTS", 1)}), **environment)
    assert ended.code == 3
    assert ended.err.startswith("winbatch.worker: ")
    assert line in ended.err
    assert len(ended.err.splitlines()) == 1
    assert job.marks() == set()


def test_a_broken_line_of_the_manifest_releases_all_claims(job):
    job.code("import time\ndef run(params, context):\n    time.sleep(3600)")
    job.plan(numbers(3))
    body = job.get(job.stage.manifest).splitlines()
    job.put(job.stage.manifest, b"\n".join([body[0], b"broken", body[2], b""]))
    (ended,) = job.work(slots=3)
    assert ended.code == 3
    assert f"winbatch.worker: s3://{job.bucket}/jobs/test/job-1/main/manifest.jsonl, line 2: not item 1" in ended.err
    marks = job.marks()
    claimed = {mark.shard for mark in marks if mark.kind == "claim"}
    assert 1 in claimed
    assert {mark.shard for mark in marks if mark.kind == "released"} == claimed
    body = json.loads(job.get(job.stage.claim_key(ClaimMark(1, 0, "released"))))
    assert "the worker failed: s3://" in body["reason"]


def test_storage_that_fails_within_an_item_is_the_workers_fault_and_not_the_items(job):
    job.code(
        """
        import boto3, os
        def run(params, context):
            (context.outputs / "x").touch()
            s3 = boto3.client("s3", region_name="eu-central-1")
            for item in s3.list_objects_v2(Bucket=params["bucket"])["Contents"]:
                s3.delete_object(Bucket=params["bucket"], Key=item["Key"])
            s3.delete_bucket(Bucket=params["bucket"])
            return {}
        """
    )
    job.plan([{"bucket": job.bucket}])
    (ended,) = job.work(slots=1)
    assert ended.code == 3
    assert "NoSuchBucket" in ended.err
    assert "shard 0 is not released, the engine will do it: s3://" in ended.err


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "WINBATCH_STAGE is ''; s3://bucket/key"),
        ({"WINBATCH_STAGE": "/some/file"}, "WINBATCH_STAGE is '/some/file'"),
        ({"WINBATCH_STAGE": "s3://bucket"}, "WINBATCH_STAGE is 's3://bucket'"),
        ({"WINBATCH_STAGE": "s3://b/k", "WINBATCH_SLOTS": "0"}, "WINBATCH_SLOTS is '0'"),
        ({"WINBATCH_STAGE": "s3://b/k", "WINBATCH_SLOTS": "-1"}, "WINBATCH_SLOTS is '-1'"),
        ({"WINBATCH_STAGE": "s3://b/k", "WINBATCH_SLOTS": "²"}, "WINBATCH_SLOTS is '²'"),
        ({"WINBATCH_STAGE": "s3://b/k", "WINBATCH_START_METHOD": "x"}, "WINBATCH_START_METHOD is 'x'; here it can be "),
    ],
)
def test_settings_that_are_wrong(environment, line):
    with pytest.raises(WorkerError, match=re.escape(line)):
        Settings.from_environment(environment)


def test_settings():
    environment = {"WINBATCH_STAGE": "s3://b/a/b/stage.json", "WINBATCH_SLOTS": "4", "AWS_REGION": "eu-west-1"}
    assert Settings.from_environment(environment) == Settings("b", "a/b/stage.json", 4, "eu-west-1", METHOD)
    assert Settings.from_environment({"WINBATCH_STAGE": "s3://b/k"}) == Settings("b", "k", 1, None)
    environment["WINBATCH_START_METHOD"] = "spawn"
    assert Settings.from_environment(environment).method == "spawn"


def test_importing_the_library_stays_light():
    """Airflow parses DAG files again and again, and its environment has no numpy to import."""
    code = "import sys, winbatch.worker; print({'boto3', 'botocore', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_code_that_kills_its_worker_leaves_the_claims_to_the_engine(job):
    job.code(
        """
        import os, time
        def run(params, context):
            if params["n"] == 0 and os.environ.get("POISON"):
                import psutil
                worker, = [each for each in psutil.Process().parents() if "winbatch.worker" in each.cmdline()]
                worker.kill()
                time.sleep(60)
            return {}
        """
    )
    job.plan(numbers(4))
    (died,) = job.work(slots=1, POISON="yes", fresh=True)
    assert died.code == -signal.SIGKILL
    claimed = [mark for mark in job.marks() if mark.shard not in job.results()]
    assert claimed == [ClaimMark(0, 0, "claim")]
    job.work(slots=1)
    assert sorted(job.results()) == [1, 2, 3]  # nobody takes what is claimed
    job.mark(0, 0, "released", reason="its ECS task is gone")
    job.work(slots=1)
    assert sorted(job.results()) == [0, 1, 2, 3]
