"""DAG releases as the operator makes them: checked, served, listed, rolled back, and waited for."""

import json
from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from scripts.core import airflow, checkout
from scripts.core.console import Steps
from scripts.core.errors import ReleaseError
from scripts.core.locking import only_one
from scripts.core.settings import Settings
from scripts.dag_releases import parsing, requirements
from scripts.dag_releases.store import DEPLOYMENT, Done, Release, Releases, before, collect
from scripts.images import linux
from scripts.terraform.workspace import Outputs, Workspace
from winbatch import spec
from winbatch.times import format_time


@dataclass(frozen=True)
class Listed:
    """A release as `dags.list` shows it.

    Attributes:
        release: its id.
        at: when it was served last, UTC.
        commit: of the checkout that it was made of; empty where there was no git.
        served: Airflow is told to serve it.
    """

    release: str
    at: str
    commit: str
    served: bool


@dataclass(frozen=True)
class Listing:
    """Holds what `dags.list` shows.

    Attributes:
        releases: the one that was served last first; each once.
        strangers: keys of the DAG bucket that Airflow gets, too, and that no release and no Terraform has made.
    """

    releases: list[Listed]
    strangers: list[str]


def release_dags(settings: Settings) -> Done:
    """Release the DAGs to an environment that is up, and wait until Airflow serves them.

    Raises:
        OperatorError: it is not up, the DAGs are not fit to be served, or Airflow does not serve them.
    """
    steps = Steps()
    with only_one(settings, "dags.release"):
        requirements.check(settings)
        workspace = Workspace(settings)
        outputs = workspace.outputs()
        done = release(workspace, outputs, steps)
        wait(workspace, outputs, done, steps)
    return done


def roll_back(settings: Settings, name: str) -> Done:
    """Serve an earlier release again, and wait until Airflow does.

    Args:
        settings: which environment.
        name: the release; empty: the one that was served before the current one.

    Raises:
        ReleaseError: there is none, or what it is pinned to is gone.
    """
    steps = Steps()
    with only_one(settings, "dags.rollback"):
        workspace = Workspace(settings)
        outputs = workspace.outputs()
        releases = _releases(workspace, outputs)
        wanted = name or before(releases.history())
        if wanted is None:
            raise ReleaseError("nothing was released before the release that is served: name one of invoke dags.list")
        with steps.step("Roll the DAGs back") as step:
            found = releases.load(wanted)
            gone = missing(found.workloads, workspace.aws.client("ecs"), workspace.aws.client("ecr"))
            gone = gone or unknown(found, releases.deployment())
            if gone:
                raise ReleaseError(f"release {wanted} cannot be served again: {gone}")
            done = releases.serve(found, _oldest_run(workspace.airflow(outputs)), step.update)
            step.detail = done.sentence
        wait(workspace, outputs, done, steps)
    return done


def listing(settings: Settings) -> Listing:
    """The environment's releases, and what else lies beside them."""
    workspace = Workspace(settings)
    releases = _releases(workspace, workspace.outputs())
    served = releases.served().release
    found: dict[str, Listed] = {}
    for entry in reversed(releases.history()):
        found.setdefault(entry.release, Listed(entry.release, entry.at, entry.commit, entry.release == served))
    return Listing(list(found.values()), releases.strangers())


def strangers(workspace: Workspace, buckets: Container[str]) -> list[str]:
    """The keys of the environment's DAG bucket that no release has made; none when that is not among these buckets."""
    values = workspace.values()
    bucket, deployment = str(values.get("dags_bucket")), values.get("deployment")
    if bucket not in buckets or deployment is None:
        return []
    return Releases(workspace.aws.client("s3"), bucket, deployment["dags_prefix"]).strangers()


