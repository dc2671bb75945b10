"""What a job is called in S3: everybody who names an object of a job asks here, or the stage that was planned so.

The layout is the contract of docs/architecture.md, "A job in S3".
"""

import hashlib
import re
from collections.abc import Iterable

from winbatch.stage import Stage

PREFIX = "jobs/"
# Below it lie the results of jobs whose specification names no prefix.
RESULTS = "results"
# Below these folders of a prefix lie results of any DAG, each in its DAG's folder.
FOLDERS = ("aggregate_results", "task_results")
# What lies here is of several DAGs, so none can be called so.
COMMON = frozenset({RESULTS, *FOLDERS, "inputs"})

_SAFE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
# What the hash of an id that was changed looks like: an id that ends so is changed, too.
_HASHED = re.compile(r".*-[0-9a-f]{12}")
_LONGEST = 80


def job_id(run_id: str) -> str:
    """Turn a DAG run's id into a part of a key; two ids never become the same one.

    An id that is safe in a key stays as it is. Any other one is made safe, and carries a hash of the original.
    """
    if _SAFE.fullmatch(run_id) and not _HASHED.fullmatch(run_id):
        return run_id
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", run_id)[:_LONGEST].strip("._-") or "run"
    return f"{safe}-{hashlib.sha256(run_id.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def job_id_until_0_1(run_id: str) -> str:
    """Turn a DAG run's id into a part of a key as release 0.1 did, which let several ids become the same one."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", run_id)


def job_prefix(dag: str, job: str) -> str:
    """Say where a job's own objects lie."""
    return f"{PREFIX}{dag}/{job}/"


def job_key(dag: str, job: str) -> str:
    """Say where what was planned lies (`winbatch.job.Job`)."""
    return job_prefix(dag, job) + "job.json"


def cancel_key(dag: str, job: str) -> str:
    """Say where a cancellation is left that Airflow cannot be told."""
    return job_prefix(dag, job) + "cancel.json"


def stage_prefix(dag: str, job: str, stage: str) -> str:
    """Say where a stage's own objects lie: manifest, claims, partials, ledger."""
    return f"{job_prefix(dag, job)}{stage}/"


def results_prefix(root: str, dag: str, job: str) -> str:
    """Say where a job leaves its results: below the prefix that it was given, by DAG and job."""
    return f"{root}/{dag}/{job}/"


def own_places(dag: str, prefixes: Iterable[str]) -> list[str]:
    """List below where the objects of a DAG's jobs lie: where the roles of its workloads, and of no others, reach.

    `terraform/modules/cluster/task_roles.tf` says the same.

    Args:
        dag: its id.
        prefixes: the environment's data_prefixes.
    """
    own = [f"{PREFIX}{RESULTS}/{dag}/"]
    for prefix in prefixes:
        folders = FOLDERS if f"{prefix}/" != PREFIX else ()
        own += [f"{prefix}/{dag}/", *(f"{prefix}/{folder}/{dag}/" for folder in folders)]
    return own


def stage_key(stage: Stage) -> str:
    """Say where the stage is written down, for its workers."""
    return stage_prefix(stage.dag, stage.job, stage.stage) + "stage.json"


def ledger_key(stage: Stage) -> str:
    """Say where the engine keeps its ledger of the stage."""
    return ledger_key_of(stage.dag, stage.job, stage.stage)


def ledger_key_of(dag: str, job: str, stage: str) -> str:
    """Say where the engine keeps its ledger of a stage that is known by its names."""
    return stage_prefix(dag, job, stage) + "ledger.json"


def ticks_prefix(stage: Stage) -> str:
    """Say where the engine keeps what its ticks saw and decided (`winbatch.ticks`)."""
    return stage_prefix(stage.dag, stage.job, stage.stage) + "ticks/"
