"""The service MWAA of moto's server: what is installed into it, and stopped with it."""

from __future__ import annotations

import re
import sys

from moto import backend_index
from werkzeug.wrappers import Request, Response

from emulator.context import Context
from emulator.mwaa import models
from emulator.mwaa.environment import Environment
from emulator.routes import json_response

_SECONDS_TO_STOP = 20


def install(context: Context) -> None:
    """Answer MWAA's API and `/_emulator/mwaa`."""
    models.MwaaBackend.context = context
    # moto imports `moto.<service>` for a request whose address matches the service's pattern.
    sys.modules["moto.mwaa"] = models
    pattern = re.compile(r"https?://airflow\.(.+)\.amazonaws\.com")
    backend_index.backend_url_patterns.append(("mwaa", pattern))
    context.routes.add("mwaa", _page)


def shutdown() -> None:
    """Stop every environment's processes."""
    environments = _environments()
    for environment in environments:
        environment.cancel()
    for environment in environments:
        environment.join(_SECONDS_TO_STOP)


def _environments() -> list[Environment]:
    context = models.MwaaBackend.context
    if context is None:
        return []
    return models.mwaa_backends[context.account][context.region].environments()


def _page(request: Request, rest: str) -> Response:  # noqa: ARG001 - a route's signature
    return json_response([environment.page() for environment in _environments()])
