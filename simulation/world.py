"""A world for a seed: jobs, their faults, the people who cancel, clear and resume them, and what came of it."""

import dataclasses
import hashlib
import traceback
from collections.abc import Iterator
from functools import partial
from typing import Any

from simulation.airflow import KILL, DagRun
from simulation.checkers import aws, ends, ledgers, shards, told
from simulation.checkers.over_time import OverTime
from simulation.clock import Clock
from simulation.cloud import Cloud, Container, Task
from simulation.containers import Work, Worker
from simulation.faults import Faults
from simulation.ports import Marks, Ports, Process
from simulation.s3 import Bucket
from simulation.scenario import Act, JobPlan, Scenario
from winbatch import cancelling, capacity, driver, keys, orchestration, resuming
from winbatch.deployment import Cluster, Deployment, InstanceType, Workload
from winbatch.job import Job
from winbatch.ledger import Ledger
from winbatch.spec import Spec
from winbatch.stage import Stage
from winbatch.working.claims import Claims

# Seconds after the last fault within which everything must have ended.
PATIENCE = 12 * 3600.0
# Until somebody has heard of an alarm, s.
ALARM = 600.0
# So long is Airflow away, s.
AWAY = 1200.0
# A person looks whether what was cancelled has ended.
LOOK = 2.0

