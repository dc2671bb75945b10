"""A checkout with one workload, and two real registries: one that stands for Microsoft's, one for AWS's."""

import contextlib
import hashlib
import http.server
import io
import json
import re
import shutil
import socket
import subprocess
import tarfile
import threading
import time
import zipfile

import pytest

from scripts.core.settings import ROOT, Settings
from scripts.tools import debian
from scripts.windows.registry import Document, Repository, digest_of

PYTHON_FILES = {
    "python.exe": b"MZ",
    "python312.zip": b"PK",
    "python312._pth": b"python312.zip\r\n.\r\n#import site\r\n",
    "vcruntime140.dll": b"MZ runtime",
}
# One small package that our own lock has, too.
PROJECT = """[project]
name = "checkout"
version = "0"
requires-python = "==3.12.*"
[dependency-groups]
worker = ["jmespath"]
"""
LOCK = """version = 1
revision = 3
requires-python = "==3.12.*"

[[package]]
name = "checkout"
version = "0"
source = { virtual = "." }

[package.dev-dependencies]
worker = [{ name = "jmespath" }]

[package.metadata.requires-dev]
worker = [{ name = "jmespath" }]

"""
DOCKERFILE = """# escape=`
# A comment, and lines that go on
FROM --platform=$BUILDPLATFORM example.com/uv@sha256:{zeros} AS stage
RUN ["python", "scripts/windows/staging.py", "mine", "/stage"]

FROM {base}@{digest}
COPY --from=stage /stage/python/ /python/
COPY --from=stage /stage/packages/ /packages/
COPY --from=stage /stage/app/ /app/
ENV PATH="C:\\python;C:\\Windows\\System32" `
    MODE=batch
WORKDIR C:\\app
USER ContainerUser
ENTRYPOINT ["C:\\\\python\\\\python.exe", "-u", "-m", "winbatch.worker"]
"""


@pytest.fixture(scope="session")
def registry_command():
    found = debian.REGISTRY.find()
    if found is None:
        pytest.skip("no docker-registry on this machine: invoke setup --tests installs Debian's")
    return found


@contextlib.contextmanager
def registry(command, folder, auth):
    """A registry on a free port; its address."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": host},
        # The registry's own backend for tests: whoever has an Authorization header is let in.
        **({"auth": {"silly": {"realm": "tests", "service": "tests"}}} if auth else {}),
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [command, "serve", folder / "config.yml"], stdout=log, stderr=log, env={"OTEL_TRACES_EXPORTER": "none"}
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                with contextlib.suppress(OSError), socket.create_connection(host.split(":"), 1):
                    break
                time.sleep(0.05)
            yield host
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def microsoft(registry_command, tmp_path_factory):
    with registry(registry_command, tmp_path_factory.mktemp("registry") / "microsoft", auth=False) as host:
        yield host


@pytest.fixture(scope="session")
def aws(registry_command, tmp_path_factory):
    with registry(registry_command, tmp_path_factory.mktemp("registry") / "aws", auth=True) as host:
        yield host


def put_base(host, name="windows/servercore", version="10.0.20348.5499", **platform):
    """A small image for Windows in Docker's format, listed in an index as Microsoft's are; the index's digest."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("Files"))
    layer = buffer.getvalue()
    platform = {"os": "windows", "architecture": "amd64", "os.version": version, **platform}
    config = json.dumps(
        {
            **platform,
            "config": {"Cmd": ["c:\\windows\\system32\\cmd.exe"], "Env": ["A=base"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(b"plain")]},
            "history": [{"created_by": "Apply image"}],
        }
    ).encode()
    docker = "application/vnd.docker"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{docker}.distribution.manifest.v2+json",
        "config": _descriptor(f"{docker}.container.image.v1+json", config),
        "layers": [_descriptor(f"{docker}.image.rootfs.diff.tar.gzip", layer)],
    }
    with Repository(f"{host}/{name}") as repository:
        for content in (layer, config):
            repository.upload(digest_of(content), len(content), [content], lambda _: None)
        document = Document(json.dumps(manifest).encode(), manifest["mediaType"])
        repository.put(document)
        kind = f"{docker}.distribution.manifest.list.v2+json"
        entry = _descriptor(document.media_type, document.body) | {"platform": platform}
        index = Document(json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode(), kind)
        repository.put(index)
    return index.digest


def _descriptor(media_type, content):
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def site():
    """What a web site serves, by path, and its address."""
    files = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = files.get(self.path)
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield files, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def checkout(tmp_path, site, monkeypatch):
    """A checkout with the workload `mine`; what it fetches is on the site."""
    monkeypatch.setenv("no_proxy", "*")
    files, address = site
    root = tmp_path / "checkout"
    (root / "dags").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    locked = re.search(r'\[\[package\]\]\nname = "jmespath"\n.*?\n\n', (ROOT / "uv.lock").read_text(), re.DOTALL)
    (root / "uv.lock").write_text(LOCK + locked[0])
    for name in ("dags/winbatch", "scripts/windows", "terraform/environments"):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignored) if source.is_dir() else shutil.copy(source, target)
    content = files["/python.zip"] = zipped(PYTHON_FILES)
    mine = root / "images" / "mine"
    (mine / "mine").mkdir(parents=True)
    (mine / "mine" / "__init__.py").write_text("NAMES = frozenset({'a', 'b', 'c'})\n")
    (mine / "files" / "deep").mkdir(parents=True)
    (mine / "files" / "deep" / "run.ps1").write_bytes(b"Write-Output 1\r\n")
    write(root, "images/python.toml", url=f"{address}/python.zip", sha256=hashlib.sha256(content).hexdigest())
    write(mine, "workload.toml", packages="worker")
    return root


def write(root, name, **values):
    (root / name).write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))


@pytest.fixture
def settings(checkout, tmp_path):
    environ = {"WINBATCH_STATE": str(tmp_path / "state"), "WINBATCH_CACHE": str(tmp_path / "cache")}
    return Settings.load("dev", environ=environ, root=checkout)
