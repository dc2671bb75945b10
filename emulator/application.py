"""The WSGI application: the emulator's own pages, faults and counters around moto's dispatcher."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Iterable
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from emulator import locks
from emulator.faults import Faults
from emulator.http import Environ, StartResponse
from emulator.routes import PREFIX, Routes, json_response

log = logging.getLogger(__name__)

_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_QUERY = frozenset({"autoscaling", "ec2", "iam", "monitoring", "sns", "sts"})


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, which lists its package's folder for every request: half of what an S3 call costs."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


class Application:
    """Answers every request of every service."""

    def __init__(self, routes: Routes, faults: Faults) -> None:
        self._routes = routes
        self._faults = faults
        self._counts: Counter[str] = Counter()
        self._counting = Lock()
        routes.add("requests", self._respond_counts)
        self._moto = Dispatcher()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            if environ["PATH_INFO"].startswith(PREFIX):
                return self._routes.respond(Request(environ))(environ, start_response)
            return self._aws(environ, start_response)
        except NotImplementedError as error:
            # 501: the SDKs do not retry it, so a call that moto does not know fails at once.
            message = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} is not emulated: {error}"
            status = 501
        except Exception as error:
            log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            message = f"the emulator failed: {error!r}; its log has the traceback"
            status = 500
        body = {"__type": "InternalFailure", "message": message}
        return json_response(body, status)(environ, start_response)

    def _aws(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        service, action = signing_name(environ), action_name(environ)
        with self._counting:
            self._counts[f"{service}.{action}"] += 1
        if kind := self._faults.refusal(service, action):
            return refused(kind, service)(environ, start_response)
        late = self._faults.lateness(service, action)
        with locks.of(service):
            answer = list(self._moto(environ, start_response))
        # Who does not wait for the answer has asked nevertheless.
        time.sleep(late)
        return answer

    def _respond_counts(self, request: Request, rest: str) -> Response:  # noqa: ARG002
        """GET counts calls by `<service>.<action>`; DELETE starts from zero."""
        with self._counting:
            counts = dict(sorted(self._counts.items()))
            if request.method == "DELETE":
                self._counts.clear()
        return json_response({"requests": counts})


def signing_name(environ: Environ) -> str:
    """The service that a request's SigV4 scope names, also in a presigned address; S3 when it is not signed."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",", 1)[0].split("/")
    return scope[3].lower() if len(scope) > 3 else "s3"  # noqa: PLR2004 - key/date/region/service/aws4_request


def action_name(environ: Environ) -> str:
    """The action that a request asks for; `<method> <kind of path>` for services that have none in the request."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].getvalue()
        if match := _ACTION.search(body):
            return match[1].decode()
    if match := _ACTION.search(environ.get("QUERY_STRING", "").encode()):
        return match[1].decode()
    method = environ["REQUEST_METHOD"]
    parts = environ["PATH_INFO"].strip("/").split("/", 1)
    kind = "Object" if len(parts) == 2 else "Bucket" if parts[0] else ""  # noqa: PLR2004
    return f"{method.title()}{kind}"


def refused(kind: str, service: str) -> Response:
    """The answer to a call above its rate, or with credentials that have expired, in the service's own protocol."""
    words = {"throttle": "Rate exceeded", "expire": "The security token included in the request is expired"}[kind]
    if service == "s3":
        code, status = {"throttle": ("SlowDown", 503), "expire": ("ExpiredToken", 400)}[kind]
        body = f"<Error><Code>{code}</Code><Message>{words}</Message></Error>"
        return Response(body, status, content_type="application/xml")
    if service in _QUERY:
        code = {"throttle": "Throttling", "expire": "RequestExpired" if service == "ec2" else "ExpiredToken"}[kind]
        inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>"
        if service == "ec2":
            body = f"<Response><Errors>{inner}</Errors><RequestID>emulator</RequestID></Response>"
        else:
            body = f"<ErrorResponse>{inner}<RequestId>emulator</RequestId></ErrorResponse>"
        return Response(body, 400, content_type="text/xml")
    code = {"throttle": "ThrottlingException", "expire": "ExpiredTokenException"}[kind]
    answer = json_response({"__type": code, "message": words}, 400)
    answer.headers["x-amzn-ErrorType"] = code
    return answer
