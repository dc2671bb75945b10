"""What is asked of AWS once the environment is there: each check says whether AWS did as expected, and what it did."""

import csv
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from scripts.checks import report
from scripts.core.console import Step
from scripts.core.errors import JobFailed, OperatorError
from scripts.environments import smoke
from scripts.jobs import control, results, runs
from scripts.jobs.runs import Snapshot
from scripts.terraform.workspace import Outputs, Workspace
from scripts.verify.sequence import Outcome
from scripts.verify.settings import BACKSTOP_MINUTES, VerifySettings
from winbatch import spec

# Says to the contract tests that AWS is meant, and which region of it.
ON_AWS = "WINBATCH_TEST_AWS"
PREFIX = "sim/inputs/verify"
# Files that the job of programs looks at, and paths that the job of a table has.
FILES: Mapping[str, bytes] = {"one.txt": b"one\ntwo\n", "two.bin": bytes(range(256)) * 64}
VOLATILITIES, REPETITIONS = (0.1, 0.3), 2
# Items that take long enough to be cancelled, and some that outlive a host.
LONG: Mapping[str, Any] = {"ebn0_db": [4.0], "num_items": 8, "num_frames": 20_000_000, "max_instances": 1}
SOME: Mapping[str, Any] = {"ebn0_db": [4.0], "num_items": 16, "num_frames": 3_000_000, "max_instances": 1}
LOOK_SECONDS = 5.0
# A Windows instance takes up to eight minutes and its image as long again.
START_SECONDS = 2700.0
# After the backstop's minutes: alarms look every five, and an instance takes some to go.
DRILL_SECONDS = (BACKSTOP_MINUTES + 25) * 60.0


def contract(settings: VerifySettings, step: Step) -> Outcome:
    """Run the contract tests that can run on AWS."""
    log = settings.state / "contract.log"
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "tests.jsonl"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "on_aws",
            "tests/contract",
            "-p",
            "scripts.checks.recorder",
        ]
        command += ["-p", "no:cacheprovider", "--basetemp", str(Path(folder) / "tests")]
        environ = {**os.environ, report.VARIABLE: str(record), ON_AWS: settings.region}
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=settings.root, env=environ, stdout=output, stderr=output)
            try:
                while process.poll() is None:
                    step.update(f"{len({phase.test for phase in report.read(record)})} tests")
                    time.sleep(1.0)
            finally:
                process.terminate()
                process.wait()
        tests = outcomes(report.read(record))
    failed = sorted(test for test, outcome in tests.items() if outcome == "failed")
    if not tests:
        return Outcome(ok=False, detail=f"no test ran; {log} says why")
    names = ", ".join(test.rpartition("::")[2] for test in failed)
    detail = f"{len(failed)} of {len(tests)} otherwise: {names}; {log}" if failed else f"{len(tests)} tests"
    return Outcome(ok=not failed, detail=detail, tests=tests)


def outcomes(phases: Iterable[report.Phase]) -> dict[str, str]:
    """`passed` or `failed` of each test, one with parameters once; skipped ones are left out."""
    found: dict[str, str] = {}
    for entry in phases:
        test = entry.test.partition("[")[0]
        if entry.outcome == "failed":
            found[test] = "failed"
        elif entry.outcome == "passed" and entry.phase == "call":
            found.setdefault(test, "passed")
    return found


def python_job(settings: VerifySettings, step: Step) -> Outcome:
    """Run the smoke check: a function of Python, its curve within what theory says."""
    del step
    done = smoke.run(settings)
    return Outcome(ok=True, detail=f"{done['run_id']}, {done['items']} items")


def program_job(settings: VerifySettings, step: Step) -> Outcome:
    """Run a program over files in S3."""
    workspace, outputs = _environment(settings)
    s3 = workspace.aws.client("s3")
    for name, body in FILES.items():
        s3.put_object(Bucket=outputs.data_bucket, Key=f"{PREFIX}/{name}", Body=body)
    rows = _rows(workspace, outputs, "files", {"input_prefix": PREFIX}, step)
    found = {row["key"].removeprefix(f"{PREFIX}/"): row["sha256"] for row in rows}
    expected = {name: hashlib.sha256(body).hexdigest() for name, body in FILES.items()}
    right = sum(found.get(name) == digest for name, digest in expected.items())
    return Outcome(ok=found == expected, detail=f"{len(rows)} files, {right} of {len(expected)} with the right digest")


def table_job(settings: VerifySettings, step: Step) -> Outcome:
    """Run two programs in a row whose results become a table."""
    workspace, outputs = _environment(settings)
    parameters = {"volatility": list(VOLATILITIES), "repetitions": REPETITIONS, "count": 2000}
    rows = _rows(workspace, outputs, "chain", parameters, step)
    expected = len(VOLATILITIES) * REPETITIONS
    return Outcome(ok=len(rows) == expected, detail=f"{len(rows)} rows of {expected}")


def cancelled(settings: VerifySettings, step: Step) -> Outcome:
    """Cancel a job whose items are at work: it must end cancelled, and the cluster at zero."""
    workspace, outputs = _environment(settings)
    run_id = runs.start(workspace, outputs, smoke.DAG, spec.load(smoke.DAG).validate(dict(LONG)))
    _wait(lambda: _at_work(workspace, outputs, run_id), START_SECONDS, f"{run_id} to be at work", step)
    done = control.cancel(workspace, outputs, smoke.DAG, run_id, step.update)
    ok = done.snapshot.state == "cancelled" and not done.instances
    return Outcome(ok=ok, detail=f"{run_id} {done.snapshot.state}, {done.instances} instances asked for")


