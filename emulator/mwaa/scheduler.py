"""Airflow's command, run as a program by Airflow's own interpreter, with what Airflow tasks import there already.

The local executor's processes are forks of the scheduler, and each Airflow task is a fork of one of those: what nearly
every task would import anew, for a quarter of a second, it inherits. On MWAA a task's parent is a Celery worker, which
has imported boto3 as well, since it reads its queue from SQS (kombu.transport.SQS).
"""

import multiprocessing

# First of the rest: Airflow reads its configuration before anything else of it may be imported.
from airflow.__main__ import main  # isort: split

import airflow.providers.standard.decorators.python  # noqa: F401 - for the forks
import boto3  # noqa: F401 - for the forks

if __name__ == "__main__":
    try:
        main()
    finally:
        # A scheduler that ends by an error leaves them, and Python waits at its end for processes that wait for work:
        # it would neither schedule nor be started again. On MWAA they are other containers.
        for left in multiprocessing.active_children():
            left.kill()
