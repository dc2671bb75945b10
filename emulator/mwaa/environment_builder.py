"""Makes Airflow environments as MWAA does: one a version, with MWAA's pins, and one more a requirements.txt.

    <cache>/airflow/<version>-<key>/python/              the virtual environment
    <cache>/airflow/<version>-<key>/database/            an empty Airflow database, copied for each MWAA environment
    <cache>/airflow/<version>-<key>-<requirements>/python/

A folder is made under another name and renamed when it is complete, so that what is there is whole.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from emulator import folders
from emulator.errors import EmulatorError
from emulator.mwaa import versions
from emulator.mwaa.commands import Runner
from emulator.mwaa.database import Database, free_port
from emulator.mwaa.errors import LaunchError
from emulator.processes import Supervisor

log = logging.getLogger(__name__)

Report = Callable[[str], None]


@dataclass(frozen=True)
class Installation:
    """A complete Airflow.

    Attributes:
        version: the version of Airflow
        python: its virtual environment
        database: the folder of a migrated, stopped database to copy
    """

    version: str
    python: Path
    database: Path

    @property
    def airflow(self) -> str:
        """The command `airflow`."""
        return str(self.python / "bin" / "airflow")


def main(options: argparse.Namespace) -> None:
    """`install-airflow`: make the environment of a version, or of each, ahead of time.

    Raises:
        EmulatorError: it cannot be made
    """
    cancelled = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: cancelled.set())
    processes = Supervisor()
    try:
        for version in [options.version] if options.version else versions.SUPPORTED:
            try:
                install(version, options.cache.resolve(), Runner(processes, cancelled), _print)
            except (LaunchError, OSError) as error:
                raise EmulatorError(f"Airflow {version} cannot be installed: {error}") from error
    finally:
        processes.stop_all()


def install(version: str, cache: Path, runner: Runner, report: Report) -> Installation:
    """Give the Airflow of a version, made first where it is not there.

    Args:
        version: one of `versions.SUPPORTED`
        cache: the emulator's cache folder
        runner: runs uv and Airflow's migration
        report: gets a line for each step

    Raises:
        LaunchError: the version is not supported, or a step failed
    """
    if version not in versions.SUPPORTED:
        known = ", ".join(versions.SUPPORTED)
        raise LaunchError(f"Airflow {version} is not supported: choose one of {known}")
    folder = cache / "airflow" / versions.key(version)
    with folders.making(folder, runner.check) as made:
        if made is None:
            report(f"Airflow {version} is there: {folder}")
        else:
            report(f"Airflow {version}: installing into {folder}")
            _make_environment(made / "python", runner)
            lock = ["--require-hashes", "-r", str(versions.lock(version))]
            _pip_install(made / "python", lock, runner, f"installing Airflow {version}")
            report(f"Airflow {version}: preparing its database")
            _make_database(made, runner)
            report(f"Airflow {version}: done")
    return Installation(version, folder / "python", folder / "database")


def install_with_requirements(base: Installation, requirements: bytes, runner: Runner, report: Report) -> Installation:
    """Give an environment that has what a requirements.txt asks for too.

    As on MWAA, the packages in `versions.fixed` stay as they are, and the version's constraints apply to a file that
    names none.

    Args:
        base: the version's environment without it
        requirements: the file's content
        runner: runs uv
        report: gets a line for each step

    Raises:
        LaunchError: the requirements contradict what MWAA fixes, or cannot be had
    """
    digest = hashlib.sha256(requirements).hexdigest()[:12]
    folder = base.python.parent.with_name(f"{base.python.parent.name}-{digest}")
    what = f"requirements.txt cannot be installed beside what MWAA fixes for Airflow {base.version}"
    with folders.making(folder, runner.check) as made:
        if made is None:
            return Installation(base.version, folder / "python", base.database)
        file = made / "requirements.txt"
        file.write_bytes(requirements)
        options = ["-r", str(file), *_constraint_options(base.version, requirements)]
        dry = _uv("pip", "install", "--dry-run", "--python", str(base.python / "bin" / "python"), *options)
        planned = runner.run(dry, env=_uv_environment(made), cwd=made, what=what)
        if "Would make no changes" in planned:
            # Nothing to add: the base environment serves, and no copy of it is kept.
            shutil.rmtree(made)
            return base
        report(f"Airflow {base.version}: installing requirements.txt into {folder}")
        _make_environment(made / "python", runner)
        lock = ["--require-hashes", "-r", str(versions.lock(base.version))]
        _pip_install(made / "python", lock, runner, f"installing Airflow {base.version}")
        _pip_install(made / "python", options, runner, what)
    return Installation(base.version, folder / "python", base.database)


def _constraint_options(version: str, requirements: bytes) -> list[str]:
    options = ["-c", str(versions.fixed(version))]
    # MWAA takes a commented constraint too, as the way to say that none is wanted.
    if not re.search(rb"-c |--constraint ", requirements):
        options += ["-c", str(versions.constraints(version))]
    return options


def _uv(*arguments: str) -> list[str]:
    found = shutil.which("uv")
    if found is not None:
        return [found, *arguments]
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv", *arguments]
    raise LaunchError("uv is missing: put it on PATH, or `pip install uv`")


def _uv_environment(folder: Path) -> dict[str, str]:
    # The developer's settings of indexes and proxies; but uv leaves lock files in the temporary folder.
    return {**os.environ, "TMPDIR": str(folder)}


def _make_environment(python: Path, runner: Runner) -> None:
    # Relocatable: it is renamed when it is complete.
    argv = _uv("venv", "--quiet", "--relocatable", "--python", sys.executable, str(python))
    runner.run(argv, env=_uv_environment(python.parent), cwd=python.parent, what="making a virtual environment")


def _pip_install(python: Path, options: list[str], runner: Runner, what: str) -> None:
    # Compiled now, or each component compiles 1,500 modules at each start.
    argv = _uv(
        *("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python / "bin" / "python")), *options
    )
    runner.run(argv, env=_uv_environment(python.parent), cwd=python.parent, what=what)


def _make_database(made: Path, runner: Runner) -> None:
    database = Database(made / "database", free_port())
    database.create(runner)
    log_file = made / "database.log"
    server = runner.processes.start(database.argv, env=database.environment, cwd=made, log=log_file)
    home = made / "home"
    home.mkdir()
    try:
        database.wait(runner)
        env = {
            "PATH": os.defpath,
            "HOME": str(home),
            "LOGNAME": "airflow",
            "TMPDIR": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
        }
        migrate = [str(made / "python" / "bin" / "airflow"), "db", "migrate"]
        runner.run(migrate, env=env, cwd=home, what="preparing Airflow's database")
    finally:
        server.signal(signal.SIGINT)
        server.stop(grace=10)
    shutil.rmtree(home)
    log_file.unlink()


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's progress