JOB = """
dag: {dag}
title: Simulated
description: A job of the simulation.
workload: w
parameters:
  point: {{title: Points, description: Of the sweep., type: array, items: {{type: number}}, default: [1]}}
  number: {{title: Items, description: Items., type: integer, default: 1, minimum: 1, maximum: 100000}}
stages:
  - name: work
    run: w.work:run
    groups: true
    items: number
    over: point
    params: []
{more}
"""
MORE = """
  - name: merge
    run: w.merge:run
    inputs: [work]
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a world.

    Attributes:
        scenario: its.
        problems: what did not hold.
        trace: what happened.
        hours: that it lasted.
    """

    scenario: Scenario
    problems: tuple[str, ...]
    trace: tuple[str, ...]
    hours: float

    @property
    def digest(self) -> str:
        """Of the trace: the same seed gives the same one."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


class World:
    """One world."""

    def __init__(self, scenario: Scenario | int, faults: Faults | None = None) -> None:
        """Make what a scenario says, or that of a seed, with other faults if these are given."""
        drawn = Scenario.draw(scenario) if isinstance(scenario, int) else scenario
        self.scenario = drawn if faults is None else dataclasses.replace(drawn, faults=faults)
        self.clock = Clock(self.scenario.seed)
        self.faults = self.scenario.faults
        self.problems: list[str] = []
        self.bucket = Bucket(self.clock.now)
        self.twice = shards.NothingTwice(self.bucket, self.problems)
        self.cloud = Cloud(self.clock, self.faults, self.scenario.instances, self._container)
        self.work = Work(seconds=(0.5, self.scenario.item_seconds))
        self.target = _deployment(self.scenario.instances, cpu=self.scenario.cpu)
        shards.NobodyIsRobbed(self.bucket, self.cloud, self.problems)
        self.written_over = ledgers.NothingWrittenOver(self.problems)
        # Calls of a tick that was held up come beside those of the next one, as another engine's do.
        engines = 1 + bool(self.faults.zombie) + bool(self.faults.held_up)
        self.starts = aws.Starts(self.cloud, self.problems, self._most, engines, self.faults.skew)
        self.ended = ledgers.StaysEnded(self.bucket, self.problems, self._round_of)
        self.runs: list[DagRun] = []
        for number, job in enumerate(self.scenario.jobs):
            self._plan_run(number, job)
        self.over_time = OverTime(self.runs, self.bucket, self.cloud, self.problems)
        self.clock.watchers.append(self.over_time.step)
        if self.faults.away_an_hour:
            self._airflow_leaves()

    def live(self) -> Outcome:
        """Let it live until everything has ended, and check it."""
        try:
            with self.scenario.sizes.there():
                self._live()
        except Exception as error:  # noqa: BLE001 - whatever is raised in a world is a fault that it has found
            self.problems.append(_where(error))
        return Outcome(
            self.scenario,
            tuple(dict.fromkeys(self.problems)),
            tuple(self.clock.trace),
            self.clock.seconds / 3600,
        )

    def _live(self) -> None:
        quiet = self.scenario.fault_seconds
        while not self._over() and self.clock.seconds < quiet + PATIENCE:
            if self.clock.seconds >= quiet and not self.cloud.quiet:
                self.cloud.quiet = True
                self.clock.say("from now on nothing goes wrong any more")
            if not self.clock.step():
                break
        # What is being ended ends.
        self.clock.pass_by(600)
        self.problems += ends.ended(self.runs)
        self.problems += aws.limits_of_aws(self.cloud)
        self.over_time.end()
        if all(run.ended for run in self.runs):
            self.problems += ends.nothing_is_left(self.cloud, self.bucket, self.runs)
            for run in self.runs:
                self.problems += told.what_is_told_is_true(run, self.bucket)

    def leave_alone(self) -> None:
        """Have Airflow be away for a while from now on, with all that it runs."""
        self.clock.say("Airflow is away")
        self.over_time.away(AWAY)
        for number, run in enumerate(self.runs):
            # Its workers have some slots, so all that is due then is taken up one after the other.
            run.away(AWAY + number)

    def _airflow_leaves(self) -> None:
        """Have Airflow be away now and then, with all that it runs."""

        def leave() -> None:
            if not self.cloud.quiet:
                self.leave_alone()
                self._airflow_leaves()

        self.clock.after(self.clock.random.expovariate(self.faults.away_an_hour / 3600), leave)

    def _over(self) -> bool:
        return self._people == 0 and all(run.ended for run in self.runs)

    def _round_of(self, ledger: str) -> int:
        return self._run_of(ledger).round

    def _most(self, stage: str) -> int:
        """ECS tasks that a stage may have."""
        each = capacity.tasks_per_instance(self.target.cluster, self.target.workload("w"))
        return int(self._run_of(stage).params["max_instances"]) * each

    def _run_of(self, key: str) -> DagRun:
        """Find the run whose job this key belongs to."""
        return next(run for run in self.runs if f"/{run.spec.dag}/{keys.job_id(run.run_id)}/" in f"/{key}")

    # -- what the scenario says

    _people = _released = 0

    def _plan_run(self, number: int, job: JobPlan) -> None:
        text = JOB.format(dag=job.dag, more=MORE if job.dag == "two" else "")
        spec = Spec.parse(text, where=f"{job.dag}.yaml")
        params: dict[str, Any] = {
            "point": [float(point) for point in range(job.points)],
            "number": job.number,
            "max_instances": job.max_instances,
            "max_failed_items": job.max_failed_items,
            "shard_items": job.shard_items,
        }
        run = DagRun(
            clock=self.clock,
            faults=self.faults,
            quiet=lambda: self.cloud.quiet,
            ports=lambda process: Ports(process, self.bucket, self.cloud, self.written_over.wrote),
            spec=spec,
            run_id=f"run-{number}",
            params=spec.validate(params),
            target=self.target,
            version=self.scenario.airflow,
        )
        self.runs.append(run)
        # The alarm `teardown` says so, and docs/operating.md what to do.
        run.gave_up = lambda: self._soon(ALARM, lambda: self._see_it_ended(run, starting=True))
        self._soon(job.begins, run.begin)
        for act in job.acts:
            self._soon(act.at, partial(self._act, act, run))

    def _act(self, act: Act, run: DagRun) -> None:
        match act.kind:
            case "cancel":
                self._cancel(run)
            case "resume":
                self._resume(run)
            case "mark":
                self._mark(run)
            case "clear":
                run.clear()
            case "fail_stage":
                run.mark_a_stage_failed()
            case "release":
                self._release()

    def _soon(self, seconds: float, act: Any) -> None:
        """Have a person do something later; the world does not end before."""
        self._people += 1

        def done() -> None:
            self._people -= 1
            act()

        self.clock.after(seconds, done)

    # -- people

    def _person(self) -> Ports:
        """What somebody's command sees: it is called again when it fails."""
        return Ports(Process(self.clock, Faults(), lambda: True), self.bucket, self.cloud)

    def _cancel(self, run: DagRun) -> None:
        """As `invoke cancel` does."""
        if run.state != "running":
            return
        starting = run.starting
        run.mark_failed()
        self._soon(KILL[1] if starting else LOOK, lambda: self._see_it_ended(run, starting=starting))

    def _see_it_ended(self, run: DagRun, *, starting: bool) -> None:
        if not run.ended:
            self._soon(LOOK, lambda: self._see_it_ended(run, starting=starting))
        elif starting or any(ledger and not ledger.finished for _, ledger in self._ledgers(run)):
            # Airflow's API does not say how often a run was cleared.
            seen = dataclasses.replace(run.seen, start=dataclasses.replace(run.start, clears=None))
            self._take_down(orchestration.scale_in(seen, self._person(), self.target))

    def _take_down(self, teardown: Iterator[float]) -> None:
        pause = next(teardown, None)
        if pause is not None:
            self._soon(pause, lambda: self._take_down(teardown))

    def _release(self) -> None:
        """Serve another release, with another task definition: runs that begin, or are cleared, go on with it."""
        self._released += 1
        workload = dataclasses.replace(self.target.workload("w"), task_definition=f"td:{self._released + 1}")
        target = dataclasses.replace(self.target, workloads={"w": workload})
        self.clock.say(f"release {self._released}")
        for run in self.runs:
            run.served = f"release {self._released}", target

    def _mark(self, run: DagRun) -> None:
        """As `invoke cancel` does where MWAA's API cannot name the run."""
        if not run.ended:
            cancelling.cancel(self._person(), run.spec.dag, keys.job_id(run.run_id), run.start)

    def _resume(self, run: DagRun) -> None:
        """As `invoke resume` does."""
        if not run.ended or run.state == "queued":
            return
        ports = self._person()
        for stage in resuming.stale(self._ledgers(run)):
            resuming.reopen(ports, stage)
        run.clear()

    def _ledgers(self, run: DagRun) -> list[tuple[Stage, Ledger | None]]:
        key = keys.job_key(run.spec.dag, keys.job_id(run.run_id))
        found = self.bucket.get(key)
        stages = Job.from_json(found.body, where=key).stages if found else ()
        return [(stage, driver.find_ledger(self._person(), stage)) for stage in stages]

    # -- containers

    def _container(self, task: Task, ended: Any) -> Container:
        found = self.bucket.get(task.stage)
        assert found is not None, f"{task.stage} is gone"
        stage = Stage.from_json(found.body, where=task.stage)
        self.twice.watch(stage)
        # A worker's client of S3 tries eight times: what is left of a bad hour is little.
        process = Process(self.clock, self._of_workers(), lambda: self.cloud.quiet)
        return Worker(
            clock=self.clock,
            faults=lambda: self.faults if not self.cloud.quiet else Faults(),
            bucket=self.bucket,
            process=process,
            stage=stage,
            claims=Claims(Marks(process, self.bucket), stage, task.arn, lambda: self.clock.now() + process.skew),
            slots=self.target.workload("w").slots,
            work=self.work,
            ended=ended,
        )

    def _of_workers(self) -> Faults:
        return dataclasses.replace(self.faults, crash=self.faults.crash / 10, unavailable=self.faults.unavailable / 10)


def _where(error: Exception) -> str:
    """Say what was raised, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}: {error}"


def _deployment(most: int, *, cpu: int) -> Deployment:
    return Deployment(
        environment="simulated",
        region="eu-central-1",
        account_id="123456789012",
        data_bucket="data",
        data_prefixes=("jobs", "sim"),
        cluster=Cluster(
            name="cluster",
            capacity_provider="cp",
            auto_scaling_group="asg",
            max_instances=most,
            subnets=("s",),
            security_groups=("g",),
            instance_types=(
                InstanceType(type="c5.xlarge", vcpus=4, memory_mib=8192, network_interfaces=4, usd_per_hour=0.4),
            ),
        ),
        workloads={
            "w": Workload(
                task_definition="td:1",
                container="c",
                cpu=cpu,
                memory=1024,
                image="i",
                log_group="g",
                log_stream_prefix="p",
            )
        },
    )
