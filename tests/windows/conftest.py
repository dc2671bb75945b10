"""What the tests of Windows need: a Wine, a host for containers, and a program to run in them.

Every test here is marked `windows`; its file says `pytestmark = pytest.mark.slow`. Where this machine has no Wine they
are skipped.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from emulator.ecs.images import Image
from emulator.ecs.windows import wine
from tests.contract import world
from tests.emulated import ROOT, Emulator, emulating
from tests.windows import host

CACHE = Path(os.environ.get("WINBATCH_CACHE") or ROOT / ".cache").resolve()


# Half of the time is theirs: where each core takes a file at a time, what begins last is short.
LONGEST = ("test_unit.py", "test_ber.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent or item.path.name not in LONGEST)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what runs programs of Windows."""
    if item.path.is_relative_to(Path(__file__).parent):
        item.add_marker("windows")


@pytest.fixture(scope="session")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[host.Host]:
    """A host of Windows containers."""
    if missing := wine.is_missing():
        pytest.skip(missing)
    started = host.Host(CACHE, tmp_path_factory.mktemp("windows"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def kit(windows: host.Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of kit.c."""
    assert windows
    return host.compiled(Path(__file__).with_name("kit.c"), tmp_path_factory.mktemp("kit") / "kit.exe")


@pytest.fixture(scope="session")
def kit_image(windows: host.Host, kit: Path) -> Image:
    """An image whose entry point is that program."""
    config = {"Entrypoint": ["kit.exe"], "WorkingDir": "C:\\app", "Env": ["PATH=C:\\app;C:\\Windows\\System32"]}
    return windows.image({"app/kit.exe": kit, "app/data.txt": b"whole"}, **config)


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 for workers."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def windows_emulator(windows: host.Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator of AWS that runs images for Windows."""
    assert windows
    quick = ("--instance-seconds", "0.2", "--terminate-seconds", "0.2", "--check-answers")
    with emulating(tmp_path_factory.mktemp("emulator"), *quick, "--cache", str(CACHE)) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def windows_cluster(windows_emulator: Emulator) -> Iterator[world.Cluster]:
    """A cluster with one host."""
    made = world.Cluster(lambda service: world.client(windows_emulator.endpoint, service), "windows")
    made.scale(1)
    yield made
    made.remove()
