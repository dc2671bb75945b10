"""A job specification as a DAG: scale-out (setup) → plan → a sensor a stage → scale-in (teardown, always).

A stage's sensor is in reschedule mode: one poke is one or more ticks of the engine, and while nothing is due it holds
no worker slot. No code of ours has to be in the triggerer: all of it is released with the DAGs. Parsing calls nobody.

A stage whose items fall into groups has a sensor a group, so that each can be seen. There is one engine all the same:
the sensor of the first group that is not finished ticks it, the others follow its ledger.
"""

import datetime as dt
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from winbatch import release
from winbatch.polling import ALL, FOLLOW_SECONDS
from winbatch.spec import COMMON_PARAMETERS, Spec

# Tries that are lost without a fault of the work must not end it (winbatch.steps says how that happens).
STAGE_RETRIES = 50
# An Airflow task that is put back within ten seconds of its last process may stay queued for `task_queued_timeout`, ten
# minutes by default (apache/airflow#71172); a sensor that is due sooner than that does not end.
RETRY_DELAY = dt.timedelta(seconds=12)
TIMEOUT = dt.timedelta(days=7)

DOC = """
### {title}

{description}

| Airflow task | what it does |
| --- | --- |
| `scale_out` | asks Auto Scaling for the instances that the job needs; does not wait for them |
| `plan` | writes manifest and stages to S3 |
{stages}
| `scale_in` | stops what still runs and scales in, whatever happened before |

A shard is done when its result is in S3: clearing an Airflow task, or running it again, goes on with what is missing.

{release}
"""


def batch_dag(spec: Spec) -> DAG:
    """The DAG of a job specification.

    Args:
        spec: the specification; its `dag` is the DAG's id.
    """
    rows = "\n".join(f"| `{stage.name}` | runs `{stage.what}` on ECS |" for stage in spec.stages)
    with DAG(
        dag_id=spec.dag,
        description=spec.title,
        doc_md=DOC.format(title=spec.title, description=spec.description, stages=rows, release=_served()),
        schedule=None,
        catchup=False,
        max_active_runs=4,
        is_paused_upon_creation=False,
        default_args={"retries": 3, "retry_delay": RETRY_DELAY},
        tags=["winbatch", *spec.workloads, *([f"release:{release.current()}"] if release.current() else [])],
    ) as dag:

        @task
        def scale_out() -> str:
            importlib.import_module("winbatch.steps").scale_out(spec)
            # What the job's other Airflow tasks go on with, also when another release is served by then.
            return release.current()

        @task
        def plan() -> list[str]:
            steps, begun = _begun(spec.dag)
            groups: list[str] = steps.plan(begun)
            return groups

        # Whatever hinders it, instances cost money until it is through: it does not give up within hours.
        @task(retries=STAGE_RETRIES, retry_exponential_backoff=True, max_retry_delay=dt.timedelta(minutes=5))
        def scale_in() -> None:
            steps, begun = _begun(spec.dag)
            steps.scale_in(begun)

        setup = scale_out().as_setup()
        last = groups = plan()
        setup >> last
        for stage in spec.stages:
            sensor = task.sensor(
                task_id=stage.name,
                mode="reschedule",
                poke_interval=FOLLOW_SECONDS,
                timeout=TIMEOUT.total_seconds(),
                retries=STAGE_RETRIES,
                map_index_template="{{ task.op_kwargs['group'] }}" if stage.groups else None,
            )(_drive)
            sensor = sensor.partial(name=stage.name).expand(group=groups) if stage.groups else sensor(stage.name)
            last >> sensor
            last = sensor
        last >> scale_in().as_teardown(setups=setup)
    # Airflow copies the parameters that it finds into each Airflow task, several times over: a third of what parsing
    # takes. When a task runs, it looks at the DAG's.
    for name, schema in spec.parameters.items():
        dag.params[name] = _param(name, schema)
    return dag


def _served() -> str:
    """What the DAG's page says of its release."""
    name = release.current()
    return f"This is release `{name}`; a job goes on with the one that it began with." if name else ""


def _param(name: str, schema: Mapping[str, Any]) -> Param:
    rest = {key: value for key, value in schema.items() if key != "default"}
    return Param(schema["default"], section="Cluster" if name in COMMON_PARAMETERS else None, **rest)


def _drive(name: str, group: str = ALL) -> bool:
    """A poke of a stage's sensor; the map index says which group of items it is for, and `group` how it is called."""
    steps, _ = _begun(get_current_context()["dag"].dag_id)
    return bool(steps.drive(name, group))


def _begun(dag: str) -> tuple[ModuleType, Any]:
    """What the Airflow tasks do, and the specification, of the release that the job began with.

    Loaded when one of them runs: parsing a DAG does not need it.
    """
    release.use(get_current_context()["ti"].xcom_pull(task_ids="scale_out", map_indexes=-1) or "")
    return importlib.import_module("winbatch.steps"), importlib.import_module("winbatch.spec").load(dag)
