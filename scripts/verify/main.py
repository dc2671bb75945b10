"""`invoke verify-aws`: says what it does and costs, asks, does it step by step, takes it all down, and records it."""

import dataclasses
import datetime as dt
import json
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table

from scripts.checks import costs
from scripts.core import checkout, given
from scripts.core.aws import Aws
from scripts.core.console import Step as Shown
from scripts.core.console import Steps, console
from scripts.core.errors import OperatorError, PreflightError
from scripts.core.settings import Settings
from scripts.environments import foundation, lifecycle, preflight, teardown
from scripts.environments.doctor.account import identify
from scripts.environments.teardown import Target
from scripts.terraform.workspace import Workspace
from scripts.verify import checks, leftovers, roles, sequence
from scripts.verify.sequence import Note, Outcome, Step
from scripts.verify.settings import BACKSTOP_MINUTES, VerifySettings
from winbatch.errors import WinbatchError

SCHEMA = 1
# Hours from the first call to the last, and of instances, as the steps are.
HOURS, INSTANCE_HOURS = 3.0, 2.5
MAKES = (
    "a bucket for its state with a key, and the pipeline's two roles, which your credentials may assume",
    "network with one NAT gateway, MWAA (mw1.micro), an ECS cluster of at most two Windows instances, ECR, S3, alarms",
    "a job of Python, one of programs, one of a table, one that is cancelled, one whose instance is terminated",
    "objects and repositories of the contract tests, which remove them themselves",
)


@dataclass(frozen=True)
class Done:
    """What came of it.

    Attributes:
        record: where it is written.
        outcomes: of each step, by its name.
    """

    record: Path
    outcomes: Mapping[str, Outcome]

    @property
    def otherwise(self) -> list[str]:
        """The checks to which AWS said otherwise."""
        return [name for name, outcome in self.outcomes.items() if not outcome.ok]

    def as_json(self) -> dict[str, Any]:
        """As `invoke verify-aws --json` prints it."""
        return {
            "record": str(self.record),
            "agreed": not self.otherwise,
            "steps": {name: dataclasses.asdict(outcome) for name, outcome in self.outcomes.items()},
        }


