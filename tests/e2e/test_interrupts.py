"""Ctrl-C at every stage of `invoke up`: one line, nothing left at work, and the next call goes on from there.

On the newest Airflow that MWAA runs, so that the way from `up` to a job's curve and to `down` is gone on it, too.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request

import psutil
import pytest

from emulator.mwaa import versions
from scripts.terraform import GRACE
from tests.waiting import PATIENCE

from .operators import INVOKE, choose_airflow, copy_checkout, keeping_provider, make_operator
from .world import World, clients

pytestmark = pytest.mark.slow

VERSION = versions.SUPPORTED[-1]

# Stages in their order: the verb, what is seen when one begins, s until it is interrupted, whose late answers make it
# last. Those behind the apply are the same code as of a verb of their own, which need not plan before.
STAGES = {
    "Emulator": ("up", None, 0.2, ()),
    "Terraform": ("up", "✓ Emulator", 1, ()),
    "Plan": ("up", "✓ Image of tools", 2, ()),
    # Terraform gives these requests up, and they are carried out.
    "Apply": ("up", "✓ Plan", 1, [("iam", "CreateRole", 10), ("ec2", "CreateVpc", 10)]),
    "Push images": ("up", "✓ Apply", 3, [("ecr", "BatchGetImage", 3)]),
    "Check the DAGs": ("dags-release", None, 1.5, [("s3", "GetObject", 0.2)]),
    "Release the DAGs": ("dags-release", "✓ Check the DAGs", 0.5, [("s3", "PutObject", 0.3)]),
    "Airflow serves the DAGs": ("dags-release", "✓ Release the DAGs", 0.5, ()),
    "Smoke check": ("smoke", None, 2, [("airflow", "InvokeRestApi", 0.2)]),
}

# Where Terraform is interrupted, it has started the provider itself, as it does for people. Elsewhere it is kept.
KEPT = "TF_REATTACH_PROVIDERS"
OWN_PROVIDER = {"Terraform", "Plan", "Apply"}

LINE = "error: interrupted; what is done stays done: call again to go on"
TAKEN = re.compile(r"✓ Look for what an interrupted apply has made: \d+ taken over: (.*); ")


@pytest.fixture
def operator(tmp_path):
    copy_checkout(tmp_path / "checkout")
    choose_airflow(tmp_path / "checkout", VERSION)
    alone = make_operator(tmp_path / "state", tmp_path / "checkout")
    # Whoever ignores it hands that on to what is started.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with keeping_provider(alone) as operator:
        try:
            yield operator
        finally:
            signal.signal(signal.SIGINT, before)
            down = operator.call("down")
    assert down.returncode == 0, down.stderr
    assert operator.processes() == []


def endpoint(operator):
    port = json.loads((operator.state / "local" / "emulator.json").read_text())["port"]
    return f"http://127.0.0.1:{port}"


def ask(operator, method, what, document=None):
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"{endpoint(operator)}/_emulator/{what}", data=data, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return json.load(answer)


def called(operator, late):
    """Whether each of these calls has been made."""
    requests = ask(operator, "GET", "requests")["requests"]
    return all(requests.get(f"{service}.{action}") for service, action, _ in late)


def interrupted(operator, verb, after, seconds, late=(), without=()):
    """Call a verb as a shell does, in a process group, and press Ctrl-C a while after a line and these calls.

    Its exit code and what it said, also when it ended before that line. It lacks some variables of the operator's.
    """
    with subprocess.Popen(
        [INVOKE, verb],
        cwd=operator.root,
        env={name: value for name, value in operator.environ.items() if name not in without},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as up:
        began, said = threading.Event(), []

        def read():
            for line in up.stderr:
                said.append(line.rstrip("\n"))
                if after is not None and line.startswith(after):
                    began.set()

        reader = threading.Thread(target=read)
        reader.start()
        deadline = time.monotonic() + 3 * PATIENCE
        while not (began.is_set() if after else (operator.state / "local" / "emulator.json").exists()):
            if up.poll() is not None:
                reader.join()
                return up.returncode, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        while late and not called(operator, late):
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        time.sleep(seconds)
        os.killpg(up.pid, signal.SIGINT)
        # Terraform ends what it is at.
        code = up.wait(GRACE + PATIENCE)
        reader.join()
    return code, said


def left(operator):
    """What still runs beside the emulator and all that it has started, which are left on purpose, and the provider."""
    emulator = psutil.Process(json.loads((operator.state / "local" / "emulator.json").read_text())["pid"])
    kept = [psutil.Process(each["Pid"]) for each in json.loads(operator.environ.get(KEPT, "{}")).values()]
    ours = {emulator, *emulator.children(recursive=True), *kept}
    return [process for process in operator.processes() if process not in ours and not marked(process)]


def marked(process):
    """Whether it is of the emulator's family without being its child, as its watchdog is; or is gone by now."""
    try:
        return bool({"EMULATOR_FAMILY", "WINBATCH_SESSION"} & set(process.environ()))
    except psutil.NoSuchProcess:
        return True


def locks(operator):
    client = clients({"endpoint_url": endpoint(operator), "region": "eu-central-1"})("s3")
    buckets = [bucket["Name"] for bucket in client.list_buckets()["Buckets"] if bucket["Name"].endswith("-tfstate")]
    listed = [client.list_objects_v2(Bucket=bucket).get("Contents", []) for bucket in buckets]
    return [entry["Key"] for entries in listed for entry in entries if entry["Key"].endswith(".tflock")]


def test_ctrl_c_at_each_stage_leaves_nothing_that_the_next_call_does_not_mend(operator, tmp_path):
    taken = []
    for stage, (verb, after, seconds, late) in STAGES.items():
        if late:
            # Only what is called from now on counts.
            ask(operator, "DELETE", "requests")
        for service, action, lateness in late:
            fault = {"kind": "answer-late", "service": service, "action": action, "seconds": lateness}
            ask(operator, "POST", "faults", fault)
        code, said = interrupted(operator, verb, after, seconds, late, {KEPT} if stage in OWN_PROVIDER else ())
        assert code == 130, (stage, "\n".join(said))
        # It was at that stage, or at its threshold on a slow machine, and ends in one line that says what to do.
        assert [re.match(r"✗ (.*?)  ", line)[1] for line in said if line.startswith("✗")] in ([stage], []), said
        assert not [line for line in said if line.startswith(f"✓ {stage}")], said
        errors = [line for line in said if line.startswith("error: ")]
        assert errors == said[-1:] == [LINE], (stage, said)
        assert left(operator) == [], stage
        if stage != "Emulator":
            assert locks(operator) == [], stage
            ask(operator, "DELETE", "faults")
        taken += [match[1] for line in said if (match := TAKEN.match(line))]
        if stage == "Airflow serves the DAGs":
            # A verb of its own asks for a DAG that is served.
            again = operator.call(verb)
            assert again.returncode == 0, again.stderr
    # What AWS made of requests that Terraform had given up is there once.
    (taken,) = taken
    assert "aws_iam_role" in taken
    done = operator.call("up")
    assert done.returncode == 0, done.stderr
    assert operator.json("plan")["changes"] == 0
    world = World.of(operator)
    vpcs = world.client("ec2").describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["winbatch-local"]}])["Vpcs"]
    assert len(vpcs) == 1
    assert world.airflow("GET", "/version")["version"] == VERSION
    world.check_a_job(tmp_path / "out")
