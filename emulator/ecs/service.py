"""Puts the emulator's ECS into moto's place and takes it out again."""

from __future__ import annotations

from moto.ecs.models import ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse

from emulator import locks
from emulator.context import Context
from emulator.ecs.agent import Agent
from emulator.ecs.api import EcsResponse
from emulator.ecs.backend import EcsBackend
from emulator.ecs.images import Images
from emulator.ecs.logs import LogDriver
from emulator.ecs.metadata import Metadata
from emulator.ecs.model import EcsTask, Json, Stop
from emulator.ecs.resources import Resources
from emulator.ecs.windows.engine import Engine
from emulator.patching import keep_with, serve_with

_drivers: list[LogDriver] = []


def install(context: Context) -> None:
    """Serve ECS; ECS tasks run below the state folder."""
    driver = LogDriver(context.account, context.region)
    _drivers.append(driver)
    EcsBackend.faults = context.faults
    EcsBackend.agent = Agent(
        context=context,
        images=Images(context.state / "images"),
        logs=driver,
        metadata=Metadata(context),
        resources=Resources(context),
        faults=context.faults,
        windows=Engine(context.processes, context.cache),
        released=lambda task: home_of(task).released(task),
    )
    keep_with(ecs_backends, EcsBackend)
    serve_with("ecs", EcsResponse, EC2ContainerServiceResponse)
    context.faults.act_with("kill-task", lambda spec: _kill(context, spec))
    context.faults.act_with("end-task", lambda spec: _end(context, spec))


def shutdown() -> None:
    """Place nothing any more. The processes end with the supervisor."""
    EcsBackend.closing = True
    while _drivers:
        _drivers.pop().stop()


def home_of(task: EcsTask) -> EcsBackend:
    """The backend that an ECS task belongs to."""
    _, _, _, region, account, _ = task.arn.split(":", 5)
    return ecs_backends[account][region]  # type: ignore[return-value]


def _find(context: Context, spec: Json) -> tuple[EcsBackend, EcsTask]:
    backend: EcsBackend = ecs_backends[context.account][context.region]  # type: ignore[assignment]
    task = backend.ecs_tasks.get(spec["task"].rpartition("/")[2])
    if task is None or task.last_status == "STOPPED":
        raise LookupError(f"no ECS task {spec['task']} that has not stopped")
    return backend, task


def _kill(context: Context, spec: Json) -> None:
    with locks.CONTROL:
        backend, task = _find(context, spec)
        if task.last_status != "RUNNING":
            raise LookupError(f"no running ECS task {task.arn}")
        backend.agent.kill(task, spec.get("exit_code"))


def _end(context: Context, spec: Json) -> None:
    with locks.CONTROL:
        backend, task = _find(context, spec)
        backend.end(task, Stop(spec["code"], spec["reason"], host_lost=True))
