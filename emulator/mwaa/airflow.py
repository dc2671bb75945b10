"""One environment's Airflow: its folders, its database and its processes."""

from __future__ import annotations

import http.client
import io
import json
import logging
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator import folders
from emulator.context import Context
from emulator.mwaa import classes, configuration, environment_builder, startup
from emulator.mwaa.bucket import Bucket
from emulator.mwaa.commands import Runner
from emulator.mwaa.components import Components, airflow_components, database_component
from emulator.mwaa.database import Database, free_port
from emulator.mwaa.environment_builder import Installation
from emulator.mwaa.errors import CancelledError, LaunchError
from emulator.mwaa.rest import Client
from emulator.mwaa.sync import DagFolder

log = logging.getLogger(__name__)

_HEALTHY = {"metadatabase", "scheduler", "triggerer", "dag_processor"}
# A busy machine takes ten times as long as an idle one.
_HEALTHY_SECONDS = 900.0


@dataclass(frozen=True)
class Launch:
    """Everything that decides what runs; an update that changes none of it restarts nothing.

    Attributes:
        version: of Airflow
        options: the environment's configuration options
        environment_class: and the number of workers that it may have say how many Airflow tasks run at once
        max_workers: see there
        role_arn: the execution role
        requirements: content of requirements.txt
        plugins: content of plugins.zip
        startup_script: its content
    """

    version: str
    options: Mapping[str, str]
    environment_class: str
    max_workers: int
    role_arn: str
    requirements: bytes | None = field(default=None, repr=False)
    plugins: bytes | None = field(default=None, repr=False)
    startup_script: bytes | None = field(default=None, repr=False)


