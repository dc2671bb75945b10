"""The environment that things go wrong in, seen and handled from outside: AWS, Airflow, `ps`, and the command line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import psutil

from scripts.core.airflow import Airflow
from scripts.core.settings import Settings
from scripts.terraform.workspace import Outputs, Workspace
from scripts.tools import emulator
from winbatch import shares
from winbatch.working.store import Store

# A verb of the command line that has not ended by then does not end, s.
VERB_SECONDS = 400.0
_DEFECTS = ("Traceback (most recent call last)", "a defect:")


@dataclass
class Verb:
    """A call of the command line that is under way, or has ended.

    Attributes:
        words: the verb and its options.
        process: it.
        out: what it writes to standard output.
        err: what it writes to standard error.
    """

    words: tuple[str, ...]
    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def code(self) -> int | None:
        """Its exit code, once it has ended."""
        return self.process.poll()

    @property
    def answer(self) -> dict[str, Any]:
        """What it says to a program; nothing when that is no document."""
        try:
            found = json.loads(self.out.read_text(encoding="utf-8"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def line(self) -> str:
        """The last line that it says to a person."""
        lines = self.err.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    @property
    def problem(self) -> str:
        """What no verb may do, whatever goes wrong around it."""
        said = self.err.read_text(encoding="utf-8", errors="replace")
        if self.code is None:
            took = time.monotonic() - self.began
            return f"invoke {' '.join(self.words)} has not ended after {took:.0f} s" if took > VERB_SECONDS else ""
        if self.code not in {0, 1} or any(sign in said for sign in _DEFECTS):
            return f"invoke {' '.join(self.words)} ended with {self.code}: {self.line} ({self.err})"
        return ""

    def end(self) -> None:
        """Interrupt it, as Ctrl-C does, and see that it ends."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Place:
    """An environment that is up.

    Args:
        settings: its, of the checkout that its commands are called in.
        environ: the process environment of these.
        logs: folder for what they say.

    Attributes:
        verbs: of people, that are under way.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], logs: Path) -> None:
        self.settings, self.environ, self.logs = settings, dict(environ), logs
        self.verbs: list[Verb] = []
        self._called: list[Verb] = []
        self._later: list[tuple[float, Callable[[], None]]] = []

    @cached_property
    def workspace(self) -> Workspace:
        """Give the environment as the commands see it."""
        return Workspace(self.settings)

    @cached_property
    def outputs(self) -> Outputs:
        """Give Terraform's outputs, read once."""
        return self.workspace.outputs()

    @property
    def airflow(self) -> Airflow:
        """Give its Airflow's API."""
        return self.workspace.airflow(self.outputs)

    @property
    def data(self) -> Store:
        """The data bucket."""
        return Store(self.client("s3"), self.outputs.data_bucket)

    def client(self, service: str) -> Any:
        """Give boto3's client of a service in it."""
        return self.workspace.aws.client(service)

    def forget(self) -> None:
        """Know nothing of an environment that is gone."""
        for name in ("workspace", "outputs"):
            vars(self).pop(name, None)
        self._later.clear()

    # --- the command line

    def call(self, *words: str) -> Verb:
        """Call a verb, and go on."""
        name = self.logs / f"{len(self._called) + 1:03}-{words[0]}"
        self.logs.mkdir(parents=True, exist_ok=True)
        out, err = name.with_suffix(".out"), name.with_suffix(".err")
        with out.open("wb") as output, err.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "invoke", *words],
                cwd=self.settings.root,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                # Ctrl-C reaches us alone, who tell each once.
                start_new_session=True,
            )
        verb = Verb(words, process, out, err)
        self._called.append(verb)
        return verb

    def end_calls(self) -> None:
        """End every verb that is under way."""
        for verb in self._called:
            verb.end()

    def wait(self, *words: str, progress: Callable[[str], None] = lambda _: None) -> Verb:
        """Call a verb and wait for its end; `progress` is told what it says."""
        verb = self.call(*words)
        try:
            while verb.code is None and not verb.problem:
                progress(verb.line)
                time.sleep(0.2)
        finally:
            verb.end()
        return verb

    # --- the emulator and its faults

    def fault(self, **fault: Any) -> None:
        """Have the emulator misbehave."""
        self._emulator("faults", json.dumps(fault).encode(), "POST").close()

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Undo something after a while."""
        self._later.append((time.monotonic() + seconds, undo))

    def undo(self) -> None:
        """Undo what is due; what cannot be undone now is tried again."""
        for entry in [entry for entry in self._later if entry[0] <= time.monotonic()]:
            entry[1]()
            self._later.remove(entry)

    def undo_all(self) -> bool:
        """Undo all, the emulator's faults first."""
        self._emulator("faults", None, "DELETE").close()
        self._later = [(0.0, undo) for _, undo in self._later]
        self.undo()
        return True

    def components(self) -> dict[str, int]:
        """The process ids of Airflow's components and of its database."""
        with self._emulator("mwaa") as answer:
            pages = json.load(answer)
        return {name: pid for page in pages for name, pid in page["processes"].items()}

    def _emulator(self, page: str, body: bytes | None = None, method: str = "GET") -> IO[bytes]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(  # noqa: S310 - the emulator's own address
            f"{self.workspace.endpoint_url}/_emulator/{page}", data=body, method=method
        )
        opened: IO[bytes] = opener.open(request, timeout=30)
        return opened

    # --- processes

    def processes(self) -> list[psutil.Process]:
        """All of this environment."""
        return emulator.ours(self.settings)

    def workers(self) -> list[psutil.Process]:
        """The first process of each ECS task."""
        return [process for process in self.processes() if "winbatch.worker" in _words(process)]

    def unfinished(self) -> list[dict[str, Any]]:
        """Airflow's objects of the DAG runs that have not ended."""
        return self.airflow.unfinished()

    def ticks(self) -> list[int]:
        """The process ids of the Airflow tasks that run."""
        body = {"state": ["running"], "page_limit": 100}
        answer = self.airflow.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body=body)
        found = [task.get("pid") for task in answer.get("task_instances", []) if task.get("state") == "running"]
        return [int(pid) for pid in found if pid]

    # --- AWS

    def hosts(self) -> list[str]:
        """The ids of the EC2 instances that there are."""
        states = ["pending", "running", "shutting-down", "stopping", "stopped"]
        filters = [{"Name": "instance-state-name", "Values": states}]
        pages = self.client("ec2").describe_instances(Filters=filters)["Reservations"]
        return [instance["InstanceId"] for page in pages for instance in page["Instances"]]

    def left(self) -> Iterator[str]:
        """Say what still costs or runs though no job is there, a sentence each."""
        ecs, cluster = self.client("ecs"), self.outputs.cluster
        name = self.outputs.deployment["cluster"]["auto_scaling_group"]
        groups = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        for group in groups["AutoScalingGroups"]:
            if group["DesiredCapacity"]:
                yield f"{group['DesiredCapacity']} instances are asked for"
        yield from (f"EC2 instance {host} is there" for host in self.hosts())
        for arn in ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]:
            yield f"container instance {arn} is registered"
        for arn in ecs.list_tasks(cluster=cluster, desiredStatus="RUNNING")["taskArns"]:
            yield f"ECS task {arn} runs"
        for process in self.processes():
            words = _words(process)
            if any(word.startswith("winbatch.work") for word in words):
                yield f"process {process.pid} lives: {' '.join(words)[:200]}"
        board = self.data.find(shares.KEY)
        for demanded, demand in shares.Board.from_json(board, where=shares.KEY).demands.items() if board else ():
            if demand.instances > 0:
                yield f"{demanded} is left on the board"


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
