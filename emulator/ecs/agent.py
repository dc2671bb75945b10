"""One ECS task's life on its host: pull, start, watch, stop.

Each ECS task has a thread that reacts to its events: a container ended, somebody wants it stopped. Everything that can
be seen from outside changes under the control lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

from emulator import folders, locks
from emulator.context import Context
from emulator.ecs.execution import Execution
from emulator.ecs.images import Image, Images, PullError, inside
from emulator.ecs.logs import Discard, LogDriver, LogDriverError, Stream
from emulator.ecs.metadata import Metadata
from emulator.ecs.model import Container, EcsTask, Stop
from emulator.ecs.resources import ResourceError, Resources
from emulator.ecs.windows.container import ContainerError, WindowsContainer
from emulator.ecs.windows.engine import Engine, UnavailableError
from emulator.faults import Faults
from emulator.processes import Child

log = logging.getLogger(__name__)

# A whole cluster's work shares this machine with Airflow, which must stay quick.
_NICENESS = 19
# In this part of the time in which an instance ends, the network interface of an ECS task is detached.
_DETACHING = 0.5
_SIGN = 2**31
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class StartError(Exception):
    """A container cannot start; the text is what ECS says about it."""


@dataclass
class _Running:
    """A container's process, and its output on the way to its log."""

    child: Child | WindowsContainer
    stream: Stream | Discard
    reader: Thread
    credentials: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Agent:
    """Runs ECS tasks as processes of this machine."""

    context: Context
    images: Images
    logs: LogDriver
    metadata: Metadata
    resources: Resources
    faults: Faults
    windows: Engine
    # Called under the control lock when an ECS task has stopped and its room is free again.
    released: Callable[[EcsTask], None]
    _live_tasks: dict[str, dict[int, _Running]] = field(default_factory=dict)

    def launch(self, task: EcsTask) -> None:
        """Begin an ECS task that has an instance."""
        Thread(target=self._live, args=(task,), name=f"task-{task.id[:8]}", daemon=True).start()

    def silence(self, task: EcsTask) -> None:
        """End what an ECS task runs, as its host goes down; ECS hears of it when it is told that the host is lost."""
        task.silent = True
        self.kill(task)

    def kill(self, task: EcsTask, exit_code: int | None = None) -> None:
        """SIGKILL to everything in an ECS task's containers, as the kernel does when memory runs out.

        Args:
            task: whose
            exit_code: to tell instead of the signal's 137
        """
        for container in task.containers:
            container.told_exit_code = exit_code
        for process in list(self._live_tasks.get(task.id, {}).values()):
            process.child.kill()

    def _live(self, task: EcsTask) -> None:
        folder = self.context.state / "tasks" / task.id
        running = self._live_tasks[task.id] = {}
        try:
            if self._prepare(task) and self._start(task, folder, running):
                self._watch(task, running)
        except Exception as error:
            log.exception("ECS task %s", task.arn)
            self._request(task, Stop("TaskFailedToStart", f"the emulator failed: {error!r}; its log has the traceback"))
        finally:
            self._end(task, running, folder)

    def _prepare(self, task: EcsTask) -> bool:
        """From PROVISIONING to PENDING; False when it was stopped meanwhile."""
        deadline = time.monotonic() + self.faults.start_delay()
        with locks.CONTROL:
            task.last_status = "PENDING"
            task.connectivity_at = time.time()
            task.version += 1
        while task.stop is None and (rest := deadline - time.monotonic()) > 0:
            try:
                task.events.get(timeout=rest)
            except queue.Empty:
                break
        return task.stop is None

    def _start(self, task: EcsTask, folder: Path, running: dict[int, _Running]) -> bool:
        """From PENDING to RUNNING; False when a container could not start."""
        try:
            fetched = self.resources.environment(task)
        except ResourceError as error:
            self._request(task, Stop("TaskFailedToStart", str(error)))
            return False
        task.pull_started_at = time.time()
        execution = Execution(self.context.identity, task)
        for number, container in enumerate(task.containers):
            try:
                execution.pull(container.definition["image"])
                image = self.images.pull(container.definition["image"])
                self._check_platform(image, container)
                container.image_digest = image.digest
                task.pull_stopped_at = time.time()
                if task.stop is not None or self._lost(task):
                    return False
                logged = container.definition.get("logConfiguration")
                stream = f"{container.name}/{task.id}"
                execution.log(logged, self.context.account, self.context.region, stream)
                running[number] = self._run(task, container, image, folder / container.name, fetched[number])
            except (PullError, LogDriverError, StartError) as error:
                with locks.CONTROL:
                    container.reason = str(error)
                    self._request(
                        task,
                        Stop(
                            "TaskFailedToStart", str(error) if isinstance(error, PullError) else "Task failed to start"
                        ),
                    )
                return False
        if self._lost(task):
            return False
        with locks.CONTROL:
            task.started_at = time.time()
            task.last_status = "RUNNING"
            task.version += 1
            # A program that has ended already was RUNNING all the same.
            for container in task.containers:
                if container.last_status == "PENDING":
                    container.last_status = "RUNNING"
        return True

    @staticmethod
    def _lost(task: EcsTask) -> bool:
        """Whether the host is down; if so, this waits until ECS knows."""
        while task.silent and task.stop is None:
            task.events.get()
        return task.silent

    def _run(
        self, task: EcsTask, container: Container, image: Image, folder: Path, fetched: Mapping[str, str]
    ) -> _Running:
        if reason := self.faults.start_failure():
            raise StartError(reason)
        if container.definition.get("readonlyRootFilesystem"):
            # Only Windows comes here with it; the words are moby's.
            raise StartError(
                "CannotCreateContainerError: Error response from daemon: invalid option: read-only mode is not "
                "supported for Windows containers"
            )
        if image.windows:
            return self._run_windows(task, container, image, folder, fetched)
        home, temporary = folder / "home", folder / "tmp"
        try:
            for path in (home, temporary):
                path.mkdir(parents=True)
            image = image.copied(folder / "root")
            if working := container.definition.get("workingDirectory"):
                image = replace(image, working_path=working)
            # As an engine makes it where the image has it not.
            image.working_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(f"CannotCreateContainerError: Error response from daemon: {error}") from error
        environment = {
            "PATH": _PATH,
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "LANG": "C.UTF-8",
            "HOSTNAME": container.runtime_id[:12],
            **image.environment,
        }

        def start(added: Mapping[str, str]) -> Child:
            whole = {**environment, **added}
            return self.context.processes.start(
                _argv(container, image, whole), env=whole, cwd=image.working_folder, log=None, niceness=_NICENESS
            )

        return self._follow(task, container, fetched, start)

    def _run_windows(
        self, task: EcsTask, container: Container, image: Image, folder: Path, fetched: Mapping[str, str]
    ) -> _Running:
        def start(added: Mapping[str, str]) -> WindowsContainer:
            return self.windows.start(
                folder,
                image.root,
                _words(container, image),
                working_folder=container.definition.get("workingDirectory") or image.working_path,
                user=image.user,
                name=container.runtime_id[:12],
                variables=(image.environment, added),
                escaped=image.escaped and not (container.definition.get("entryPoint") or container.command),
                niceness=_NICENESS,
            )

        return self._follow(task, container, fetched, start)

    def _follow(
        self,
        task: EcsTask,
        container: Container,
        fetched: Mapping[str, str],
        start: Callable[[Mapping[str, str]], Child | WindowsContainer],
    ) -> _Running:
        """Start a container with what ECS adds to its environment, and follow its output and its end.

        Raises:
            StartError: it cannot be started
            LogDriverError: nor its log
        """
        credentials = self._credentials(task)
        added = {
            "AWS_ENDPOINT_URL": self.context.endpoint_url,
            "AWS_REGION": self.context.region,
            "AWS_DEFAULT_REGION": self.context.region,
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
            **merged(fetched, container),
            **credentials,
            "ECS_CONTAINER_METADATA_URI_V4": self.metadata.address(task, container),
        }
        stream = self.logs.open(
            container.definition.get("logConfiguration"), container.name, task.id, container.runtime_id
        )
        try:
            child = start(added)
        except (OSError, ContainerError, StartError) as error:
            self.logs.close(stream)
            self.context.credentials.revoke(credentials)
            if isinstance(error, OSError):
                raise StartError(f"CannotStartContainerError: Error response from daemon: {error}") from error
            raise StartError(str(error)) from error
        container.started_at = time.time()
        reader = Thread(target=stream.follow, args=(child.stdout,), name=f"log-{task.id[:8]}", daemon=True)
        reader.start()
        number = task.containers.index(container)
        Thread(target=_report_end, args=(child, task, number), name=f"wait-{task.id[:8]}", daemon=True).start()
        return _Running(child, stream, reader, credentials)

    def _check_platform(self, image: Image, container: Container) -> None:
        """See that a host can run an image for Windows.

        Raises:
            PullError: it is for Linux, or Windows' programs cannot be run on this machine
        """
        if not image.windows:
            return
        # containerd's and Docker's words for an image of another system.
        mismatch = (
            'CannotPullContainerError: Error response from daemon: image operating system "windows" cannot be used on '
            "this platform"
        )
        if not container.windows:
            raise PullError(f"{mismatch}: operating system is not supported")
        try:
            self.windows.prepare()
        except UnavailableError as error:
            raise PullError(f"{mismatch}: {error}") from error

    def _credentials(self, task: EcsTask) -> dict[str, str]:
        if task.role_arn is None:
            return {}
        try:
            return self.context.credentials.grant(
                task.role_arn, task.id, service="ecs-tasks.amazonaws.com", source=task.arn
            )
        except LookupError as error:
            raise StartError(f"CannotStartContainerError: the task role cannot be assumed: {error}") from error

    def _watch(self, task: EcsTask, running: dict[int, _Running]) -> None:
        """Until an essential container has ended or a stop is asked for."""
        while task.stop is None:
            number = task.events.get()
            if number is None or task.silent:
                continue
            container = task.containers[number]
            self._close(container, running.pop(number), task)
            if container.essential or not running:
                self._request(task, Stop("EssentialContainerExited", "Essential container in task exited"))

    def _end(self, task: EcsTask, running: dict[int, _Running], folder: Path) -> None:
        """Stop what still runs, then from DEPROVISIONING to STOPPED."""
        stop = task.stop
        assert stop is not None, "an ECS task ends for a reason"
        with locks.CONTROL:
            task.last_status = "STOPPING"
            task.version += 1
        self._stop_containers(task, running, stop)
        for number, process in running.items():
            self._close(task.containers[number], process, task)
        self.metadata.forget(task)
        self._live_tasks.pop(task.id, None)
        try:
            folders.remove(folder)
        except OSError as error:
            log.warning("what ECS task %s wrote stays until the next start: %s", task.arn, error)
        with locks.CONTROL:
            for container in task.containers:
                container.last_status = "STOPPED"
            task.execution_stopped_at = time.time()
            task.last_status = "DEPROVISIONING"
            task.version += 1
        if task.attachments:
            # A network interface of its own takes time to be detached; until then there is no room for another.
            time.sleep(self.context.terminate_seconds * _DETACHING)
        with locks.CONTROL:
            self.released(task)
            task.stopped_at = time.time()
            task.last_status = "STOPPED"
            task.version += 1

    def _stop_containers(self, task: EcsTask, running: dict[int, _Running], stop: Stop) -> None:
        if stop.host_lost:
            for process in running.values():
                process.child.kill()
        else:
            for process in running.values():
                process.child.terminate()
        deadlines = {number: time.monotonic() + task.containers[number].stop_timeout for number in running}
        alive = {number for number, process in running.items() if process.child.poll() is None}
        while alive:
            # The host may be lost while its containers are stopping.
            lost = task.stop is not None and task.stop.host_lost
            for number in list(alive):
                if lost or time.monotonic() >= deadlines[number]:
                    running[number].child.kill()
            rest = min(deadlines[number] for number in alive) - time.monotonic()
            with contextlib.suppress(queue.Empty):
                task.events.get(timeout=max(rest, 0.05))
            alive = {number for number in alive if running[number].child.poll() is None}

    def _close(self, container: Container, process: _Running, task: EcsTask) -> None:
        """Take an ended container's exit code and its last lines."""
        code = _told(process.child.reap(), container)
        process.reader.join()
        process.child.stdout.close()
        self.logs.close(process.stream)
        self.context.credentials.revoke(process.credentials)
        with locks.CONTROL:
            container.last_status = "STOPPED"
            # The agent of a host that is gone reports nothing.
            if not (task.stop and task.stop.host_lost):
                container.exit_code = code
                if container.told_exit_code is not None:
                    container.exit_code = container.told_exit_code

    @staticmethod
    def _request(task: EcsTask, stop: Stop) -> None:
        with locks.CONTROL:
            request_stop(task, stop)


