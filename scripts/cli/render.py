"""What people see of jobs, results and findings: data in, rich's renderables out."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.bar import Bar
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from scripts.core.console import QUIET, console, plain_table, say
from scripts.core.errors import one_line, printable
from scripts.jobs.control import Cancelled
from scripts.jobs.item_log import Attempt, ItemLog, Line
from scripts.jobs.reason import Reason
from scripts.jobs.runs import Snapshot
from winbatch.ledger import GroupCount, Ledger
from winbatch.spec import Spec

if TYPE_CHECKING:
    from scripts.dag_releases.publish import Listed  # brings what only releases need
    from scripts.environments.doctor.check import Finding

# Of groups and of failed items that are shown at most.
ROWS = 40
# Of causes why items failed.
CAUSES = 10
HOUR = 3600
# Of what AWS said, in the one line of a job; `invoke status --run-id` has all of it.
SAID = 160


def releases(found: Sequence["Listed"]) -> Table:
    """Releases of the DAGs, a row each."""
    table = plain_table("release", "served last", "commit", "")
    for entry in found:
        table.add_row(entry.release, entry.at, entry.commit[:12], "served" if entry.served else "")
    return table


def finding(name: str, found: "Finding") -> Text:
    """One of the doctor's findings, in a line: how it is, with what, what is so, and what to do."""
    style = {"fine": "green", "doubtful": "yellow", "wrong": "red"}[found.state.value]
    line = Text.assemble((f"{found.state.value:<10}", style), f"{name}: ", one_line(found.said))
    return line.append(f" → {one_line(found.advice)}", style="bold") if found.advice else line


def parameters(specification: Spec) -> Table:
    """A job specification's parameters with their defaults."""
    table = Table("parameter", "default", "what", title=f"{specification.dag}: {specification.title}")
    for name, schema in specification.parameters.items():
        default = schema["default"]
        text = ",".join(str(value) for value in default) if isinstance(default, list) else str(default)
        table.add_row(name, text, str(schema["description"]))
    return table


def curve(points: Sequence[Mapping[str, Any]]) -> Table:
    """A bit error rate curve: a row a point, narrow enough for 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in ("Eb/N0", "bits", "errors", "BER", "95 % interval", "theory"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in points:
        low, high = point["ci95"]
        table.add_row(
            f"{point['ebn0_db']:g} dB",
            f"{point['bits']:.3e}",
            str(point["bit_errors"]),
            f"{point['ber']:.4e}",
            f"{low:.4e} … {high:.4e}",
            f"{point['theory']:.4e}",
        )
    return table


def curve_of(files: Sequence[Path]) -> Table | None:
    """The curve of a job's files; None for a job that has none."""
    for file in files:
        if file.name == "results.json":
            data = json.loads(file.read_text(encoding="utf-8"))
            points = data.get("points") if isinstance(data, dict) else None
            if points and all("ebn0_db" in point for point in points):
                return curve(points)
    return None


def job_line(snapshot: Snapshot, reason: Reason | None = None) -> str:
    """A job in one line: stage, items, shards, ECS tasks, instances, rate, time left; why nothing moves.

    Args:
        snapshot: the job.
        reason: of that.
    """
    current = snapshot.current
    why = [one_line(reason.sentence)] if reason else []
    if current is None:
        return ", ".join([f"{snapshot.state}, not planned yet", *why])
    stage, ledger = current
    if ledger is None:
        return ", ".join([f"{stage.stage}: not begun, {stage.items} items in {stage.shards} shards", *why])
    parts = [
        f"{stage.stage} {_state(snapshot, ledger)}: {ledger.items_done}/{ledger.items} items",
        f"{ledger.shards_done}/{ledger.shards} shards",
        f"{ledger.tasks_running} ECS tasks running, {ledger.tasks_pending} pending",
        f"{ledger.instances_registered}/{ledger.instances_desired} instances",
    ]
    if ledger.items_failed:
        parts.insert(1, f"{ledger.items_failed} failed")
    said = [f"AWS says: {one_line(ledger.said)[:SAID]}"] if ledger.said and not ledger.finished else []
    return ", ".join([*parts, *pace(snapshot.rate, snapshot.remaining_seconds), *why, *said])


def pace(rate: float | None, left: float | None) -> list[str]:
    """Items a second and seconds left, in words; nothing while they are unknown."""
    return [*([] if not rate else [speed(rate)]), *([] if left is None else [f"about {clock(left)} left"])]


def speed(rate: float) -> str:
    """Items a second, in the unit in which there is at least one."""
    for seconds, unit in ((1, "s"), (60, "min")):
        if rate * seconds >= 1:
            return f"{rate * seconds:.1f}/{unit}"
    return f"{rate * 3600:.1f}/h"


