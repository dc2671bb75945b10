"""Airflow's own REST API, as the environment's administrator."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode

# MWAA's guide, "Using the Apache Airflow REST API": a call ends after so long, with so much.
INVOKE_SECONDS = 10.0
INVOKE_BYTES = 6 << 20
_API = "/api/v2"
_UNAUTHORIZED = 401
_OK = range(200, 300)


@dataclass(frozen=True)
class Answer:
    """What Airflow said: an HTTP status and a JSON value (a string where it sent something else)."""

    status: int
    body: Any


class Client:
    """Calls one API server on loopback. It may be shared by threads.

    All methods raise OSError or http.client.HTTPException when the server does not answer.
    """

    def __init__(self, port: int, username: str, password: str) -> None:
        self._port = port
        self._login = {"username": username, "password": password}
        self._token: str | None = None
        self._lock = Lock()

    def health(self) -> Mapping[str, str]:
        """Each component's status: `healthy`, `unhealthy`, or `none` before its first heartbeat."""
        answer = self._request("GET", f"{_API}/monitor/health", timeout=5)
        if answer.status not in _OK or not isinstance(answer.body, dict):
            return {}
        return {name: str((value or {}).get("status")) for name, value in answer.body.items()}

    def token(self) -> str:
        """A new access token of the administrator.

        Raises:
            PermissionError: the login is refused
        """
        answer = self._request("POST", "/auth/token", body=self._login)
        if answer.status not in _OK:
            raise PermissionError(f"Airflow refuses the login with {answer.status}: {answer.body}")
        return str(answer.body["access_token"])

    def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None, *, timeout: float = 60
    ) -> Answer:
        """Call Airflow's API.

        Args:
            method: the HTTP method
            path: below `/api/v2`, such as `/dags`
            query: parameters; a list repeats one
            body: a JSON value, None for no body
            timeout: seconds to wait for an answer
        """
        target = _API + quote(path, safe="/~%:@!$&'()*+,;=-._")
        if query:
            target += "?" + urlencode({name: _text(value) for name, value in query.items()}, doseq=True)
        answer = self._request(method, target, body=body, token=self._current_token(), timeout=timeout)
        if answer.status == _UNAUTHORIZED:
            answer = self._request(method, target, body=body, token=self._current_token(renew=True), timeout=timeout)
        return answer

    def invoke(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Answer:
        """Call Airflow's API within the limits of InvokeRestApi; what takes longer may be done nevertheless.

        Raises:
            ValueError: what is sent or answered is too large
            TimeoutError: there is no answer in time
        """
        if len(json.dumps(body)) > INVOKE_BYTES:
            raise ValueError("the request is too large")
        answer = self.call(method, path, query, body, timeout=INVOKE_SECONDS)
        if len(json.dumps(answer.body)) > INVOKE_BYTES:
            raise ValueError("the answer is too large")
        return answer

    def _current_token(self, *, renew: bool = False) -> str:
        with self._lock:
            if self._token is None or renew:
                self._token = self.token()
            return self._token

    def _request(
        self, method: str, target: str, *, body: Any = None, token: str | None = None, timeout: float = 60
    ) -> Answer:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, target, body=content, headers=headers)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        return Answer(response.status, _value(raw, response.getheader("Content-Type", "")))


def _text(value: Any) -> Any:
    """A query parameter as Airflow reads it: booleans in lower case, lists element by element."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return [_text(element) for element in value]
    return value


def _value(raw: bytes, content_type: str) -> Any:
    if not raw:
        return {}
    text = raw.decode(errors="replace")
    return json.loads(text) if "json" in content_type and "ndjson" not in content_type else text
