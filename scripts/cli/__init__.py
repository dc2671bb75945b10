"""The verbs, as invoke tasks: options in, one call, its outcome shown.

A module a collection, everyday verbs at the top. What only verbs that build, deploy or check need is imported by these:
a third of what the others would take to start. Imports every other room.
"""

from invoke.collection import Collection

from scripts.cli import dags, development, environments, files, history, images, jobs, trials, workloads
from scripts.cli.command import renamed
from scripts.core.console import prepare_streams

# Below their collections' names: `invoke dags.release`.
COLLECTIONS = {
    "dags": {"list": dags.list_, "release": dags.release, "rollback": dags.rollback},
    "images": {"build": images.build, "push": images.push},
    "workloads": {"new": workloads.new},
}
# What they were called before 0.2.0; this goes with the next release.
OLD = {
    "dags-list": "dags.list",
    "dags-release": "dags.release",
    "dags-rollback": "dags.rollback",
    "image-build": "images.build",
    "image-push": "images.push",
    "workload-new": "workloads.new",
}


def collection() -> Collection:
    """Give all verbs."""
    prepare_streams()
    root = Collection(
        development.bench_,
        development.chaos,
        development.check,
        development.clean,
        development.comment,
        development.demo_,
        development.format_,
        development.lint,
        development.simulate,
        development.test,
        environments.apply,
        environments.bootstrap,
        environments.deploy,
        environments.doctor,
        environments.down,
        environments.drift,
        environments.plan,
        environments.setup_,
        environments.smoke_,
        environments.unlock,
        environments.up,
        environments.verify_aws,
        files.download,
        files.upload,
        history.jobs_,
        history.why_,
        jobs.cancel,
        jobs.logs,
        jobs.replay_,
        jobs.results_,
        jobs.resume_,
        jobs.run,
        jobs.status_,
        trials.try_,
    )
    for name, verbs in COLLECTIONS.items():
        root.add_collection(Collection(name, **verbs))
    for old, new in OLD.items():
        group, _, verb = new.partition(".")
        root.add_task(renamed(old, new, COLLECTIONS[group][verb]))
    return root