def request_stop(task: EcsTask, stop: Stop) -> None:
    """Ask an ECS task to stop; the first reason stays, but a lost host overrules gentleness. Under the control lock."""
    if task.last_status == "STOPPED":
        return
    if task.stop is None:
        task.stop = stop
        task.desired_status = "STOPPED"
        task.stopping_at = time.time()
        task.version += 1
    elif stop.host_lost and not task.stop.host_lost:
        task.stop = Stop(task.stop.code, task.stop.reason, host_lost=True)
    task.events.put(None)


def merged(fetched: Mapping[str, str], container: Container) -> dict[str, str]:
    """A container's environment: environment files, then the task definition's and the override's, then secrets."""
    secret = {entry["name"] for entry in container.definition.get("secrets") or ()}
    files = {name: value for name, value in fetched.items() if name not in secret}
    return {**files, **container.environment, **{name: fetched[name] for name in secret}}


def _report_end(child: Child | WindowsContainer, task: EcsTask, number: int) -> None:
    child.wait()
    task.events.put(number)


def _told(code: int, container: Container) -> int:
    """An exit code as ECS tells it: 32 bits with a sign, and Docker's number for the signal that ended a program."""
    if container.windows and code >= _SIGN:
        return code - 2 * _SIGN
    return code if code >= 0 else 128 - code


