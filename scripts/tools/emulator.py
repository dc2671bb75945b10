"""The emulator as a background session: started, found again, stopped; never mistaken for another's process."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from scripts.core import given
from scripts.core.console import Step
from scripts.core.errors import EmulatorError, PreflightError, ToolError
from scripts.core.settings import Settings
from scripts.tools import uv
from winbatch.working import folders

START_SECONDS = 60.0
STOP_SECONDS = 60.0
# In the environment of the emulator and its watchdog; its value is the environment's state folder.
MARK = "WINBATCH_SESSION"
# What the emulator puts into the environment of everything that it starts.
FAMILY = "EMULATOR_FAMILY"


@dataclass(frozen=True)
class Session:
    """A started emulator.

    Attributes:
        pid: its process.
        started: when that process began; a process id alone may be somebody else's by now.
        port: where it listens.
    """

    pid: int
    started: float
    port: int

    @property
    def endpoint_url(self) -> str:
        """Give the address at which it answers as AWS."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> psutil.Process | None:
        """Its process, if it still is the one that we started."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            pass
        return None


def folder(settings: Settings) -> Path:
    """The emulator's own state folder."""
    return settings.state / "emulator"


def log_file(settings: Settings) -> Path:
    """Give the file of what an environment's emulator says."""
    return settings.state / "emulator.log"


