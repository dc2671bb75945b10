"""The WSGI application: the emulator's own pages, faults and counters around moto's dispatcher."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request

from emulator import locks
from emulator.http import Environ, StartResponse
from emulator.routes import PREFIX, Routes, json_response

log = logging.getLogger(__name__)


class Application:
    """Answers every request of every service."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._moto = DomainDispatcherApplication(create_backend_app)

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
        with locks.of(signing_name(environ)):
            return list(self._moto(environ, start_response))


def signing_name(environ: Environ) -> str:
    """The service that a request's SigV4 scope names, also in a presigned address; S3 when it is not signed."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    _, _, scope = authorization.partition("Credential=")
    parts = scope.split(",", 1)[0].split("/")
    return parts[3].lower() if len(parts) > 3 else "s3"  # noqa: PLR2004 - key/date/region/service/aws4_request
