"""Processes that run items, by every method that there is here, in real workers and by themselves."""

import json
import os
import random
import select
import signal
import sys
import threading
import time

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.processes import runs, words
from tests.waiting import PATIENCE, wait_for
from winbatch import results
from winbatch.errors import StorageError, WorkerError
from winbatch.results import ItemResult
from winbatch.stage import ClaimMark
from winbatch.working import stopping
from winbatch.working.failures import ItemError
from winbatch.working.manifest import Item
from winbatch.working.programs import Stopped
from winbatch.working.slots import Slots

METHODS = ("fork", "spawn")

# Sleeps with the interpreter's lock held: no other thread of the process runs meanwhile.
HOLD = "import ctypes; ctypes.PyDLL(None).sleep(3600)"


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def work(job, method, **kwargs):
    (ended,) = job.work(WINBATCH_START_METHOD=method, **kwargs)
    return ended


def failures(job, shard=0, kind="failed"):
    return json.loads(job.get(job.stage.claim_key(ClaimMark(shard, 0, kind))))["failures"]


def values(job):
    return [item["values"] for _shard, result in sorted(job.results().items()) for item in result["items"]]


def test_items_that_hold_the_interpreter_run_at_once_in_a_process_each(job, method, tmp_path):
    job.code(
        """
        import os
        from pathlib import Path
        def run(params, context):
            folder = Path(params["folder"])
            (folder / str(os.getpid())).touch()
            while len(list(folder.iterdir())) < 2:  # until another one is at it, too
                pass
            return {"process": os.getpid()}
        """
    )
    (tmp_path / "met").mkdir()
    job.plan([{"folder": str(tmp_path / "met")}] * 2)
    assert work(job, method, slots=2).code == 0
    assert {value["process"] for value in values(job)} == {int(path.name) for path in (tmp_path / "met").iterdir()}
    assert len({value["process"] for value in values(job)}) == 2


