"""The WSGI application: the emulator's own pages, faults and counters around moto's dispatcher."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from flask import Flask
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from emulator import answers, calls, locks, patching, s3_requests, shapes, validation
from emulator.calls import Call, UnreadableRequestError
from emulator.faults import Faults
from emulator.http import Environ, StartResponse
from emulator.identity.gate import Identity
from emulator.routes import PREFIX, Routes, json_response

log = logging.getLogger(__name__)


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, which lists its package's folder for every request: half of what an S3 call costs."""

    def __init__(self) -> None:
        super().__init__(_quiet_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """Look for a host's service once; moto looks at each request."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


def _quiet_app(service: Any) -> Flask:
    """Make moto's application of a service, without Flask's debug mode, which makes a class for each request."""
    app = create_backend_app(service)
    app.debug = False
    # Errors come to us all the same.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


class Application:
    """Answers every request of every service."""

    def __init__(self, routes: Routes, faults: Faults, identity: Identity, *, check_answers: bool) -> None:
        self._routes = routes
        self._identity = identity
        self._faults = faults
        self._check_answers = check_answers
        self._counts: Counter[str] = Counter()
        self._counting = Lock()
        routes.add("requests", self._respond_counts)
        self._moto = Dispatcher()
        patching.find_at_once()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request: a page of the emulator's own, or a call of AWS's."""
        if environ["PATH_INFO"].startswith(PREFIX):
            return self._page(environ, self._routes.respond)(environ, start_response)
        if handler := self._routes.mounted(environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", "")):
            return self._page(environ, handler)(environ, start_response)
        try:
            call = calls.read(environ)
        except UnreadableRequestError as error:
            return answers.unreadable(error)(environ, start_response)
        try:
            return self._aws(call, environ, start_response)
        except NotImplementedError as error:
            return answers.not_implemented(call, f"{call.service}:{call.operation}: {error}")(environ, start_response)
        except Exception as error:
            log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return answers.refusal(call, "InternalFailure", _failed(error), 500)(environ, start_response)

    def _page(self, environ: Environ, handler: Callable[[Request], Response]) -> Response:
        try:
            return handler(Request(environ))
        except Exception as error:
            log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return json_response({"__type": "InternalFailure", "message": _failed(error)}, 500)

    def _aws(self, call: Call, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        service, action = call.signing_name, call.operation
        with self._counting:
            self._counts[f"{service}.{action}"] += 1
        if kind := self._faults.refusal(service, action):
            return refused(kind, call)(environ, start_response)
        if wrong := validation.refused(call):
            return wrong.to(call)(environ, start_response)
        if call.service == "s3" and (wrong := s3_requests.refused(call, environ)):
            return wrong.to(call)(environ, start_response)
        if (answer := self._identity.refusal(call, environ)) is not None:
            return answer(environ, start_response)
        if error := self._faults.error(service, action):
            return answers.refusal(call, *error)(environ, start_response)
        late = self._faults.lateness(service, action)
        with locks.of(service):
            chunks = self._answer(call, environ, start_response)
        # Who does not wait for the answer has asked nevertheless.
        time.sleep(late)
        return chunks

    def _answer(self, call: Call, environ: Environ, start_response: StartResponse) -> list[bytes]:
        if not self._check_answers:
            return list(self._moto(environ, start_response))
        statuses: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
            statuses.append(status)
            return start_response(status, headers, exc_info)

        chunks = list(self._moto(environ, start))
        if statuses[-1].startswith("2"):
            for stranger in shapes.strangers(call, b"".join(chunks)):
                log.error("an answer of %s is not as its model: %s", call.service, stranger)
        return chunks

    def _respond_counts(self, request: Request, rest: str) -> Response:  # noqa: ARG002
        """GET counts calls by `<service>.<action>`; DELETE starts from zero."""
        with self._counting:
            counts = dict(sorted(self._counts.items()))
            if request.method == "DELETE":
                self._counts.clear()
        return json_response({"requests": counts})


def _failed(error: Exception) -> str:
    return f"the emulator failed: {error!r}; its log has the traceback"


def refused(kind: str, call: Call) -> Response:
    """The answer to a call above its rate, or with credentials that have expired, in the service's own words."""
    words = {"throttle": "Rate exceeded", "expire": "The security token included in the request is expired"}[kind]
    if call.service == "s3":
        code, status = {"throttle": ("SlowDown", 503), "expire": ("ExpiredToken", 400)}[kind]
        return answers.refusal(call, code, words, status)
    if call.protocol in {"query", "ec2"}:
        expired = "RequestExpired" if call.protocol == "ec2" else "ExpiredToken"
        return answers.refusal(call, {"throttle": "Throttling", "expire": expired}[kind], words)
    return answers.refusal(call, {"throttle": "ThrottlingException", "expire": "ExpiredTokenException"}[kind], words)
