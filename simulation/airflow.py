"""A DAG run under Airflow: its tasks in order, tries, reschedules, kills, two processes of one task at once, clears."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Literal

from simulation.clock import Clock
from simulation.faults import Faults
from simulation.ports import Killed, Ports, Process, UnansweredError
from simulation.scenario import AirflowVersion
from winbatch import orchestration
from winbatch.deployment import Deployment
from winbatch.errors import UnavailableError, WinbatchError
from winbatch.orchestration import Run, Sensor
from winbatch.ports import Refused, Throttled
from winbatch.spec import Spec
from winbatch.starts import Start
from winbatch.storage import Conflict
from winbatch.times import format_time

# Seconds: from due to running; of a retry; until Airflow knows that a process is gone; until it kills one that it does
# not want any more; and a sensor that is due sooner stays (`winbatch.steps`).
LATENCY = (0.5, 4.0)
RETRY = 12.0
UNSEEN = (5.0, 60.0)
KILL = (1.0, 20.0)
STAY = 10.0

State = Literal["none", "running", "success", "failed", "upstream_failed"]
TRIES = {"scale_out": 4, "plan": 4, "scale_in": 51}
SENSOR_TRIES = 51


@dataclasses.dataclass(eq=False)
class _Task:
    """An Airflow task instance."""

    name: str
    index: int = -1
    state: State = "none"
    tries: int = 0
    rescheduled: bool = False
    process: Process | None = None

    @property
    def over(self) -> bool:
        return self.state not in {"none", "running"}


class DagRun:
    """One run of a job.

    Attributes:
        state: of the run; `queued` before it begins.
        ends: how often it has ended.
        gave_up: is called when the teardown has failed as often as Airflow tries it.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        faults: Faults,
        quiet: Callable[[], bool],
        ports: Callable[[Process], Ports],
        spec: Spec,
        run_id: str,
        params: Mapping[str, Any],
        target: Deployment,
        version: AirflowVersion,
    ) -> None:
        """Make it, in an Airflow of some version; `ports` gives those of a process."""
        self.clock, self.faults, self.quiet, self.ports = clock, faults, quiet, ports
        self.spec, self.run_id, self.params, self.version = spec, run_id, params, version
        # What Airflow serves by now: a run goes on with that which it has begun with.
        self.served = self.release, self.target = "first", target
        self.made = clock.now()
        self.started = self.made
        self.state: Literal["queued", "running", "success", "failed"] = "queued"
        self.ends = 0
        self.round = 0
        self._clears = 0
        self._tasks: dict[tuple[str, int], _Task] = {}
        # As Airflow counts: tries of an Airflow task, and how many of them there were when it was cleared last.
        self._begun: Counter[tuple[str, int]] = Counter()
        self._cleared: Counter[tuple[str, int]] = Counter()
        self._back = 0.0
        self.gave_up: Callable[[], None] = lambda: None

    @property
    def ended(self) -> bool:
        """Say whether it has come to its end, well or not."""
        return self.state in {"success", "failed"}

    @property
    def start(self) -> Start:
        """This start of it."""
        return Start(format_time(self.made), None if self.state == "queued" else self.started, self._clears)

    @property
    def seen(self) -> Run:
        """It, as its Airflow tasks see it."""
        return Run(dag=self.spec.dag, run_id=self.run_id, params=self.params, start=self.start, release=self.release)

    @property
    def name(self) -> str:
        """Give the DAG and the run's id, for people."""
        return f"{self.spec.dag}/{self.run_id}"

    def begin(self) -> None:
        """Start the run."""
        self.started = self.clock.now()
        self._begin()

    def clear(self) -> None:
        """Have somebody clear the run: what is at work is killed some seconds later, and all begins anew.

        An Airflow task with a process is RESTARTING, which is a try more of the same start; all others are cleared, and
        a run that has ended has another start (`airflow.models.taskinstance.clear_task_instances` of 3.2.1). 3.0.6 does
        not count that somebody clears a run which is at work.
        """
        if self.state == "queued":
            return
        wait = 0.0
        for key, task in self._tasks.items():
            if task.state == "running" and task.process:
                self._kill_later(task.process)
                wait = KILL[1] if task.name == "scale_out" else wait
            else:
                self._cleared[key] = self._begun[key]
        if self.ended:
            self.started = self.clock.now()
        self._clears += self.ended or self.version != "3.0"
        self._begin(wait)

    def _begin(self, wait: float = 0.0) -> None:
        self.state = "running"
        self.release, self.target = self.served
        self.round += 1
        names = ["scale_out", "plan", *(stage.name for stage in self.spec.stages), "scale_in"]
        self._tasks = {(name, -1): _Task(name) for name in names}
        self.clock.say(f"{self.name} begins, round {self.round}")
        self._schedule(self._tasks["scale_out", -1], wait)

    def mark_failed(self) -> None:
        """Have Airflow mark the run failed: what runs is killed some seconds later, and the teardown begins."""
        if self.ended:
            return
        self.clock.say(f"{self.name} is marked failed")
        setup_done = self._tasks["scale_out", -1].state == "success"
        for task in self._tasks.values():
            if task.name != "scale_in" and not task.over:
                task.state = "failed"
                if task.process:
                    self._kill_later(task.process)
        if setup_done:
            self._proceed()
        else:
            # Airflow runs no teardown whose setup did not succeed.
            self._end("failed")

    def mark_a_stage_failed(self) -> None:
        """Have somebody mark an Airflow task of a stage at work failed: it is killed some seconds later."""
        at_work = [
            task
            for task in self._tasks.values()
            if task.state == "running" and task.name not in TRIES and not self.ended
        ]
        if at_work:
            task = self.clock.random.choice(at_work)
            self.clock.say(f"{self.name} {task.name}[{task.index}] is marked failed")
            if task.process:
                self._kill_later(task.process)
            self._close(task, "failed")

    @property
    def never_set_up(self) -> bool:
        """It has ended without its scale-out, which may have asked for instances: Airflow runs no teardown then."""
        return self.ended and self._tasks["scale_out", -1].state != "success"

    @property
    def starting(self) -> bool:
        """Its scale-out is at work."""
        return self._tasks["scale_out", -1].state == "running"

    # -- Airflow's scheduler

    def _schedule(self, task: _Task, wait: float = 0.0) -> None:
        task.state = "running"
        this = self.round
        delay = wait + self.clock.random.uniform(*LATENCY)
        self.clock.after(delay, lambda: self._execute(task) if this == self.round and not task.over else None)

    def away(self, seconds: float) -> None:
        """Have Airflow be away: its processes are gone, and nothing is begun before it is back."""
        self._back = self.clock.seconds + seconds
        for task in self._tasks.values():
            if task.process:
                task.process.killed = True

    def _execute(self, task: _Task) -> None:
        if self.clock.seconds < self._back:
            this = self.round
            delay = self._back - self.clock.seconds + self.clock.random.uniform(*LATENCY)
            self.clock.after(delay, lambda: self._execute(task) if this == self.round and not task.over else None)
            return
        self._begun[task.name, task.index] += not task.rescheduled
        task.rescheduled = False
        process = task.process = Process(self.clock, self.faults, self.quiet)
        process.round = self.round
        body = self._body(task, process)
        if not self.quiet() and self.clock.chance(self.faults.zombie):
            # Airflow does not hear of it for a while and begins another; this one is killed only after that.
            wait = self.clock.random.uniform(*UNSEEN)
            self.clock.after(wait, lambda: self._forsake(task, process))
        self._advance(task, process, body)

    def _forsake(self, task: _Task, process: Process) -> None:
        if self._runs(task, process):
            self.clock.say(f"{self.name} {task.name}[{task.index}]: Airflow begins another try beside the living one")
            task.process = None
            self._kill_later(process)
            self._retry(task)

    def _kill_later(self, process: Process) -> None:
        def kill() -> None:
            process.killed = True

        self.clock.after(self.clock.random.uniform(*KILL), kill)

    def _advance(self, task: _Task, process: Process, body: Iterator[float]) -> None:
        try:
            pause = next(body, None)
        except Killed:
            self.clock.say(f"{self.name} {task.name}[{task.index}]: its process is killed")
            if task.process is process:
                self.clock.after(self.clock.random.uniform(*UNSEEN), lambda: self._died(task, process))
            return
        except (UnavailableError, UnansweredError, Throttled, Refused, Conflict) as error:
            self._over(task, process, "retry", str(error))
            return
        except WinbatchError as error:
            # The teardown is tried again whatever it says.
            self._over(task, process, "retry" if task.name == "scale_in" else "failed", str(error))
            return
        if pause is None:
            self._over(task, process, "success", "")
        elif pause > STAY and task.name != "scale_in":
            if self._runs(task, process):
                task.process, task.rescheduled = None, True
                this = self.round
                delay = pause + self.clock.random.uniform(*LATENCY)
                self.clock.after(delay, lambda: self._execute(task) if this == self.round and not task.over else None)
        else:
            self.clock.after(pause, lambda: self._advance(task, process, body))

    def _died(self, task: _Task, process: Process) -> None:
        if self._runs(task, process):
            self._retry(task)

    def _runs(self, task: _Task, process: Process) -> bool:
        """Say whether Airflow waits for this process: it has begun no other one, and the run was not cleared since."""
        mine = self._tasks.get((task.name, task.index)) is task
        return mine and task.process is process and task.state == "running"

    def _retry(self, task: _Task) -> None:
        task.process = None
        task.tries += 1
        if task.tries >= TRIES.get(task.name, SENSOR_TRIES):
            self._close(task, "failed")
        else:
            self._schedule(task, RETRY)

    def _over(self, task: _Task, process: Process, how: Literal["success", "failed", "retry"], why: str) -> None:
        if not self._runs(task, process):
            return
        task.process = None
        if how == "retry":
            self._retry(task)
        else:
            if why:
                self.clock.say(f"{self.name} {task.name}[{task.index}] failed: {why}")
            self._close(task, how)

    def _close(self, task: _Task, state: State) -> None:
        task.state = state
        self._proceed()

    def _proceed(self) -> None:
        """Begin what may begin now."""
        if self.ended:
            return
        tasks = self._tasks
        setup = tasks["scale_out", -1]
        before = [setup]
        names = ["scale_out", "plan", *(stage.name for stage in self.spec.stages)]
        for name in names[1:]:
            mine = [task for task in tasks.values() if task.name == name]
            if any(task.state in {"failed", "upstream_failed"} for task in before):
                for task in mine:
                    task.state = "upstream_failed" if not task.over else task.state
            elif all(task.state == "success" for task in before):
                for task in mine:
                    if task.state == "none":
                        self._schedule(task)
            before = mine
        rest = [task for task in tasks.values() if task.name != "scale_in"]
        teardown = tasks["scale_in", -1]
        if all(task.over for task in rest) and teardown.state == "none":
            if setup.state == "success":
                self._schedule(teardown)
            else:
                self._end("failed")
        elif teardown.over:
            well = all(task.state == "success" for task in tasks.values())
            self._end("success" if well else "failed")

    def _end(self, state: Literal["success", "failed"]) -> None:
        self.state = state
        self.ends += 1
        self.clock.say(f"{self.name} has ended: {state}")
        if self._tasks["scale_in", -1].state == "failed":
            self.gave_up()

    # -- what the Airflow tasks do

    def _body(self, task: _Task, process: Process) -> Generator[float]:
        ports, run = self.ports(process), self.seen
        match task.name:
            case "scale_out":
                yield from orchestration.scale_out(self.spec, run, ports, self.target)
            case "plan":
                groups = orchestration.plan(self.spec, run, ports, self.target)
                if self._runs(task, process):
                    self._map(groups)
            case "scale_in":
                yield from orchestration.scale_in(run, ports, self.target)
            case _:
                attempt = 1 + self._cleared[task.name, task.index]
                sensor = Sensor(stage=task.name, index=task.index, attempt=attempt)
                yield from orchestration.drive(sensor, run, ports, self.target)

    def _map(self, groups: list[str]) -> None:
        for stage in self.spec.stages:
            if stage.groups:
                self._tasks.pop((stage.name, -1), None)
                for index in range(len(groups)):
                    self._tasks[stage.name, index] = _Task(stage.name, index)
