"""Verbs that ask of jobs what became of them: why one is where it is, which there were, what differs between two."""

from collections.abc import Sequence

from invoke.context import Context
from rich.table import Table

from scripts.cli import render
from scripts.cli.command import ENV, JSON, Whole, command
from scripts.cli.jobs import options_of, run_of
from scripts.core.console import console, emit, plain_table, say, show, shown_width
from scripts.core.errors import SettingsError, one_line
from scripts.core.settings import Settings
from scripts.jobs import runs
from scripts.jobs.history import LIMIT, Difference, Past
from winbatch import spec

# Of a value that differs, and of who started a job, so much is shown.
_VALUE, _WHO = 80, 20
_NONE = "-"
_MOST = 500
# Of a table: what stands between two columns, and which are numbers.
_BETWEEN = 3
_NUMBERS = frozenset({"items", "failed", "took", "US dollars"})
LAST = Whole(LIMIT)


@command(
    name="why",
    help={
        "env": ENV,
        "json": JSON,
        "run-id": "which job; default: the last one",
        "dag": "the job's DAG; default: what its run id begins with, without one any",
    },
)
def why_(_: Context, env: str = "", run_id: str = "", dag: str = "", json: bool = False) -> None:
    """Say in a sentence what a job waits for, or what ended it, what shows it, and what to do.

    Examples: invoke why; invoke why --run-id ber-20261122-190000; invoke why --dag ber --env dev --json
    """
    from scripts.jobs import situation, why

    settings = Settings.load(env)
    workspace, outputs, named = run_of(settings, run_id, dag)
    last = [dag] if dag else spec.names()
    dag, run_id = (named, run_id) if run_id else runs.latest(workspace.airflow(outputs), last)
    options = options_of(settings, run_id, dag)
    reason = why.tell(situation.read(workspace, outputs, dag, run_id, options=options))
    if json:
        emit({"dag": dag, "run_id": run_id, **reason.as_json()})
        return
    say(one_line(f"{run_id}: {reason.sentence}"))
    for line in reason.evidence:
        say(f"  {one_line(line)}")
    if reason.advice:
        say(one_line(f"What to do: {reason.advice}"))


@command(
    name="jobs",
    help={
        "env": ENV,
        "json": JSON,
        "dag": "jobs of this DAG only; of --diff: the DAG of both",
        "limit": f"so many at most, up to {_MOST}; default: {LIMIT}",
        "diff": "two run ids with a comma between: what is different",
    },
)
def jobs_(_: Context, env: str = "", dag: str = "", limit: int = LAST, diff: str = "", json: bool = False) -> None:
    """List the jobs of all DAGs, newest first; or say what differs between two.

    Examples: invoke jobs; invoke jobs --dag ber --limit 5; invoke jobs --diff ber-20261122-190000,ber-20261123-190000
    """
    from scripts.jobs import history

    pair = _pair(diff) if diff else ()
    if not 1 <= limit <= _MOST:
        raise SettingsError(f"--limit {int(limit)}: from 1 to {_MOST} jobs are listed")
    settings = Settings.load(env)
    if pair:
        found = [run_of(settings, run_id, dag) for run_id in pair]
        workspace, outputs, _dag = found[0]
        named = [(each_dag, run_id) for (_workspace, _outputs, each_dag), run_id in zip(found, pair, strict=True)]
        differences = history.compared(workspace, outputs, named)
        if json:
            emit({"jobs": list(pair), "differences": [vars(difference) for difference in differences]})
        else:
            show(_differences(pair, differences))
        return
    workspace, outputs, _dag = run_of(settings, "", dag)
    listed = history.read(workspace, outputs, [dag] if dag else spec.names(), int(limit))
    if json:
        emit({"jobs": [past.as_json() for past in listed]})
        return
    if not listed:
        show("No job has run yet: invoke run")
        return
    show(_table(listed, shown_width()))
    for past in listed:
        if past.problem:
            console.print(f"{past.run_id}: {one_line(past.problem)}", markup=False, soft_wrap=True)


def _pair(diff: str) -> Sequence[str]:
    pair = [run_id.strip() for run_id in diff.split(",")]
    if len(pair) != 2 or not all(pair):  # noqa: PLR2004 - two are compared
        raise SettingsError(
            f"--diff {diff}: two run ids with a comma between are expected, such as"
            " ber-20261122-190000,ber-20261123-190000"
        )
    return pair


def _table(listed: Sequence[Past], width: int) -> Table:
    """Make the table: the run ids are whole, for they are what a person copies; columns that do not fit are left out.

    Args:
        listed: the jobs.
        width: columns of the terminal.
    """
    cells: dict[str, list[str]] = {
        "run id": [past.run_id for past in listed],
        "state": [past.state for past in listed],
        "items": [f"{past.items_done}/{past.items}" for past in listed],
        "failed": [str(past.failed_items) for past in listed],
        "took": [render.clock(past.seconds) for past in listed],
        "US dollars": [_NONE if past.cost is None else f"{past.cost:.2f}" for past in listed],
        "when (UTC)": [past.at[:19].replace("T", " ") for past in listed],
        "by": [past.by[:_WHO] for past in listed],
        "DAG": [past.dag for past in listed],
    }
    table, used = plain_table(), 0
    for name, column in cells.items():
        used += max(map(len, [name, *column])) + _BETWEEN
        if name == "run id":
            table.add_column(name, overflow="fold")
        elif used <= width:
            table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
        else:
            break
    for row in zip(*list(cells.values())[: len(table.columns)], strict=True):
        table.add_row(*row)
    return table


def _differences(pair: Sequence[str], found: Sequence[Difference]) -> Table | str:
    if not found:
        return f"{pair[0]} and {pair[1]} differ in nothing"
    table = plain_table("what", *pair)
    for difference in found:
        table.add_row(difference.what, _value(difference.one), _value(difference.other))
    return table


def _value(value: object) -> str:
    if value is None or value == "":
        return _NONE
    text = one_line(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"
