"""Airflow imported once, run as a program by Airflow's own interpreter: Airflow's components are forks of it.

It says `ready` on standard output, and takes orders from standard input, a JSON object a line: `name` of a component,
`words` of Airflow's command, `log` file. It answers with a line of the process id once a component has begun, and tells
a process id and an exit code (negative: the signal) when one has ended. It ends when its input does.

Nothing of an environment's own is done before the fork: settings, the database's engine, logging and users' code are
each component's, and what fails there is in its log. So there are no threads and no connections to share.

Each Airflow task is a fork of the scheduler's, and so has what nearly every task would import anew, too. On MWAA a
task's parent is a Celery worker, which has imported boto3 as well, since it reads its queue from SQS
(kombu.transport.SQS). What each task reads anew on MWAA is botocore's description of a service; the forks have those of
the services that nearly every task here asks, for another sixteenth of a second.
"""

import functools
import gc
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
from typing import Any

# Of airflow/__init__.py: with the first it does not initialize itself when it is imported; with one of the others it
# may load plugins and providers then.
_LIBRARY = "_AIRFLOW__AS_LIBRARY"
_EAGER = {"AIRFLOW__CORE__LAZY_LOAD_PLUGINS", "AIRFLOW__CORE__LAZY_DISCOVER_PROVIDERS"}
_MODULES = (
    "airflow.__main__",
    "airflow.cli.commands.api_server_command",
    "airflow.cli.commands.dag_processor_command",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.triggerer_command",
    "airflow.api_fastapi.app",
    "airflow.api_fastapi.core_api.routes.public",
    "airflow.api_fastapi.core_api.routes.ui",
    "airflow.api_fastapi.execution_api.routes",
    "airflow.api_fastapi.execution_api.versions",
    "airflow.executors.local_executor",
    "airflow.providers.standard.decorators.python",
    "airflow.sdk.execution_time.task_runner",
)


def main() -> None:
    """Take orders until there are none any more; in a fork, be a component until it ends."""
    orders, told = os.fdopen(os.dup(0)), os.dup(1)
    # What is printed while modules are imported is no answer.
    os.dup2(2, 1)
    _import()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, lambda *_: _tell_ends(told))
    os.write(told, b"ready\n")
    for line in orders:
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            # By the fork itself, so that a session is there for whoever knows of it.
            os.write(told, b"%d\n" % os.getpid())
            os.close(told)
            orders.close()
            _become(**json.loads(line))
            return


def _import() -> None:
    if _EAGER & os.environ.keys():
        return
    os.environ[_LIBRARY] = "1"
    try:
        from airflow import settings  # noqa: PLC0415 - may fail

        settings.configure_vars()
        settings.prepare_syspath_for_config_and_plugins()
        # Users' code that changes settings comes before the modules that take over settings by name.
        if importlib.util.find_spec("airflow_local_settings") is None:
            for module in _MODULES:
                importlib.import_module(module)
            _describe_services()
    except Exception as error:  # noqa: BLE001 - whatever it is, a component that needs it says it in its own log
        sys.stderr.write(f"not imported before the forks: {error!r}\n")
    finally:
        del os.environ[_LIBRARY]


def _describe_services() -> None:
    """Read botocore's descriptions once for all forks; that makes no connection."""
    from botocore.loaders import JSONFileLoader  # noqa: PLC0415 - may fail
    from botocore.session import Session  # noqa: PLC0415

    read = functools.cache(JSONFileLoader().load_file)

    def load_file(_: JSONFileLoader, file_path: str) -> Any:
        return read(file_path)

    # Each session has a loader of its own.
    JSONFileLoader.load_file = load_file  # type: ignore[assignment, method-assign]  # the stubs name a second self
    session = Session()
    session.set_credentials("nobody", "none")
    for service in ("autoscaling", "ecs", "logs", "s3"):
        session.create_client(service, region_name="eu-central-1")


def _tell_ends(told: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        os.write(told, b"%d %d\n" % (pid, os.waitstatus_to_exitcode(status)))


def _become(name: str, words: list[str], log: str) -> None:
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number, place in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(number, place)
    os.close(nothing)
    os.close(output)
    os.environ["MWAA_AIRFLOW_COMPONENT"] = name
    sys.argv = ["airflow", *words]
    try:
        if "airflow" in sys.modules:
            from airflow import settings  # noqa: PLC0415

            settings.initialize()
        from airflow.__main__ import main as command  # noqa: PLC0415

        command()
    finally:
        # A scheduler that ends by an error leaves them, and Python waits at its end for processes that wait for work:
        # it would neither schedule nor be started again. On MWAA they are other containers.
        for left in multiprocessing.active_children():
            left.kill()


if __name__ == "__main__":
    main()
