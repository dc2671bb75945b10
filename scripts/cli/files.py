"""Verbs of a person's files: send them to an environment's bucket, and fetch some from there."""

from pathlib import Path

from invoke.context import Context

from scripts.cli.command import ENV, JSON, command
from scripts.core import given
from scripts.core.console import Steps, emit, show
from scripts.core.errors import SettingsError
from scripts.core.settings import Settings
from scripts.terraform.workspace import Workspace


@command(
    help={"env": ENV, "json": JSON, "folder": "of the files", "prefix": "where in the data bucket: sim/inputs/deals"}
)
def upload(_: Context, folder: str, prefix: str, env: str = "", json: bool = False) -> None:
    """Send a folder's files to the data bucket, where items get them. What is there already is not sent again.

    Examples: invoke upload deals sim/inputs/deals; invoke upload ./deals sim/inputs/deals --env dev --json
    """
    _move("upload", folder, prefix, env, json=json)


@command(
    help={"env": ENV, "json": JSON, "prefix": "where in the data bucket: sim/inputs/deals", "folder": "for the files"}
)
def download(_: Context, prefix: str, folder: str, env: str = "", json: bool = False) -> None:
    """Fetch what lies below a prefix of the data bucket. What is in the folder already is not fetched again.

    Examples: invoke download sim/inputs/deals deals; invoke download sim/inputs/deals ./deals --env dev --json
    """
    _move("download", folder, prefix, env, json=json)


def _move(verb: str, folder: str, prefix: str, env: str, *, json: bool) -> None:
    from scripts.jobs import transfers

    settings = Settings.load(env)
    if not folder.strip():
        raise SettingsError("the folder has no name: . is where you are")
    workspace = Workspace(settings)
    bucket = workspace.outputs().data_bucket
    s3, place = workspace.aws.client("s3"), Path(folder)
    title = f"{'Send to' if verb == 'upload' else 'Fetch from'} s3://{bucket}/{prefix.strip('/')}/"
    with Steps().step(title) as step, given.path("the folder", place):
        if verb == "upload":
            done = transfers.upload(s3, bucket, place, prefix, step.update)
        else:
            done = transfers.download(s3, bucket, prefix, place, step.update)
        step.detail = f"{done.moved:,} files, {done.size / 1e6:,.1f} MB"
    if json:
        emit({"bucket": bucket, "prefix": prefix, "moved": done.moved, "same": done.same, "bytes": done.size})
    else:
        word = "sent to" if verb == "upload" else "fetched from"
        show(f"{done.moved:,} files {word} s3://{bucket}/{prefix.strip('/')}/, {done.same:,} were there already")
