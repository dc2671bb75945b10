"""A running Windows container: its first process (init.c) and everything that descends from it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import psutil

from emulator import folders, marks
from emulator.ecs.windows.installation import INIT, Installation
from emulator.processes import Child, Supervisor

# In which order Windows tells the processes of a container that it stops is not documented: at once; or as the server
# of consoles does, the newest first, each waited for (microsoft/terminal, src/server/ProcessList.cpp push_front and
# src/host/input.cpp ProcessCtrlEvents).
Order = Literal["together", "newest-first"]
ORDERS: tuple[Order, ...] = ("together", "newest-first")

# What a program ends with that has not ended when its time to stop is over (DBG_TERMINATE_PROCESS), and one that is
# killed (ERROR_PROCESS_ABORTED). People have seen both in `docker ps`; that they come so is assumed.
_TIME_OVER, _KILLED = 0x40010004, 1067
# The ECS agent's patience with Windows (ECS_CONTAINER_START_TIMEOUT) and its words.
_START_SECONDS = 480
_UNSTARTED = "DockerTimeoutError: Could not transition to started; timed out after waiting 8m0s"
_KILL_SECONDS, _KILL_PAUSE = 10, 0.02
_LOOK_SECONDS = 0.02
# Where a container's first process tells how its program fares, in the container's folder.
_SAID = "said"


class ContainerError(Exception):
    """A container's program cannot be started; the text is Docker's."""


@dataclass(frozen=True)
class Program:
    """What a container runs.

    Attributes:
        command: its command line.
        folder: its working folder, as Windows names it.
        environment: all of it.
    """

    command: str
    folder: str
    environment: Mapping[str, str]


class WindowsContainer:
    """A running container.

    Attributes:
        stdout: what its programs print, both streams together.
    """

    def __init__(self, child: Child, control: IO[bytes], prefix: Path) -> None:
        self.stdout = child.stdout
        self._child = child
        self._control = control
        self._prefix = prefix
        self._stopping = False

    @property
    def pid(self) -> int:
        """Give the process id of its first process."""
        return self._child.pid

    def poll(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of its program.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds
        """
        return self._child.wait(timeout)

    def terminate(self) -> None:
        """Begin a stop: CTRL_SHUTDOWN_EVENT to all of its processes."""
        self._stopping = True
        with contextlib.suppress(BrokenPipeError):
            self._control.write(b"stop\n")
            self._control.flush()

    def kill(self) -> bool:
        """End all of its processes at once; False where there was none."""
        left = _processes(self._prefix)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return bool(left)

    def reap(self) -> int:
        """Wait for the end, end what the program left behind, and give its exit code: 32 bits, unsigned."""
        self._child.wait()
        deadline = time.monotonic() + _KILL_SECONDS
        # Again, as one may have been starting another.
        while self.kill() and time.monotonic() < deadline:
            time.sleep(_KILL_PAUSE)
        self._child.reap()
        said = (self._prefix / _SAID).read_bytes()
        with contextlib.suppress(BrokenPipeError):
            self._control.close()
        _remove_socket(self._prefix)
        if found := re.search(rb"^exit (\d+)$", said, re.MULTILINE):
            return int(found[1])
        return _TIME_OVER if self._stopping else _KILLED


def start(
    processes: Supervisor,
    installation: Installation,
    prefix: Path,
    program: Program,
    *,
    order: Order = "together",
    niceness: int = 0,
) -> WindowsContainer:
    """Start a container's program on a drive of its own.

    Args:
        processes: start its first process.
        installation: what all containers share.
        prefix: the folder of its registry and drive, made by `drive.make`.
        program: what it runs.
        order: in which its processes are told of a stop.
        niceness: added to the emulator's own.

    Raises:
        ContainerError: Windows does not find the program or its folder, or cannot run it
        OSError: Wine cannot be started
    """
    temporary = prefix / "tmp"
    temporary.mkdir()
    wine = installation.wine
    words = [*_unprivileged(), str(wine.loader), f"C:\\windows\\system32\\{INIT}"]
    said = prefix / _SAID
    said.touch()
    reading, writing = os.pipe()
    control = os.fdopen(writing, "wb")
    with contextlib.ExitStack() as stack:
        stack.callback(control.close)
        with os.fdopen(reading, "rb") as heard:
            child = processes.start(
                words,
                env=wine.environment(prefix, temporary),
                cwd=prefix / "drive_c",
                log=None,
                niceness=niceness,
                stdin=heard,
                stderr=subprocess.DEVNULL,
            )
        stack.pop_all()
    container = WindowsContainer(child, control, prefix)
    parts = [_unix(said), program.command, program.folder, order, *map("=".join, program.environment.items()), "", ""]
    encoded = "\0".join(parts).encode("utf-16-le", "surrogatepass")
    with contextlib.suppress(BrokenPipeError):
        control.write(struct.pack("<I", len(encoded)) + encoded)
        control.flush()
    deadline = time.monotonic() + _START_SECONDS
    while not (answer := _answer(said)) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    answer = _answer(said)
    if answer != ["started", "0"]:
        container.kill()
        container.reap()
        container.stdout.close()
        raise ContainerError(_refusal(program, int(answer[1])) if answer else _UNSTARTED)
    return container


def _answer(said: Path) -> list[str]:
    """The words of the first line that a first process has said; none before it is whole."""
    line, end, _ = said.read_text(encoding="ascii").partition("\n")
    return line.split() if end else []


def _unix(path: Path) -> str:
    """A file of this machine by the name that Wine has for it."""
    return "\\\\?\\unix" + str(path).replace("/", "\\")


def _unprivileged() -> Sequence[str]:
    """Words before a command that let the owners and modes of files count for root as well."""
    if os.geteuid() == 0 and (program := shutil.which("setpriv")):
        return (program, "--bounding-set=-dac_override,-fowner", "--")
    return ()


def _refusal(program: Program, error: int) -> str:
    # hcsshim's words, as `docker run` shows them.
    reason = {
        2: "The system cannot find the file specified. (0x2)",
        3: "The system cannot find the path specified. (0x3)",
        5: "Access is denied. (0x5)",
        193: "%1 is not a valid Win32 application. (0xc1)",
        267: "The directory name is invalid. (0x10b)",
    }.get(error, f"({error:#x})")
    return (
        "CannotStartContainerError: Error response from daemon: container encountered an error during "
        f"hcsshim::System::CreateProcess: failure in a Windows system call: {reason} "
        f"[CommandLine: {program.command!r}, WorkingDirectory: {program.folder!r}]"
    )


def _processes(prefix: Path) -> list[psutil.Process]:
    """All processes of a container: each has its environment of Unix, which no program of Windows changes."""
    found = []
    for process in psutil.process_iter():
        # Processes end while they are looked at, and others' environments are not ours to read.
        with contextlib.suppress(psutil.Error, OSError):
            if marks.has(process, "WINEPREFIX", str(prefix)):
                found.append(process)
    return found


def _remove_socket(prefix: Path) -> None:
    """Remove where Wine's server listened, which is elsewhere unless Debian made Wine."""
    about = prefix.stat()
    place = Path(f"/tmp/.wine-{os.geteuid()}/server-{about.st_dev:x}-{about.st_ino:x}")  # noqa: S108 - Wine's choice
    folders.remove(place)
