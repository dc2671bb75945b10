"""Jobs that are in S3 already: found for a DAG run, and taken up only when they are that run's."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from winbatch import keys
from winbatch.errors import JobError
from winbatch.job import Job
from winbatch.stage import Stage

type Read = Callable[[str], bytes | None]


def find(read: Read, dag: str, run_id: str, given: Mapping[str, Any]) -> Job | None:
    """Find the job that lies where a DAG run's belongs; it may be another run's.

    Args:
        read: gives an object of the data bucket, or None.
        dag: DAG id.
        run_id: the DAG run's.
        given: values of parameters, by which a job of release 0.1 is known that lies where several runs' jobs could.

    Raises:
        JobError: what lies there does not parse.
    """
    own = keys.job_id(run_id)
    before = keys.job_id_until_0_1(run_id)
    for name in dict.fromkeys((own, before)):
        key = keys.job_key(dag, name)
        body = read(key)
        if body is None:
            continue
        found = Job.from_json(body, where=key)
        if name == own or (not found.run_id and not _other_params(found, given)) or found.run_id == run_id:
            return found
    return None


def take_up(planned: Job, found: Job, *, since: str) -> Job:
    """Give the job as it lies in S3, if it is the one that was planned.

    Clearing a DAG run, or resuming it, goes on with its job, under whichever release is served by then. A DAG run that
    was made anew under the id of one that was deleted goes on with that one's job only if nothing of it is different.

    Args:
        planned: what the DAG run stands for.
        found: what is there.
        since: when that was written, for who has to decide.

    Returns:
        The job to go on with; it belongs to the DAG run and the release of `planned` from now on.

    Raises:
        JobError: it is another one; the line says how, since when it is there, and the ways on.
    """
    mine = dataclasses.replace(found, run_id=planned.run_id, begun=planned.begun, release=planned.release)
    if found.begun and found.begun == planned.begun and found.run_id == planned.run_id:
        return mine
    different = list(_differences(planned, found))
    if not different:
        return mine
    raise JobError(
        f"{planned.key} is there since {found.begun or since}, and is another job: {'; '.join(different)}. It stays as"
        " it is. Start this one under another run id, or delete that one: all objects below"
        f" {', '.join(found.prefixes)}"
    )


def _differences(planned: Job, found: Job) -> Iterator[str]:
    if found.run_id not in {"", planned.run_id}:
        yield f"its run id is {found.run_id!r}, not {planned.run_id!r}"
    yield from _other_params(found, planned.params)
    if found.run_id:
        if found.stages != planned.stages and found.params == planned.params:
            yield "its stages or their items are others"
        if found.release != planned.release:
            yield f"its release of the DAGs is {found.release or 'none'}, not {planned.release or 'none'}"
    elif list(map(_work, found.stages)) != list(map(_work, planned.stages)):
        yield "its stages are others"


def _other_params(found: Job, given: Mapping[str, Any]) -> list[str]:
    return [
        f"its {name} is {value!r}, not {given[name]!r}"
        for name, value in found.params.items()
        if name in given and given[name] != value
    ]


def _work(stage: Stage) -> tuple[Any, ...]:
    """What a stage of a job of release 0.1 does: its keys were others, and its items' digest was not noted."""
    return stage.stage, stage.workload, stage.run, tuple(stage.command), stage.items
