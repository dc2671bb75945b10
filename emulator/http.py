"""The HTTP server: moto's application behind connections that stay open.

werkzeug's development server closes the connection after each answer, which costs every AWS call a TCP handshake and a
thread. This one reads each request whole, so that nothing unread is left before the next one, and keeps the connection.
"""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import DechunkedInput, ThreadedWSGIServer

from emulator.errors import PortInUseError

log = logging.getLogger(__name__)

Environ = dict[str, Any]


class StartResponse(Protocol):
    """Take the status and the headers of an answer, as WSGI has it (PEP 3333)."""

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        """Take them; `exc_info` is of an error after which the answer is another one."""


Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_NO_BODY = frozenset({204, 304})


class Handler(MotoRequestHandler):
    """Answers one connection's requests, one after another."""

    protocol_version = "HTTP/1.1"
    # A header and a body in two packets wait 40 ms for the client's delayed acknowledgement otherwise.
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 120  # an idle connection ends: its client opens another

    def handle_expect_100(self) -> bool:
        """Let the client send its body at once; http.server leaves the 100 in its buffer."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer one request, whose body is read whole before, and keep the connection."""
        environ = self.environ = self.make_environ()
        body = self._read_body(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("wsgi.input_terminated", None)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        answer: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:  # noqa: ARG001
            answer[:] = [status, headers]

        chunks = self.server.app(environ, start_response)
        try:
            content = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        self._send(answer[0], answer[1], content)

    def _read_body(self, environ: Environ) -> bytes:
        if environ.get("wsgi.input_terminated"):
            return DechunkedInput(self.rfile).read()  # type: ignore[arg-type] # IO enough
        return self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0))

    def _send(self, status: str, headers: list[tuple[str, str]], content: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            if self.command == "HEAD" or name.lower() != "content-length":
                self.send_header(name, value)
        if self.command == "HEAD":
            if "content-length" not in names:
                self.send_header("Content-Length", "0")
        elif int(code) not in _NO_BODY:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and int(code) not in _NO_BODY:
            self.wfile.write(content)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A line a request would drown the log; `/_emulator/requests` counts them."""

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Log an error; that a connection was idle for too long is none."""
        if not format.startswith("Request timed out"):
            log.warning(format, *args)


class Server(ThreadedWSGIServer):
    """Listens on loopback only, one thread a connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, port: int, app: Application) -> None:
        # werkzeug ends the process by itself when it cannot bind, with several lines; so bind here and hand it over.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(self.request_queue_size)
        except OSError as error:
            listener.close()
            raise PortInUseError(port) from error
        with listener:
            super().__init__("127.0.0.1", port, app, Handler, fd=listener.fileno())
