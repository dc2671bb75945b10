"""The tests of what runs in Windows' containers, run by Python for Windows under Wine.

Those are left out that show what is of POSIX by nature (marked `posix`), files whose code asks nothing of the system,
for what they hold is the same arithmetic everywhere, and those that start workers, which take minutes under Wine.
"""

import contextlib
import logging
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from scripts import uv
from scripts.settings import Settings
from scripts.windows.staging import PLATFORM
from tests.emulated import ROOT
from tests.windows import images

pytestmark = pytest.mark.slow

# What pytest and the tests import beside an image's own packages, where they run on Windows.
PACKAGES = {
    *("attrs", "colorama", "hypothesis", "iniconfig", "jsonschema", "jsonschema-specifications", "packaging", "pluggy"),
    *("psutil", "pygments", "pytest", "pytest-timeout", "pyyaml", "referencing", "rpds-py", "sortedcontainers"),
    "typing-extensions",
}
FILES = {
    "winbatch": ["deployment", "filenames", "spec", "template"],
    "worker": ["folders", "inputs", "manifest", "owner", "stopping"],
}
SECONDS = 300
RUN = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def image(windows):
    """The image of `tools` with the tests and what they import, and a Python that looks where it is told to."""
    own = windows.on(images.of(windows, "tools"), {})
    root = own.root
    (root / "python" / "python312._pth").unlink()
    settings = Settings.load("local")
    locked = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    pinned = [f"{package['name']}=={package['version']}" for package in locked if package["name"] in PACKAGES]
    assert len(pinned) == len(PACKAGES)
    command = [uv.find(settings), "pip", "install", "--quiet", "--no-config", "--target", str(root / "tested")]
    command += ["--python", sys.executable, "--python-platform", PLATFORM, "--python-version", "3.12", "--no-deps"]
    subprocess.run([*command, "--only-binary", ":all:", *pinned], env=uv.environment(settings), check=True)
    checkout = root / "checkout"
    shutil.copytree(ROOT / "tests", checkout / "tests", ignore=shutil.ignore_patterns("__pycache__", "windows", "e2e"))
    shutil.copytree(ROOT / "dags", checkout / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "images" / "ber" / "ber", checkout / "ber", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", checkout / "pyproject.toml")
    return replace(own, working_path=r"C:\checkout", user="ContainerAdministrator")


@pytest.fixture(scope="module")
def s3_url():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("folder", FILES)
def test_what_holds_on_linux_holds_on_windows(windows, image, s3_url, folder):
    files = [f"tests/unit/{folder}/test_{name}.py" for name in FILES[folder]]
    places = [r"C:\packages", r"C:\tested", r"C:\checkout", r"C:\checkout\dags"]
    variables = {"PYTHONPATH": ";".join(places), "WINBATCH_TEST_S3": s3_url, "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["-c", RUN, "-q", "--tb=short", "-p", "no:cacheprovider", "--timeout", "120", *files]
    with windows.running(image, *words, environment=variables) as started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.container.wait(SECONDS)
        # While it runs there is no exit code.
        assert started.container.poll() is not None, started.output[-6000:]
        assert started.ended() == 0, started.output[-6000:]
