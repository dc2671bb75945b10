"""Airflow's API behind InvokeRestApi's limits."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from emulator.mwaa import rest


class Airflow(BaseHTTPRequestHandler):
    """Answers a login at once, `/slow` late, and anything else with as many bytes as its body says."""

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/slow"):
            time.sleep(0.5)
        answer = {"access_token": "t"} if self.path == "/auth/token" else {"x": "x" * given.get("bytes", 0)}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def client():
    with ThreadingHTTPServer(("127.0.0.1", 0), Airflow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield rest.Client(server.server_port, "u", "p")
        server.shutdown()
        thread.join()


@pytest.mark.aws(
    does="InvokeRestApi ends after ten seconds with an error, while the call may have been carried out.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html",
    sure="documented",
)
def test_a_call_ends_in_time(client, monkeypatch):
    assert rest.INVOKE_SECONDS == 10
    assert client.invoke("POST", "/slow", body={}).status == 200
    monkeypatch.setattr(rest, "INVOKE_SECONDS", 0.1)
    with pytest.raises(TimeoutError):
        client.invoke("POST", "/slow", body={})


@pytest.mark.aws(
    does="InvokeRestApi takes and gives 6 MB at most.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html",
    sure="documented",
)
def test_a_call_sends_and_answers_so_much(client, monkeypatch):
    assert rest.INVOKE_BYTES == 6 * 2**20
    monkeypatch.setattr(rest, "INVOKE_BYTES", 1000)
    assert client.invoke("POST", "/x", body={"bytes": 900}).body == {"x": "x" * 900}
    with pytest.raises(ValueError, match="request"):
        client.invoke("POST", "/x", body={"bytes": 1, "more": "y" * 1000})
    with pytest.raises(ValueError, match="answer"):
        client.invoke("POST", "/x", body={"bytes": 1000})