def _state(snapshot: Snapshot, ledger: Ledger) -> str:
    """A stage's state, in a job that may have been resumed since."""
    return "to go on" if snapshot.waits(ledger) and ledger.state != "succeeded" else ledger.state


def job(snapshot: Snapshot, options: str, reason: Reason | None = None) -> list[RenderableType]:
    """A job in full, as its ledgers have it: a row a stage, what it used, a row a group, a row a failed item.

    Args:
        snapshot: the job.
        options: that a command about this job needs behind its run id.
        reason: why it is where it is.
    """
    parts: list[RenderableType] = [Text(f"{snapshot.run_id}: {snapshot.state}, {clock(snapshot.seconds)}")]
    if reason is not None:
        parts.append(Text(one_line(reason.sentence)))
    if not snapshot.stages:
        return [*parts, Text(snapshot.other or "not planned yet")]
    parts.append(_stages(snapshot))
    parts += [Text(reason) for reason in snapshot.reasons]
    used = f"instances so far: {clock(snapshot.instance_seconds)} hours"
    if snapshot.instance_seconds < HOUR:
        used = f"instances so far: {clock(snapshot.instance_seconds)} minutes"
    if snapshot.cost is not None:
        used += f", about {snapshot.cost:.2f} US dollars"
    current = snapshot.current[1] if snapshot.current else None
    if current is not None and not current.finished:
        tasks = f"{current.tasks_running} ECS tasks running, {current.tasks_pending} pending"
        used = f"{tasks}; {current.instances_registered} of {current.instances_desired} instances; {used}"
    parts.append(Text(used))
    if current is not None and current.said and not current.finished:
        parts.append(Text(f"AWS says: {one_line(current.said)}"))
    if current is not None and current.groups:
        parts.append(_groups(current.groups))
    if snapshot.failures:
        parts += [
            *_causes(snapshot),
            _failures(snapshot),
            Text(f"An item's log: invoke logs {snapshot.run_id} --item N{options}"),
            Text(f"What became of it: invoke replay {snapshot.run_id} --why N{options}"),
        ]
    return parts