# What ends a process on Linux alone, and on Windows: there Python makes an exception of a wrong address.
OWN = (
    [
        ("os.abort()", "failed", -6, "was ended by SIGABRT"),
        ("ctypes.string_at(0)", "failed", -11, "was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "memory", -9, "was ended by SIGKILL"),
    ],
    [
        ("os.abort()", "failed", 3, "ended with exit code 3"),
        ("os._exit(0xC0000017 - 2**32)", "memory", 0xC0000017, "ended with exit code 3221225495 (0xC0000017)"),
    ],
)
# How an item ends its process, its failure's kind and exit code, and words of what is said of it.
ENDS = [
    *OWN[sys.platform == "win32"],
    ("os._exit(7)", "failed", 7, "ended with exit code 7"),
    ("os._exit(0)", "failed", 0, "ended with exit code 0"),
    ("os._exit(137)", "memory", 137, "ended with exit code 137"),
]


def test_an_item_that_ends_its_process_fails_alone(job, method, tmp_path):
    job.code(
        """
        import ctypes, os, signal, time
        from pathlib import Path
        def run(params, context):
            flags = Path(params["flags"])
            if params["do"] == "end":
                print("about to end")
                exec(params["how"])
            if params["do"] == "wait":  # in the other slot, until each process that was to end has
                while len(list(flags.iterdir())) < params["ends"]:
                    time.sleep(0.01)
            if params["do"] == "go on":
                (flags / str(context.item)).touch()
            return {"process": os.getpid()}
        """
    )
    flags = tmp_path / "flags"
    flags.mkdir()
    common = {"flags": str(flags), "ends": len(ENDS)}
    todo = [{"do": do, "how": how} for how, *_ in ENDS for do in ("", "end", "go on")]
    todo += [{"do": do, "how": ""} for do in ("wait", "", "")]
    job.plan([common | each for each in todo], shard_items=3)
    ended = work(job, method, slots=2)
    assert ended.code == 0
    errors = {line["item"]: line.get("error") for line in ended.lines}
    assert len(errors) == len(todo)
    for shard, (_, kind, exit_code, how) in enumerate(ENDS):
        first = 3 * shard
        (failure,) = failures(job, shard, kind)
        assert (failure["item"], failure["exit_code"]) == (first + 1, exit_code)
        assert failure["error"] == f"the item's process {how}"
        assert [line for line in failure["log"] if line.endswith("INFO print: about to end")]
        (key,) = job.all_keys(job.stage.partials_of(shard))
        assert [item["item"] for item in json.loads(job.get(key))["items"]] == [first, first + 2]
        assert [errors[first + each] for each in range(3)] == [None, failure["error"], None]
    assert {mark for mark in job.marks() if mark.kind != "claim"} == {
        ClaimMark(shard, 0, kind) for shard, (_, kind, *_) in enumerate(ENDS)
    }
    assert list(job.results()) == [len(ENDS)]
    assert len({value["process"] for value in values(job)}) == 1  # the other slot's, all the time


def test_what_items_return_and_raise_needs_no_pickle(job, method):
    job.code(
        """
        import threading
        class Odd(Exception):
            def __init__(self, one, two):
                self.lock = threading.Lock()
            def __str__(self):
                raise RuntimeError("no text")
            def __reduce__(self):
                raise RuntimeError("no pickle")
        def run(params, context):
            match params["do"]:
                case "odd": raise Odd(1, 2)
                case "huge": return {"text": "x" * 20_000_000}
                case "huge error": raise ValueError("y" * 20_000_000)
                case "surrogate": return {"text": "\\udc80"}
                case "keys": return {1: "one", None: 2}
                case "interrupt": raise KeyboardInterrupt
                case "deep":
                    deep = []
                    for _ in range(100_000):
                        deep = [deep]
                    return {"deep": deep}
                case "own":
                    params.clear()
                    return {"text": "own"}
        """
    )
    todo = ["odd", "huge", "huge error", "surrogate", "keys", "interrupt", "deep", "own"]
    job.plan([{"do": do} for do in todo])
    assert work(job, method, slots=1).code == 0
    found = {number: result["items"][0] for number, result in job.results().items()}
    assert sorted(found) == [1, 3, 4, 7]
    assert len(found[1]["values"]["text"]) == 20_000_000
    assert found[3]["values"] == {"text": "\udc80"}
    assert found[4]["values"] == {"1": "one", "null": 2}
    assert found[7] == {"item": 7, "params": {"do": "own"}, "values": {"text": "own"}}
    assert failures(job, 0)[0]["error"] == "Odd: (it does not say what)"
    assert len(failures(job, 2)[0]["error"]) == 1000
    assert failures(job, 5)[0]["error"] == "KeyboardInterrupt:"
    assert failures(job, 6)[0]["error"].startswith(
        "JobError: the values of item 6 are no JSON: 'deep': maximum recursion"
    )
    assert all(len(line) <= 1000 for number in (0, 2, 5, 6) for line in failures(job, number)[0]["log"])


def test_lines_are_whole_and_the_items_whoever_writes_them(job, method):
    job.code(
        """
        import logging, sys, threading
        def chat(item):
            for turn in range(50):
                print(f"thread {item} {turn} " + "x" * 6000)
        def run(params, context):
            thread = threading.Thread(target=chat, args=(context.item,))
            thread.start()
            for turn in range(50):
                logging.getLogger("mine").warning("log %s %s %s", context.item, turn, "y" * 9000)
                sys.stderr.write(f"err {context.item} {turn}\\n")
            thread.join()
            return {}
        """
    )
    job.plan([{}] * 6, shard_items=2)
    ended = work(job, method, slots=3)
    lines = [json.loads(line) for line in ended.err.splitlines()]
    for item in range(6):
        said = [line["message"] for line in lines if line.get("item") == item]
        assert len(said) == 150
        for who, rest in (("thread", "x" * 6000), ("log", "y" * 9000), ("err", "")):
            own = [message for message in said if message.startswith(who)]
            assert own == [f"{who} {item} {turn} {rest}".rstrip() for turn in range(50)]


def test_a_traceback_that_is_logged_arrives(job, method):
    job.code(
        """
        import logging
        def run(params, context):
            try:
                1 / 0
            except ZeroDivisionError:
                logging.exception("oh")
            raise ValueError("end")
        """
    )
    job.plan([{}])
    ended = work(job, method)
    (line,) = [line for line in map(json.loads, ended.err.splitlines()) if line["message"] == "oh"]
    assert line["traceback"].endswith("ZeroDivisionError: division by zero")
    assert line["item"] == 0
    assert "ZeroDivisionError: division by zero" in failures(job)[0]["log"]


def test_processes_that_an_item_forks_have_no_part_in_it(job, method):
    """One comes back from the item, one holds on to everything while the item's process dies."""
    job.code(
        """
        import multiprocessing, os, time
        def run(params, context):
            if context.item == 1:
                child = os.fork()
                if not child:
                    print("a line of the child")
                    return {"who": "the child"}
                os.waitpid(child, 0)
            if context.item == 2:
                multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,)).start()
                os.abort()
            return {"who": "the item"}
        """
    )
    job.plan([{}] * 4)
    assert work(job, method, slots=1).code == 0
    assert values(job) == [{"who": "the item"}] * 3
    assert failures(job, 2)[0]["error"] == "the item's process was ended by SIGABRT"


def test_code_that_starts_threads_while_it_is_imported(job, method):
    job.code(
        """
        from concurrent.futures import ThreadPoolExecutor
        POOL = ThreadPoolExecutor(1)
        POOL.submit(print, "on")
        def run(params, context):
            return {"n": POOL.submit(lambda: context.item).result(20)}
        """
    )
    job.plan([{}] * 4)
    assert work(job, method, slots=2).code == 0
    assert [value["n"] for value in values(job)] == [0, 1, 2, 3]


@pytest.mark.parametrize(("method", "imports"), [("fork", 1), ("spawn", 3)])
def test_code_is_imported_once_or_once_a_slot(job, method, imports, tmp_path):
    job.code(
        """
        import os, time
        from pathlib import Path
        with Path(os.environ["COUNTS"]).open("a") as file:
            file.write("x")
        def run(params, context):
            (Path(params["folder"]) / str(context.item)).touch()
            while len(list(Path(params["folder"]).iterdir())) < 3:
                time.sleep(0.01)
            return {}
        """
    )
    (tmp_path / "met").mkdir()
    job.plan([{"folder": str(tmp_path / "met")}] * 3)
    assert work(job, method, slots=3, COUNTS=str(tmp_path / "counts")).code == 0
    assert (tmp_path / "counts").read_text() == "x" * imports


@pytest.mark.parametrize("code", ["import os; os._exit(3)", "import os; os.abort()", "raise SystemExit('no')"])
def test_code_that_ends_its_process_while_it_is_imported_is_the_workers_fault(job, method, code):
    job.code(code)
    job.plan([{}] * 3)
    ended = work(job, method)
    assert ended.code == 3
    assert ended.err.startswith("winbatch.worker: the ")
    assert len(ended.err.splitlines()) == 1
    assert job.marks() == set()


def test_an_item_asks_s3_only_for_an_earlier_stage_and_may_start_processes_for_that(job, method):
    job.code(
        """
        import sys
        from winbatch.working import inputs
        inputs.LEAF_SHARDS = 2
        def leaf(items):
            return sum(item.values["n"] for item in items)
        def add(one, two):
            return one + two
        def run(params, context):
            return {"n": context.item, "loaded": "botocore" in sys.modules}
        def fold(params, context):
            return {"sum": context.fold("main", leaf, add), "failed": len(context.failures("main"))}
        """
    )
    job.plan([{}] * 9)
    work(job, method)
    assert {value["loaded"] for value in values(job)} == {False}
    first = job.stage_key
    job.plan(
        [{}],
        stage="sum",
        run="workload_code:fold",
        inputs={"main": first},
        manifest="jobs/test/job-1/sum/manifest.jsonl",
        claims="jobs/test/job-1/sum/claims/",
        partials="jobs/test/job-1/sum/partials/",
        results="out/job-1/sum/",
    )
    ended = work(job, method)
    assert values(job) == [{"sum": 36, "failed": 0}], ended


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(3600)",
        HOLD,
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(3600)'])",
    ],
)
def test_a_worker_that_is_killed_leaves_no_process(job, method, tmp_path, code):
    process, family = begun(job, method, tmp_path, code)
    process.kill()
    process.communicate(timeout=PATIENCE)
    wait_for(lambda: not any(map(runs, family)))
    assert {mark.kind for mark in job.marks()} == {"claim"}


STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {HOLD}"


@pytest.mark.parametrize("code", ["while True: pass", HOLD, STUBBORN])
def test_a_worker_that_is_told_to_stop_ends_what_does_not_listen(job, method, tmp_path, code):
    process, family = begun(job, method, tmp_path, code)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert time.monotonic() - began < 25  # of ECS's 30; 3 of them are what a process is given
    assert (out, "Traceback" in err) == ("", False)
    wait_for(lambda: not any(map(runs, family)))
    assert {mark.kind for mark in job.marks()} == {"claim", "released"}
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_is_answered_by_the_worker_alone(job, method, tmp_path, number):
    process, family = begun(job, method, tmp_path, "import time; time.sleep(3600)", session=True)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert (out, "Traceback" in err) == ("", False)
    wait_for(lambda: not any(map(runs, family)))
    assert {mark.kind for mark in job.marks()} == {"claim", "released"}


def begun(job, method, tmp_path, code, **kwargs):
    """A worker in both of whose slots an item is at it, and the process ids of all that came from it."""
    job.code(
        """
        from pathlib import Path
        def run(params, context):
            (context.outputs / "begun").touch()
            (Path(params["folder"]) / str(context.item)).touch()
            exec(params["code"])
        """
    )
    flags = tmp_path / "flags"
    flags.mkdir()
    job.plan([{"folder": str(flags), "code": code}] * 3)
    process = job.start(slots=2, WINBATCH_START_METHOD=method, **kwargs)
    wait_for(lambda: len(list(flags.iterdir())) == 2)
    if "subprocess" in code:
        wait_for(lambda: sum("time.sleep(3600)" in " ".join(words(each)) for each in descendants(process)) == 2)
    family = [each.pid for each in descendants(process) if "guard.py" not in " ".join(words(each))]
    assert len(family) >= 2
    return process, family


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