class Airflow:
    """Starts, watches and stops one Airflow in a folder of its own. Used by one thread; `client` by all."""

    def __init__(self, context: Context, name: str, arn: str, folder: Path, runner: Runner) -> None:
        self._context = context
        self._name = name
        self._arn = arn
        self._folder = folder
        self._runner = runner
        self._home = folder / "airflow"
        self._logs = folder / "logs"
        # Whatever an emulator that was killed left there.
        folders.remove(folder)
        self._logs.mkdir(parents=True)
        (self._home / "tmp").mkdir(parents=True)
        self._dags = DagFolder(self._home / "dags")
        self._secret = configuration.Secrets()
        self._port = free_port()
        self._database = Database(folder / "postgres", free_port())
        self._database_version: str | None = None
        self._before: tuple[str, Path] | None = None  # version and copy of a database that was migrated
        self._components = Components(context.processes, self._logs, self._home)
        self._credentials: dict[str, str] = {}
        self.client = Client(self._port, configuration.LOGIN, self._secret.password)
        self.url = f"http://127.0.0.1:{self._port}"
        self.login = folder / "login.json"
        login = {"url": self.url, "username": configuration.LOGIN, "password": self._secret.password}
        _write_private(self.login, login)
        self._passwords = folder / "passwords.json"
        _write_private(self._passwords, {configuration.LOGIN: self._secret.password})

    def start(self, launch: Launch, sync: Callable[[], object]) -> None:
        """Make what is missing, start everything and wait until it is healthy.

        Args:
            launch: what to run
            sync: fills the DAG folder

        Raises:
            CancelledError: the environment is being deleted, or the emulator stops
            LaunchError: something failed; nothing runs then
            OSError: a file could not be written, or a program not started; nothing runs then
        """
        if not self._context.airflow:
            self._report("no Airflow, as asked")
            return
        try:
            self._start(launch, sync)
        except BaseException:
            self.stop()
            raise

    def sync(self, bucket: Bucket, dag_s3_path: str) -> None:
        """Bring the DAG folder up to date with the bucket."""
        self._dags.sync(bucket, dag_s3_path)

    def watch(self) -> str | None:
        """Start again what died; say what is wrong when that does not help."""
        return self._components.watch()

    def pids(self) -> dict[str, int]:
        """The process id of each component that runs."""
        return self._components.pids()

    def stop(self, grace: float = 5) -> None:
        """Stop everything; the folder stays."""
        self._components.stop(grace)
        self._context.credentials.revoke(self._credentials)
        self._credentials = {}

    def restore_database(self) -> None:
        """Undo what the last start did to the database, if it moved it to another version of Airflow."""
        if self._before is not None:
            self._database_version, kept = self._before
            shutil.rmtree(self._database.folder)
            self._database.copy(kept)
            self._forget_before()

    def _start(self, launch: Launch, sync: Callable[[], object]) -> None:
        began = time.monotonic()
        cache = self._context.cache
        installation = environment_builder.install(launch.version, cache, self._runner, self._report)
        if launch.requirements is not None:
            installation = environment_builder.install_with_requirements(
                installation, launch.requirements, self._runner, self._report
            )
        self._unpack_plugins(launch.plugins)
        sync()
        self._start_database(installation)
        env = self._environment(launch, installation)
        self._migrate(installation, env)
        self._components.start(airflow_components(installation.airflow, env))
        self._wait_until_healthy()
        self._forget_before()
        self._report(f"healthy after {time.monotonic() - began:.1f} s at {self.url}")

    def _unpack_plugins(self, plugins: bytes | None) -> None:
        folder = self._home / "plugins"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if plugins is not None:
            try:
                with zipfile.ZipFile(io.BytesIO(plugins)) as archive:
                    archive.extractall(folder)
            except zipfile.BadZipFile as error:
                raise LaunchError(f"plugins.zip is no zip file: {error}") from error

    def _start_database(self, installation: Installation) -> None:
        if self._database_version is None:
            self._database.copy(installation.database)
            self._database_version = installation.version
        elif self._database_version != installation.version:
            kept = self._database.folder.with_name("postgres.before")
            shutil.copytree(self._database.folder, kept)
            self._before = (self._database_version, kept)
        self._components.start((database_component(self._database),))
        self._database.wait(self._runner)

    def _forget_before(self) -> None:
        if self._before is not None:
            shutil.rmtree(self._before[1])
            self._before = None

    def _migrate(self, installation: Installation, env: Mapping[str, str]) -> None:
        if self._database_version != installation.version:
            self._report(f"moving the database from Airflow {self._database_version} to {installation.version}")
            argv = [installation.airflow, "db", "migrate"]
            self._runner.run(argv, env=env, cwd=self._home, what="moving the database")
            self._database_version = installation.version

    def _environment(self, launch: Launch, installation: Installation) -> dict[str, str]:
        try:
            self._credentials = self._context.credentials.grant(
                launch.role_arn,
                "AmazonMWAA-airflow",
                service="airflow-env.amazonaws.com",
                source=self._arn,
            )
        except LookupError as error:
            raise LaunchError(str(error)) from error
        aws = configuration.aws(
            endpoint_url=self._context.endpoint_url,
            region=self._context.region,
            name=self._name,
            version=launch.version,
            credentials=self._credentials,
        )
        base = configuration.base(installation.python)
        essentials = configuration.essentials(
            home=self._home,
            logs=self._logs / "airflow",
            database_url=self._database.url,
            port=self._port,
            task_slots=classes.task_slots(launch.environment_class, launch.max_workers, launch.options),
            passwords=self._passwords,
            secret=self._secret,
        )

        def combined(exports: Mapping[str, str]) -> dict[str, str]:
            return configuration.combine(
                base=base, aws=aws, startup=exports, options=launch.options, essentials=essentials
            )

        env = combined({})
        if launch.startup_script is None:
            return env
        script = self._home / "startup" / "startup.sh"
        script.parent.mkdir(exist_ok=True)
        script.write_bytes(launch.startup_script)
        return combined(startup.run(script, env, self._runner))

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + _HEALTHY_SECONDS
        unhealthy = _HEALTHY
        while time.monotonic() < deadline:
            if self._runner.cancelled.wait(0.25):
                raise CancelledError
            wrong = self.watch()
            if wrong is not None:
                raise LaunchError(wrong)
            try:
                health = self.client.health()
            except (OSError, http.client.HTTPException):
                continue  # the API server does not listen yet
            unhealthy = {name for name in _HEALTHY if health.get(name) != "healthy"}
            if not unhealthy:
                return
        names = ", ".join(sorted(unhealthy))
        raise LaunchError(f"not healthy after {_HEALTHY_SECONDS:.0f} s: {names}; see the logs in {self._logs}")

    def _report(self, line: str) -> None:
        log.info("%s: %s", self._name, line)


def _write_private(path: Path, value: Mapping[str, str]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(value) + "\n", encoding="utf-8")
