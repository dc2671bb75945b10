"""One running emulator: its services, its HTTP server, and how both stop."""

from __future__ import annotations

import importlib
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from werkzeug.wrappers import Request, Response

from emulator import folders
from emulator.application import Application
from emulator.context import Context
from emulator.credentials import Credentials
from emulator.errors import EmulatorError
from emulator.faults import Faults
from emulator.http import Server
from emulator.identity.gate import Identity
from emulator.processes import Supervisor
from emulator.routes import Routes, json_response
from emulator.timers import Timers

log = logging.getLogger(__name__)

# Installed in this order and shut down in the reverse one: Airflow stops before the cluster on which it drives tasks.
SERVICES = (
    "emulator.memory",
    "emulator.windows_amis",
    "emulator.ecr",
    "emulator.registry",
    "emulator.s3",
    "emulator.monitoring",
    "emulator.budgets",
    "emulator.sts",
    "emulator.ecs.service",
    "emulator.ec2",
    "emulator.instances",
    "emulator.autoscaling.service",
    "emulator.mwaa.service",
)


class Runtime:
    """Everything between start and stop, as a context manager."""

    def __init__(
        self,
        *,
        port: int,
        state: Path,
        cache: Path,
        account: str,
        region: str,
        instance_seconds: float,
        terminate_seconds: float,
        airflow: bool,
        identity: str,
        check_answers: bool,
    ) -> None:
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self._port = port
        self._state = state
        self._cache = cache
        self._account = account
        self._region = region
        self._instance_seconds = instance_seconds
        self._terminate_seconds = terminate_seconds
        self._airflow = airflow
        self._identity_mode = identity
        self._check_answers = check_answers
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            routes = Routes()
            routes.add("health", self._health)
            faults = Faults(routes)
            # The port comes first: a second emulator must end before it touches the first one's folders.
            identity = Identity(self._account, self._region, routes, self._identity_mode)
            server = Server(self._port, Application(routes, faults, identity, check_answers=self._check_answers))
            stack.callback(server.server_close)
            self._forget_earlier()
            # It answers until everything that it started has stopped: a worker that is told to stop writes to S3.
            answering = Thread(target=server.serve_forever, name="http", daemon=True)
            stack.callback(lambda: server.shutdown() if answering.is_alive() else None)
            timers = Timers()
            processes = Supervisor()
            stack.callback(processes.stop_all)
            stack.callback(timers.stop)
            context = Context(
                endpoint_url=self.endpoint_url,
                port=self._port,
                state=self._state,
                cache=self._cache,
                account=self._account,
                region=self._region,
                processes=processes,
                credentials=Credentials(self.endpoint_url, self._account, self._region, routes, identity),
                routes=routes,
                faults=faults,
                identity=identity,
                timers=timers,
                instance_seconds=self._instance_seconds,
                terminate_seconds=self._terminate_seconds,
                airflow=self._airflow,
            )
            for name in SERVICES:
                service = importlib.import_module(name)
                service.install(context)
                stack.callback(service.shutdown)
            answering.start()
            self._undo = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def _forget_earlier(self) -> None:
        """Remove what an emulator that died left in the state folder: what knew of it died with it."""
        (self._state / "ready.json").unlink(missing_ok=True)
        for name in ("blobs", "images", "tasks"):
            try:
                folders.remove(self._state / name)
            except OSError as error:
                raise EmulatorError(
                    f"what an earlier emulator left in {self._state / name} cannot be removed ({error}): remove it, or"
                    " name another folder with --state"
                ) from error

    def _health(self, request: Request, rest: str) -> Response:  # noqa: ARG002
        return json_response(
            {
                "status": "ok",
                "pid": os.getpid(),
                "endpoint_url": self.endpoint_url,
                "account": self._account,
                "region": self._region,
                "state": str(self._state),
            }
        )
