"""What the pipeline leaves on GitHub, against a server that keeps comments and issues as GitHub does."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scripts.cli import github
from scripts.core.errors import PipelineError, SettingsError


class Server(ThreadingHTTPServer):
    """Comments of #7, and issues; as many a page as GitHub's smallest page would have."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments = []
        self.issues = []
        self.refuses = None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _answer(self, body, status=200, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")

    def _made(self, kind, found, entry):
        number = len(found) + 1
        url = f"{self.server.address}/repos/o/r/{kind}/{number}"
        entry = {
            "id": number,
            "number": number,
            "url": url,
            "html_url": f"https://github.test/{kind}/{number}",
            **entry,
        }
        found.append(entry)
        return entry

    def do_GET(self):
        if self.server.refuses:
            self._answer({"message": self.server.refuses}, 403)
        elif re.fullmatch(r"/repos/o/r/issues/7", self.path):
            self._answer({"number": 7, "url": f"{self.server.address}/repos/o/r/issues/7"})
        elif self.path.startswith("/repos/o/r/issues/7/comments"):
            self._page(self.server.comments)
        elif self.path.startswith("/repos/o/r/issues?"):
            self._page([issue for issue in self.server.issues if issue["state"] == "open"])
        else:
            self._answer({"message": "Not Found"}, 404)

    def _page(self, found):
        page = int((re.search(r"[?&]page=(\d+)", self.path) or [0, "1"])[1])
        more = found[page * 2 :]
        link = {"Link": f'<{self.server.address}{self.path.split("?")[0]}?page={page + 1}>; rel="next"'} if more else {}
        self._answer(found[(page - 1) * 2 : page * 2], **link)

    def do_POST(self):
        body = self._body()
        if self.path == "/repos/o/r/issues":
            self._answer(self._made("issues", self.server.issues, {"state": "open", **body}), 201)
        elif self.path == "/repos/o/r/issues/7/comments":
            self._answer(self._made("issues/comments", self.server.comments, body), 201)
        else:
            self._answer({"id": 1, "body": body["body"]}, 201)

    def do_PATCH(self):
        kind = self.server.comments if "/comments/" in self.path else self.server.issues
        entry = kind[int(self.path.rsplit("/", 1)[1]) - 1]
        entry.update(self._body())
        self._answer(entry)


@pytest.fixture
def server():
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def environ(server):
    return {"GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": "t", "GITHUB_API_URL": server.address}


def test_a_second_comment_takes_the_firsts_place_among_those_of_others(server, environ):
    server.comments += [
        {"id": number, "body": f"somebody's {number}", "url": f"{server.address}/repos/o/r/issues/comments/{number}"}
        for number in (1, 2, 3)
    ]
    first = github.comment(7, "plan-dev", "one", environ)
    assert github.comment(7, "plan-dev", "two", environ) == first
    github.comment(7, "plan-prod", "other", environ)
    assert [comment["body"].splitlines()[-1] for comment in server.comments[3:]] == ["two", "other"]
    assert server.comments[0]["body"] == "somebody's 1"


def test_an_issue_is_opened_brought_up_to_date_and_closed(server, environ):
    assert github.report("drift-dev", "Drift of dev", "", environ) == ""
    address = github.report("drift-dev", "Drift of dev", "a tag", environ)
    assert github.report("drift-dev", "Drift of dev", "two tags", environ) == address
    assert [(issue["state"], issue["body"].splitlines()[-1]) for issue in server.issues] == [("open", "two tags")]
    assert github.report("drift-dev", "Drift of dev", "", environ) == address
    assert server.issues[0]["state"] == "closed"
    assert github.report("drift-dev", "Drift of dev", "again", environ) != address


def test_what_is_too_long_is_cut_at_a_line():
    text = github.marked("plan-dev", "a line of a plan\n" * 10_000)
    assert len(text) < 65_536
    assert text.startswith("<!-- winbatch: plan-dev -->\n")
    assert text.splitlines()[-3:] == ["a line of a plan", "", "… the rest is in the run's log."]


def test_a_refusal_and_a_missing_variable_are_one_line(server, environ):
    server.refuses = "Resource not accessible by integration"
    with pytest.raises(PipelineError, match=r"#7: 403: Resource not accessible by integration"):
        github.comment(7, "plan-dev", "text", environ)
    with pytest.raises(SettingsError, match="GITHUB_TOKEN must be set"):
        github.comment(7, "plan-dev", "text", {"GITHUB_REPOSITORY": "o/r"})
