"""Verbs of an environment: what it stands on, up, plan, apply, down, and whether AWS agrees."""

import dataclasses
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from scripts.cli.command import DRIFTED, ENV, JSON, JSON_AT_END, command, env_option, say_new_name
from scripts.core import checkout, given
from scripts.core.console import console, emit, say, show
from scripts.core.errors import SettingsError
from scripts.core.settings import Settings
from scripts.environments import status
from scripts.terraform import plan_tables


@command(name="setup", help={"env": ENV, "tests": "also what only make test needs: checkov, a browser"})
def setup_(_: Context, env: str = "", tests: bool = False) -> None:
    """Fetch what is missing: Terraform, its aws provider, Airflow, the workloads' interpreters.

    Example: invoke setup --tests
    """
    from scripts.environments import setup

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
    from scripts.environments import foundation

    settings = Settings.load(env)
    laid = foundation.lay(settings, repository=github, bucket=bucket, confirm=not yes)
    if json:
        emit({"environment": settings.environment, **laid.as_json()})
    for line in laid.lines(settings):
        console.print(line, markup=False, soft_wrap=True)


PLAN = "apply this plan, which invoke plan --out has saved, instead of a new one"
SMOKE = "end with a small job when something has changed (--no-smoke: do not)"
ISSUE = "keep a GitHub issue of it, opened, brought up to date or closed"


@command(
    help={
        "env": ENV,
        "json": JSON,
        "yes": "do not ask before changing a real environment",
        "plan": PLAN,
        "smoke": SMOKE,
    }
)
def up(_: Context, env: str = "", json: bool = False, yes: bool = False, plan: str = "", smoke: bool = True) -> None:
    """Bring an environment to what the checkout says: platform, images, DAGs. Call it again to continue.

    Examples: invoke up; invoke up --env dev; invoke up --env prod --plan prod.plan
    """
    _bring_up(Settings.load(env), plan, confirm=not yes, smoke=smoke, json=json)


@command(help={"env": ENV, "json": JSON, "plan": PLAN, "smoke": SMOKE})
def deploy(_: Context, env: str = "", json: bool = False, plan: str = "", smoke: bool = True) -> None:
    """Do what up does without asking, as the pipeline does after a review.

    Examples: invoke deploy --env prod --plan prod.plan; invoke deploy --env dev --no-smoke
    """
    _bring_up(Settings.load(env), plan, confirm=False, smoke=smoke, json=json)


def _bring_up(settings: Settings, plan: str, *, confirm: bool, smoke: bool, json: bool) -> None:
    from scripts.environments import lifecycle

    done = lifecycle.up(settings, confirm=confirm, plan=Path(plan) if plan else None, check=smoke)
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
    console.print(f"Airflow: {status.airflow_words(login)}", markup=False, soft_wrap=True)


@command(
    help={
        "env": ENV,
        "json": JSON,
        "markdown": "Markdown on standard output, for a pull request's comment",
        "out": "file to save the plan in, for invoke apply",
        "seal": "encrypt that file with the key of Terraform's state, since others may come by it",
        "drift-only": "until 0.2.0, now: invoke drift",
        "issue": "until 0.2.0, now: invoke drift --issue",
    }
)
def plan(  # noqa: PLR0917 - invoke reads its options from here
    context: Context,
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
    from scripts.environments import lifecycle

    if json and markdown:
        raise SettingsError("--json and --markdown both mean standard output: choose one")
    if issue and not drift_only:
        raise SettingsError("--issue is about drift: invoke drift --issue")
    if seal and not out:
        raise SettingsError("--seal encrypts a file: call it with --out")
    if drift_only:
        say_new_name("plan --drift-only", "drift")
        drift.body(context, env=env, json=json, issue=issue)
        return
    settings = Settings.load(env)
    file = given.new_file("--out", out) if out else None
    summary = lifecycle.plan(settings, file, seal=seal)
    if json:
        emit(summary.as_json())
    elif markdown:
        say(plan_tables.plan_markdown(summary, settings.environment, checkout.commit(settings.root) or ""))
    else:
        show(*plan_tables.plan(summary))


@command(help={"env": ENV, "json": JSON, "issue": ISSUE})
def drift(_: Context, env: str = "", json: bool = False, issue: bool = False) -> None:
    """Show what was changed behind Terraform's back. The exit code is 2 when something was.

    Examples: invoke drift --env prod; invoke drift --env prod --issue
    """
    from scripts.environments import lifecycle

    settings = Settings.load(env)
    found = lifecycle.plan(settings, judge=False)
    summary = dataclasses.replace(found, resources=[], outputs=[])
    if issue:
        from scripts.cli import github

        text = plan_tables.drift_markdown(summary) if summary.drift else ""
        github.report(f"drift-{settings.environment}", f"Drift of {settings.environment}", text)
    if json:
        emit(summary.as_json())
    else:
        show(plan_tables.drift(summary) if summary.drift else "Nothing was changed behind Terraform's back.")
    if summary.drift and not issue:
        raise Exit(
            f"{len(summary.drift)} resources of {settings.environment} were changed behind Terraform's back: invoke up"
            f"{env_option(settings)} puts them back",
            DRIFTED,
        )


@command(help={"env": ENV, "plan": "a file that invoke plan --out has saved", "json": JSON})
def apply(_: Context, plan: str, env: str = "", json: bool = False) -> None:
    """Apply exactly a saved plan. It is refused when it is of another commit or environment, or stale.

    Example: invoke apply --env prod --plan prod.plan
    """
    from scripts.environments import lifecycle

    saved = lifecycle.apply(Settings.load(env), Path(plan))
    if json:
        emit({"plan": saved.digest, **saved.summary})


@command(help={"env": ENV, "id": "the lock's, as the refusal names it", "yes": "do not ask"})
def unlock(_: Context, id: str, env: str = "", yes: bool = False) -> None:  # noqa: A002 - the option's name
    """Take the lock of Terraform's state from a run that is dead.

    Example: invoke unlock --env dev --id 7f3e
    """
    from scripts.environments import lifecycle

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
    from scripts.environments import lifecycle

    lifecycle.down(Settings.load(env), confirm=not yes, delete_data=delete_data)


@command(help={"env": ENV, "json": JSON})
def doctor(_: Context, env: str = "", json: bool = False) -> None:
    """Look at everything that an environment needs: what is doubtful or wrong, and what to do. It changes nothing.

    The exit code is 1 when something is wrong.

    Examples: invoke doctor; invoke doctor --env dev --json
    """
    from scripts.cli import render
    from scripts.environments.doctor import main
    from scripts.environments.doctor.check import Check, Finding, State
    from scripts.environments.doctor.check import Context as Looked

    settings = Settings.load(env)

    def seen(check: Check, finding: Finding) -> None:
        if not json:
            show(render.finding(check.name, finding), soft_wrap=True)

    found = main.examine(Looked(settings), main.checks(settings), seen)
    if json:
        emit(main.as_json(settings, found))
    wrong = [check.name for check, finding in found if finding.state is State.WRONG]
    if wrong:
        raise Exit(f"wrong in environment {settings.environment}: {', '.join(wrong)}", 1)


@command(name="smoke", help={"env": ENV, "json": JSON})
def smoke_(_: Context, env: str = "", json: bool = False) -> None:
    """Run a small real job from end to end and judge its result.

    Example: invoke smoke --env dev
    """
    from scripts.environments import smoke

    done = smoke.run(Settings.load(env))
    if json:
        emit(done)


@command(
    name="verify-aws",
    help={
        "env": "the environment whose account it is and whose values are taken, such as dev",
        "json": JSON_AT_END,
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
