"""Verbs of jobs: start, follow, look, take in hand, fetch."""

import functools
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from rich.text import Text

from scripts.cli import render
from scripts.cli.command import ENV, INTERRUPTED, JSON, JSON_AT_END, command, env_option, say_new_name
from scripts.core import errors, given
from scripts.core.console import Steps, console, emit, say, show
from scripts.core.errors import JobFailed, SettingsError
from scripts.core.settings import Settings
from scripts.environments import status
from scripts.jobs import control, item_log, results, runs, situation, why
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import keys, spec

DAG = "the job's DAG; default: what its run id begins with, else the one that has such a job in S3"
MAIN_DAG = "ber"
SPECIFICATION = f"which job specification of dags/jobs; default: {MAIN_DAG}, or what the run id begins with"


@command(
    name="status",
    help={"env": ENV, "json": JSON, "run-id": "show this job only", "dag": DAG},
)
def status_(_: Context, env: str = "", json: bool = False, run_id: str = "", dag: str = "") -> None:
    """Show an environment: addresses, Airflow's login, the cluster, the last jobs; or one job.

    Examples: invoke status; invoke status --json; invoke status --run-id ber-20261122-190000
    """
    settings = Settings.load(env)
    if run_id:
        workspace, outputs, dag = run_of(settings, run_id, dag)
        options = options_of(settings, run_id, dag)
        there = situation.read(workspace, outputs, dag, run_id, options=options)
        reason = why.tell(there)
        if json:
            emit({**status.job(dag, there.snapshot), "why": reason.as_json()})
            return
        for part in render.job(there.snapshot, options, reason):
            show(part, soft_wrap=isinstance(part, Text))
        return
    found = status.read(settings)
    if json:
        emit(found)
    elif found["state"] == "down":
        show(f"Environment {settings.environment} is down: invoke up")
    else:
        _show_status(found)


@command(
    iterable=["param"],
    help={
        "env": ENV,
        "json": JSON_AT_END,
        "dag": SPECIFICATION,
        "param": "key=value, as often as needed; --params lists the keys",
        "params": "list the parameters and their defaults",
        "wait": "follow the job to its end (--no-wait: do not)",
        "follow": "follow a run that was started before, by its id",
        "resume": "until 0.2.0, now: invoke resume R",
    },
)
def run(  # noqa: PLR0917 - invoke reads its options from here
    context: Context,
    env: str = "",
    dag: str = "",
    param: Sequence[str] | None = None,
    params: bool = False,
    wait: bool = True,
    follow: str = "",
    resume: str = "",
    json: bool = False,
) -> None:
    """Start a job and follow it, or take up one that is there. Ctrl-C leaves it running.

    Examples: invoke run; invoke run --param num_items=16 --param num_frames=200 --param ebn0_db=0,4,8;
    invoke run --no-wait; invoke run --follow ber-20261122-190000
    """
    _refuse_together(param=param, follow=follow, resume=resume)
    if resume:
        say_new_name("run --resume", "resume")
        resume_.body(context, resume, env=env, dag=dag, wait=wait, json=json)
        return
    if params:
        show(render.parameters(spec.load(dag or MAIN_DAG)))
        return
    settings = Settings.load(env)
    values = {} if follow else spec.load(dag or MAIN_DAG).validate(runs.parse_params(param or ()))
    workspace, outputs, dag = run_of(settings, follow, dag)
    run_id = follow or runs.start(workspace, outputs, dag, values)
    console.print(f"{'Following' if follow else 'Started'} {run_id}", markup=False)
    _go_on(workspace, outputs, dag, run_id, wait=wait, json=json)


def _go_on(workspace: Workspace, outputs: Outputs, dag: str, run_id: str, *, wait: bool, json: bool) -> None:
    """Follow a job that has been started, unless nobody waits; what came of it is shown.

    Raises:
        JobFailed: it ended otherwise than well.
    """
    options = options_of(workspace.settings, run_id, dag)
    if not wait:
        if json:
            emit({"run_id": run_id, "state": "queued"})
        else:
            console.print(f"Follow it: invoke run --follow {run_id}{options}", markup=False)
        return
    snapshot = _follow(workspace, outputs, dag, run_id)
    if json:
        emit(results.summary(outputs, snapshot))
    _show_problems(snapshot)
    if snapshot.state != "succeeded":
        for name in workspace.airflow(outputs).failed_tasks(dag, run_id):
            console.print(f"  Airflow task {name} failed; its log is on the Airflow page", markup=False)
        raise JobFailed(f"job {run_id} {snapshot.state} after {render.clock(snapshot.seconds)}")
    console.print(render.succeeded(snapshot, options), markup=False, soft_wrap=True)


