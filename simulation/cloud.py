"""Hosts, ECS tasks and the Auto Scaling group of one cluster; who exceeds a limit of AWS is noted."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from simulation.clock import Clock
from simulation.faults import Faults
from simulation.throttles import TokenBucket
from winbatch import engine
from winbatch.capacity import Group, Instance
from winbatch.deployment import Workload
from winbatch.ecs_tasks import Worker
from winbatch.ports import Throttled

# ECS forgets a stopped ECS task after an hour.
REMEMBERED = 3600.0
# EC2 has instances again after so long, s; Spot says so much before it takes one.
NO_CAPACITY = 60.0
SPOT_NOTICE = 120.0
NO_CAPACITY_SAID = "InsufficientInstanceCapacity (c5.xlarge in eu-central-1a): there is no Spot capacity"

# docs.aws.amazon.com, ECS request throttling and service quotas: RunTask and StopTask share a bucket of 100 calls that
# refills at 40 a second, Describe and List one at 20; 500 ECS tasks in PROVISIONING; 100 ARNs a page.
SUBMIT = (100.0, 40.0)
READ = (100.0, 20.0)
PROVISIONING = 500
PAGE = 100
# So often at most is one instance terminated: once, and once more for each engine whose answer was lost.
TERMINATIONS = 4
# Of ECS tasks, where ECS is slow to know them at all.
UNSEEN = 0.3

Between = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """What the instances of a cluster are like.

    Attributes:
        cpu: for ECS tasks, in 1/1024 core.
        memory: for ECS tasks, MiB.
        interfaces: for ECS tasks.
        windows: which Windows ECS says they are.
        type: their instance type.
        boot: from the wish for an instance to its registration; this and what follows in seconds, from and to.
        pull: of an image, once an instance.
        start: of a container.
        stop: from the order to stop to the end.
    """

    cpu: int = 4096
    memory: int = 8192
    interfaces: int = 3
    windows: str = ""
    type: str = "c5.xlarge"
    boot: Between = (60.0, 240.0)
    pull: Between = (0.0, 0.0)
    start: Between = (5.0, 60.0)
    stop: Between = (0.5, 5.0)


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
    launched: float
    ready: bool = False
    draining: bool = False
    leaving: bool = False
    left: float = 0.0
    pulled_at: float | None = None
    tasks: "dict[str, Task]" = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class Task:
    """An ECS task; its `status` is that of `winbatch.ecs_tasks.Worker`."""

    arn: str
    host: Host
    workload: Workload
    started_by: str
    stage: str
    created: float
    unseen: float = 0.0
    status: str = "pending"
    exit_code: int | None = None
    stop_code: str = ""
    reason: str = ""
    stopped: float = 0.0
    told: bool = False
    container: Container | None = None

    @property
    def live(self) -> bool:
        """Say whether it is not stopped."""
        return self.status != "stopped"


class Cloud:
    """The cluster.

    Attributes:
        broken: rules of ours towards AWS that were broken.
        billed: instance-seconds of instances that are gone.
        calls: by name.
        submit, read: ECS's token buckets.
        run_times: of RunTask calls, s.
        watchers: are told of each RunTask call that is carried out: the stage's key, the time, its ECS tasks now.
        terminated: how often an order to terminate an instance was taken, by its id.
        most_tasks, most_pending, most_instances: there were at once.
        start_fails: why no ECS task can start; empty: all can.
        hangs: no ECS task comes to its start.
    """

    start_fails = ""
    hangs = False

    def __init__(
        self,
        clock: Clock,
        faults: Faults,
        most: int,
        start: Callable[[Task, Callable[[int, str], None]], Container],
        hardware: Hardware | None = None,
    ) -> None:
        """Make an empty one of at most so many instances; `start` makes the container of an ECS task that starts."""
        self.clock, self.faults, self.most = clock, faults, most
        self.start_container = start
        self.hardware = hardware or Hardware()
        self.hosts: dict[int, Host] = {}
        self.tasks: dict[str, Task] = {}
        self.goal = 0
        self.broken: list[str] = []
        self.billed = 0.0
        self.quiet = False
        self.calls: Counter[str] = Counter()
        self.submit, self.read = TokenBucket(*SUBMIT), TokenBucket(*READ)
        self.run_times: list[float] = []
        self.watchers: list[Callable[[str, float, int], None]] = []
        self.terminated: Counter[str] = Counter()
        self.lost = 0
        self.most_tasks = self.most_pending = self.most_instances = 0
        self._live: dict[str, Task] = {}
        self._pending = 0
        self._tokens: dict[str, tuple[int, str, list[str]]] = {}
        self._launched = 0
        self._refusal = ""

    @property
    def live_tasks(self) -> list[Task]:
        """The ECS tasks that have not stopped."""
        return [*self._live.values()]

    @property
    def exceeded(self) -> dict[str, int]:
        """Limits of AWS that were exceeded, with the number of times."""
        counts = {
            "RunTask and StopTask": self.submit.overdrawn,
            "Describe and List": self.read.overdrawn,
            "ECS tasks in PROVISIONING": max(0, self.most_pending - PROVISIONING),
        }
        return {name: count for name, count in counts.items() if count}

    @property
    def bill(self) -> float:
        """Instance-seconds so far."""
        return self.billed + sum(self.clock.seconds - host.launched for host in self.hosts.values())

    # -- Auto Scaling

    def group(self) -> Group:
        """Describe the Auto Scaling group; it has forgotten hosts that are long gone, though ECS may list them."""
        self.calls["autoscaling.DescribeAutoScalingGroups"] += 1
        since = self.clock.seconds - self.faults.lingers / 10
        leaving = (host for host in self.hosts.values() if host.leaving and (host.left >= since or not host.draining))
        return Group(self.goal, frozenset(str(host.number) for host in leaving))

    def ask(self, instances: int) -> str:
        """Set the desired capacity. Returns why instances could not be launched; empty where nothing is short."""
        self.calls["autoscaling.SetDesiredCapacity"] += 1
        if instances > self.most:
            self.broken.append(f"{instances} instances were asked for, of at most {self.most}")
        self.clock.say(f"Auto Scaling: {self.goal} -> {instances} instances")
        self.goal = instances
        self._converge()
        return self._refusal if len(self.hosts) < instances else ""

    def why_short(self) -> str:
        """Say why instances could not be launched, last; empty where that did not happen."""
        self.calls["autoscaling.DescribeScalingActivities"] += 1
        return self._refusal

    def refuse(self, reason: str) -> None:
        """Launch nothing from now on, for this reason of EC2's; with none, launch again."""
        self._refusal = reason
        self._converge()

    def terminate(self, ec2_id: str) -> bool:
        """Terminate a host and lower the desired capacity by one.

        Returns:
            Whether nothing is left to ask for; False while Auto Scaling is at something else.
        """
        self.calls["autoscaling.TerminateInstanceInAutoScalingGroup"] += 1
        if not self.quiet and self.clock.chance(self.faults.busy):
            return False
        self.terminated[ec2_id] += 1
        if self.terminated[ec2_id] > TERMINATIONS:
            self.broken.append(f"host {ec2_id} was terminated more than {TERMINATIONS} times")
        host = self.hosts.get(int(ec2_id))
        if host is None or host.leaving:
            return True
        if host.tasks:
            self.broken.append(f"host {ec2_id} was terminated with {len(host.tasks)} ECS tasks on it")
        if not host.draining:
            self.broken.append(f"host {ec2_id} was terminated before it was drained")
        self.goal -= 1
        self._leave(host)
        return True

    def _converge(self) -> None:
        staying = [host for host in self.hosts.values() if not host.leaving]
        for _ in range(self.goal - len(staying)):
            if self._refusal:
                return
            if not self.quiet and self.clock.chance(self.faults.no_capacity):
                self.clock.say("EC2 has no capacity")
                self._refusal = NO_CAPACITY_SAID
                self.clock.after(NO_CAPACITY, partial(self.refuse, ""))
                return
            self._launch()
        self.most_instances = max(self.most_instances, sum(not host.leaving for host in self.hosts.values()))
        # ECS protects instances with ECS tasks on them from scale-in; they go when those have ended.
        spare = [host for host in staying if not host.tasks]
        for host in spare[: max(0, len(staying) - self.goal)]:
            self._leave(host)

    def _launch(self) -> None:
        host = self.hosts[self._launched] = Host(self._launched, self.clock.seconds)
        self._launched += 1
        self.clock.after(self.clock.random.uniform(*self.hardware.boot), partial(self._ready, host))
        if rate := self.faults.host_lost_an_hour / 3600:
            wait = self.clock.random.expovariate(rate)
            self.clock.after(wait, lambda: None if self.quiet else self._reclaim(host))

    def _ready(self, host: Host) -> None:
        if host.number in self.hosts and not host.leaving:
            host.ready = True
            self.clock.say(f"host {host.number} registers")

    def _leave(self, host: Host) -> None:
        host.leaving, host.left = True, self.clock.seconds
        self.clock.say(f"host {host.number} is terminated")
        self.clock.after(0 if self.quiet else self.faults.lingers, lambda: self._gone(host))

    def _gone(self, host: Host) -> None:
        if self.hosts.pop(host.number, None):
            self.billed += self.clock.seconds - host.launched

    def _reclaim(self, host: Host) -> None:
        """Lose a host at once, or as Spot does: ECS's agent drains it, and two minutes later it is gone."""
        if host.number in self.hosts and self.clock.chance(self.faults.spot_notice):
            self.clock.say(f"host {host.number} gets a Spot notice")
            host.draining = True
            self.clock.after(SPOT_NOTICE, lambda: self.lose(host, "SpotInterruption"))
        else:
            self.lose(host)

    def lose_one(self) -> None:
        """Let one of the hosts that are ready go away."""
        if ready := [host for host in self.hosts.values() if host.ready]:
            self.lose(self.clock.random.choice(ready))

    def lose(self, host: Host, stop_code: str = "TerminationNotice") -> None:
        """Let a host go away with all that is on it."""
        if host.number not in self.hosts:
            return
        self.clock.say(f"host {host.number} is lost")
        self.lost += not host.leaving
        self._gone(host)
        for task in list(host.tasks.values()):
            self.end(task, stop_code, None, "Host EC2 (instance) terminated.")
        self._converge()

    # -- ECS

    def instances(self) -> list[Instance]:
        """List the hosts that have registered, with what is free on each."""
        ready = [host for host in self.hosts.values() if host.ready]
        self._asked("ecs.ListContainerInstances", _pages(len(ready)))
        if ready:
            self._asked("ecs.DescribeContainerInstances", _pages(len(ready)))
        return [self._instance(host) for host in ready]

    def _instance(self, host: Host) -> Instance:
        hardware, tasks = self.hardware, host.tasks.values()
        return Instance(
            cpu=hardware.cpu - sum(task.workload.cpu for task in tasks),
            memory=hardware.memory - sum(task.workload.memory for task in tasks),
            interfaces=hardware.interfaces - len(tasks),
            tasks=len(tasks),
            arn=f"instance/{host.number}",
            ec2_id=str(host.number),
            draining=host.draining,
            windows=hardware.windows,
            type=hardware.type,
        )

    def drain(self, arns: Sequence[str]) -> None:
        """Let no more ECS tasks be placed on hosts."""
        self.calls["ecs.UpdateContainerInstancesState"] += 1
        for arn in arns:
            if host := self.hosts.get(int(arn.partition("/")[2])):
                host.draining = True

    def run(self, workload: Workload, count: int, started_by: str, token: str, stage: str) -> list[str]:
        """Start ECS tasks as far as there is room; the same token again gives the same ones. Returns their ARNs.

        Raises:
            Throttled: by the rate of calls, or by chance
        """
        if not 1 <= count <= engine.workers.RUN_BATCH:
            self.broken.append(f"RunTask of {count} ECS tasks")
        self.run_times.append(self.clock.seconds)
        if not self._submitted("ecs.RunTask") or (not self.quiet and self.clock.chance(self.faults.throttle)):
            raise Throttled("Rate exceeded")
        if token in self._tokens:
            before, definition, arns = self._tokens[token]
            if before != count:
                self.broken.append("a client token with other parameters")
            # Of another release: ECS answers ConflictException, which `winbatch.aws` takes for no place.
            return arns if definition == workload.task_definition else []
        free = (host for host in self.hosts.values() for _ in range(self._places(host, workload)))
        arns = [self._place(host, workload, started_by, stage) for host, _ in zip([*free], range(count), strict=False)]
        self.clock.say(f"RunTask of {count}: {', '.join(arns) or 'no room'}")
        self._tokens[token] = (count, workload.task_definition, arns)
        if self.watchers:
            live = sum(task.stage == stage and not task.told for task in self._live.values())
            for watcher in self.watchers:
                watcher(stage, self.clock.seconds, live)
        self.most_tasks = max(self.most_tasks, len(self._live))
        self.most_pending = max(self.most_pending, self._pending)
        return arns

    def _places(self, host: Host, workload: Workload) -> int:
        """Number the ECS tasks of a workload that a host takes."""
        if not host.ready or host.draining or host.leaving:
            return 0
        free = self._instance(host)
        return max(0, min(free.cpu // workload.cpu, free.memory // workload.memory, free.interfaces))

    def _place(self, host: Host, workload: Workload, started_by: str, stage: str) -> str:
        now, random = self.clock.seconds, self.clock.random
        task = Task(f"cluster/task-{len(self.tasks)}", host, workload, started_by, stage, now)
        if not self.quiet and self.faults.unseen and self.clock.chance(UNSEEN):
            task.unseen = now + random.uniform(0, self.faults.unseen)
        self.tasks[task.arn] = self._live[task.arn] = host.tasks[task.arn] = task
        self._pending += 1
        if host.pulled_at is None:
            host.pulled_at = now + random.uniform(*self.hardware.pull)
        wait = max(0.0, host.pulled_at - now) + random.uniform(*self.hardware.start)
        self.clock.after(wait, partial(self._started, task))
        return task.arn

    def stop(self, arn: str, reason: str) -> None:
        """Tell an ECS task to stop, which takes it a while; nothing happens to one that was told before."""
        self._submitted("ecs.StopTask")
        task = self.tasks[arn]
        if not task.live or task.told:
            return
        task.told = True
        self.clock.say(f"{arn} is told to stop: {reason}")
        if task.container:
            task.container.stop()
        code = 143 if task.container else None
        self.clock.after(
            self.clock.random.uniform(*self.hardware.stop), lambda: self.end(task, "UserInitiated", code, reason)
        )

    def live(self, started_by: str | None = None) -> list[str]:
        """List the ECS tasks that are meant to run."""
        found = [
            task.arn
            for task in self._live.values()
            if not task.told and task.unseen <= self.clock.seconds and started_by in {None, task.started_by}
        ]
        self._asked("ecs.ListTasks", _pages(len(found)))
        return found

    def workers(self, arns: Sequence[str]) -> list[Worker]:
        """Describe ECS tasks."""
        if len(set(arns)) < len(arns):
            self.broken.append("an ECS task was asked for twice in a call")
        if arns:
            self._asked("ecs.DescribeTasks", _pages(len(arns)))
        return [self._worker(arn) for arn in arns]

    def _worker(self, arn: str) -> Worker:
        task = self.tasks.get(arn)
        now = self.clock.seconds
        if task is None or task.unseen > now or (not task.live and now - task.stopped > REMEMBERED):
            return Worker(arn=arn, status="missing")
        return Worker(
            arn=arn,
            status=task.status,  # type: ignore[arg-type]
            since=self.clock.at(task.created),
            exit_code=task.exit_code,
            stop_code=task.stop_code,
            reason=task.reason,
        )

    def _submitted(self, call: str) -> bool:
        self.calls[call] += 1
        return self.submit.take(1, self.clock.seconds)

    def _asked(self, call: str, pages: int) -> None:
        self.calls[call] += pages
        self.read.take(pages, self.clock.seconds)

    def _started(self, task: Task) -> None:
        if task.status != "pending" or task.told or self.hangs:
            return
        reason = self.start_fails
        if not self.quiet and self.clock.chance(self.faults.start_fails):
            reason = "CannotPullContainerError: pull image: connection reset"
        if reason:
            self.end(task, "TaskFailedToStart", None, reason)
            return
        task.status = "running"
        self._pending -= 1
        self.clock.say(f"{task.arn} runs on host {task.host.number}")
        task.container = self.start_container(
            task, lambda code, reason: self.end(task, "EssentialContainerExited", code, reason)
        )
        if rate := self.faults.worker_dies_an_hour / 3600:
            wait = self.clock.random.expovariate(rate)
            self.clock.after(
                wait, lambda: None if self.quiet else self.end(task, "EssentialContainerExited", 139, "killed")
            )

    def end(self, task: Task, stop_code: str, exit_code: int | None, reason: str = "") -> None:
        """End an ECS task, if it lives."""
        if not task.live:
            return
        self._pending -= task.status == "pending"
        task.status, task.stopped = "stopped", self.clock.seconds
        task.stop_code, task.exit_code, task.reason = stop_code, exit_code, reason
        self.clock.say(f"{task.arn} has stopped: {stop_code}, exit code {exit_code} {reason}")
        del task.host.tasks[task.arn], self._live[task.arn]
        if task.container:
            task.container.kill()
        self._converge()


def _pages(number: int) -> int:
    """Calls of a listing: an empty one is a call, too."""
    return max(1, -(-number // PAGE))
