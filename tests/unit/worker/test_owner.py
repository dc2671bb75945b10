import http.server
import json
import os
import threading

import pytest

from winbatch.errors import WorkerError
from winbatch.working import owner as module
from winbatch.working.owner import owner

ARN = "arn:aws:ecs:eu-central-1:123456789012:task/winbatch-test/0123456789abcdef"


@pytest.fixture
def agent():
    """An ECS agent's metadata endpoint; `answers` are given in turn."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = self.server.answers.pop(0)
            self.server.paths.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.paths = [], []
    server.environment = {"ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:{server.server_port}/v4/abc"}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_ecs_tasks_arn(agent):
    agent.answers = [(200, json.dumps({"Cluster": "c", "TaskARN": ARN}).encode())]
    assert owner(agent.environment) == ARN
    assert agent.paths == ["/v4/abc/task"]


def test_a_proxy_is_not_asked(agent, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    agent.answers = [(200, json.dumps({"TaskARN": ARN}).encode())]
    assert owner(agent.environment) == ARN


def test_an_agent_that_is_not_ready_is_asked_again(agent, monkeypatch):
    monkeypatch.setattr(module, "_PAUSES", (0.01, 0.01, 0.01))
    agent.answers = [(500, b""), (200, b"{"), (200, b"{}"), (200, json.dumps({"TaskARN": ARN}).encode())]
    assert owner(agent.environment) == ARN


def test_an_agent_that_never_tells_is_one_clear_line(agent, monkeypatch):
    monkeypatch.setattr(module, "_PAUSES", (0.01,))
    agent.answers = [(500, b"")] * 2
    with pytest.raises(WorkerError, match=r"the ECS agent does not tell the task's ARN: http://.*/v4/abc/task"):
        owner(agent.environment)


@pytest.mark.parametrize("address", ["nonsense", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(WorkerError, match=f"ECS_CONTAINER_METADATA_URI_V4 is '{address}'"):
        owner({"ECS_CONTAINER_METADATA_URI_V4": address})


def test_without_an_agent_host_and_process_are_the_owner():
    assert owner({}).endswith(f"/{os.getpid()}")
