"""The processes of one running Airflow: the database and Airflow's four components."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.mwaa.database import Database
from emulator.mwaa.forks import Template
from emulator.processes import Child, Supervisor

log = logging.getLogger(__name__)

DEATHS = 3
DEATHS_SECONDS = 60.0
PAUSES = (5.0, 60.0)
"""Seconds before what dies too often is started again: at first, and at most; each time twice as long."""
_DATABASE = "postgres"
_TEMPLATE = "template"


@dataclass(frozen=True)
class Component:
    """A program to keep running.

    Attributes:
        name: also of its log file
        argv: the program and its arguments
        env: its whole environment
        stop: the signal that ends it in good order
        fork: it is a fork of the template; `argv` are words of Airflow's command, `env` is the template's
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stop: signal.Signals = signal.SIGTERM
    fork: bool = False


def database_component(database: Database) -> Component:
    """The database server. SIGINT: it ends at once instead of waiting for its clients."""
    return Component(_DATABASE, tuple(database.argv), database.environment, signal.SIGINT)


def template_component(airflow: str, env: Mapping[str, str]) -> Component:
    """What imports Airflow, for seconds; its components are forks of it."""
    # Without this folder on `sys.path`, where names are that Airflow's code has, too.
    program = (str(Path(airflow).with_name("python")), "-P", str(Path(__file__).with_name("template.py")))
    return Component(_TEMPLATE, program, env)


def airflow_components(airflow: str, env: Mapping[str, str]) -> tuple[Component, ...]:
    """Airflow's components after their template, the API server first, since the others and everybody wait for it.

    All see MWAA's `sys.path`: the plugins folder, which Airflow adds, and no DAG folder. The DAG processor and the
    task runner add that themselves; the triggerer does not.
    """
    # The API server reads the logs from the same disk, so nobody has to serve them.
    commands = (
        ("api-server",),
        ("scheduler", "--skip-serve-logs"),
        ("dag-processor",),
        ("triggerer", "--skip-serve-logs"),
    )
    forks = (Component(words[0], words, env, fork=True) for words in commands)
    return (template_component(airflow, env), *forks)


@dataclass
class _Running:
    component: Component
    child: Child | None
    deaths: deque[float] = field(default_factory=deque)
    pause: float = 0.0
    again: float = 0.0
    wrong: str = ""


class Components:
    """Keeps components running: what dies is started again; what dies too often, after a pause that grows."""

    def __init__(self, processes: Supervisor, logs: Path, cwd: Path) -> None:
        self._processes = processes
        self._logs = logs
        self._cwd = cwd
        self._running: list[_Running] = []
        self._template: Template | None = None

    def start(self, components: tuple[Component, ...]) -> None:
        """Start them at once; forks, once a look (`watch`) sees that all is imported which they share.

        Raises:
            OSError: one cannot be started
        """
        for component in components:
            self._running.append(_Running(component, self._spawn(component)))

    def watch(self) -> str | None:
        """Start again what died since the last look; say what is wrong while something dies too often.

        Raises:
            OSError: something cannot be started; the next look tries it again
        """
        for running in self._running:
            child, now = running.child, time.monotonic()
            if child is None:
                if now >= running.again:
                    running.child = self._spawn(running.component)
            elif (code := child.poll()) is not None:
                child.reap()
                self._bury(running, code, now)
            elif running.wrong and now >= running.again + DEATHS_SECONDS:
                # It lives for as long as it may not die three times in.
                running.wrong, running.pause = "", 0.0
        return next((running.wrong for running in self._running if running.wrong), None)

    def _bury(self, running: _Running, code: int, now: float) -> None:
        name = running.component.name
        running.deaths.append(now)
        while running.deaths[0] < now - DEATHS_SECONDS:
            running.deaths.popleft()
        running.child = None
        self._note(name, f"{name} ended with {_describe(code)}, {len(running.deaths)} times within a minute")
        if not running.wrong and len(running.deaths) < DEATHS:
            running.child = self._spawn(running.component)
            return
        last = _last_line(self._log(name))
        running.wrong = f"{name} ended {DEATHS} times within a minute, last with {_describe(code)}: {last}"
        first, longest = PAUSES
        running.pause = min(longest, 2 * running.pause or first)
        running.again = now + running.pause

    def pids(self) -> dict[str, int]:
        """The process id of each component that runs, and of the database's server."""
        children = {running.component.name: running.child for running in self._running}
        return {name: child.pid for name, child in children.items() if child is not None and name != _TEMPLATE}

    def stop(self, grace: float) -> None:
        """Stop all, the database last, each with at most `grace` seconds before it is killed."""
        last = (_TEMPLATE, _DATABASE)
        groups = [[running for running in self._running if running.component.name not in last]]
        groups += [[running for running in self._running if running.component.name == name] for name in last]
        for group in groups:
            children = [(running.child, running.component.stop) for running in group if running.child is not None]
            for child, stop in children:
                child.signal(stop)
            deadline = time.monotonic() + grace
            for child, _ in children:
                child.stop(max(0.0, deadline - time.monotonic()))
        self._running.clear()
        self._template = None

    def _spawn(self, component: Component) -> Child | None:
        log = self._log(component.name)
        if component.fork:
            return None if self._template is None else self._template.fork(component.name, component.argv, log)
        if component.name == _TEMPLATE:
            self._template = Template(self._processes, component.argv, env=component.env, cwd=self._cwd, log=log)
            return self._template.child
        return self._processes.start(component.argv, env=component.env, cwd=self._cwd, log=log)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _note(self, name: str, line: str) -> None:
        log.warning("%s: %s; see %s", self._cwd.parent.name, line, self._log(name))
        with self._log(name).open("a") as file:
            file.write(f"--- emulator: {line} ---\n")


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text("utf-8", "replace").splitlines() if not line.startswith("--- emulator")]
    return lines[-1].strip() if lines else "no output"