def _stages(snapshot: Snapshot) -> Table:
    table = plain_table("stage", "state")
    for name in ("items", "failed", "shards at work", "rate", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage, ledger in snapshot.stages:
        if ledger is None:
            table.add_row(stage.stage, "not begun", f"0/{stage.items}", "", "", "", "")
            continue
        works = not ledger.finished and not snapshot.ended
        left = ledger.remaining_seconds
        table.add_row(
            stage.stage,
            _state(snapshot, ledger),
            f"{ledger.items_done}/{ledger.items}",
            str(ledger.items_failed),
            str(ledger.shards_claimed) if works else "",
            speed(ledger.rate) if works and ledger.rate else "",
            clock(left) if works and left is not None else "",
        )
    return table


def _groups(groups: Sequence[GroupCount]) -> Table:
    """A bar a group; of many, only those that are not done."""
    shown = [group for group in groups if len(groups) <= ROWS or group.done < group.shards]
    table = plain_table("group", "shards done")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("failed", justify="right")
    for group in shown[:ROWS]:
        bar = Bar(group.shards, 0, group.done, width=24)
        table.add_row(group.name, bar, f"{group.done}/{group.shards}", str(group.failed))
    hidden = len(groups) - len(shown[:ROWS])
    if hidden:
        done = sum(group.done == group.shards for group in groups)
        table.caption = f"and {hidden} more; {done} of {len(groups)} groups are done"
    return table


def _causes(snapshot: Snapshot) -> list[Text]:
    """Each cause once: how many items, which, why, and lines of the log of one of them."""
    found = snapshot.causes
    parts = [Text("Why items failed:")]
    for stage, cause in found[:CAUSES]:
        parts.append(Text(f"  {stage.stage}, {cause.named}, {cause.kind}: {one_line(cause.reason)}"))
        parts += [Text(f"      {printable(line)}", style="dim") for line in cause.lines]
    if len(found) > CAUSES:
        parts.append(Text(f"  and {len(found) - CAUSES} more causes: --json lists them"))
    return parts


def _failures(snapshot: Snapshot) -> Table:
    table = plain_table("failed item", "stage", "kind", "reason")
    for stage, failure in snapshot.failures[:ROWS]:
        reason = one_line(failure.reason)
        table.add_row(str(failure.item), stage.stage, failure.kind, Text(reason, overflow="fold"))
    if len(snapshot.failures) > ROWS:
        table.caption = f"and {len(snapshot.failures) - ROWS} more: --json lists all"
    return table


def clock(seconds: float) -> str:
    """Seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def succeeded(snapshot: Snapshot, options: str) -> str:
    """Say in a line what came of a job that succeeded.

    Args:
        snapshot: the job.
        options: that a command about it needs behind its run id.
    """
    took = f"Job {snapshot.run_id} succeeded after {clock(snapshot.seconds)}"
    files = f"Its files: invoke results --run-id {snapshot.run_id}{options}"
    if not snapshot.failed_items:
        return f"{took}: {snapshot.items} items. {files}"
    failed = f"{snapshot.failed_items} failed: invoke status --run-id {snapshot.run_id}{options}"
    return f"{took}: {snapshot.items_done} of {snapshot.items} items done, {failed} says why. {files}"


def cancelled(done: Cancelled, options: str) -> str:
    """What came of `invoke cancel`: what is stopped, what is kept, how to go on.

    Args:
        done: what came of it.
        options: that a command about this job needs behind its run id.
    """
    snapshot = done.snapshot
    kept = f"{snapshot.items_done} of {snapshot.items} items are done and kept"
    again = f"invoke resume {snapshot.run_id}{options}"
    if snapshot.state == "succeeded":
        return f"{snapshot.run_id} had succeeded already: {kept}"
    if not done.acted:
        had = "was cancelled already" if snapshot.state == "cancelled" else f"had {snapshot.state} already"
        return f"{snapshot.run_id} {had}: {kept}. Go on with the rest: {again}"
    if not snapshot.stages:
        kept = "it had not begun"
    cluster = f"the cluster is at {done.instances} instances"
    if done.others:
        cluster += f", for {', '.join(done.others)}"
    return f"{snapshot.run_id} is {snapshot.state}: {kept}, {cluster}. Go on with the rest: {again}"


def attempt_line(attempt: Attempt) -> str:
    """An attempt in one line: what came of it, where, when."""
    ended = f" to {attempt.ended_at:%H:%M:%S}" if attempt.ended_at else ""
    reason = f": {attempt.reason}" if attempt.reason else ""
    return (
        f"attempt {attempt.number}, ECS task {attempt.task_id}, {attempt.claimed_at:%Y-%m-%d %H:%M:%S}{ended} UTC:"
        f" {attempt.outcome}{reason}"
    )


def log_line(line: Line) -> str:
    """A line of an item: time, level, message; just the text where that is all there is."""
    if line.at is None:
        return line.text
    return f"{line.at.astimezone(UTC):%H:%M:%S.%f}"[:12] + f" {line.level:<7} {line.text}"


class ItemLogPrinter:
    """Shows an item's attempts on standard error and its lines on standard output; called again, what is new."""

    def __init__(self) -> None:
        self._heads: dict[int, str] = {}
        self._lines: dict[int, int] = {}

    def __call__(self, found: ItemLog) -> None:
        """Show what has come since the last call."""
        if not self._heads:
            console.print(f"item {found.item} of stage {found.stage.stage}, shard {found.shard}", markup=False)
        for attempt in found.attempts:
            head = attempt_line(attempt)
            if self._heads.get(attempt.number) != head:
                console.print(head, markup=False, soft_wrap=True)
                self._heads[attempt.number] = head
            for line in attempt.lines[self._lines.get(attempt.number, 0) :]:
                say(log_line(line))
            if not attempt.lines and attempt.outcome != "at work":
                console.print("  it logged nothing for this item", markup=False)
            self._lines[attempt.number] = len(attempt.lines)


class JobProgress:
    """Shows a job while it is followed: a bar on a terminal, a line now and then elsewhere.

    Args:
        why: says why nothing moves; None where something does.
    """

    def __init__(self, why: Callable[[Snapshot], Reason | None] = lambda _: None) -> None:
        self._why = why
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[line]}"),
            console=console,
            transient=True,
        )
        self._rows: dict[str, Any] = {}
        self._shown = -QUIET
        self._last = ""

    def __enter__(self) -> Self:
        if console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if console.is_terminal:
            self._bar.stop()

    def __call__(self, snapshot: Snapshot) -> None:
        """Show where the job is: at a terminal always, elsewhere a line now and then."""
        line = job_line(snapshot, self._why(snapshot))
        if console.is_terminal:
            self._draw(snapshot, line)
        elif snapshot.seconds - self._shown >= (QUIET if line != self._last else 6 * QUIET):
            self._shown = snapshot.seconds
            self._last = line
            console.print(f"  {clock(snapshot.seconds)}  {line}", markup=False, soft_wrap=True)

    def _draw(self, snapshot: Snapshot, line: str) -> None:
        if not snapshot.stages:
            if "" not in self._rows:
                self._rows[""] = self._bar.add_task("waiting", total=None, line=line)
            return
        for stage, ledger in snapshot.stages:
            if stage.stage not in self._rows:
                self._rows[stage.stage] = self._bar.add_task(stage.stage, total=stage.items, line="")
            is_current = snapshot.current is not None and snapshot.current[0] is stage
            done = ledger.items_done + ledger.items_failed if ledger else 0
            self._bar.update(self._rows[stage.stage], completed=done, line=line if is_current else "")
        if "" in self._rows:
            self._bar.remove_task(self._rows.pop(""))
