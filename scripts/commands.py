"""The verbs, as invoke tasks: options in, one call, its outcome shown; errors become one line in one place.

What only verbs that build, deploy or check need is imported by these: a third of what the others would take to start.
"""

import dataclasses
import functools
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task
from rich.text import Text

from scripts import checkout, errors, given, item_log, jobs, operating, render, status
from scripts import workload_new as workload_maker
from scripts.bench.options import MINUTES, RUNS, Options
from scripts.console import OutputClosed, Steps, console, emit, prepare_streams, say
from scripts.errors import JobFailed, SettingsError
from scripts.settings import Settings
from scripts.workspace import Outputs, Workspace
from winbatch import spec

if TYPE_CHECKING:
    from scripts.image_verbs import Image

INTERRUPTED = 130
# As of a program that SIGPIPE ended.
OUTPUT_CLOSED = 141
DRIFTED = 2
ENV = "environment: a name of terraform/environments; default: WINBATCH_ENV, else local"
JSON = "one JSON object on standard output, for a program"
WORKLOAD = "a folder of images/; default: all"
DAG = "the job's DAG; default: what its run id begins with, else the one that has such a job in S3"
MAIN_DAG = "ber"


class Whole(int):
    """A number of the command line: invoke makes one of the word that it finds, by the type of an option's default."""

    def __new__(cls, word: str | int) -> Self:
        try:
            number = int(word)
        except ValueError:
            number = -1
        if not 0 <= number < 2**31:
            raise Exit(f"error: {errors.shown(repr(word))}: a whole number from 0 to {2**31 - 1} is expected", 1)
        return super().__new__(cls, number)


NO_NUMBER, BENCH_RUNS, BENCH_MINUTES = Whole(0), Whole(RUNS), Whole(MINUTES)


def command(**options: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """An invoke task whose errors are one line on standard error and an exit code."""

    def decorate(body: Callable[..., None]) -> Task[Any]:
        @functools.wraps(body)
        def run(context: Context, *args: Any, **kwargs: Any) -> None:
            if "--help" in kwargs.values():
                # invoke takes whatever stands where a positional argument is due for its value.
                verb = str(options.get("name") or body.__name__.replace("_", "-"))
                os.execv(sys.executable, [sys.executable, "-m", "invoke", "--help", verb])  # noqa: S606 - not through a shell, which is the point
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _interrupt)
            try:
                for name in options.get("iterable", ()):
                    given.refuse_dangling(sys.argv, f"--{name}")
                body(context, *args, **kwargs)
            except Exit:
                raise
            except OutputClosed:
                raise Exit(code=OUTPUT_CLOSED) from None
            except BaseException as error:
                environment = kwargs.get("env") or os.environ.get("WINBATCH_ENV") or "local"
                if os.environ.get("WINBATCH_DEBUG") or logging.getLogger().isEnabledFor(logging.DEBUG):
                    traceback.print_exc()
                text = errors.line(error, environment=environment, verb=body.__name__)
                if text is None:
                    text = f"a defect: {type(error).__name__}: {error} (WINBATCH_DEBUG=1 shows where)"
                code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
                raise Exit(f"error: {errors.shown(text)}", code) from error

        made: Task[Any] = task(run, **options)  # type: ignore[assignment]  # invoke's stubs say Callable
        return made

    return decorate


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@command(name="setup", help={"env": ENV, "tests": "also what only make test needs: checkov, a browser"})
def setup_(_: Context, env: str = "", tests: bool = False) -> None:
    """Fetch what is missing: Terraform, its aws provider, Airflow, the workloads' interpreters.

    Example: invoke setup --tests
    """
    from scripts import setup

    setup.run(Settings.load(env), tests=tests)


