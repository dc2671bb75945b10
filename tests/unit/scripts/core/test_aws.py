"""Whose AWS a command reaches: the emulator with nothing of the caller's, a real one with all of it."""

import hashlib
import json
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ProfileNotFound

from scripts.core.aws import Aws
from scripts.core.settings import ROOT

SECONDS = 3600
# Each of them changes or breaks what botocore does: a wrong kind, a missing file, somebody else's address.
FOREIGN = {
    "AWS_PROFILE": "nope",
    "AWS_DEFAULT_PROFILE": "nope",
    "AWS_SESSION_TOKEN": "secret",
    "AWS_ACCESS_KEY_ID": "production",
    "AWS_SECRET_ACCESS_KEY": "production",
    "AWS_REGION": "nowhere",
    "AWS_DEFAULT_REGION": "nowhere",
    "AWS_CA_BUNDLE": "/nonexistent",
    "REQUESTS_CA_BUNDLE": "/nonexistent",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_MAX_ATTEMPTS": "many",
    "AWS_RETRY_MODE": "nonsense",
    "AWS_DEFAULTS_MODE": "nonsense",
    "AWS_STS_REGIONAL_ENDPOINTS": "nonsense",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "nonsense",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "nonsense",
    "AWS_DATA_PATH": "/nonexistent",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "all_proxy": "http://127.0.0.1:9",
}
BUCKETS = "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """A process environment without AWS, and a home folder of its own."""
    for name in (*FOREIGN, "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    return monkeypatch


@pytest.fixture
def served():
    """An address that answers as S3, STS and SSO do; the access keys it was called with, and the roles it gave."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/federation/credentials"):
                self.server.roles.append("sso")
                ends = int((datetime.now(UTC) + timedelta(seconds=SECONDS)).timestamp() * 1000)
                keys = {"accessKeyId": "FROMSSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": ends}
                self._answer(json.dumps({"roleCredentials": keys}))
                return
            signed = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", self.headers["Authorization"])
            self.server.keys.append((signed[1], signed[2], self.headers["X-Amz-Security-Token"]))
            self._answer(BUCKETS)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.server.roles.append("sts")
            ends = (datetime.now(UTC) + timedelta(seconds=SECONDS)).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._answer(
                "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASSUMED</AccessKeyId>"
                f"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{ends}</Expiration>"
                "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
            )

        def _answer(self, text):
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.keys, server.roles = [], []
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_local_environment_uses_nothing_of_the_callers_aws(clean, served, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("[default\nthis is no configuration")
    for name, value in FOREIGN.items():
        clean.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        clean.setenv(name, str(broken))
    for name in ("config", "credentials"):
        (tmp_path / ".aws" / name).write_text("[default\nthis is no configuration")
    Aws("eu-central-1", served.url).client("s3").list_buckets()
    assert served.keys == [("local", "eu-central-1", None)]


def test_a_real_environment_takes_the_callers_profile(clean):
    clean.setenv("AWS_PROFILE", "nope")
    with pytest.raises(ProfileNotFound):
        Aws("eu-central-1").client("s3")


def test_a_role_is_assumed_once_for_many_commands_as_the_command_line_does(clean, served, tmp_path):
    (tmp_path / ".aws" / "config").write_text(
        "[profile base]\naws_access_key_id = mine\naws_secret_access_key = mine\n"
        "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/work\nsource_profile = base\n"
    )
    clean.setenv("AWS_PROFILE", "work")
    clean.setenv("AWS_ENDPOINT_URL", served.url)
    for _ in range(2):
        Aws("eu-central-1").client("s3").list_buckets()
    assert served.keys == [("ASSUMED", "eu-central-1", "t")] * 2
    assert served.roles == ["sts"]
    assert len(list((tmp_path / ".aws" / "cli" / "cache").iterdir())) == 1


def test_a_login_through_sso_is_taken(clean, served, tmp_path):
    (tmp_path / ".aws" / "config").write_text(
        "[sso-session us]\nsso_start_url = https://us.example/start\nsso_region = eu-central-1\n"
        "[profile work]\nsso_session = us\nsso_account_id = 123456789012\nsso_role_name = work\n"
    )
    tokens = tmp_path / ".aws" / "sso" / "cache"
    tokens.mkdir(parents=True)
    ends = (datetime.now(UTC) + timedelta(seconds=SECONDS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    token = {"startUrl": "https://us.example/start", "region": "eu-central-1", "accessToken": "t", "expiresAt": ends}
    (tokens / f"{hashlib.sha1(b'us').hexdigest()}.json").write_text(json.dumps(token))
    clean.setenv("AWS_PROFILE", "work")
    clean.setenv("AWS_ENDPOINT_URL", served.url)
    # botocore finds the home folder when it is imported.
    code = "from scripts.core.aws import Aws; Aws('eu-central-1').client('s3').list_buckets()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert served.keys == [("FROMSSO", "eu-central-1", "t")]
    assert served.roles == ["sso"]
