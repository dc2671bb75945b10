"""The tests of what runs in Windows' containers, run by Python for Windows under Wine.

Those are left out that show what is of POSIX by nature (marked `posix`), files whose code asks nothing of the system,
for what they hold is the same arithmetic everywhere, and most of those that start workers: a worker takes three to ten
seconds here, and more than a hundred are started.
"""

import compileall
import contextlib
import py_compile
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest

from scripts.core.settings import Settings
from scripts.tools import uv
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
    "worker": ["folders", "inputs", "manifest", "owner", "settling", "starting", "stopping"],
}
# Of the files whose tests start workers, each of which takes seconds under Wine: one or two tests a kind.
TESTS = {
    "command": [
        "after_a_stop_nothing_is_started",
        "exit_codes_are_told_in_the_form_in_which_they_are_known",
        "how_a_program_fails",
    ],
    "slots": [
        "after_a_stop_nothing_runs[spawn]",
        "an_item_that_ends_its_process_fails_alone[spawn]",
        "how_windows_says_that_a_process_has_ended",
    ],
    "worker": [
        "a_broken_line_of_the_manifest_releases_all_claims",
        "all_items_of_a_shard_run_and_the_next_attempt_runs_only_those_that_failed",
        "partials_that_do_not_parse_are_passed_over_and_the_first_of_two_stands",
    ],
}
SECONDS = 900
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
    # Else each of the processes that tests start would compile all that it imports.
    for folder in (root / "tested", checkout / "dags"):
        compileall.compile_dir(folder, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    return replace(own, working_path=r"C:\checkout")


def test_what_holds_on_linux_holds_on_windows(windows, image, s3_url):
    chosen = [f"tests/unit/{folder}/test_{name}.py" for folder, names in FILES.items() for name in names]
    chosen += [f"tests/unit/worker/test_{file}.py::test_{name}" for file, names in TESTS.items() for name in names]
    places = [r"C:\packages", r"C:\tested", r"C:\checkout", r"C:\checkout\dags"]
    variables = {"PYTHONPATH": ";".join(places), "WINBATCH_TEST_S3": s3_url, "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["-c", RUN, "-q", "--tb=short", "-p", "no:cacheprovider", "--timeout", "120", *chosen]
    with windows.running(image, *words, environment=variables) as started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.container.wait(SECONDS)
        # While it runs there is no exit code.
        assert started.container.poll() is not None, started.output[-6000:]
        assert started.ended() == 0, started.output[-6000:]