@command(
    name="resume",
    help={
        "env": ENV,
        "json": JSON_AT_END,
        "run-id": "which job",
        "dag": DAG,
        "wait": "follow the job to its end (--no-wait: do not)",
    },
)
def resume_(_: Context, run_id: str, env: str = "", dag: str = "", wait: bool = True, json: bool = False) -> None:
    """Run what is missing of a job that failed, was cancelled, or has failed items, and follow it.

    Examples: invoke resume ber-20261122-190000; invoke resume ber-20261122-190000 --env dev --no-wait
    """
    settings = Settings.load(env)
    workspace, outputs, dag = run_of(settings, run_id, dag)
    ended = control.resume(workspace, outputs, dag, run_id)
    if ended is not None:
        console.print(f"{run_id} succeeded, and nothing of it is missing: nothing to do", markup=False)
        if json:
            emit(results.summary(outputs, ended))
        return
    console.print(f"Resumed {run_id}", markup=False)
    _go_on(workspace, outputs, dag, run_id, wait=wait, json=json)


@command(
    name="results",
    help={
        "env": ENV,
        "json": JSON,
        "run-id": "which job; default: the last one",
        "dag": "the job's DAG; default: what its run id begins with, without one any",
        "out": "folder for the files; default: build/results/<run id>",
    },
)
def results_(_: Context, env: str = "", run_id: str = "", dag: str = "", out: str = "", json: bool = False) -> None:
    """Fetch a job's results: report, tables, figure.

    Example: invoke results --run-id ber-20261122-190000 --out build/mine
    """
    settings = Settings.load(env)
    workspace, outputs, named = run_of(settings, run_id, dag)
    last = [dag] if dag else spec.names()
    dag, run_id = (named, run_id) if run_id else runs.latest(workspace.airflow(outputs), last)
    folder = Path(out) if out else settings.root / "build" / "results" / keys.job_id(run_id)
    snapshot = runs.look(workspace, outputs, dag, run_id)
    with given.path("--out", folder):
        files = results.fetch(workspace, outputs, snapshot, folder)
    if json:
        emit({"dag": dag, "run_id": run_id, "files": [str(file) for file in files]})
        return
    table = render.curve_of(files)
    if table is not None:
        show(table)
    for file in files:
        show(str(file), soft_wrap=True)


@command(
    help={"env": ENV, "json": JSON, "run-id": "which job", "dag": DAG},
)
def cancel(_: Context, run_id: str, env: str = "", dag: str = "", json: bool = False) -> None:
    """Stop a job: its ECS tasks are stopped and the cluster is scaled in. Its results stay, and it can be resumed.

    Examples: invoke cancel ber-20261122-190000; invoke cancel ber-20261122-190000 --env dev --json
    """
    settings = Settings.load(env)
    workspace, outputs, dag = run_of(settings, run_id, dag)
    options = options_of(settings, run_id, dag)
    steps = Steps()
    marked = False

    def progress(text: str) -> None:
        nonlocal marked
        marked = True
        step.update(text)

    try:
        with steps.step(f"Cancelling {run_id}") as step:
            done = control.cancel(workspace, outputs, dag, run_id, progress)
            step.detail = done.snapshot.state
    except KeyboardInterrupt:
        if not marked:
            raise
        words = f"The cancellation goes on. Look at it: invoke status --run-id {run_id}{options}"
        raise Exit(words, INTERRUPTED) from None
    if json:
        emit(done.as_json(dag))
    console.print(render.cancelled(done, options), markup=False, soft_wrap=True)


@command(
    help={
        "env": ENV,
        "json": JSON,
        "run-id": "which job",
        "item": "the item's number",
        "stage": "the item's stage; default: the first",
        "dag": DAG,
        "follow": "go on until the item is done, or its job has ended",
    }
)
def logs(  # noqa: PLR0917 - invoke reads its options from here
    _: Context,
    run_id: str,
    item: str = "",
    stage: str = "",
    env: str = "",
    dag: str = "",
    follow: bool = False,
    json: bool = False,
) -> None:
    """Show what an item's code logged, attempt by attempt, with what came of each. The lines are on standard output.

    Examples: invoke logs ber-20261122-190000 --item 12; invoke logs ber-20261122-190000 --item 0 --stage aggregate
    """
    settings = Settings.load(env)
    number = item_log.parse_item(item)
    workspace, outputs, dag = run_of(settings, run_id, dag)
    shown = render.ItemLogPrinter()
    while True:
        snapshot = runs.look(workspace, outputs, dag, run_id)
        try:
            found = item_log.read(workspace, outputs, snapshot, number, stage)
        except item_log.NotBegun:
            if not follow or snapshot.ended:
                raise
        else:
            if not json:
                shown(found)
            if not follow or snapshot.ended or found.done:
                break
        time.sleep(runs.RUN_SECONDS)
    if json:
        emit(found.as_json(run_id))


