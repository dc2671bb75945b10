"""Hosts, ECS tasks and the Auto Scaling group of one cluster; who exceeds a limit of AWS is noted."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Protocol

from simulation.clock import Clock
from simulation.faults import Faults
from winbatch import driver, engine
from winbatch.capacity import Group, Instance
from winbatch.ecs_tasks import Worker

# Seconds.
BOOT = (60.0, 240.0)
START = (5.0, 60.0)
STOPPING = (0.5, 5.0)
# ECS forgets a stopped ECS task after an hour, sometimes sooner.
REMEMBERED = 3600.0
NO_CAPACITY = 60.0

# docs.aws.amazon.com, ECS request throttling: RunTask and StopTask share a bucket of 100 calls that refills at 40/s.
BURST, RATE = 100.0, 40.0

CPU, MEMORY, INTERFACES = 4096, 8192, 4


class Container(Protocol):
    """What runs in an ECS task."""

    def stop(self) -> None:
        """It is told to stop, and is ended within seconds."""

    def kill(self) -> None:
        """It is gone."""


@dataclasses.dataclass(eq=False)
class Host:
    """An instance of the Auto Scaling group."""

    number: int
    ready: bool = False
    draining: bool = False
    leaving: bool = False
    launched: float = 0.0
    tasks: "dict[str, Task]" = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class Task:
    """An ECS task; its `status` is that of `winbatch.ecs_tasks.Worker`."""

    arn: str
    host: Host
    started_by: str
    stage: str
    created: float
    status: str = "pending"
    exit_code: int | None = None
    stop_code: str = ""
    reason: str = ""
    stopped: float = 0.0
    told: bool = False
    container: Container | None = None


class Cloud:
    """The cluster.

    Attributes:
        exceeded: limits of AWS, and rules of ours towards it, that were broken.
        billed: instance-seconds of instances that are gone.
    """

    def __init__(
        self, clock: Clock, faults: Faults, most: int, start: Callable[[Task, Callable[[int, str], None]], Container]
    ) -> None:
        """Make an empty one of at most so many instances; `start` makes the container of an ECS task that starts."""
        self.clock, self.faults, self.most = clock, faults, most
        self._start_container = start
        self.hosts: dict[int, Host] = {}
        self.tasks: dict[str, Task] = {}
        self.goal = 0
        self.exceeded: list[str] = []
        self.billed = 0.0
        self.quiet = False
        self._tokens: dict[str, tuple[int, list[str]]] = {}
        self._launched = 0
        self._level, self._at = BURST, 0.0

    # -- Auto Scaling

    def group(self) -> Group:
        return Group(self.goal, frozenset(str(host.number) for host in self.hosts.values() if host.leaving))

    def ask(self, instances: int) -> str:
        if instances > self.most:
            self.exceeded.append(f"{instances} instances were asked for, of at most {self.most}")
        self.clock.say(f"Auto Scaling: {self.goal} -> {instances} instances")
        self.goal = instances
        self._converge()
        return ""

    def terminate(self, ec2_id: str) -> bool:
        host = self.hosts.get(int(ec2_id))
        if host is None or host.leaving:
            return True
        if not self.quiet and self.clock.chance(self.faults.busy):
            return False
        if host.tasks:
            self.exceeded.append(f"host {ec2_id} was terminated with {len(host.tasks)} ECS tasks on it")
        self.goal -= 1
        self._leave(host)
        return True

    def _converge(self) -> None:
        staying = [host for host in self.hosts.values() if not host.leaving]
        for _ in range(self.goal - len(staying)):
            if not self.quiet and self.clock.chance(self.faults.no_capacity):
                self.clock.after(NO_CAPACITY, self._converge)
                return
            host = Host(self._launched, launched=self.clock.seconds)
            self._launched += 1
            self.hosts[host.number] = host
            self.clock.after(self.clock.random.uniform(*BOOT), partial(self._ready, host))
            self._lose_some_time(host)
        # ECS protects instances with ECS tasks on them from scale-in; they go when those have ended.
        spare = [host for host in staying if not host.tasks]
        for host in spare[: max(0, len(staying) - self.goal)]:
            self._leave(host)

    def _ready(self, host: Host) -> None:
        if host.number in self.hosts and not host.leaving:
            host.ready = True
            self.clock.say(f"host {host.number} registers")

    def _leave(self, host: Host) -> None:
        host.leaving = True
        self.clock.say(f"host {host.number} is terminated")
        self.clock.after(0 if self.quiet else self.faults.lingers, lambda: self._gone(host))

    def _gone(self, host: Host) -> None:
        if self.hosts.pop(host.number, None):
            self.billed += self.clock.seconds - host.launched

    def _lose_some_time(self, host: Host) -> None:
        if self.faults.host_lost_an_hour:
            wait = self.clock.random.expovariate(self.faults.host_lost_an_hour / 3600)
            self.clock.after(wait, lambda: None if self.quiet else self.lose(host))

    def lose(self, host: Host) -> None:
        """Let a host go away with all that is on it."""
        if host.number not in self.hosts:
            return
        self.clock.say(f"host {host.number} is lost")
        for task in list(host.tasks.values()):
            self._end(task, "TerminationNotice", None, "Host EC2 (instance) terminated.")
        self._gone(host)
        self._converge()

    # -- ECS

    def instances(self) -> list[Instance]:
        return [
            Instance(
                cpu=CPU - CPU // (INTERFACES - 1) * len(host.tasks),
                memory=MEMORY - MEMORY // (INTERFACES - 1) * len(host.tasks),
                interfaces=INTERFACES - 1 - len(host.tasks),
                tasks=len(host.tasks),
                arn=f"instance/{host.number}",
                ec2_id=str(host.number),
                draining=host.draining,
            )
            for host in self.hosts.values()
            if host.ready
        ]

    def drain(self, arns: list[str]) -> None:
        for arn in arns:
            if host := self.hosts.get(int(arn.partition("/")[2])):
                host.draining = True

    def run(self, cpu: int, count: int, started_by: str, token: str, stage: str) -> list[str]:
        if not 1 <= count <= engine.RUN_BATCH:
            self.exceeded.append(f"RunTask of {count} ECS tasks")
        self._take("RunTask")
        if not self.quiet and self.clock.chance(self.faults.throttle):
            raise driver.Throttled("Rate exceeded")
        if token in self._tokens:
            if self._tokens[token][0] != count:
                self.exceeded.append("a client token with other parameters")
            return self._tokens[token][1]
        arns: list[str] = []
        for _ in range(count):
            host = next((host for host in self.hosts.values() if self._fits(host, cpu)), None)
            if host is None:
                break
            task = Task(f"cluster/task-{len(self.tasks)}", host, started_by, stage, self.clock.seconds)
            self.tasks[task.arn] = host.tasks[task.arn] = task
            arns.append(task.arn)
            self.clock.after(self.clock.random.uniform(*START), partial(self._started, task))
        self.clock.say(f"RunTask of {count}: {', '.join(arns) or 'no room'}")
        self._tokens[token] = (count, arns)
        return arns

    def stop(self, arn: str, reason: str) -> None:
        self._take("StopTask")
        task = self.tasks[arn]
        if task.status == "stopped" or task.told:
            return
        task.told = True
        self.clock.say(f"{arn} is told to stop: {reason}")
        if task.container:
            task.container.stop()
        code = 143 if task.container else None
        self.clock.after(self.clock.random.uniform(*STOPPING), lambda: self._end(task, "UserInitiated", code, reason))

    def live(self, started_by: str | None = None) -> list[str]:
        """List the ECS tasks that are meant to run."""
        return [
            task.arn
            for task in self.tasks.values()
            if task.status != "stopped" and not task.told and started_by in {None, task.started_by}
        ]

    def worker(self, arn: str) -> Worker:
        task = self.tasks.get(arn)
        if task is None or (task.status == "stopped" and self.clock.seconds - task.stopped > REMEMBERED):
            return Worker(arn=arn, status="missing")
        return Worker(
            arn=arn,
            status=task.status,  # type: ignore[arg-type]
            since=self.clock.at(task.created),
            exit_code=task.exit_code,
            stop_code=task.stop_code,
            reason=task.reason,
        )

    def _fits(self, host: Host, cpu: int) -> bool:
        return host.ready and not host.draining and not host.leaving and (len(host.tasks) + 1) * cpu <= CPU

    def _take(self, call: str) -> None:
        now = self.clock.seconds
        self._level = min(BURST, self._level + (now - self._at) * RATE)
        self._at = now
        self._level -= 1
        if self._level < 0:
            self.exceeded.append(f"the bucket of {call}")

    def _started(self, task: Task) -> None:
        if task.status != "pending" or task.told:
            return
        if not self.quiet and self.clock.chance(self.faults.start_fails):
            self._end(task, "TaskFailedToStart", None, "CannotPullContainerError: pull image: connection reset")
            return
        task.status = "running"
        self.clock.say(f"{task.arn} runs on host {task.host.number}")
        task.container = self._start_container(
            task, lambda code, reason: self._end(task, "EssentialContainerExited", code, reason)
        )
        if self.faults.worker_dies_an_hour:
            wait = self.clock.random.expovariate(self.faults.worker_dies_an_hour / 3600)
            self.clock.after(
                wait, lambda: None if self.quiet else self._end(task, "EssentialContainerExited", 139, "killed")
            )

    def _end(self, task: Task, stop_code: str, exit_code: int | None, reason: str) -> None:
        if task.status == "stopped":
            return
        task.status, task.stopped = "stopped", self.clock.seconds
        task.stop_code, task.exit_code, task.reason = stop_code, exit_code, reason
        self.clock.say(f"{task.arn} has stopped: {stop_code}, exit code {exit_code} {reason}")
        del task.host.tasks[task.arn]
        if task.container:
            task.container.kill()
        self._converge()
