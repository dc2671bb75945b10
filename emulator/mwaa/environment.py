"""One MWAA environment: its settings, its state, and the thread that makes the one follow the other."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, RLock, Thread
from typing import Any

from moto.logs.models import logs_backends

from emulator import folders, locks
from emulator.context import Context
from emulator.identity.gate import Refused
from emulator.mwaa import duties, rules
from emulator.mwaa.airflow import Airflow, Launch
from emulator.mwaa.bucket import Bucket
from emulator.mwaa.commands import Runner
from emulator.mwaa.configuration import LOGIN
from emulator.mwaa.errors import CancelledError, LaunchError
from emulator.mwaa.identity import Identity
from emulator.mwaa.rest import Client
from emulator.mwaa.rules import Settings

log = logging.getLogger(__name__)

# The states in which it can be used, and in which an update is taken: that AWS takes one in UNAVAILABLE is assumed.
READY = frozenset({"AVAILABLE", "UPDATE_FAILED"})
UPDATABLE = READY | {"UNAVAILABLE"}
_ERROR_CHARACTERS = 1024


class Environment:
    """An environment from CreateEnvironment until it is deleted.

    Only its own thread starts, changes and stops Airflow; calls change what it should be, and read what it is. Reading
    changes nothing.
    """

    def __init__(
        self,
        context: Context,
        identity: Identity,
        *,
        settings: Settings,
        tags: dict[str, str],
        sync_seconds: float,
        gone: Callable[[], None],
    ) -> None:
        self._context = context
        self.identity = identity
        self.tags = tags
        self._settings = settings
        self._sync_seconds = sync_seconds
        self._gone = gone
        self._status = "CREATING"
        self._created = datetime.now(UTC)
        self._last_update: dict[str, Any] = {}
        self._launch: Launch | None = None
        self._lock = RLock()
        self._wanted: queue.SimpleQueue[Settings | None] = queue.SimpleQueue()
        self._cancelled = Event()
        self._folder = context.state / "mwaa" / identity.name
        runner = Runner(context.processes, self._cancelled)
        self._airflow = Airflow(context, identity.name, identity.arn, self._folder, runner)
        self._thread = Thread(target=self._run, name=f"mwaa-{identity.name}", daemon=True)
        self._note_update("PENDING")
        self._thread.start()

    @property
    def status(self) -> str:
        """As GetEnvironment gives it."""
        with self._lock:
            return self._status

    @property
    def settings(self) -> Settings:
        """What CreateEnvironment and UpdateEnvironment asked for."""
        with self._lock:
            return dict(self._settings)

    @property
    def client(self) -> Client:
        """Airflow's API."""
        return self._airflow.client

    @property
    def host(self) -> str:
        """Host and port of Airflow's page."""
        return self._airflow.url.partition("//")[2]

    def update(self, settings: Settings, strategy: str | None) -> None:
        """Change to other settings; the status is UPDATING when this returns."""
        with self._lock:
            self._status = "UPDATING"
            self._note_update("PENDING")
            if strategy is not None:
                self._last_update["WorkerReplacementStrategy"] = strategy
            self._wanted.put(settings)

    def delete(self) -> None:
        """Stop and forget everything; the status is DELETING when this returns, and `gone` is called at the end."""
        with self._lock:
            self._status = "DELETING"
        self.cancel()

    def cancel(self) -> None:
        """Make the thread stop what runs and end."""
        self._cancelled.set()
        self._wanted.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    def page(self) -> dict[str, Any]:
        """What `/_emulator/mwaa` shows."""
        return {
            "name": self.identity.name,
            "status": self.status,
            "url": self._airflow.url,
            "username": LOGIN,
            "password_file": str(self._airflow.login),
            "logs": str(self._folder / "logs"),
            "processes": self._airflow.pids(),
        }

    def describe(self) -> dict[str, Any]:
        """The environment as GetEnvironment gives it."""
        name, region, account = self.identity.name, self.identity.region, self.identity.account
        partition = self.identity.partition
        with self._lock:
            settings = dict(self._settings)
            if settings.get("WebserverAccessMode") == "PRIVATE_ONLY":
                settings["WebserverVpcEndpointService"] = f"com.amazonaws.vpce.{region}.vpce-svc-{name}-web"
            settings["LoggingConfiguration"] = {
                module: {**value, "CloudWatchLogGroupArn": self._log_group_arn(module)}
                for module, value in settings["LoggingConfiguration"].items()
            }
            return {
                **settings,
                "Name": name,
                "Arn": self.identity.arn,
                "Status": self._status,
                "CreatedAt": self._created,
                "LastUpdate": dict(self._last_update),
                "Tags": dict(self.tags),
                "WebserverUrl": self.host,
                "ServiceRoleArn": (
                    f"arn:{partition}:iam::{account}:role/aws-service-role/airflow.amazonaws.com/"
                    "AWSServiceRoleForAmazonMWAA"
                ),
                "CeleryExecutorQueue": f"arn:{partition}:sqs:{region}:{account}:airflow-celery-{name}",
                "DatabaseVpcEndpointService": f"com.amazonaws.vpce.{region}.vpce-svc-{name}-database",
            }

    def _run(self) -> None:
        try:
            self._create()
            while not self._cancelled.is_set():
                try:
                    wanted = self._wanted.get(timeout=self._sync_seconds)
                except queue.Empty:
                    self._tick()
                else:
                    if wanted is not None:
                        self._change(wanted)
        except CancelledError:
            log.info("%s: stopped", self.identity.name)
        finally:
            self._airflow.stop(grace=3)
            if self.status == "DELETING":
                try:
                    folders.remove(self._folder)
                except OSError as error:
                    log.warning("%s: its folder stays until the next start: %s", self.identity.name, error)
                self._gone()

    def _create(self) -> None:
        settings = self.settings
        try:
            self._ensure_log_groups(settings)
            launch = self._launch_of(settings)
            self._check_role(settings)
            self._airflow.start(launch, lambda: self._sync(settings))
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the environment failed and says why
            self._fail("CREATE_FAILED", error)
        else:
            self._succeed(settings, launch)

    def _change(self, wanted: Settings) -> None:
        before, launch_before = self.settings, self._launch
        try:
            self._ensure_log_groups(wanted)
            launch = self._launch_of(wanted)
            self._check_role(wanted)
            if launch != self._launch or self._must_start():
                self._airflow.stop()
                self._airflow.start(launch, lambda: self._sync(wanted))
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the update failed and says why
            self._roll_back(before, launch_before, error)
        else:
            self._succeed(wanted, launch)

    def _roll_back(self, settings: Settings, launch: Launch | None, error: Exception) -> None:
        """As AWS does when an update fails: the environment is what it was, and LastUpdate says why."""
        self._fail("ROLLING_BACK", error)
        try:
            if launch is not None and self._must_start():
                self._airflow.restore_database()
                self._airflow.start(launch, lambda: self._sync(settings))
        except CancelledError:
            raise
        except Exception as second:  # noqa: BLE001 - as above
            self._fail("UNAVAILABLE", second)
        else:
            with self._lock:
                # "Restored to its previous state successfully and is ready to use": botocore, Environment.Status.
                self._set_status("UPDATE_FAILED")

    def _must_start(self) -> bool:
        return not self._airflow.pids()

    def _tick(self) -> None:
        if self.status not in READY:
            return
        try:
            self._sync(self.settings)
            # What keeps dying is started again as well, as MWAA's containers are: its cause, a full disk say, may go.
            self._airflow.watch()
        except OSError as error:
            # The same: the next tick tries again.
            log.error("%s: %s", self.identity.name, error)  # noqa: TRY400 - one line says it

    def _sync(self, settings: Settings) -> None:
        self._airflow.sync(self._bucket(settings), settings["DagS3Path"])

    def _bucket(self, settings: Settings) -> Bucket:
        name = settings["SourceBucketArn"].rpartition(":")[2]
        return Bucket(self.identity.account, self.identity.region, name)

    def _launch_of(self, settings: Settings) -> Launch:
        bucket = self._bucket(settings)

        def read(path: str) -> bytes | None:
            key = settings.get(path)
            if not key:
                return None
            try:
                return bucket.read(key, settings.get(rules.OBJECTS[path]))
            except LookupError as error:
                raise LaunchError(str(error)) from error

        return Launch(
            version=settings["AirflowVersion"],
            options=dict(settings["AirflowConfigurationOptions"]),
            environment_class=settings["EnvironmentClass"],
            max_workers=settings["MaxWorkers"],
            role_arn=settings["ExecutionRoleArn"],
            requirements=read("RequirementsS3Path"),
            plugins=read("PluginsS3Path"),
            startup_script=read("StartupScriptS3Path"),
        )

    def _check_role(self, settings: Settings) -> None:
        """See that MWAA gets the execution role, and can do by it what it has to."""
        identity, role = self._context.identity, settings["ExecutionRoleArn"]
        try:
            self._context.credentials.assume(role, service="airflow-env.amazonaws.com", source=self.identity.arn)
            acting = identity.acting(role, "AmazonMWAA-airflow")
            assert acting is not None, "it was assumed"
            key = settings.get("KmsKey")
            duties.check(acting, self.identity, settings, key and identity.state.key_arn(self.identity.region, key))
        except (LookupError, Refused) as error:
            raise LaunchError(str(error)) from error

    def _ensure_log_groups(self, settings: Settings) -> None:
        """MWAA makes the groups of the logs that are on, and leaves them when the environment is deleted."""
        backend = logs_backends[self.identity.account][self.identity.region]
        with locks.CONTROL:
            for module, value in settings["LoggingConfiguration"].items():
                group = self._log_group(module)
                if value["Enabled"] and group not in backend.groups:
                    backend.create_log_group(group, {})

    def _log_group(self, module: str) -> str:
        return f"airflow-{self.identity.name}-{rules.LOG_GROUPS[module]}"

    def _log_group_arn(self, module: str) -> str:
        identity = self.identity
        return f"arn:{identity.partition}:logs:{identity.region}:{identity.account}:log-group:{self._log_group(module)}"

    def _succeed(self, settings: Settings, launch: Launch) -> None:
        with self._lock:
            self._settings = settings
            self._launch = launch
            self._last_update["Status"] = "SUCCESS"
            self._set_status("AVAILABLE")

    def _fail(self, status: str, error: Exception) -> None:
        if not isinstance(error, (LaunchError, OSError)):
            log.error("%s: %s", self.identity.name, status, exc_info=error)
        message = (str(error) or repr(error))[:_ERROR_CHARACTERS]
        log.warning("%s: %s: %s", self.identity.name, status, message)
        with self._lock:
            self._last_update["Status"] = "FAILED"
            self._last_update["Error"] = {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": message}
            self._set_status(status)

    def _set_status(self, status: str) -> None:
        # A deletion that came meanwhile stands.
        if self._status != "DELETING":
            self._status = status

    def _note_update(self, status: str) -> None:
        self._last_update = {"Status": status, "CreatedAt": datetime.now(UTC), "Source": "USER"}