@command(
    name="replay",
    help={
        "env": ENV,
        "json": JSON,
        "run-id": "which job",
        "why": "an item's number: its story, by its records and the engine's ticks",
        "at": "a time in UTC, such as 19:00:42 or 2026-11-22T19:00:42: what the engine saw and decided then, and why",
        "stage": "the item's stage, default: the first; of --at, default: whichever was at work",
        "dag": DAG,
    },
)
def replay_(  # noqa: PLR0917 - invoke reads its options from here
    _: Context,
    run_id: str,
    why: str = "",
    at: str = "",
    stage: str = "",
    env: str = "",
    dag: str = "",
    json: bool = False,
) -> None:
    """Give a job's ticks to this checkout's engine once more: whether it decides the same, and what happened why.

    A story is on standard output, in UTC. The exit code is 1 where something else comes out.

    Examples: invoke replay ber-20261122-190000; invoke replay ber-20261122-190000 --why 12;
    invoke replay ber-20261122-190000 --at 19:00:42; invoke replay ber-20261122-190000 --why 0 --stage aggregate
    """
    from scripts.jobs import replay

    if why and at:
        raise SettingsError("--why tells of an item and --at of a time: choose one")
    settings = Settings.load(env)
    number = item_log.parse_item(why, "--why") if why else None
    if at:
        # What is no time is refused before anything is asked.
        replay.parse_time(at, datetime.now(UTC))
    workspace, outputs, dag = run_of(settings, run_id, dag)
    bucket = runs.ports(workspace, outputs)
    replayed = replay.replay(bucket, dag, run_id)
    told = replay.why(bucket, replayed, number, stage) if number is not None else []
    if not replayed.kept and not told:
        raise JobFailed(replayed.lines()[0])
    if at:
        told = replay.at(replayed, at, stage)
    if json:
        emit(replayed.as_json(told))
    for line in replayed.lines():
        console.print(errors.printable(line), markup=False, soft_wrap=True)
    for sentence in told if not json else ():
        say(sentence.line())
    if problem := replayed.problem():
        raise JobFailed(problem)


def run_of(settings: Settings, run_id: str, given: str) -> tuple[Workspace, Outputs, str]:
    """Find the environment of a run, and its DAG; without a run id the DAG that is given, or the main one."""

    @functools.cache
    def there() -> tuple[Workspace, Outputs]:
        workspace = Workspace(settings)
        return workspace, workspace.outputs()

    dag = runs.dag_of(run_id, given, spec.names(), lambda: runs.lying(*there(), run_id)) if run_id else given
    return *there(), dag or MAIN_DAG


def _follow(workspace: Workspace, outputs: Outputs, dag: str, run_id: str) -> runs.Snapshot:
    try:
        options = options_of(workspace.settings, run_id, dag)
        teller = situation.Teller(partial(situation.of_snapshot, workspace, outputs, options=options))
        with render.JobProgress(teller) as progress:
            return runs.follow(workspace, outputs, dag, run_id, progress)
    except KeyboardInterrupt:
        again = f"invoke run --follow {run_id}{options_of(workspace.settings, run_id, dag)}"
        raise Exit(f"The job goes on. Follow it again: {again}", INTERRUPTED) from None


def options_of(settings: Settings, run_id: str, dag: str) -> str:
    """Give what must stand behind a run id, so that a command that is shown means this environment and DAG."""
    named = "" if run_id.startswith(f"{dag}-") else f" --dag {dag}"
    return named + env_option(settings)


def _refuse_together(*, param: Sequence[str] | None, follow: str, resume: str) -> None:
    if follow and resume:
        raise SettingsError("--follow and --resume each name a run: choose one")
    if param and (follow or resume):
        raise SettingsError(
            f"--param does not go with --{'resume' if resume else 'follow'}: that job has its parameters; invoke run"
            " starts another one"
        )


def _show_problems(snapshot: runs.Snapshot) -> None:
    for line in snapshot.problems:
        console.print(line, markup=False, soft_wrap=True)


def _show_status(found: dict[str, Any]) -> None:
    cluster = found["cluster"]
    show(f"Environment {found['environment']} is up in {found['region']}")
    if found["endpoint_url"]:
        show(f"AWS: {found['endpoint_url']} (the emulator)")
    show(f"Airflow {found['airflow']['version']}: {status.airflow_words(found['airflow'])}")
    show(
        f"Cluster {cluster['name']}: {cluster['instances_registered']} of {cluster['instances_desired']} instances,"
        f" {cluster['tasks_running']} ECS tasks running, {cluster['tasks_pending']} pending",
    )
    show(f"Data bucket {found['data_bucket']}: invoke upload FOLDER PREFIX")
    for entry in found["runs"]:
        show(
            f"  {entry['dag']}  {entry['run_id']}  {entry['state']}  "
            + ", ".join(
                [
                    f"{entry['items_done']}/{entry['items']} items",
                    f"{entry['failed_items']} failed",
                    render.clock(entry["seconds"]),
                    *render.pace(entry["rate"], entry["remaining_seconds"]),
                ]
            ),
            soft_wrap=True,
        )
