"""Misbehaviour on request: `/_emulator/faults`.

GET lists the faults at work, POST adds one, DELETE ends one (`/_emulator/faults/<id>`) or all. Each is one JSON object:

{"kind": "throttle", "service": "ecs", "action": "RunTask", "times": 3}       the next three calls are throttled
{"kind": "throttle", "service": "ecs", "action": "*", "rate": 0.2, "seed": 1}  a fifth of all calls is
{"kind": "expire", "service": "*", "action": "*"}                              credentials have expired, for all calls
{"kind": "answer-late", "service": "s3", "action": "PutObject", "seconds": 1}  it is done, and the answer a second late
{"kind": "delay-start", "seconds": 5, "times": 1}                              the next ECS task starts 5 s later
{"kind": "hide-task", "task": "<ARN>"}                                         DescribeTasks says MISSING
{"kind": "fail-start", "reason": "CannotStartContainerError: …", "times": 1}   the next container does not start
{"kind": "kill-task", "task": "<ARN>"}                                         SIGKILL to its containers, now
{"kind": "kill-task", "task": "<ARN>", "exit_code": 4294967295}                … and another exit code than 137
{"kind": "end-task", "task": "<ARN>", "code": "…", "reason": "…"}              it stops, with that stop code
{"kind": "refuse", "service": "ecs", "action": "RunTask", "code": "…", "message": "…", "status": 400, "times": 1}
{"kind": "lose-instance", "instance": "i-…"}                                   the EC2 instance dies, now
{"kind": "fail-agent", "times": 1}                                             the next host's agent does not start
{"kind": "spot-notice", "instance": "i-…", "seconds": 5}                       … in 5 s; without: in 120 s, as on AWS
{"kind": "no-capacity", "code": "VcpuLimitExceeded", "times": 3}               EC2 refuses the next three instances
{"kind": "no-capacity", "code": "InsufficientInstanceCapacity", "type": "c5.xlarge", "zone": "…", "market": "spot"}

Without `times` a fault lasts until it is deleted; `kill-task`, `end-task`, `lose-instance` and `spot-notice` act once
and are not listed. `refuse` answers a call with any error of AWS's (400 without a status): EC2's throttling, say, in
RunTask's InvalidParameterException, or Auto Scaling's ResourceContention. `no-capacity` is for every type, zone and
market (`spot`, `on-demand`) that it does not name; its codes are InsufficientInstanceCapacity,
MaxSpotInstanceCountExceeded, VcpuLimitExceeded and UnfulfillableCapacity.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from werkzeug.wrappers import Request, Response

from emulator.routes import Routes, json_response

# Acts on what a fault's JSON says; raises LookupError when there is no such thing.
Action = Callable[[dict[str, Any]], None]

_FIELDS: dict[str, dict[str, type]] = {
    "throttle": {"service": str, "action": str, "times": int, "rate": float, "seed": int},
    "expire": {"service": str, "action": str, "times": int},
    "answer-late": {"service": str, "action": str, "seconds": float, "times": int},
    "delay-start": {"seconds": float, "times": int},
    "hide-task": {"task": str},
    "fail-start": {"reason": str, "times": int},
    "kill-task": {"task": str, "exit_code": int},
    "end-task": {"task": str, "code": str, "reason": str},
    "refuse": {"service": str, "action": str, "code": str, "message": str, "status": int, "times": int},
    "lose-instance": {"instance": str},
    "fail-agent": {"times": int},
    "spot-notice": {"instance": str, "seconds": float},
    "no-capacity": {"code": str, "type": str, "zone": str, "market": str, "times": int},
}
_REQUIRED = {
    "throttle": {"service", "action"},
    "expire": {"service", "action"},
    "answer-late": {"service", "action", "seconds"},
    "delay-start": {"seconds"},
    "hide-task": {"task"},
    "fail-start": {"reason"},
    "kill-task": {"task"},
    "end-task": {"task", "code", "reason"},
    "refuse": {"service", "action", "code", "message"},
    "lose-instance": {"instance"},
    "fail-agent": set(),
    "spot-notice": {"instance"},
    "no-capacity": {"code"},
}


@dataclass
class _Fault:
    id: int
    spec: dict[str, Any]
    left: int | None
    random: random.Random = field(default_factory=random.Random)  # noqa: S311 - chance, not secrecy


class Faults:
    """The faults at work. Thread-safe; costs nothing while there is none."""

    def __init__(self, routes: Routes) -> None:
        self._lock = Lock()
        self._ids = itertools.count(1)
        self._active: list[_Fault] = []
        self._actions: dict[str, Action] = {}
        routes.add("faults", self._respond)

    def act_with(self, kind: str, action: Action) -> None:
        """Let `action` carry out the faults of a kind that act at once."""
        self._actions[kind] = action

    def refusal(self, service: str, action: str) -> str | None:
        """The kind of the fault by which this call is refused."""

        def hits(fault: _Fault) -> bool:
            return _named(fault, service, action) and fault.random.random() < fault.spec.get("rate", 1.0)

        return next((kind for kind in ("expire", "throttle") if self._take(kind, hits)), None)

    def error(self, service: str, action: str) -> tuple[str, str, int] | None:
        """The code, message and HTTP status with which this call is refused."""
        fault = self._take("refuse", lambda fault: _named(fault, service, action))
        return (fault.spec["code"], fault.spec["message"], fault.spec.get("status", 400)) if fault else None

    def lateness(self, service: str, action: str) -> float:
        """The seconds by which the answer to this call comes late."""
        fault = self._take("answer-late", lambda fault: _named(fault, service, action))
        return float(fault.spec["seconds"]) if fault else 0.0

    def start_delay(self) -> float:
        """The seconds by which the ECS task that asks starts late."""
        fault = self._take("delay-start", lambda _: True)
        return float(fault.spec["seconds"]) if fault else 0.0

    def agent_failure(self) -> bool:
        """Whether the ECS agent of the instance that asks does not start."""
        return self._take("fail-agent", lambda _: True) is not None

    def start_failure(self) -> str | None:
        """Why the container that asks does not start."""
        fault = self._take("fail-start", lambda _: True)
        return str(fault.spec["reason"]) if fault else None

    def no_capacity(self, kind: str, zone: str, market: str) -> str | None:
        """The code with which EC2 refuses an instance of this type in this zone on this market."""
        asked = {"type": kind, "zone": zone, "market": market}
        fault = self._take(
            "no-capacity", lambda fault: all(fault.spec.get(name, asked[name]) == asked[name] for name in asked)
        )
        return str(fault.spec["code"]) if fault else None

    def hidden(self, task: str) -> bool:
        """Whether DescribeTasks does not know this ECS task."""
        return self._take("hide-task", lambda fault: fault.spec["task"] == task) is not None

    def _take(self, kind: str, hits: Callable[[_Fault], bool]) -> _Fault | None:
        if not self._active:
            return None
        with self._lock:
            for fault in self._active:
                if fault.spec["kind"] == kind and hits(fault):
                    if fault.left is not None:
                        fault.left -= 1
                        if fault.left == 0:
                            self._active.remove(fault)
                    return fault
        return None

    def _respond(self, request: Request, rest: str) -> Response:
        if request.method == "POST":
            return self._add(request)
        if request.method == "DELETE":
            return self._remove(rest)
        with self._lock:
            return json_response({"faults": [_describe(fault) for fault in self._active]})

    def _add(self, request: Request) -> Response:
        try:
            spec = _checked(json.loads(request.get_data()))
        except ValueError as error:
            return json_response({"error": f"not a fault: {error}"}, 400)
        if action := self._actions.get(spec["kind"]):
            try:
                action(spec)
            except LookupError as error:
                return json_response({"error": str(error)}, 404)
            return json_response({"done": spec})
        with self._lock:
            seeded = random.Random(spec.get("seed"))  # noqa: S311 - chance, not secrecy
            fault = _Fault(next(self._ids), spec, spec.get("times"), seeded)
            self._active.append(fault)
        return json_response(_describe(fault), 201)

    def _remove(self, rest: str) -> Response:
        with self._lock:
            gone = [fault for fault in self._active if rest in {"", str(fault.id)}]
            self._active = [fault for fault in self._active if fault not in gone]
        if rest and not gone:
            return json_response({"error": f"no fault {rest}"}, 404)
        return json_response({"removed": [fault.id for fault in gone]})


def _named(fault: _Fault, service: str, action: str) -> bool:
    return fault.spec["service"] in {"*", service} and fault.spec["action"] in {"*", action}


def _describe(fault: _Fault) -> dict[str, Any]:
    return {"id": fault.id, **fault.spec} | ({} if fault.left is None else {"left": fault.left})


def _checked(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, dict) or spec.get("kind") not in _FIELDS:
        raise ValueError(f"`kind` must be one of {', '.join(_FIELDS)}")
    kind = spec["kind"]
    fields = _FIELDS[kind]
    if unknown := spec.keys() - fields.keys() - {"kind"}:
        raise ValueError(f"{kind} has no field {', '.join(sorted(unknown))}; it has {', '.join(fields)}")
    if missing := _REQUIRED[kind] - spec.keys():
        raise ValueError(f"{kind} needs {', '.join(sorted(missing))}")
    for name, value in spec.items():
        wanted = fields.get(name, str)
        if isinstance(value, bool) or not isinstance(value, (int, float) if wanted is float else wanted):
            raise ValueError(f"`{name}` must be {wanted.__name__}, not {value!r}")  # noqa: TRY004 - bad input, not a bug
        if isinstance(value, int | float) and name not in {"seed", "exit_code"} and value <= 0:
            raise ValueError(f"`{name}` must be above 0, not {value!r}")
    return spec