def recorded(settings: Settings) -> Session | None:
    """The session that was started last, alive or not."""
    try:
        return Session(**json.loads(_record(settings).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        # Cut off while it was written: then nothing was started yet.
        return None


def running(settings: Settings) -> Session | None:
    """The session that answers."""
    session = recorded(settings)
    return session if session and session.process and _healthy(session.endpoint_url) else None


def require(settings: Settings) -> Session:
    """The session that answers.

    Raises:
        EmulatorError: there is none.
    """
    session = recorded(settings)
    if session is None:
        raise EmulatorError("the local environment is not up: invoke up")
    if session.process is None:
        raise EmulatorError(
            f"the emulator of the local environment died ({log_file(settings)} says why);"
            " what it kept died with it: invoke down, then invoke up"
        )
    if not _healthy(session.endpoint_url):
        raise EmulatorError(
            f"the emulator (process {session.pid}) does not answer at {session.endpoint_url}"
            f" ({log_file(settings)} says more): invoke down, then invoke up"
        )
    return session


def start(settings: Settings, step: Step) -> Session:
    """Start the emulator as a session of its own, which outlives this process and its shell.

    Raises:
        PreflightError: the port is in use.
        EmulatorError: it did not start.
    """
    session = recorded(settings)
    if session is not None and session.process is None:
        raise EmulatorError(
            f"the emulator of an earlier up died ({log_file(settings)} says why), and its Terraform state with it:"
            " invoke down, then invoke up"
        )
    # One that is there already may be on its way still: an up was interrupted.
    found, session = session, session or _spawn(settings)
    began = time.monotonic()
    while not (_ready(settings).exists() and _healthy(session.endpoint_url)):
        if session.process is None:
            _record(settings).unlink()
            raise EmulatorError(f"the emulator did not start: {_last_line(log_file(settings))}")
        if time.monotonic() - began > START_SECONDS:
            if found is None:
                stop(settings)
            raise EmulatorError(
                f"the emulator did not answer within {START_SECONDS:.0f} s ({log_file(settings)} says more):"
                " invoke down, then invoke up"
            )
        step.update(f"{time.monotonic() - began:.0f} s")
        time.sleep(0.1)
    return session


def _spawn(settings: Settings) -> Session:
    check_port(settings.port)
    given.folder("WINBATCH_STATE", settings.state)
    _ready(settings).unlink(missing_ok=True)
    command = [sys.executable, "-m", "emulator", "serve", "--port", str(settings.port)]
    command += ["--state", str(folder(settings)), "--cache", str(settings.cache), "--region", settings.region]
    with log_file(settings).open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=settings.root,
            env={**uv.tool_environment(settings), MARK: str(settings.state)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    session = Session(process.pid, psutil.Process(process.pid).create_time(), settings.port)
    partial = _record(settings).with_suffix(".new")
    partial.write_text(json.dumps(asdict(session)) + "\n", encoding="utf-8")
    partial.replace(_record(settings))
    return session


def install(settings: Settings, what: str, arguments: Sequence[str], progress: Callable[[str], None]) -> None:
    """Have the emulator make something of its own in the cache, unless it is there.

    Args:
        settings: whose cache.
        what: as its command `install-…` is called.
        arguments: of that command.
        progress: told each line of it.

    Raises:
        ToolError: it cannot be made.
    """
    command = [sys.executable, "-m", "emulator", f"install-{what}", "--cache", str(settings.cache), *arguments]
    with subprocess.Popen(
        command,
        cwd=settings.root,
        env=uv.environment(settings) | {"PATH": uv.tool_environment(settings)["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            if line.strip():
                lines.append(line.strip())
                progress(line.strip())
    if process.returncode != 0:
        reason = lines[-1] if lines else "no reason was given"
        raise ToolError(f"{what.capitalize()} cannot be installed: {reason}")


def stop(settings: Settings, patience: float = 15.0) -> None:
    """Stop the emulator and all that it started; harmless where there is none.

    Args:
        settings: whose.
        patience: how long the watchdog of an emulator that was killed has for what that left, s.

    Raises:
        EmulatorError: something of ours still runs after all that.
    """
    session = recorded(settings)
    process = session.process if session else None
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                # One that does not end is named below.
                with contextlib.suppress(psutil.TimeoutExpired):
                    process.wait(10)
    if _wait_for_none(settings, patience):
        for left in ours(settings):
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
    left_over = _wait_for_none(settings, 5.0)
    if left_over:
        names = ", ".join(f"{left.pid} ({left.name()})" for left in left_over)
        raise EmulatorError(f"these processes of the local environment do not end: {names}")
    _record(settings).unlink(missing_ok=True)


def ours(settings: Settings) -> list[psutil.Process]:
    """The processes of this environment: the emulator, what it started, and Terraform commands of ours."""
    found = []
    state = str(settings.state)
    for process in psutil.process_iter():
        # Processes end while they are looked at, and others' environments are not ours to read.
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            environ = process.environ()
            command = " ".join(process.cmdline())
            marked = environ.get(MARK) == state and "emulator" in command
            family = FAMILY in environ and (
                state in command or process.cwd().startswith(state) or any(state in v for v in environ.values())
            )
            terraform = environ.get("TF_DATA_DIR", "").startswith(state + os.sep)
            if marked or family or terraform:
                found.append(process)
    return found


def remove_state(settings: Settings) -> None:
    """Remove the environment's state folder, whatever ECS tasks have left there.

    Raises:
        EmulatorError: something of it is somebody else's.
    """
    try:
        folders.remove(settings.state)
    except OSError as error:
        raise EmulatorError(
            f"{settings.state} cannot be removed ({error}): remove it as who owns it, then call again"
        ) from error


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(port: int) -> None:
    """Refuse a port on which somebody else listens.

    Raises:
        PreflightError: it is in use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PreflightError(
                f"port {port} on 127.0.0.1 is in use by {_listener(port)}: stop that, or choose another"
                f" port: WINBATCH_PORT={port + 1} invoke up"
            ) from error


def check_folders(settings: Settings) -> None:
    """Refuse folders in which Airflow does not start.

    Raises:
        PreflightError: they are such.
    """
    for place in (settings.state_root, settings.cache):
        # Airflow writes the path of its home into configparser's templates as it is.
        if "%" in str(place):
            raise PreflightError(
                f"{place}: Airflow does not start in a folder with a % in its path: move the checkout, or name folders"
                " without one in WINBATCH_STATE and WINBATCH_CACHE"
            )


def check_disk(settings: Settings) -> None:
    """Refuse to start on a disk that is nearly full.

    Raises:
        PreflightError: it is.
    """
    for variable, place in (("WINBATCH_STATE", settings.state_root), ("WINBATCH_CACHE", settings.cache)):
        given.folder(variable, place)
        free = shutil.disk_usage(place).free >> 20
        if free < settings.min_free_mib:
            raise PreflightError(
                f"{place} has {free} MiB of free disk space, the local environment wants {settings.min_free_mib}:"
                " free some, or say where there is more with WINBATCH_STATE and WINBATCH_CACHE"
            )


def _record(settings: Settings) -> Path:
    return settings.state / "emulator.json"


def _ready(settings: Settings) -> Path:
    """What the emulator writes once it answers."""
    return folder(settings) / "ready.json"


def _healthy(endpoint_url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{endpoint_url}/_emulator/health", timeout=5) as answer:
            return bool(json.loads(answer.read())["status"] == "ok")
    except (OSError, ValueError, KeyError):
        return False


def _listener(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            address: Any = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another program"


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    return f"{lines[-1]} ({path})" if lines else f"it wrote nothing ({path})"


def _wait_for_none(settings: Settings, seconds: float) -> list[psutil.Process]:
    for left in _polled(settings, seconds):
        if not left:
            return []
    return left


def _polled(settings: Settings, seconds: float) -> Iterator[list[psutil.Process]]:
    began = time.monotonic()
    while True:
        yield ours(settings)
        if time.monotonic() - began > seconds:
            return
        time.sleep(0.2)