@command(
    help={
        "env": ENV,
        "json": JSON,
        "yes": "do not ask before changing a real environment",
        "github": "owner/name, whose workflows may plan and apply; default: as before, at first none",
        "bucket": "the state bucket's name, written to the environment's backend file; default: what that says",
    }
)
def bootstrap(
    _: Context, env: str = "", github: str = "", bucket: str = "", json: bool = False, yes: bool = False
) -> None:
    """Make what an environment stands on: its state's bucket and key, its pipeline's roles. Twice is harmless.

    Examples: invoke bootstrap --env dev; invoke bootstrap --env dev --github acme/winbatch
    """
    from scripts import foundation

    settings = Settings.load(env)
    laid = foundation.lay(settings, repository=github, bucket=bucket, confirm=not yes)
    if json:
        emit({"environment": settings.environment, **laid.as_json()})
    for line in laid.lines(settings):
        console.print(line, markup=False, soft_wrap=True)


@command(
    help={
        "env": ENV,
        "json": JSON,
        "yes": "do not ask before changing a real environment",
        "plan": "apply this plan, which invoke plan --out has saved, instead of a new one",
        "smoke": "end with a small job when something has changed (--no-smoke: do not)",
    }
)
def up(_: Context, env: str = "", json: bool = False, yes: bool = False, plan: str = "", smoke: bool = True) -> None:
    """Bring an environment to what the checkout says: platform, images, DAGs. Call it again to continue.

    Examples: invoke up; invoke up --env dev; invoke up --env prod --plan prod.plan
    """
    from scripts import lifecycle

    done = lifecycle.up(Settings.load(env), confirm=not yes, plan=Path(plan) if plan else None, check=smoke)
    login = status.airflow_login(done.workspace, done.outputs)
    if json:
        emit(
            {
                "environment": done.workspace.settings.environment,
                "endpoint_url": done.workspace.endpoint_url,
                "airflow_url": login["url"],
                "changes": done.changes,
                "released": done.released,
                "release": done.release,
                "seconds": dict(done.seconds),
            }
        )
    console.print(f"Airflow: {_airflow_words(login)}", markup=False, soft_wrap=True)


@command(
    help={
        "env": ENV,
        "json": JSON,
        "markdown": "Markdown on standard output, for a pull request's comment",
        "out": "file to save the plan in, for invoke apply",
        "seal": "encrypt that file with the key of Terraform's state, since others may come by it",
        "drift-only": "show only what was changed behind Terraform's back; the exit code is 2 when something was",
        "issue": "with --drift-only: keep a GitHub issue of it, opened, brought up to date or closed",
    }
)
def plan(  # noqa: PLR0917 - invoke reads its options from here
    _: Context,
    env: str = "",
    json: bool = False,
    markdown: bool = False,
    out: str = "",
    seal: bool = False,
    drift_only: bool = False,
    issue: bool = False,
) -> None:
    """Show what `up` would change, by module. The exit code is 0 with and without changes.

    Examples: invoke plan; invoke plan --env dev --json; invoke plan --env prod --out prod.plan --markdown
    """
    from scripts import lifecycle

    if json and markdown:
        raise SettingsError("--json and --markdown both mean standard output: choose one")
    if issue and not drift_only:
        raise SettingsError("--issue is about drift: call it with --drift-only")
    if seal and not out:
        raise SettingsError("--seal encrypts a file: call it with --out")
    settings = Settings.load(env)
    file = given.new_file("--out", out) if out else None
    summary = lifecycle.plan(settings, file, seal=seal, judge=not drift_only)
    if drift_only:
        summary = dataclasses.replace(summary, resources=[], outputs=[])
    if issue:
        from scripts import github

        text = render.drift_markdown(summary) if summary.drift else ""
        github.report(f"drift-{settings.environment}", f"Drift of {settings.environment}", text)
    if json:
        emit(summary.as_json())
    elif markdown:
        say(render.plan_markdown(summary, settings.environment, checkout.commit(settings.root) or ""))
    elif drift_only:
        console.print(render.drift(summary) if summary.drift else "Nothing was changed behind Terraform's back.")
    else:
        console.print(*render.plan(summary), sep="\n")
    if drift_only and summary.drift and not issue:
        raise Exit(
            f"{len(summary.drift)} resources of {settings.environment} were changed behind Terraform's back: invoke up"
            f"{_env(settings)} puts them back",
            DRIFTED,
        )