def _words(container: Container, image: Image) -> list[str]:
    """The entry point and command of the image, or of the task definition or override.

    Raises:
        StartError: there are none
    """
    entrypoint = container.definition.get("entryPoint")
    command = container.command or (() if entrypoint else image.command)
    words = [*(entrypoint or image.entrypoint), *command]
    if not words:
        raise StartError("CannotStartContainerError: Error response from daemon: no command specified")
    return words


def _argv(container: Container, image: Image, environment: Mapping[str, str]) -> list[str]:
    """The program to start, where this machine has it.

    Raises:
        StartError: there is none, or it does not exist in the image nor on this machine
    """
    argv = _words(container, image)
    program = argv[0]
    candidates = (
        [image.working_folder / program, inside(image.root, program), Path(program)]
        if "/" in program
        else [
            candidate
            for folder in environment["PATH"].split(":")
            for candidate in (inside(image.root, folder) / program, Path(folder) / program)
        ]
    )
    for candidate in candidates:
        # Not resolved: a virtual environment's interpreter knows its place by the link it is started through.
        if candidate.is_absolute() and candidate.is_file() and os.access(candidate, os.X_OK):
            return [str(candidate), *argv[1:]]
    raise StartError(
        "CannotStartContainerError: Error response from daemon: failed to create task for container: exec: "
        f'"{program}": executable file not found in $PATH'
    )
