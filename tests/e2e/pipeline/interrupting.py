"""`invoke up` by somebody who presses Ctrl-C at every stage, and calls again."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

from scripts.terraform.cli import GRACE
from tests.e2e.operators import INVOKE, Operator
from tests.e2e.world import clients
from tests.waiting import PATIENCE

# Stages in their order: the verb, what is seen when one begins, s until it is interrupted, whose late answers make it
# last. Those behind the apply are the same code as of a verb of their own, which need not plan before.
STAGES: Mapping[str, tuple[str, str | None, float, Sequence[tuple[str, str, float]]]] = {
    "Emulator": ("up", None, 0.2, ()),
    "Terraform": ("up", "✓ Emulator", 1, ()),
    "Plan": ("up", "✓ Image of tools", 2, ()),
    # Terraform gives these requests up, and they are carried out.
    "Apply": ("up", "✓ Plan", 1, [("iam", "CreateRole", 10), ("ec2", "CreateVpc", 10)]),
    "Push images": ("up", "✓ Apply", 3, [("ecr", "BatchGetImage", 3)]),
    "Check the DAGs": ("dags.release", None, 1.5, [("s3", "GetObject", 0.2)]),
    "Release the DAGs": ("dags.release", "✓ Check the DAGs", 0.5, [("s3", "PutObject", 0.3)]),
    "Airflow serves the DAGs": ("dags.release", "✓ Release the DAGs", 0.5, ()),
    "Smoke check": ("smoke", None, 2, [("airflow", "InvokeRestApi", 0.2)]),
}

# Where Terraform is interrupted, it has started the provider itself, as it does for people. Elsewhere it is kept.
KEPT = "TF_REATTACH_PROVIDERS"
OWN_PROVIDER = frozenset({"Terraform", "Plan", "Apply"})


@dataclass(frozen=True)
class Interruption:
    """What came of a Ctrl-C.

    Attributes:
        code: the verb's exit code.
        said: its lines on standard error.
        left: processes that still ran beside the emulator's.
        locks: that somebody seemed to hold on Terraform's state.
    """

    code: int
    said: list[str]
    left: list[str] = field(default_factory=list)
    locks: list[str] = field(default_factory=list)


def bring_up(operator: Operator) -> dict[str, Interruption]:
    """Bring an environment up to a release that Airflow serves, with a Ctrl-C at each stage; what came of each."""
    seen = {}
    with heeding_interrupts():
        for stage, (verb, after, seconds, late) in STAGES.items():
            if late:
                # Only what is called from now on counts.
                _ask(operator, "DELETE", "requests")
            for service, action, lateness in late:
                fault = {"kind": "answer-late", "service": service, "action": action, "seconds": lateness}
                _ask(operator, "POST", "faults", fault)
            without = {KEPT} if stage in OWN_PROVIDER else ()
            code, said = _interrupted(operator, verb, after, seconds, late, without)
            locks = _locks(operator) if stage != "Emulator" else []
            seen[stage] = Interruption(code, said, _left(operator), locks)
            if stage != "Emulator":
                _ask(operator, "DELETE", "faults")
            if stage == "Airflow serves the DAGs":
                # A verb of its own asks for a DAG that is served.
                again = operator.call(verb)
                assert again.returncode == 0, again.stderr
    return seen


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Whoever ignores SIGINT hands that on to what is started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _endpoint(operator: Operator) -> str:
    port = json.loads((operator.state / "local" / "emulator.json").read_text())["port"]
    return f"http://127.0.0.1:{port}"


def _ask(operator: Operator, method: str, what: str, document: Mapping[str, Any] | None = None) -> Any:
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"{_endpoint(operator)}/_emulator/{what}", data=data, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return json.load(answer)


def _called(operator: Operator, late: Sequence[tuple[str, str, float]]) -> bool:
    """Whether each of these calls has been made."""
    requests = _ask(operator, "GET", "requests")["requests"]
    return all(requests.get(f"{service}.{action}") for service, action, _ in late)


def _interrupted(
    operator: Operator,
    verb: str,
    after: str | None,
    seconds: float,
    late: Sequence[tuple[str, str, float]],
    without: Collection[str],
) -> tuple[int, list[str]]:
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
        began = threading.Event()
        said: list[str] = []

        def read() -> None:
            for line in up.stderr or ():
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
        while late and not _called(operator, late):
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        time.sleep(seconds)
        os.killpg(up.pid, signal.SIGINT)
        # Terraform ends what it is at.
        code = up.wait(GRACE + PATIENCE)
        reader.join()
    return code, said


def _left(operator: Operator) -> list[str]:
    """What still runs beside the emulator and all that it has started, which are left on purpose, and the provider."""
    emulator = psutil.Process(json.loads((operator.state / "local" / "emulator.json").read_text())["pid"])
    kept = [psutil.Process(each["Pid"]) for each in json.loads(operator.environ.get(KEPT, "{}")).values()]
    ours = {emulator, *emulator.children(recursive=True), *kept}
    return [str(process) for process in operator.processes() if process not in ours and not _marked(process)]


def _marked(process: psutil.Process) -> bool:
    """Whether it is of the emulator's family without being its child, as its watchdog is; or is gone by now."""
    try:
        return bool({"EMULATOR_FAMILY", "WINBATCH_SESSION"} & set(process.environ()))
    except psutil.NoSuchProcess:
        return True


def _locks(operator: Operator) -> list[str]:
    client = clients({"endpoint_url": _endpoint(operator), "region": "eu-central-1"})("s3")
    buckets = [bucket["Name"] for bucket in client.list_buckets()["Buckets"] if bucket["Name"].endswith("-tfstate")]
    listed = [client.list_objects_v2(Bucket=bucket).get("Contents", []) for bucket in buckets]
    return [entry["Key"] for entries in listed for entry in entries if entry["Key"].endswith(".tflock")]