# --- without a worker


@pytest.fixture
def opened(job, method, tmp_path, monkeypatch):
    """`opened(code)`: a slot's processes for that code, and a slot."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    made = []

    def opened(code, run="workload_code:run"):
        job.code(code)
        job.plan([{}], run=run)
        slots = Slots(method)
        slots.tell(job.stage, bucket=job.bucket, region="eu-central-1")
        slot = slots.open()
        made.extend([slot.close, slots.stop])
        return slots, slot

    yield opened
    for end in made:
        end()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_values_come_back_as_they_stand_in_a_result(opened_echo, data):
    slot, tmp_path = opened_echo
    params = data.draw(st.dictionaries(st.text(), JSON, max_size=4))
    done = slot.run(Item(7, params), tmp_path / "item")
    assert done.encoded == results.encode_item(ItemResult(7, params, params))
    assert done.summary.keys() == params.keys()


@pytest.fixture
def opened_echo(opened, tmp_path):
    return opened("def run(params, context): return params")[1], tmp_path


PROCESS = "import os\ndef run(params, context): return {'process': os.getpid()}"


def test_a_process_that_dies_between_items_is_replaced(opened, tmp_path):
    slot = opened(PROCESS)[1]

    def process():
        return json.loads(slot.run(Item(0, {}), tmp_path / "item").encoded)["values"]["process"]

    first = process()
    assert process() == first
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: select.select([slot._process.answers], [], [], 0)[0])  # its pipes are closed
    assert process() != first


def test_an_items_refusal_by_s3_is_told_apart_from_its_own_failure(opened, tmp_path):
    _slots, slot = opened(
        """
        from winbatch.errors import StorageError, WorkerError
        def run(params, context):
            raise {"s3": StorageError, "own": ValueError}[params["kind"]](params["kind"])
        """
    )
    with pytest.raises(StorageError, match=r"^s3$"):
        slot.run(Item(0, {"kind": "s3"}), tmp_path)
    with pytest.raises(ItemError, match=r"^ValueError: own$") as caught:
        slot.run(Item(0, {"kind": "own"}), tmp_path)
    assert caught.value.trace[-1] == "ValueError: own"
    assert not caught.value.memory


def test_after_a_stop_nothing_runs(opened, tmp_path):
    slots, slot = opened("import time\ndef run(params, context): time.sleep(3600)")
    ended = []

    def run():
        try:
            slot.run(Item(0, {}), tmp_path)
        except Stopped:
            ended.append("stopped")

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: slots._running)
    time.sleep(0.1)
    slots.stop()
    thread.join(30)
    assert ended == ["stopped"]
    with pytest.raises(Stopped):
        slots.open().run(Item(1, {}), tmp_path)
    assert not slots._running


def test_a_slots_process_writes_nothing_to_standard_output(job, method, capfd, opened, tmp_path):
    _slots, slot = opened(
        "import os\ndef run(params, context):\n    os.write(1, b'raw')\n    os.system('echo sub')\n    return {}"
    )
    slot.run(Item(0, {}), tmp_path)
    found = capfd.readouterr()
    assert found.out == ""
    assert "raw" in found.err
    assert "sub\n" in found.err


def test_windows_tells_a_slots_process_which_leaves(monkeypatch):
    watched, left = [], []
    monkeypatch.setattr(stopping.sys, "platform", "win32")
    monkeypatch.setattr(stopping, "_watch_console", watched.append, raising=False)
    stopping.on_shutdown(left.append)
    (tell,) = watched
    assert stopping.console_handler(tell, lambda _seconds: None)(stopping.CTRL_SHUTDOWN_EVENT)
    assert left == ["CTRL_SHUTDOWN"]


@pytest.mark.parametrize("method", ["fork"], indirect=True)
def test_without_its_template_a_process_goes_on_and_no_other_starts(opened, tmp_path):
    slots, slot = opened("import time\ndef run(params, context): time.sleep(params['seconds']); return {}")
    slot.run(Item(0, {"seconds": 0}), tmp_path)
    slots._starter._tree.process.kill()
    slots._starter._tree.process.wait()
    slot.run(Item(1, {"seconds": 0}), tmp_path)
    with pytest.raises(WorkerError, match="that has imported the stage's code is gone"):
        slots.open().run(Item(2, {"seconds": 0}), tmp_path)
    threading.Timer(0.2, os.kill, (slot._process.pid, signal.SIGKILL)).start()
    with pytest.raises(ItemError, match=r"^the item's process went away$"):
        slot.run(Item(3, {"seconds": 3600}), tmp_path)


@pytest.mark.parametrize(
    ("code", "words", "memory"),
    [
        (0xC0000005, "ended with exit code 3221225477 (0xC0000005)", False),
        (0xC00000FD, "ended with exit code 3221225725 (0xC00000FD)", False),
        (0xC0000017, "ended with exit code 3221225495 (0xC0000017)", True),
        (0xC000012D, "ended with exit code 3221225773 (0xC000012D)", True),
        (None, "went away", False),
    ],
)
def test_how_windows_says_that_a_process_has_ended(code, words, memory):
    error = ItemError.of_process(code)
    assert (str(error), error.exit_code, error.memory) == (f"the item's process {words}", code, memory)


# A new interpreter for each process that dies takes its time.
@pytest.mark.parametrize(("method", "seed"), [("fork", 0), ("fork", 1), ("spawn", 2)], indirect=["method"])
def test_whatever_items_do_the_others_are_kept(job, method, seed):
    job.code(
        """
        import os, signal
        def run(params, context):
            match params["do"]:
                case "raise": raise ValueError("no")
                case "abort": os.abort()
                case "kill": os.kill(os.getpid(), signal.SIGKILL)
                case "leave": os._exit(3)
            return {"item": context.item}
        """
    )
    chosen = random.Random(seed)
    todo = [chosen.choice(["work", "work", "work", "raise", "abort", "kill", "leave"]) for _ in range(40)]
    job.plan([{"do": do} for do in todo], shard_items=5)
    ended = work(job, method, slots=2)
    assert ended.code == 0
    marks = [mark for mark in job.marks() if mark.kind != "claim"]
    failed = {entry["item"] for mark in marks for entry in failures(job, mark.shard, mark.kind)}
    assert failed == {item for item, do in enumerate(todo) if do != "work"}
    assert all((mark.kind == "memory") == ("kill" in todo[5 * mark.shard : 5 * mark.shard + 5]) for mark in marks)
    kept = {item["item"] for result in job.results().values() for item in result["items"]}
    for key in job.all_keys(job.stage.partials):
        kept |= {item["item"] for item in json.loads(job.get(key))["items"]}
    assert kept == set(range(40)) - failed