def release(workspace: Workspace, outputs: Outputs, steps: Steps) -> Done:
    """Release the checkout's DAGs with the deployment that Terraform has built; checked, unless they are served."""
    settings = workspace.settings
    # In the words of `invoke run`, before Airflow would say it by a traceback.
    spec.load_all(settings.dags / "jobs")
    releases = _releases(workspace, outputs)
    made = Release({**collect(settings.dags), DEPLOYMENT: releases.deployment()})
    if refused := unknown(made, made.files[DEPLOYMENT]):
        raise ReleaseError(f"{refused}: invoke up")
    if releases.served().release != made.id:
        with steps.step("Check the DAGs") as step:
            parsed = parsing.check(settings, made, step.update)
            step.detail = f"{', '.join(parsed.dags)}; parsed in {parsed.seconds * 1000:.0f} ms, no connection"
        made = Release(
            made.files,
            format_time(datetime.now(UTC)),
            checkout.commit(settings.root) or "",
            len(checkout.changed(settings.root)),
            round(parsed.seconds * 1000, 1),
        )
    with steps.step("Release the DAGs") as step:
        done = releases.serve(made, _oldest_run(workspace.airflow(outputs)), step.update)
        step.detail = done.sentence
    return done


def workload_dags(workspace: Workspace) -> dict[str, list[str]]:
    """Say which DAGs run stages of each workload: the checkout's, and those of releases that jobs may have begun with.

    Raises:
        SpecError: a job file of the checkout is wrong.
    """
    values = workspace.values()
    runs = [(one.dag, set(one.workloads)) for one in spec.load_all(workspace.settings.dags / "jobs")]
    if values.get("dags_bucket") and values.get("deployment"):
        s3 = workspace.aws.client("s3")
        # A bucket that somebody has deleted comes back by the apply that this is for.
        with suppress(s3.exceptions.NoSuchBucket):
            runs += Releases(s3, values["dags_bucket"], values["deployment"]["dags_prefix"]).runs()
    found: dict[str, set[str]] = {}
    for dag, workloads in runs:
        for workload in workloads:
            found.setdefault(workload, set()).add(dag)
    return {workload: sorted(dags) for workload, dags in found.items()}


def unknown(release: Release, deployment: bytes) -> str | None:
    """Say which DAG of a release runs a workload whose role may not work on its jobs; None when there is none.

    Args:
        release: pinned to task definitions; those of earlier applies have one role for all.
        deployment: Terraform's newest, which says what the roles know.
    """
    pinned = json.loads(release.files[DEPLOYMENT])["workloads"]
    known = {name: entry.get("dags", ()) for name, entry in json.loads(deployment)["workloads"].items()}
    for dag, workloads in sorted(release.runs.items()):
        for workload in sorted(workloads):
            if "dags" in pinned.get(workload, {}) and dag not in known.get(workload, ()):
                return f"job {dag} runs workload {workload}, whose role does not know it"
    return None


def wait(workspace: Workspace, outputs: Outputs, done: Done, steps: Steps) -> None:
    """Wait until Airflow serves a release: its DAGs, which need not be the checkout's."""
    dags = sorted(done.dags)
    with steps.step("Airflow serves the DAGs") as step:
        airflow.wait_for_dags(workspace.airflow(outputs), dags, release=done.release, progress=step.update)
        step.detail = f"{', '.join(dags)} of release {done.release}"


def missing(workloads: Mapping[str, Mapping[str, str]], ecs: Any, ecr: Any) -> str | None:
    """What a release is pinned to and is gone, in words; None when all is there."""
    for workload, pinned in workloads.items():
        arn, image = pinned["task_definition"], pinned["image"]
        try:
            found = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["status"] == "ACTIVE"
        except ClientError:
            found = False
        if not found:
            return f"its task definition {arn.rpartition('/')[2]} is gone; release the checkout: invoke dags.release"
        registry, _, digest = image.partition("@")
        if ".dkr.ecr." in registry and not _has_image(ecr, linux.repository_name(registry), digest):
            return f"the image of workload {workload} ({digest[:19]}…) is gone from its repository; push it again"
    return None


def _has_image(ecr: Any, repository: str, digest: str) -> bool:
    try:
        answer = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    except ClientError as error:
        if error.response["Error"]["Code"] == "RepositoryNotFoundException":
            return False
        raise
    return bool(answer["images"])


def _releases(workspace: Workspace, outputs: Outputs) -> Releases:
    return Releases(workspace.aws.client("s3"), outputs.dags_bucket, str(outputs.deployment["dags_prefix"]))


def _oldest_run(served: airflow.Airflow) -> datetime | None:
    """When the oldest job was queued that has not ended."""
    queued = [run["queued_at"] for run in served.unfinished() if run.get("queued_at")]
    return min((datetime.fromisoformat(str(moment)) for moment in queued), default=None)
