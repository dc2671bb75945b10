"""What is released against what is checked out: the checkout itself, images, DAGs."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from scripts.core import checkout
from scripts.dag_releases.store import DEPLOYMENT, Release, Releases, collect
from scripts.environments.doctor.account import checkout_doubts
from scripts.environments.doctor.check import Check, Context, Finding, doubtful, fine
from scripts.images import linux
from scripts.windows import image as windows
from scripts.windows import sources

_REVISION = "org.opencontainers.image.revision"
_CREATED = "org.opencontainers.image.created"


class Checkout(Check):
    """Looks whether all that is checked out is committed."""

    name = "checkout"

    def run(self, context: Context) -> Finding:
        """See that it is a commit."""
        commit = checkout.commit(context.settings.root)
        unsure = checkout_doubts(commit, checkout.changed(context.settings.root))
        return doubtful(unsure[0]) if unsure else fine(f"commit {str(commit)[:12]}")


class Images(Check):
    """Compares the images that are deployed with the checkout."""

    name = "images"

    def run(self, context: Context) -> Finding:
        """Compare the revision in each image with that of its sources here."""
        old: list[str] = []
        ages: list[int] = []
        for workload, config in image_configs(context).items():
            labels = (config.get("config") or {}).get("Labels") or {}
            here, there = sources.look(context.settings.root, workload).revision, labels.get(_REVISION, "")
            ages.append(_days(labels.get(_CREATED, "")))
            if not here or here != there:
                old.append(f"{workload} is of {there[:12] or 'no commit'}, its sources are of {here[:12] or 'none'}")
        if not ages:
            return doubtful("none of ours is deployed yet", context.again)
        if old:
            return doubtful("; ".join(old), f"{context.again}, or check out what is meant")
        return fine(f"{len(ages)} are what is checked out; the oldest's sources are {max(ages)} days old")


class LocalImages(Check):
    """Compares the images that are deployed here with the checkout."""

    name = "images"

    def run(self, context: Context) -> Finding:
        """Compare the digests with those that the checkout gives."""
        deployed = _images(context)
        if not deployed:
            return doubtful("none of ours is deployed yet", context.again)
        old = []
        for workload, image in deployed.items():
            digest = linux.build(context.settings, workload).digest
            if digest != image.partition("@")[2]:
                old.append(workload)
        if old:
            return doubtful(f"{', '.join(old)} differ from the checkout", context.again)
        return fine(f"{len(deployed)} are what is checked out")


class Dags(Check):
    """Compares the release that Airflow serves with the checkout."""

    name = "DAGs"

    def run(self, context: Context) -> Finding:
        """Compare the release that is served with the one that the checkout gives."""
        deployment = context.outputs["deployment"]
        releases = Releases(context.aws.client("s3"), deployment["dags_bucket"], deployment["dags_prefix"])
        served = releases.served().release
        here = Release({**collect(context.settings.dags), DEPLOYMENT: releases.deployment()}).id
        if served != here:
            advice = "invoke dags.release"
            if not context.settings.local:
                advice += f" --env {context.settings.environment}"
            return doubtful(f"release {served or 'none'} is served, the checkout's is {here}", advice)
        return fine(f"release {served} is served, and is what is checked out")


@lru_cache(maxsize=1)
def image_configs(context: Context) -> Mapping[str, Mapping[str, Any]]:
    """The configurations of the images that ECS tasks run, by workload; of those alone that are pushed by us.

    Raises:
        ImageError: the registry does not give one.
    """
    found = {}
    ecr = context.aws.client("ecr")
    for workload, image in _images(context).items():
        url, _, digest = image.partition("@")
        with windows.ecr_repository(ecr, url, context.aws.endpoint_url) as repository:
            manifest = json.loads(repository.document(digest).body)
            found[workload] = json.loads(repository.small(manifest["config"]["digest"]))
    return found


def _images(context: Context) -> dict[str, str]:
    """The deployed image of each workload that the checkout has; others have images of their own."""
    deployed = context.outputs["deployment"]["workloads"]
    ours = set(context.settings.workloads) & set(context.outputs.get("ecr_repositories") or {})
    return {name: entry["image"] for name, entry in sorted(deployed.items()) if name in ours}


def _days(created: str) -> int:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(created)).days
    except (ValueError, TypeError):
        return 0
