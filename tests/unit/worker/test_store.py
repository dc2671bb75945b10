"""The store against a real S3 interface, with faults put in front of it."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest

from winbatch.errors import JobError, StorageError, UnavailableError
from winbatch.storage import Conflict
from winbatch.working import store as module
from winbatch.working.store import Store

CONNECT = """
import os, sys
looked = []
sys.addaudithook(lambda event, args: looked.append(os.fspath(args[0])) if event == "os.listdir" else None)
from winbatch.working import client
connected = client.connect(region="eu-central-1", connections=1)
connected.get_paginator("list_objects_v2")
print(sum("botocore" in path and os.sep + "data" in path for path in looked))
"""


def test_a_client_is_made_without_a_look_at_every_service():
    """botocore has hundreds of them, a folder each."""
    done = subprocess.run([sys.executable, "-c", CONNECT], capture_output=True, text=True, check=True)
    # The folders of S3's own models.
    assert 0 < int(done.stdout) < 10


def test_creating_an_object_works_once(job):
    assert job.store.put_new("a/key", b"first")
    assert not job.store.put_new("a/key", b"second")
    assert job.get("a/key") == b"first"


def test_sixteen_threads_that_create_one_object_have_one_winner(job):
    won = []
    threads = [
        threading.Thread(target=lambda n=n: won.append(job.store.put_new(f"race/{n % 10}", b"x"))) for n in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 10


@pytest.mark.posix("where the tests run on Windows, their S3 is another process")
def test_listing_goes_over_pages(job):
    from moto.core import DEFAULT_ACCOUNT_ID  # noqa: PLC0415
    from moto.s3.models import s3_backends  # noqa: PLC0415

    for number in range(1005):
        # Straight into the server's memory: over HTTP it takes seconds.
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(job.bucket, f"many/{number:04d}", b"")
    assert list(job.store.keys("many/")) == [f"many/{number:04d}" for number in range(1005)]


def test_listing_a_part(job):
    for number in range(30):
        job.put(f"part/{number:02d}/x", b"")
        job.put(f"part/{number:02d}/y", b"")
    assert list(job.store.keys("part/", after="07", before="09")) == [
        f"part/{number}/{name}" for number in ("07", "08") for name in "xy"
    ]
    assert len(list(job.store.keys("part/", after="28"))) == 4
    assert list(job.store.keys("part/", before="00")) == []


def test_an_object_is_replaced_only_as_it_was_seen(job):
    job.put("result", b"broken")
    found = job.store.find_version("result")
    assert found.body == b"broken"
    etag = found.etag
    assert job.store.replace("result", b"right", etag=etag)
    assert not job.store.replace("result", b"late", etag=etag)
    assert job.get("result") == b"right"
    assert not job.store.replace("nowhere", b"x", etag=etag)
    assert job.store.find_version("nowhere") is None


def test_an_object_that_is_too_large_is_not_read(job, monkeypatch):
    monkeypatch.setattr("winbatch.working.store.LARGEST", 100)
    job.put("bomb", b"x" * 101)
    found = job.store.find_version("bomb")
    assert (found.content, bool(found.etag)) == (b"", True)
    for read in (lambda: found.body, lambda: job.store.get("bomb")):
        with pytest.raises(JobError, match=r"bomb: 101 bytes, and no more than .* are read"):
            read()
    assert [each.unread == "" for each in job.store.find_many(["bomb", "bomb"])] == [False, False]
    # It can be written over, as what does not parse.
    assert job.store.replace("bomb", b"x" * 100, etag=found.etag)
    assert job.store.get("bomb") == b"x" * 100


def test_an_object_that_is_not_there(job):
    assert job.store.find("nowhere") is None
    for read in (job.store.get, job.store.open):
        with pytest.raises(JobError, match=f"s3://{job.bucket}/nowhere does not exist"):
            read("nowhere")


def test_a_range_of_an_object_that_was_replaced_is_refused(job):
    job.put("manifest", b"0123456789")
    etag, chunks = job.store.open("manifest")
    assert b"".join(chunks) == b"0123456789"
    assert job.store.get_range("manifest", 2, 5, etag=etag) == b"234"
    job.put("manifest", b"abcdefghij")
    with pytest.raises(JobError, match="manifest was replaced while the job runs"):
        job.store.get_range("manifest", 2, 5, etag=etag)


def test_what_s3_refuses_is_one_line_with_the_address(client):
    with pytest.raises(StorageError, match=r"s3://no-such-bucket-here/x: S3 answers PutObject with NoSuchBucket"):
        Store(client, "no-such-bucket-here").put_new("x", b"")
    with pytest.raises(StorageError, match=r"s3://no-such-bucket-here/p: S3 answers ListObjectsV2 with NoSuchBucket"):
        list(Store(client, "no-such-bucket-here").keys("p"))


def test_an_endpoint_that_does_not_answer_is_one_line():
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=boto3.session.Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(StorageError, match=r"s3://data/x: Could not connect .*; look at network"):
        Store(client, "data").get("x")
    client.close()


class _Script(BaseHTTPRequestHandler):
    """Answers requests from a list; keeps what was put."""

    protocol_version = "HTTP/1.1"
    # An error that a test holds keeps its connection open, and this server reads one at a time.
    timeout = 0.5

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, code = self.server.script.pop(0)
        if code == "stored":
            self.server.kept = body
        self._answer(status, b"" if status == 200 else f"<Error><Code>{code}</Code></Error>".encode())

    def do_GET(self):
        self._answer(200, self.server.kept)

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


@pytest.fixture
def scripted():
    """A store whose S3 gives the answers that a test puts into `script`."""
    server = HTTPServer(("127.0.0.1", 0), _Script)
    server.script, server.kept = [], b""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        # Bodies in one piece: the script reads them by their length.
        config=boto3.session.Config(
            retries={"mode": "standard", "total_max_attempts": 3}, request_checksum_calculation="when_required"
        ),
    )
    yield Store(client, "data"), server
    client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_own_claim_that_was_sent_again_is_ours(scripted):
    store, server = scripted
    # The first request was carried out, but its answer got lost; boto3 sends it again and meets its own object.
    server.script = [(500, "stored"), (412, "PreconditionFailed")]
    assert store.put_new("claim", b'{"task": "me"}')


def test_a_claim_of_somebody_else_is_not_ours_after_a_retry_either(scripted):
    store, server = scripted
    server.kept = b'{"task": "somebody"}'
    server.script = [(500, "InternalError"), (412, "PreconditionFailed")]
    assert not store.put_new("claim", b'{"task": "me"}')


def test_a_conflict_with_another_write_is_tried_again(scripted):
    store, server = scripted
    server.script = [(409, "ConditionalRequestConflict"), (200, "stored")]
    assert store.put_new("claim", b"x")
    server.script = [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")]
    assert not store.put_new("claim", b"x")


def test_endless_conflicts_are_a_lost_race(scripted, monkeypatch):
    monkeypatch.setattr(module, "_BUSY_PAUSES", (0.01, 0.01, 0.01))
    store, server = scripted
    server.script = [(409, "ConditionalRequestConflict")] * 4
    assert not store.put_new("claim", b"x")
    assert server.script == []


@pytest.mark.parametrize(
    ("answer", "passing"),
    [((500, "InternalError"), True), ((503, "SlowDown"), True), ((403, "AccessDenied"), False)],
)
def test_what_may_be_otherwise_later_is_told_apart(scripted, answer, passing):
    store, server = scripted
    server.script = [answer] * 3
    with pytest.raises(StorageError) as caught:
        store.put("x", b"x")
    assert isinstance(caught.value, UnavailableError) == passing


def test_a_write_without_a_condition_is_no_race(job):
    first = job.store.put("ledger.json", b"1")
    second = job.store.put("ledger.json", b"2")
    assert job.store.put("ledger.json", b"3", etag=second)
    for condition in ({"etag": first}, {"new": True}):
        with pytest.raises(Conflict):
            job.store.put("ledger.json", b"4", **condition)
    assert job.get("ledger.json") == b"3"


def test_an_engine_s_write_that_was_sent_again_is_its_own(scripted):
    """Before, it counted as another engine's, and what it had asked of AWS was forgotten."""
    store, server = scripted
    server.script = [(500, "stored"), (412, "PreconditionFailed")]
    assert store.put("ledger.json", b"{}", etag='"1"') == '"0"'