@command(help={"env": ENV, "plan": "a file that invoke plan --out has saved", "json": JSON})
def apply(_: Context, plan: str, env: str = "", json: bool = False) -> None:
    """Apply exactly a saved plan. It is refused when it is of another commit or environment, or stale.

    Example: invoke apply --env prod --plan prod.plan
    """
    from scripts import lifecycle

    saved = lifecycle.apply(Settings.load(env), Path(plan))
    if json:
        emit({"plan": saved.digest, **saved.summary})


@command(help={"env": ENV, "id": "the lock's, as the refusal names it", "yes": "do not ask"})
def unlock(_: Context, id: str, env: str = "", yes: bool = False) -> None:  # noqa: A002 - the option's name
    """Take the lock of Terraform's state from a run that is dead.

    Example: invoke unlock --env dev --id 7f3e
    """
    from scripts import lifecycle

    lifecycle.unlock(Settings.load(env), id, confirm=not yes)


@command(
    help={
        "env": ENV,
        "yes": "do not ask before destroying a real environment",
        "delete-data": "nor before deleting what its buckets and repositories hold",
    }
)
def down(_: Context, env: str = "", yes: bool = False, delete_data: bool = False) -> None:
    """Take an environment down: stop its jobs, destroy it, look what is left. Works after any fault, and twice.

    Examples: invoke down; invoke down --env dev
    """
    from scripts import lifecycle

    lifecycle.down(Settings.load(env), confirm=not yes, delete_data=delete_data)


@command(name="smoke", help={"env": ENV, "json": JSON})
def smoke_(_: Context, env: str = "", json: bool = False) -> None:
    """Run a small real job from end to end and judge its result.

    Example: invoke smoke --env dev
    """
    from scripts import smoke

    done = smoke.run(Settings.load(env))
    if json:
        emit(done)


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
        workspace, outputs, dag = _run_of(settings, run_id, dag)
        snapshot = jobs.look(workspace, outputs, dag, run_id)
        if json:
            emit(status.job(dag, snapshot))
            return
        for part in render.job(snapshot, _options(settings, run_id, dag)):
            console.print(part, markup=False, soft_wrap=isinstance(part, Text))
        return
    found = status.read(settings)
    if json:
        emit(found)
    elif found["state"] == "down":
        console.print(f"Environment {settings.environment} is down: invoke up")
    else:
        _show_status(found)


