"""The environment variables that Airflow's components get: MWAA's choices, the user's, and what must be."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LOGIN = "admin"
# A secrets backend is not asked for the connection that is there already.
_LOOKUP = '{"connections_lookup_pattern": "^(?!aws_default$).*$"}'

# MWAA lets neither a startup script nor an option change these.
_PROTECTED = frozenset(
    {
        "AIRFLOW_ENV_NAME",
        "AIRFLOW_HOME",
        "AIRFLOW_VERSION",
        "AIRFLOW__API__BASE_URL",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_REGION",
        "HOME",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
    }
)


@dataclass(frozen=True)
class Secrets:
    """What one environment keeps for its life, so that sessions survive an update."""

    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    jwt: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))


def option_variable(option: str) -> str:
    """The environment variable of a configuration option: `core.parallelism` is `AIRFLOW__CORE__PARALLELISM`."""
    section, _, key = option.partition(".")
    return f"AIRFLOW__{section}__{key}".replace(".", "_").upper()


def opinions() -> dict[str, str]:
    """What MWAA sets unless the user says otherwise, and what makes a local Airflow quick and quiet."""
    return {
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "1800.0",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": _LOOKUP,
        "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": _LOOKUP,
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # Files of the DAG folder are listed this often; a file that changed is parsed at once.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
    }


def essentials(
    *,
    home: Path,
    logs: Path,
    database_url: str,
    port: int,
    task_slots: int,
    passwords: Path,
    secret: Secrets,
) -> dict[str, str]:
    """What the user cannot change, as on MWAA, because nothing would work.

    Args:
        home: AIRFLOW_HOME, with the folders `dags`, `plugins` and `tmp`
        logs: where Airflow's own logs go
        database_url: for SQLAlchemy
        port: of 127.0.0.1, for the API server
        task_slots: Airflow tasks at once
        passwords: the file with the login's password
        secret: what signs tokens and sessions
    """
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(task_slots),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        # A machine's full name can take seconds to look up, or a name server that is not there.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"{url}/",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secret.session,
        "AIRFLOW__API_AUTH__JWT_SECRET": secret.jwt,
    }


def aws(*, endpoint_url: str, region: str, name: str, version: str, credentials: Mapping[str, str]) -> dict[str, str]:
    """How Airflow's code reaches AWS: this emulator, as the execution role, never as the developer."""
    return {
        "AIRFLOW_ENV_NAME": name,
        "AIRFLOW_VERSION": version,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"Amazon_MWAA_{version.replace('.', '')}",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **credentials,
    }


def base(python: Path) -> dict[str, str]:
    """What a process needs before anything about Airflow is said; nothing of the emulator's own environment."""
    variables = {
        "PATH": os.pathsep.join([str(python / "bin"), os.environ.get("PATH", os.defpath)]),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        # As on MWAA. Airflow does not start for a user without a name.
        "LOGNAME": "airflow",
    }
    if sys.platform == "darwin":
        # Airflow forks after it used system frameworks, which macOS forbids otherwise.
        variables |= {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES", "no_proxy": "*"}
    return variables


def combine(
    *,
    base: Mapping[str, str],
    aws: Mapping[str, str],
    startup: Mapping[str, str],
    options: Mapping[str, str],
    essentials: Mapping[str, str],
) -> dict[str, str]:
    """Put the layers in MWAA's order, in which a later one wins.

    Its choices, the startup script's exports, the environment's configuration options, what must be.
    """
    allowed = {name: value for name, value in startup.items() if name not in _PROTECTED}
    chosen = {option_variable(option): value for option, value in options.items()}
    return {**base, **opinions(), **aws, **allowed, **chosen, **essentials}
