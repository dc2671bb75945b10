"""Run `winbatch.orchestration` under Airflow: what the Airflow tasks of a job do (`winbatch.dag` says which there are).

Apart from the DAG's shape, so that parsing a DAG does not load the engine.
"""

import contextlib
import datetime as dt
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException
except ImportError:  # Airflow 3.0
    from airflow.exceptions import AirflowFailException, AirflowRescheduleException

from winbatch import deployment, orchestration, release
from winbatch.errors import UnavailableError, WinbatchError
from winbatch.ledger import Ledger
from winbatch.orchestration import Run, Sensor
from winbatch.spec import Spec
from winbatch.starts import Start

if TYPE_CHECKING:
    from winbatch.aws import AwsPorts

log = logging.getLogger(__name__)

# A sensor that is to look again sooner than this stays and sleeps: being rescheduled costs a process start, and one
# that comes back within seconds may meet the end of its last process, which costs it a try (apache/airflow#71172). That
# can happen later, too, so there are many tries; a try that is lost in this way costs nothing else.
STAY_SECONDS = 10.0


def scale_out(spec: Spec) -> None:
    """Ask for the instances that the job needs; nobody waits for them."""
    with _final():
        target = deployment.load()
        for pause in orchestration.scale_out(spec, _run(), _ports(target), target):
            time.sleep(pause)


def plan(spec: Spec) -> list[str]:
    """Write the job to S3. Returns the names of the groups of items: what the grouped stage is mapped over."""
    with _final():
        target = deployment.load()
        return orchestration.plan(spec, _run(), _ports(target), target)


def scale_in(spec: Spec) -> None:  # noqa: ARG001 - the DAG of a job may be of another release, which calls it so
    """Stop what still runs of the job, and scale in: the teardown. It is tried until it is through."""
    target = deployment.load()
    for pause in orchestration.scale_in(_run(), _ports(target), target):
        time.sleep(pause)


def drive(name: str, group: str) -> bool:
    """Drive a stage until it, or the group at hand, is finished; the map index says which group that is.

    Raises:
        AirflowRescheduleException: nothing is due for a while.
        AirflowFailException: the stage failed.
    """
    log.info("stage %s, items: %s", name, group)
    # One that is spoilt while a job runs is tried again, as everything that somebody may mend.
    target = deployment.load()
    context = get_current_context()
    instance = context["ti"]
    # Clearing an Airflow task adds to `max_tries`, Airflow's own retries do not.
    attempt = max(1, int(instance.max_tries) - int(context["task"].retries) + 1)
    sensor = Sensor(stage=name, index=int(instance.map_index), attempt=attempt)

    def show(ledger: Ledger) -> None:
        log.info("%s", orchestration.words(ledger))
        instance.xcom_push(key="progress", value=orchestration.progress(ledger))

    with _final():
        ports = _ports(target)
        for pause in orchestration.drive(sensor, _run(), ports, target, show):
            if pause > STAY_SECONDS:
                raise AirflowRescheduleException(ports.now() + dt.timedelta(seconds=pause))
            time.sleep(pause)
    return True


@contextlib.contextmanager
def _final() -> Iterator[None]:
    """Fail the Airflow task at once for what does not get better by trying again, as S3 does."""
    try:
        yield
    except UnavailableError:
        raise
    except WinbatchError as error:
        raise AirflowFailException(str(error)) from error


def _run() -> Run:
    context: Any = get_current_context()
    return Run(
        dag=str(context["dag"].dag_id),
        run_id=str(context["run_id"]),
        params=dict(context["params"]),
        start=Start.of(context["dag_run"]),
        release=release.current(),
    )


def _ports(target: deployment.Deployment) -> "AwsPorts":
    from winbatch.aws import AwsPorts  # noqa: PLC0415 - brings boto3, which parsing does not need

    return AwsPorts(target)
