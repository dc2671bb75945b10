"""What MWAA asks of an environment's settings beyond their form, and what it fills in. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.mwaa import classes, versions
from emulator.mwaa.exceptions import ValidationException

Settings = dict[str, Any]

# Setting → the log group's name after `airflow-<environment>-`.
LOG_GROUPS = {
    "DagProcessingLogs": "DAGProcessing",
    "SchedulerLogs": "Scheduler",
    "TaskLogs": "Task",
    "WebserverLogs": "WebServer",
    "WorkerLogs": "Worker",
}
# Path of an object in the bucket → its version.
OBJECTS = {
    "PluginsS3Path": "PluginsS3ObjectVersion",
    "RequirementsS3Path": "RequirementsS3ObjectVersion",
    "StartupScriptS3Path": "StartupScriptS3ObjectVersion",
}
_MOST_WORKERS = 25
_PUBLIC_AND_PRIVATE_SINCE = (3, 2)


def defaults(given: Mapping[str, Any]) -> Settings:
    """A new environment's settings."""
    micro = given.get("EnvironmentClass") == classes.MICRO
    pair = 1 if micro else 2
    settings: Settings = {
        "AirflowVersion": versions.DEFAULT,
        "EnvironmentClass": classes.DEFAULT,
        "AirflowConfigurationOptions": {},
        "MaxWorkers": 1 if micro else 10,
        "MinWorkers": 1,
        "Schedulers": pair,
        "MinWebservers": pair,
        "MaxWebservers": pair,
        "WebserverAccessMode": "PRIVATE_ONLY",
        "WeeklyMaintenanceWindowStart": "TUE:20:00",
        "EndpointManagement": "SERVICE",
        **{name: value for name, value in given.items() if value is not None},
    }
    settings["LoggingConfiguration"] = _logging({}, given.get("LoggingConfiguration") or {})
    return settings


def changed(settings: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    """An environment's settings after an update; what the update does not name stays."""
    result: Settings = {**settings, **{name: value for name, value in given.items() if value is not None}}
    for path, version in OBJECTS.items():
        if given.get(path) is not None and given.get(version) is None:
            # Another object, or the newest version of the same.
            result.pop(version, None)
        if result.get(path) == "":
            result.pop(path)
            result.pop(version, None)
    result["LoggingConfiguration"] = _logging(settings["LoggingConfiguration"], given.get("LoggingConfiguration") or {})
    result["NetworkConfiguration"] = {
        **settings["NetworkConfiguration"],
        **(given.get("NetworkConfiguration") or {}),
    }
    return result


def check(settings: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> None:
    """Check settings that are complete.

    Args:
        settings: the new ones
        before: those that an update replaces

    Raises:
        ValidationException: MWAA would refuse them
        NotImplementedError: MWAA would take them, and nothing here does
    """
    version = settings["AirflowVersion"]
    if version not in versions.SUPPORTED:
        raise ValidationException(
            f"Unsupported Airflow version {version}. Supported versions: {', '.join(versions.SUPPORTED)}."
        )
    if before is not None and _number(version) < _number(before["AirflowVersion"]):
        # MWAA restores the database from a snapshot of its own (user guide, "Changing the Apache Airflow version").
        raise NotImplementedError(f"UpdateEnvironment from Airflow {before['AirflowVersion']} back to {version}")
    if settings["WebserverAccessMode"] == "PUBLIC_AND_PRIVATE" and _number(version) < _PUBLIC_AND_PRIVATE_SINCE:
        raise ValidationException(f"WebserverAccessMode PUBLIC_AND_PRIVATE is not supported for Airflow {version}.")
    _check_class(settings)
    for option in settings["AirflowConfigurationOptions"]:
        section, _, key = option.partition(".")
        if not section or not key:
            raise ValidationException(f"Invalid Airflow configuration option {option}: use section.option.")
    for path, object_version in OBJECTS.items():
        if settings.get(object_version) and not settings.get(path):
            raise ValidationException(f"{object_version} needs {path}.")


def _check_class(settings: Mapping[str, Any]) -> None:
    name = settings["EnvironmentClass"]
    if name not in classes.TASKS_PER_WORKER:
        known = ", ".join(classes.TASKS_PER_WORKER)
        raise ValidationException(f"Unsupported environment class {name}. Supported classes: {known}.")
    counts = {
        "scheduler": (settings["Schedulers"],),
        "web server": (settings["MinWebservers"], settings["MaxWebservers"]),
    }
    for what, values in counts.items():
        if name == classes.MICRO and any(value != 1 for value in values):
            raise ValidationException(f"The {what} count for environment class {name} must be 1.")
        if name != classes.MICRO and not all(2 <= value <= 5 for value in values):  # noqa: PLR2004 - MWAA's bounds
            raise ValidationException(f"The {what} count for environment class {name} must be between 2 and 5.")
    for what in ("Webservers", "Workers"):
        if settings[f"Min{what}"] > settings[f"Max{what}"]:
            raise ValidationException(f"Min{what} must not be greater than Max{what}.")
    if settings["MaxWorkers"] > _MOST_WORKERS:
        raise ValidationException(f"MaxWorkers must not be greater than {_MOST_WORKERS}.")
    if name == classes.MICRO and settings["MaxWorkers"] != 1:
        raise ValidationException(f"The worker count for environment class {name} must be 1.")


def _logging(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    # MWAA writes the Airflow tasks' logs unless told otherwise, and nothing else.
    fallback = {name: {"Enabled": name == "TaskLogs", "LogLevel": "INFO"} for name in LOG_GROUPS}
    return {**fallback, **before, **given}


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
