"""What a job leaves: where it is, and into a folder of a person's."""

from pathlib import Path
from typing import Any

from scripts.core.errors import JobFailed
from scripts.jobs.runs import Snapshot
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import filenames


def results_prefix(snapshot: Snapshot) -> str:
    """Say where the last stage leaves its files, without bucket.

    Raises:
        JobFailed: the job was never planned.
    """
    if not snapshot.stages:
        raise JobFailed(f"{snapshot.run_id} has no results: it was never planned")
    return snapshot.stages[-1][0].outputs


def summary(outputs: Outputs, snapshot: Snapshot) -> dict[str, Any]:
    """Give a job that has ended, as `invoke run --json` prints it."""
    return {
        "run_id": snapshot.run_id,
        "state": snapshot.state,
        "seconds": round(snapshot.seconds, 1),
        "items": snapshot.items,
        "items_done": snapshot.items_done,
        "failed_items": snapshot.failed_items,
        "results": f"s3://{outputs.data_bucket}/{results_prefix(snapshot)}" if snapshot.stages else None,
    }


def fetch(workspace: Workspace, outputs: Outputs, snapshot: Snapshot, out: Path) -> list[Path]:
    """Download a job's files into a folder.

    Raises:
        JobFailed: there are none; or one cannot be a file of that name, and the others are there.
    """
    s3 = workspace.aws.client("s3")
    prefix = results_prefix(snapshot)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=outputs.data_bucket, Prefix=prefix, Delimiter="/")
    names = sorted(entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", []))
    if not names:
        raise JobFailed(f"{snapshot.run_id} ({snapshot.state}) has no results at s3://{outputs.data_bucket}/{prefix}")
    out.mkdir(parents=True, exist_ok=True)
    refused = filenames.problems(names)
    fetched = []
    for name in names:
        if name not in refused:
            fetched.append(out / name)
            fetched[-1].write_bytes(s3.get_object(Bucket=outputs.data_bucket, Key=prefix + name)["Body"].read())
    for name, said in refused.items():
        raise JobFailed(
            f"{len(fetched)} files are in {out}, but s3://{outputs.data_bucket}/{prefix}{name} is not: {said};"
            " fetch it by `aws s3 cp` under another name"
        )
    return fetched