@command(
    iterable=["param"],
    help={
        "env": ENV,
        "json": "end with one JSON object on standard output",
        "dag": f"which job specification of dags/jobs; default: {MAIN_DAG}, or what the run id begins with",
        "param": "key=value, as often as needed; --params lists the keys",
        "params": "list the parameters and their defaults",
        "wait": "follow the job to its end (--no-wait: do not)",
        "follow": "follow a run that was started before, by its id",
        "resume": "run what is missing of a job that failed, was cancelled, or has failed items, by its run id",
    },
)
def run(  # noqa: PLR0917 - invoke reads its options from here
    _: Context,
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
    invoke run --no-wait; invoke run --follow ber-20261122-190000; invoke run --resume ber-20261122-190000
    """
    settings = Settings.load(env)
    run_id = resume or follow
    _refuse_together(param=param, follow=follow, resume=resume)
    if params:
        console.print(render.parameters(spec.load(dag or MAIN_DAG)))
        return
    values = {} if run_id else spec.load(dag or MAIN_DAG).validate(jobs.parse_params(param or ()))
    workspace, outputs, dag = _run_of(settings, run_id, dag)
    if resume:
        ended = operating.resume(workspace, outputs, dag, run_id)
        if ended is not None:
            console.print(f"{run_id} succeeded, and nothing of it is missing: nothing to do", markup=False)
            if json:
                emit(jobs.summary(outputs, ended))
            return
    elif not follow:
        run_id = jobs.start(workspace, outputs, dag, values)
    console.print(f"{'Resumed' if resume else 'Following' if follow else 'Started'} {run_id}", markup=False)
    if not wait:
        if json:
            emit({"run_id": run_id, "state": "queued"})
        else:
            console.print(f"Follow it: invoke run --follow {run_id}{_options(settings, run_id, dag)}", markup=False)
        return
    snapshot = _follow(workspace, outputs, dag, run_id)
    if json:
        emit(jobs.summary(outputs, snapshot))
    _show_problems(snapshot)
    if snapshot.state != "succeeded":
        for name in workspace.airflow(outputs).failed_tasks(dag, run_id):
            console.print(f"  Airflow task {name} failed; its log is on the Airflow page", markup=False)
        raise JobFailed(f"job {run_id} {snapshot.state} after {render.clock(snapshot.seconds)}")
    console.print(render.succeeded(snapshot, _options(settings, run_id, dag)), markup=False, soft_wrap=True)


@command(
    help={
        "env": ENV,
        "json": JSON,
        "run-id": "which job; default: the last one",
        "dag": f"the job's DAG; default: what its run id begins with, without one {MAIN_DAG}",
        "out": "folder for the files; default: build/results",
    }
)
def results(_: Context, env: str = "", run_id: str = "", dag: str = "", out: str = "", json: bool = False) -> None:
    """Fetch a job's results: report, tables, figure.

    Example: invoke results --run-id ber-20261122-190000 --out build/mine
    """
    settings = Settings.load(env)
    workspace, outputs, dag = _run_of(settings, run_id, dag)
    name = run_id or jobs.latest(workspace.airflow(outputs), dag)
    folder = Path(out) if out else settings.root / "build" / "results"
    snapshot = jobs.look(workspace, outputs, dag, name)
    with given.path("--out", folder):
        files = jobs.fetch(workspace, outputs, snapshot, folder)
    if json:
        emit({"run_id": name, "files": [str(file) for file in files]})
        return
    table = render.curve_of(files)
    if table is not None:
        console.print(table)
    for file in files:
        console.print(str(file), markup=False, soft_wrap=True)


@command(
    help={"env": ENV, "json": JSON, "run-id": "which job", "dag": DAG},
)
def cancel(_: Context, run_id: str, env: str = "", dag: str = "", json: bool = False) -> None:
    """Stop a job: its ECS tasks are stopped and the cluster is scaled in. Its results stay, and it can be resumed.

    Examples: invoke cancel ber-20261122-190000; invoke cancel ber-20261122-190000 --env dev --json
    """
    settings = Settings.load(env)
    workspace, outputs, dag = _run_of(settings, run_id, dag)
    options = _options(settings, run_id, dag)
    steps = Steps()
    marked = False

    def progress(text: str) -> None:
        nonlocal marked
        marked = True
        step.update(text)

    try:
        with steps.step(f"Cancelling {run_id}") as step:
            done = operating.cancel(workspace, outputs, dag, run_id, progress)
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
    workspace, outputs, dag = _run_of(settings, run_id, dag)
    shown = render.ItemLogPrinter()
    while True:
        snapshot = jobs.look(workspace, outputs, dag, run_id)
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
        time.sleep(jobs.RUN_SECONDS)
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
    from scripts import replaying

    if why and at:
        raise SettingsError("--why tells of an item and --at of a time: choose one")
    settings = Settings.load(env)
    number = item_log.parse_item(why, "--why") if why else None
    if at:
        # What is no time is refused before anything is asked.
        replaying.parse_time(at, datetime.now(UTC))
    workspace, outputs, dag = _run_of(settings, run_id, dag)
    bucket = jobs.ports(workspace, outputs)
    replayed = replaying.replay(bucket, dag, run_id)
    told = replaying.why(bucket, replayed, number, stage) if number is not None else []
    if not replayed.kept and not told:
        raise JobFailed(replayed.lines()[0])
    if at:
        told = replaying.at(replayed, at, stage)
    if json:
        emit(replayed.as_json(told))
    for line in replayed.lines():
        console.print(errors.printable(line), markup=False, soft_wrap=True)
    for sentence in told if not json else ():
        say(sentence.line())
    if problem := replayed.problem():
        raise JobFailed(problem)


@command(
    name="try",
    iterable=["param"],
    help={
        "env": f"{ENV}; its bucket holds the inputs and the job",
        "json": "end with one JSON object on standard output; the item's lines are on standard error",
        "item": "the item's number",
        "dag": f"which job specification of dags/jobs; default: {MAIN_DAG}, or what the run id begins with",
        "run-id": "the item is of this job, with its parameters and inputs, and its values are compared",
        "stage": "the item's stage; default: the first",
        "param": "key=value, as often as needed, without --run-id; invoke run --params lists the keys",
        "inputs": "a folder to read instead of the bucket, without --run-id: the file sim/a.csv in it is that key",
        "out": "folder for what is kept; default: build/try/<dag>/<stage>-<item>",
    },
)
def try_(  # noqa: PLR0917 - invoke reads its options from here
    _: Context,
    item: str = "",
    dag: str = "",
    run_id: str = "",
    stage: str = "",
    param: Sequence[str] | None = None,
    inputs: str = "",
    out: str = "",
    env: str = "",
    json: bool = False,
) -> None:
    """Run one item of a job here, as its ECS task would: same inputs, words, interpreter and files. Its folder stays.

    Without --run-id nothing need be up, unless inputs are in S3. The exit code is 0 when the item succeeds. Its lines
    are on standard output.

    Examples: invoke try --dag mine --item 0 --param value=3; invoke try --run-id mine-20261122-190000 --item 12
    """
    from scripts import trying

    settings = Settings.load(env)
    number = item_log.parse_item(item)
    if run_id and (param or inputs):
        raise SettingsError("--param and --inputs do not go with --run-id: that job has its parameters and inputs")
    if run_id:
        workspace, outputs, dag = _run_of(settings, run_id, dag)
        order = trying.of_job(workspace, outputs, dag, run_id, number, stage_name=stage)
    else:
        folder = Path(inputs) if inputs else None
        order = trying.of_specification(
            settings, dag or MAIN_DAG, number, params=param or (), stage_name=stage, inputs=folder
        )
    name = f"{order.stage.stage}-{number}"
    kept = Path(out).absolute() if out else settings.root / "build" / "try" / order.stage.dag / name
    show = functools.partial(console.print, markup=False, soft_wrap=True) if json else say
    with given.path("--out", kept):
        tried = trying.run(settings, order, kept, show)
    if json:
        emit(tried.as_json())
    for line in tried.lines():
        console.print(line, markup=False, soft_wrap=True)
    if not tried.succeeded:
        raise JobFailed(f"item {number} of stage {order.stage.stage} failed here: {tried.record['error']}")


@command(
    name="verify-aws",
    help={
        "env": "the environment whose account it is and whose values are taken, such as dev",
        "json": "end with one JSON object on standard output",
        "yes": "do not say what it costs and ask first",
        "take-down": "ask nothing more, and take down what an earlier call has made",
    },
)
def verify_aws(_: Context, env: str = "", json: bool = False, yes: bool = False, take_down: bool = False) -> None:
    """Ask AWS itself whether it does what the local AWS does: about three hours and a few dollars; docs/verify-aws.md.

    It makes a small environment of its own, runs tests, jobs and drills on it, takes it down, looks whether anything is
    left, and writes a record. Cut off, it is continued by calling it again.

    Examples: invoke verify-aws --env dev; invoke verify-aws --env dev --yes --json;
    invoke verify-aws --env dev --take-down
    """
    from scripts.verify import main as verify

    done = verify.run(Settings.load(env), confirm=not yes, give_up=take_down)
    if json:
        emit(done.as_json())
    console.print(
        f"The record: {done.record}; commit it, and make format brings it into docs/parity.md", soft_wrap=True
    )
    if done.otherwise:
        raise Exit(f"AWS did otherwise in {', '.join(done.otherwise)}: the record says how", 1)


@command(name="demo")
def demo_(_: Context) -> None:
    """Set up, up, the main job, its results: everything, locally."""
    from scripts import demo

    demo.run(Settings.load("local"))


@command(help={"env": ENV, "json": JSON})
def dags_release(_: Context, env: str = "", json: bool = False) -> None:
    """Check dags/, release it to an environment that is up, and wait until Airflow serves it.

    Example: invoke dags-release --env dev
    """
    from scripts import releasing

    done = releasing.release_dags(Settings.load(env))
    if json:
        emit(dataclasses.asdict(done))


@command(help={"env": ENV, "json": JSON, "release": "its id; default: the one before"})
def dags_rollback(_: Context, release: str = "", env: str = "", json: bool = False) -> None:
    """Serve an earlier release of the DAGs again, with the task definitions and images that it was released with.

    Examples: invoke dags-rollback; invoke dags-rollback --release 1f2e3d4c5b6a --env prod
    """
    from scripts import releasing

    done = releasing.roll_back(Settings.load(env), release)
    if json:
        emit(dataclasses.asdict(done))


@command(help={"env": ENV, "json": JSON})
def dags_list(_: Context, env: str = "", json: bool = False) -> None:
    """List the releases of the DAGs, the one that was served last first, and what else lies below the DAG prefix.

    Example: invoke dags-list
    """
    from scripts import releasing

    found = releasing.listing(Settings.load(env))
    if json:
        emit(dataclasses.asdict(found))
    else:
        console.print(render.releases(found.releases))
        for key in found.strangers:
            console.print(f"not of a release, left alone: {key}", markup=False, soft_wrap=True)


@command(help={"env": ENV, "json": JSON, "workload": WORKLOAD})
def image_build(_: Context, env: str = "", workload: str = "", json: bool = False) -> None:
    """Build images and say their digests; Windows images need neither Windows nor a container engine.

    Example: invoke image-build --workload ber --env dev
    """
    from scripts import image_verbs

    _show_images(image_verbs.build(Settings.load(env), Steps(), workload), json=json)


@command(help={"env": ENV, "json": JSON, "workload": WORKLOAD})
def image_push(_: Context, env: str = "", workload: str = "", json: bool = False) -> None:
    """Build images and push those that are not there, as `invoke up` does too.

    Example: invoke image-push --workload ber --env dev
    """
    from scripts import image_verbs

    settings, steps = Settings.load(env), Steps()
    built = image_verbs.build(settings, steps, workload)
    workspace = Workspace(settings)
    image_verbs.push(workspace, built, workspace.values().get("ecr_repositories") or {}, steps)
    _show_images(built, json=json)


@command(
    help={
        "only": "static checks, groups of slow tests, rooms or files, with commas; a wrong one is told what there is",
        "changed": "what differs from the main branch says which, for about a minute",
    }
)
def check(_: Context, only: str = "", changed: bool = False) -> None:
    """Everything that must hold (make test), or what a change touches of it: lint, types, Terraform, policies, tests.

    Examples: invoke check --changed; invoke check --only lint,fast; invoke check --only engine; invoke check --only
    scripts/jobs.py; invoke check --only pipeline
    """
    from scripts.checks import run as checks

    checks.run(Settings.load("local"), only, changed=changed)


@command(
    help={
        "file": "a file with Markdown",
        "about": "what it is about, such as plan-dev: it takes the place of what was said about the same before",
        "number": "the pull request's",
    }
)
def comment(_: Context, file: str = "", about: str = "", number: int = NO_NUMBER) -> None:
    """Say something on a pull request of GitHub, for the pipeline.

    Example: invoke comment --file build/plan.md --about plan-dev --number 12
    """
    from scripts import github

    if not file or not about or number < 1:
        raise SettingsError("--file, --about and --number say what to say, about what, and on which pull request")
    said = github.comment(number, about, given.text("--file", file))
    console.print(said, markup=False, soft_wrap=True)


@command(
    name="bench",
    help={
        "only": "parts with commas, or how their names begin, such as engine or engine.sim; default: all",
        "runs": "runs of each figure",
        "minutes": "mapped operators are not run again when the whole would take longer than this",
        "json": JSON,
    },
)
def bench_(
    _: Context, only: str = "", runs: int = BENCH_RUNS, minutes: int = BENCH_MINUTES, json: bool = False
) -> None:
    """Measure what is promised in numbers: build/bench.json and a table. It starts what it needs and takes it down.

    Example: invoke bench --only engine.sim
    """
    from scripts.bench import main as bench

    bench.run(Settings.load("local"), only, Options(runs, minutes), as_json=json)


@command(
    help={
        "seeds": "so many new worlds; default: as many as there is time for",
        "minutes": "of processor time; default: 1, and 2 for each mutant",
        "seed": "run one world again and print its story: a number, or a name of simulation/seeds",
        "first": "the first new seed; default: one that nobody has run",
        "mutants": "plant each fault of simulation/mutants into a copy, and see that it is found",
        "json": JSON,
    }
)
def simulate(  # noqa: PLR0917 - invoke reads its options from here
    _: Context,
    seeds: int = NO_NUMBER,
    minutes: int = NO_NUMBER,
    seed: str = "",
    first: int = NO_NUMBER,
    mutants: bool = False,
    json: bool = False,
) -> None:
    """Run whole jobs in simulated worlds, with every fault, on seeds; simulation/COVERAGE.md.

    It begins with the worlds that failed once. One that fails is made smaller, told, and kept in simulation/seeds.

    Examples: invoke simulate --minutes 5; invoke simulate --seed 17; invoke simulate --mutants --json
    """
    from scripts import simulating

    done = simulating.run(seeds=seeds, minutes=minutes, seed=seed, first=first, mutants=mutants)
    if json:
        emit(done.report)
    else:
        for line in done.lines:
            say(line)
    if done.failure:
        raise errors.CheckFailed(done.failure)


@command(
    help={
        "minutes": "no round begins after so many, each of which takes about four; default: 10",
        "seed": "of the first round, the next ones count on; default: one that nobody has run",
        "airflow": "the version that it begins with, such as 3.0.6; default: the checkout's",
        "json": JSON,
    }
)
def chaos(_: Context, minutes: int = NO_NUMBER, seed: int = NO_NUMBER, airflow: str = "", json: bool = False) -> None:
    """Run jobs in a local environment of its own while hosts, processes, AWS and people go wrong; docs/chaos.md.

    Example: invoke chaos --minutes 60; invoke chaos --seed 17 --minutes 1
    """
    from scripts.chaos import main

    settings = Settings.load("local")
    tally = main.run(settings, minutes=minutes, seed=seed, airflow=airflow)
    if json:
        emit(tally.as_json())
    main.show(tally, settings.root / "build" / "chaos")


@command(name="format")
def format_(_: Context) -> None:
    """Format Python and Terraform, and write what is generated."""
    from scripts.checks import run as checks

    checks.format_all(Settings.load("local"))


@command()
def clean(_: Context) -> None:
    """Remove what can be made again: build/ and the cache folder. The local environment must be down."""
    from scripts import lifecycle

    lifecycle.clean(Settings.load("local"))


@command(
    help={
        "name": "the workload's: lower-case letters, digits and inner dashes",
        "kind": f"what an item runs: {', '.join(workload_maker.KINDS)}",
    }
)
def workload_new(_: Context, name: str, kind: str = "python") -> None:
    """Make a workload: a folder of images/ with Dockerfile and code, a job, tests, and its place in every environment.

    Example: invoke workload-new mine --kind exe
    """
    settings = Settings.load("local")
    for file in workload_maker.make(settings, name, kind):
        console.print(str(file.relative_to(settings.root)), markup=False)
    if still := workload_maker.still_to_do(settings, name, kind):
        console.print(f"First, for the program that its items start: {still}", markup=False)
    console.print(f"Next: make setup up, then .venv/bin/invoke run --dag {name}; docs/bring-your-own.md", markup=False)


def collection() -> Collection:
    """All verbs."""
    prepare_streams()
    return Collection(
        apply,
        bench_,
        bootstrap,
        cancel,
        chaos,
        check,
        clean,
        comment,
        dags_list,
        dags_release,
        dags_rollback,
        demo_,
        down,
        format_,
        image_build,
        image_push,
        logs,
        plan,
        replay_,
        results,
        run,
        setup_,
        simulate,
        smoke_,
        status_,
        try_,
        unlock,
        up,
        verify_aws,
        workload_new,
    )


def _run_of(settings: Settings, run_id: str, given: str) -> tuple[Workspace, Outputs, str]:
    """The environment of a run, and its DAG; without a run id the DAG that is given, or the main one."""

    @functools.cache
    def there() -> tuple[Workspace, Outputs]:
        workspace = Workspace(settings)
        return workspace, workspace.outputs()

    dag = jobs.dag_of(run_id, given, spec.names(), lambda: jobs.lying(*there(), run_id)) if run_id else given
    return *there(), dag or MAIN_DAG


def _follow(workspace: Workspace, outputs: Any, dag: str, run_id: str) -> jobs.Snapshot:
    try:
        with render.JobProgress() as progress:
            return jobs.follow(workspace, outputs, dag, run_id, progress)
    except KeyboardInterrupt:
        again = f"invoke run --follow {run_id}{_options(workspace.settings, run_id, dag)}"
        raise Exit(f"The job goes on. Follow it again: {again}", INTERRUPTED) from None


def _options(settings: Settings, run_id: str, dag: str) -> str:
    """What must stand behind a run id, so that a command that is shown means this environment and DAG."""
    named = "" if run_id.startswith(f"{dag}-") else f" --dag {dag}"
    return named + _env(settings)


def _show_images(built: Mapping[str, "Image"], *, json: bool) -> None:
    from scripts import image_verbs

    if json:
        emit(image_verbs.digests(built))
    for name, image in built.items():
        console.print(f"{name}: {image.digest}, {image.words}", markup=False, soft_wrap=True)


def _env(settings: Settings) -> str:
    return "" if settings.local else f" --env {settings.environment}"


def _refuse_together(*, param: Sequence[str] | None, follow: str, resume: str) -> None:
    if follow and resume:
        raise SettingsError("--follow and --resume each name a run: choose one")
    if param and (follow or resume):
        raise SettingsError(
            f"--param does not go with --{'resume' if resume else 'follow'}: that job has its parameters; invoke run"
            " starts another one"
        )


def _show_problems(snapshot: jobs.Snapshot) -> None:
    for line in snapshot.problems:
        console.print(line, markup=False, soft_wrap=True)


def _show_status(found: dict[str, Any]) -> None:
    cluster = found["cluster"]
    console.print(f"Environment {found['environment']} is up in {found['region']}")
    if found["endpoint_url"]:
        console.print(f"AWS: {found['endpoint_url']} (the emulator)", markup=False)
    console.print(f"Airflow {found['airflow']['version']}: {_airflow_words(found['airflow'])}", markup=False)
    console.print(
        f"Cluster {cluster['name']}: {cluster['instances_registered']} of {cluster['instances_desired']} instances,"
        f" {cluster['tasks_running']} ECS tasks running, {cluster['tasks_pending']} pending",
        markup=False,
    )
    for entry in found["runs"]:
        console.print(
            f"  {entry['dag']}  {entry['run_id']}  {entry['state']}  "
            + ", ".join(
                [
                    f"{entry['items_done']}/{entry['items']} items",
                    f"{entry['failed_items']} failed",
                    render.clock(entry["seconds"]),
                    *render.pace(entry["rate"], entry["remaining_seconds"]),
                ]
            ),
            markup=False,
            soft_wrap=True,
        )
    sys.stderr.flush()


def _airflow_words(login: dict[str, Any]) -> str:
    if "password" in login:
        return f"{login['url']} (user {login['username']}, password {login['password']})"
    return str(login["url"])
