"""The verb that runs one item of a job on this machine."""

import functools
from collections.abc import Sequence
from pathlib import Path

from invoke.context import Context

from scripts.cli.command import ENV, JSON_AT_END, command
from scripts.cli.jobs import MAIN_DAG, SPECIFICATION, run_of
from scripts.core import given
from scripts.core.console import console, emit, say
from scripts.core.errors import JobFailed, SettingsError
from scripts.core.settings import Settings
from scripts.jobs import item_log


@command(
    name="try",
    iterable=["param"],
    help={
        "env": f"{ENV}; its bucket holds the inputs and the job",
        "json": f"{JSON_AT_END}; the item's lines are on standard error",
        "item": "the item's number",
        "dag": SPECIFICATION,
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
    from scripts.jobs import trial

    settings = Settings.load(env)
    number = item_log.parse_item(item)
    if run_id and (param or inputs):
        raise SettingsError("--param and --inputs do not go with --run-id: that job has its parameters and inputs")
    if run_id:
        workspace, outputs, dag = run_of(settings, run_id, dag)
        order = trial.of_job(workspace, outputs, dag, run_id, number, stage_name=stage)
    else:
        folder = Path(inputs) if inputs else None
        order = trial.of_specification(
            settings, dag or MAIN_DAG, number, params=param or (), stage_name=stage, inputs=folder
        )
    name = f"{order.stage.stage}-{number}"
    kept = Path(out).absolute() if out else settings.root / "build" / "try" / order.stage.dag / name
    show = functools.partial(console.print, markup=False, soft_wrap=True) if json else say
    with given.path("--out", kept):
        tried = trial.run(settings, order, kept, show)
    if json:
        emit(tried.as_json())
    for line in tried.lines():
        console.print(line, markup=False, soft_wrap=True)
    if not tried.succeeded:
        raise JobFailed(f"item {number} of stage {order.stage.stage} failed here: {tried.record['error']}")
