"""Commands side by side, in lanes: an interrupt ends them all, and what a command leaves running is found."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from pathlib import Path

import psutil

# From Ctrl-C to the kill, s: a slow test takes its environment down, Terraform ends what it is at.
PATIENCE = 240.0
# Between two looks at who is at work, s.
LOOK = 1.0


class Lanes:
    """Runs jobs, a few at a time, and the commands of these."""

    def __init__(self) -> None:
        self._commands: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ending = False

    def run(
        self, jobs: Mapping[str, Callable[[], None]], count: int, progress: Callable[[Sequence[str]], None]
    ) -> dict[str, Exception]:
        """Run jobs to their ends, in the order in which they are given.

        Args:
            jobs: by name.
            count: how many at a time.
            progress: called now and then with the names of those at work.

        Returns:
            What those raised that failed, by name.

        Raises:
            KeyboardInterrupt: passed on once every command has ended.
        """
        with ThreadPoolExecutor(count) as pool:
            futures: dict[Future[None], str] = {pool.submit(job): name for name, job in jobs.items()}
            try:
                left = set(futures)
                while left:
                    left = wait(left, LOOK, FIRST_COMPLETED).not_done
                    progress([name for future, name in futures.items() if future.running()])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.end()
                raise
        return {name: error for future, name in futures.items() if isinstance(error := future.exception(), Exception)}

    def call(self, command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], output: Path | None = None) -> int:
        """Run a command to its end; its exit code.

        Args:
            command: and its arguments.
            cwd: where.
            environ: its whole process environment.
            output: file for what it says; None: the terminal.
        """
        # In a session of its own: Ctrl-C reaches us alone, and we tell each command once.
        with output.open("wb") if output else nullcontext() as file:
            with self._lock:
                if self._ending:
                    return -signal.SIGINT
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT if file else None,
                    start_new_session=True,
                )
                self._commands.add(process)
            code = process.wait()
        with self._lock:
            self._commands.discard(process)
        return code

    def end(self, patience: float = PATIENCE) -> None:
        """Interrupt every command, and kill what has not ended after a while."""
        with self._lock:
            self._ending = True
            commands = list(self._commands)
        for command in commands:
            command.send_signal(signal.SIGINT)
        deadline = time.monotonic() + patience
        try:
            for command in commands:
                command.wait(max(0.1, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            # Somebody presses Ctrl-C again.
            for command in commands:
                if command.poll() is None:
                    os.killpg(command.pid, signal.SIGKILL)


def left(folder: Path) -> list[psutil.Process]:
    """The processes that have to do with a folder: their command line or environment names it, or they work there."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            traces = [*process.cmdline(), process.cwd(), *process.environ().values()]
        except (psutil.Error, OSError):
            # It has ended, is somebody else's, or works in a folder whose path is too long to be told.
            continue
        if any(str(folder) in trace for trace in traces):
            found.append(process)
    return found


def sweep(folder: Path, patience: float = 20.0) -> list[str]:
    """End what still runs in a folder; what that was, a line each."""
    found = left(folder)
    words = [f"{process.pid} {_command(process)}" for process in found]
    for process in found:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(found, patience)
    for process in {*alive, *left(folder)}:
        _quietly(process.kill)
    return words


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "(ended meanwhile)"


def _quietly(act: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        act()