def lost_instance(settings: VerifySettings, step: Step) -> Outcome:
    """Terminate the instance that a job works on: another one must take over, and every item be there."""
    workspace, outputs = _environment(settings)
    run_id = runs.start(workspace, outputs, smoke.DAG, spec.load(smoke.DAG).validate(dict(SOME)))
    _wait(lambda: _at_work(workspace, outputs, run_id), START_SECONDS, f"{run_id} to be at work", step)
    (instance, *_) = _instances(workspace, outputs)
    workspace.aws.client("ec2").terminate_instances(InstanceIds=[instance])
    snapshot = _follow(workspace, outputs, smoke.DAG, run_id, step)
    ok = snapshot.state == "succeeded" and not snapshot.failed_items
    return Outcome(
        ok=ok, detail=f"{run_id} {snapshot.state} without {instance}: {'; '.join(snapshot.problems) or 'all items'}"
    )


def backstop(settings: VerifySettings, step: Step) -> Outcome:
    """Leave an instance on with no job: the alarm must scale the group to zero."""
    workspace, outputs = _environment(settings)
    alarms, scaling = workspace.aws.client("cloudwatch"), workspace.aws.client("autoscaling")
    group, alarm = outputs.deployment["cluster"]["auto_scaling_group"], f"winbatch-{settings.environment}-backstop"
    scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1, HonorCooldown=False)
    _wait(lambda: _instances(workspace, outputs), START_SECONDS, "an instance to be in service", step)
    if settings.emulated:
        # It evaluates no alarms: whoever tests there raises them by hand.
        alarms.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="verify-aws on the emulator")
    began = time.monotonic()
    _wait(lambda: _desired(scaling, group) == 0, DRILL_SECONDS, f"{alarm} to scale to zero", step)
    (found,) = alarms.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    minutes = (time.monotonic() - began) / 60
    return Outcome(ok=True, detail=f"at zero after {minutes:.0f} minutes; {alarm} is in {found['StateValue']}")


def _environment(settings: VerifySettings) -> tuple[Workspace, Outputs]:
    workspace = Workspace(settings)
    return workspace, workspace.outputs()


def _rows(
    workspace: Workspace, outputs: Outputs, dag: str, parameters: Mapping[str, Any], step: Step
) -> list[dict[str, str]]:
    """Run a job of one instance, and read the table that it leaves.

    Raises:
        JobFailed: it did not succeed, or left none.
    """
    run_id = runs.start(workspace, outputs, dag, spec.load(dag).validate({**parameters, "max_instances": 1}))
    snapshot = _follow(workspace, outputs, dag, run_id, step)
    if snapshot.state != "succeeded":
        raise JobFailed(f"{run_id} {snapshot.state}: {'; '.join(snapshot.problems) or 'its Airflow tasks say why'}")
    with tempfile.TemporaryDirectory() as folder:
        for file in results.fetch(workspace, outputs, snapshot, Path(folder)):
            if file.name == "results.csv":
                return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    raise JobFailed(f"{run_id} succeeded and left no results.csv")


def _follow(workspace: Workspace, outputs: Outputs, dag: str, run_id: str, step: Step) -> Snapshot:
    began = time.monotonic()

    def look(snapshot: Snapshot) -> None:
        step.update(f"{run_id} {snapshot.state}, {time.monotonic() - began:.0f} s")
        if time.monotonic() - began > START_SECONDS:
            raise JobFailed(f"{run_id} has not ended after {START_SECONDS:.0f} s")

    return runs.follow(workspace, outputs, dag, run_id, look)


def _wait[T](look: Callable[[], T], seconds: float, what: str, step: Step) -> T:
    """Look until there is something to be seen.

    Raises:
        OperatorError: there was nothing in time.
    """
    began = time.monotonic()
    while not (seen := look()):
        waited = time.monotonic() - began
        if waited > seconds:
            raise OperatorError(f"waited {waited / 60:.0f} minutes in vain for {what}")
        step.update(f"{waited:.0f} s, for {what}")
        time.sleep(LOOK_SECONDS)
    return seen


def _at_work(workspace: Workspace, outputs: Outputs, run_id: str) -> bool:
    """Whether a job's ECS tasks run.

    Raises:
        JobFailed: it has ended.
    """
    snapshot = runs.look(workspace, outputs, smoke.DAG, run_id)
    if snapshot.ended:
        raise JobFailed(f"{run_id} {snapshot.state} too soon: {'; '.join(snapshot.problems)}")
    return any(ledger and ledger.tasks_running for _, ledger in snapshot.stages)


def _instances(workspace: Workspace, outputs: Outputs) -> list[str]:
    """The ids of the group's instances that are in service."""
    name = outputs.deployment["cluster"]["auto_scaling_group"]
    groups = workspace.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    (group,) = groups["AutoScalingGroups"]
    return [str(one["InstanceId"]) for one in group["Instances"] if one["LifecycleState"] == "InService"]


def _desired(scaling: Any, name: str) -> int:
    (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return int(group["DesiredCapacity"])
