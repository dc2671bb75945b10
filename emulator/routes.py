"""The emulator's own pages, under `/_emulator/`, beside AWS's APIs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

PREFIX = "/_emulator/"

# Gets the request and what follows `/_emulator/<name>/` in its path ("" when nothing does).
Handler = Callable[[Request, str], Response]


class Routes:
    """Maps the first part of a path below `/_emulator/` to its handler."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._mounted: dict[str, Callable[[Request], Response]] = {}

    def add(self, name: str, handler: Handler) -> None:
        """Let `handler` answer `/_emulator/<name>` and all below it."""
        if name in self._handlers:
            raise ValueError(f"/_emulator/{name} has a handler already")
        self._handlers[name] = handler

    def mount(self, prefix: str, handler: Callable[[Request], Response]) -> None:
        """Let `handler` answer all below a path, such as `/v2/`, that nobody has signed as AWS's clients do."""
        self._mounted[prefix] = handler

    def mounted(self, path: str, authorization: str) -> Callable[[Request], Response] | None:
        """Who answers a path that is none of AWS's APIs."""
        if authorization.startswith("AWS4-"):
            return None
        there = (handler for prefix, handler in self._mounted.items() if f"{path}/".startswith(prefix))
        return next(there, None)

    def respond(self, request: Request) -> Response:
        """Answer a request whose path starts with `/_emulator/`; 404 when nobody does."""
        name, _, rest = request.path.removeprefix(PREFIX).partition("/")
        handler = self._handlers.get(name)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            return json_response({"error": f"no page {request.path}; there are: {known}"}, 404)
        return handler(request, rest)


def json_response(value: Any, status: int = 200) -> Response:
    """A JSON document as an HTTP response."""
    return Response(json.dumps(value, default=str) + "\n", status, content_type="application/json")
