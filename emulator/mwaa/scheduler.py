"""Airflow's command, run as a program by Airflow's own interpreter, with what Airflow tasks import there already.

The local executor's processes are forks of the scheduler, and each Airflow task is a fork of one of those: what nearly
every task would import anew, for a quarter of a second, it inherits. On MWAA a task's parent is a Celery worker, which
has imported boto3 as well, since it reads its queue from SQS (kombu.transport.SQS).

What each task reads anew on MWAA is botocore's description of a service; the forks have those of the services that
nearly every task here asks, for another sixteenth of a second.
"""

import functools
import multiprocessing
from typing import Any

# First of the rest: Airflow reads its configuration before anything else of it may be imported.
from airflow.__main__ import main  # isort: split

import airflow.providers.standard.decorators.python  # noqa: F401 - for the forks
import boto3  # noqa: F401 - for the forks
from botocore.loaders import JSONFileLoader
from botocore.session import Session


def _describe_services() -> None:
    """Read botocore's descriptions once for all forks; that makes no connection."""
    read = functools.cache(JSONFileLoader().load_file)

    def load_file(_: JSONFileLoader, file_path: str) -> Any:
        return read(file_path)

    # Each session has a loader of its own.
    JSONFileLoader.load_file = load_file  # type: ignore[assignment, method-assign]  # the stubs name a second self
    session = Session()
    session.set_credentials("nobody", "none")
    for service in ("autoscaling", "ecs", "logs", "s3"):
        session.create_client(service, region_name="eu-central-1")


if __name__ == "__main__":
    try:
        _describe_services()
        main()
    finally:
        # A scheduler that ends by an error leaves them, and Python waits at its end for processes that wait for work:
        # it would neither schedule nor be started again. On MWAA they are other containers.
        for left in multiprocessing.active_children():
            left.kill()