def run(of: Settings, *, confirm: bool = True, give_up: bool = False) -> Done:
    """Ask AWS.

    Args:
        of: the environment whose values are taken, and whose account it is.
        confirm: say what it costs and ask first.
        give_up: take down what there is, and ask nothing more.

    Raises:
        OperatorError: it cannot go on; calling again continues, and `give_up` ends it.
    """
    settings = VerifySettings.beside(of)
    given.folder("WINBATCH_STATE", settings.state)
    settings.write()
    with Steps().step("Account") as step:
        account = identify(settings, Aws(settings.region).client("sts"))
        step.detail = account
    if not give_up:
        # Who reads the record must be able to say what of.
        refuse(preflight.doubts(settings, account, checkout.commit(settings.root), checkout.changed(settings.root)))
    note = Note.load(settings.state / "verify.json", dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
    if note.facts.setdefault("of", of.environment) != of.environment:
        raise OperatorError(
            f"verify-aws of environment {note.facts['of']} is not at its end: call it with --env {note.facts['of']}"
        )
    if confirm:
        for part in announcement(settings, account, note):
            console.print(part)
        preflight.ask("Take it down now?" if give_up else "Make this, and take it down again?", settings)
    verification = Verification(settings, note)
    sequence.run(verification.steps(), note, safe=verification.make_safe, give_up=give_up)
    file = write_record(settings, note)
    shutil.rmtree(settings.state)
    return Done(file, note.outcomes)


def refuse(doubts: Sequence[str]) -> None:
    """Refuse what a person could wave away elsewhere.

    Raises:
        PreflightError: there is a doubt.
    """
    if doubts:
        raise PreflightError("; ".join(doubts))


def announcement(settings: VerifySettings, account: str, note: Note) -> Iterator[str | Table]:
    """What a person should know before a yes."""
    yield f"Asks AWS whether it does what the local AWS does: account {account}, {settings.region}, as {settings.of}."
    if note.outcomes:
        yield f"It goes on where it was cut off; done: {', '.join(note.outcomes)}."
    yield "It makes, for about three hours, and takes down again:"
    yield from (f"  - {line}" for line in MAKES)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("US dollars", justify="right")
    lines = costs.verify_lines(HOURS, INSTANCE_HOURS)
    for line in lines:
        table.add_row(line.title, f"{line.usd:.2f}{'' if line.sure else ' ?'}")
    table.add_row("in all", f"{sum(line.usd for line in lines):.2f}", style="bold")
    yield table
    yield "Cut off, it stops instances and jobs first; call it again to go on, or with --take-down to end it."


class Verification:
    """The steps, and what they share.

    Args:
        settings: of the environment that is made.
        note: of what is done.
    """

    def __init__(self, settings: VerifySettings, note: Note) -> None:
        self.settings = settings
        self.note = note
        name = f"winbatch-{settings.environment}"
        self.target = Target(name, settings.environment, name, name)

    def steps(self) -> Sequence[Step]:
        """All of them, in order."""
        return (
            Step("foundation", "A place for the state, and the pipeline's roles", self.lay),
            Step("up", "Apply the environment as the pipeline's apply role", self.up),
            Step("plan", "Plan it again as the plan role: nothing to do", self.plan, checks=True),
            Step("contract", "Contract tests", self._check(checks.contract), checks=True),
            Step("python", "A job of Python", self._job(checks.python_job), checks=True),
            Step("program", "A job of a program over files", self._job(checks.program_job), checks=True),
            Step("table", "A job of programs in a row, and a table", self._job(checks.table_job), checks=True),
            Step("cancel", "A job that is cancelled", self._job(checks.cancelled), checks=True),
            Step("lost", "A job whose instance is terminated", self._job(checks.lost_instance), checks=True),
            Step("backstop", "The backstop's fire drill", self._job(checks.backstop), checks=True),
            Step("down", "Take the environment down as the apply role", self.down, ends=True),
            Step("foundation-down", "Take the state and the roles away", self.remove_foundation, ends=True),
            Step("left", "Look for what is left, service by service", self.look, ends=True),
        )

    def lay(self, shown: Shown) -> Outcome:
        """Make the state's bucket and the roles, with the caller as their operator."""
        aws = Aws(self.settings.region)
        who = roles.principal(aws.client("sts"), aws.client("iam"))
        shown.update(who)
        laid = foundation.lay(self.settings, operators=[who], confirm=False)
        assert laid.pipeline is not None
        self.note.facts |= dict(laid.pipeline)
        return Outcome(ok=True, detail=f"{laid.changes} changes, for {who}")

    def up(self, _: Shown) -> Outcome:
        """Bring the environment up, as the pipeline does after a merge."""
        self.settings.write(permissions_boundary=self.note.facts["permissions_boundary"])
        with self._as("apply"):
            done = lifecycle.up(self.settings, confirm=False, check=False)
        return Outcome(ok=True, detail=f"{done.changes} changes, release {done.release}")

    def plan(self, _: Shown) -> Outcome:
        """Plan, as the pipeline does of a pull request."""
        self.settings.write(permissions_boundary=self.note.facts["permissions_boundary"])
        with self._as("plan"):
            summary = lifecycle.plan(self.settings, judge=False)
        return Outcome(ok=not summary.changes, detail=summary.sentence)

    def down(self, _: Shown) -> Outcome:
        """Empty, destroy, sweep and look."""
        if "roles" not in self.note.facts:
            return Outcome(ok=True, detail="it was not begun")
        self.settings.write(permissions_boundary=self.note.facts["permissions_boundary"])
        with self._as("apply"):
            lifecycle.down(self.settings, confirm=False, delete_data=True)
        return Outcome(ok=True, detail="destroyed")

    def remove_foundation(self, shown: Shown) -> Outcome:
        """Take away what Terraform keeps."""
        if not self.settings.backend_file.is_file():
            return Outcome(ok=True, detail="it was not begun")
        bucket = self.settings.backend("bucket")
        said = leftovers.remove_foundation(Aws(self.settings.region), self.target.name, bucket, shown)
        return Outcome(ok=True, detail=said)

    def look(self, _: Shown) -> Outcome:
        """Prove that nothing is left."""
        bucket = self.settings.backend("bucket") if self.settings.backend_file.is_file() else ""
        left = leftovers.left(Aws(self.settings.region), self.target, bucket)
        detail = f"{len(left)} things: {'; '.join(left)}: delete them by hand, and call again" if left else "nothing"
        return Outcome(ok=not left, detail=detail)

    def make_safe(self) -> None:
        """Leave no instance running: jobs first, which would ask for others; a Ctrl-C waits until all is asked for.

        It waits until the instances are gone, unless it is cut off there.

        Raises:
            OperatorError: nobody can say that they go.
        """
        if "roles" not in self.note.facts:
            return
        try:
            with Steps().step("Stop jobs and instances") as step:
                step.detail = self._stop(step)
        except (ClientError, BotoCoreError) as error:
            raise OperatorError(
                f"instances of the group {self.target.group} may still run ({error}): log in and call again, or set its"
                f" capacity to 0; the backstop does so {BACKSTOP_MINUTES} minutes after the last ECS task"
            ) from error

    def _stop(self, step: Shown) -> str:
        aws = Aws(self.settings.region)
        with uninterrupted():
            # What was applied half has no outputs, but it may have instances.
            with suppress(ClientError, BotoCoreError, OperatorError, WinbatchError):
                workspace = Workspace(self.settings)
                teardown.stop_jobs(workspace.airflow(workspace.outputs()))
            teardown.scale_in(aws.client("autoscaling"), self.target.group)
        return teardown.drain(aws, self.target, step.update)

    @contextmanager
    def _as(self, role: str) -> Iterator[None]:
        """Act as one of the pipeline's roles."""
        with roles.acting(Aws(self.settings.region).client("sts"), self.note.facts["roles"][role]):
            yield

    def _check(self, check: Callable[[VerifySettings, Shown], Outcome]) -> Callable[[Shown], Outcome]:
        return lambda shown: check(self.settings, shown)

    def _job(self, check: Callable[[VerifySettings, Shown], Outcome]) -> Callable[[Shown], Outcome]:
        """A check that needs the cluster to itself: what an earlier one has left there is stopped first."""

        def do(shown: Shown) -> Outcome:
            workspace = Workspace(self.settings)
            if teardown.stop_jobs(workspace.airflow(workspace.outputs())):
                teardown.drain(workspace.aws, self.target, shown.update)
            return check(self.settings, shown)

        return do


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let nobody cut this off but by SIGKILL."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_record(settings: VerifySettings, note: Note) -> Path:
    """Write what came of it: beside the page that reads it, or for the emulator's answers into `build/`.

    No account, no name of anybody: it is to be committed.
    """
    now = dt.datetime.now(dt.UTC)
    folder = settings.root / ("build" if settings.emulated else "docs") / "parity"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{now:%Y-%m-%d-%H%M%S}.json"
    record = {
        "schema": SCHEMA,
        "at": now.isoformat(timespec="seconds"),
        "began": note.began,
        "of": settings.of,
        "region": settings.region,
        "commit": checkout.commit(settings.root),
        "airflow": settings.airflow_version,
        "windows": settings.windows_version,
        "steps": {
            name: {"ok": outcome.ok, "detail": outcome.detail, "seconds": outcome.seconds}
            for name, outcome in note.outcomes.items()
        },
        "tests": {test: outcome for one in note.outcomes.values() for test, outcome in one.tests.items()},
    }
    file.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return file
